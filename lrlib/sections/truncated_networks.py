"""The report's truncation on the paper's networks: weights of low rank beside representations of low rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lrlib import attacks, linalg, metrics, models, svd
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import radius
from lrlib.zoo import Trained

ARTEFACT = "truncated_networks"
DIRECTIONS = 10
AGAIN, ONCE, TRANSFERRED = "again", "once", "on N-LR"  # of which network the adversaries are


def measure(
    bench: Bench,
    whole: Sequence[Trained],
    *,
    fractions: Sequence[float],
    examples: int,
    attacked: int,
    eps: str,
    steps: int,
) -> None:
    """Rows of each network with the lowest singular values of all its weights zeroed, convolutions reshaped.

    The accuracy under attack is the worst of two PGDs, on cross-entropy and on the margin of the logits, which a
    network that is merely surer of its answers doesn't withstand. The key ``made`` says what they were made on: the
    truncated network itself, the same network untouched, or N-LR untouched.

    Args:
        bench: Takes the rows.
        whole: The networks of a seed, N-LR first.
        fractions: Of the singular values of each weight matrix.
        examples: Test images for the accuracy and the variance ratio before the FC layer.
        attacked: Test images for the attacks.
        eps: Radius in pixels.
        steps: Steps of each PGD.
    """
    x, y = bench.test_images(attacked)

    def against(model: nn.Module, seed: int) -> Tensor:
        return strongest(model, x, y, eps=radius(eps), steps=steps, generator=bench.generator(seed, 11))

    once = [against(one.model, one.spec.seed) for one in whole]
    for one, own in zip(whole, once, strict=True):
        for fraction in fractions:
            cut = svd.truncate(one.model, fraction).eval()
            about = {**keys(one.spec), "scale": 0.0, "fraction": fraction}
            _clean(bench, cut, one, examples, about)
            made = {AGAIN: own if fraction == 0 else against(cut, one.spec.seed), ONCE: own}
            if one is not whole[0]:
                made[TRANSFERRED] = once[0]
            for name, x_adv in made.items():
                correct = metrics.correct(cut, x_adv, y).cpu().numpy()
                bench.run.add_accuracy(ARTEFACT, "adversarial_accuracy", correct, **about, made=name, eps=eps)


def strongest(model: nn.Module, x: Tensor, y: Tensor, *, eps: float, steps: int, generator: torch.Generator) -> Tensor:
    """Images of PGD on cross-entropy, and where these are still right those of PGD on the margin.

    Args:
        model: What is attacked.
        x: Images ``(n, c, h, w)`` in [0, 1].
        y: Labels ``(n,)``.
        eps: Radius in the maximum norm and units of ``x``; the steps are a quarter of it.
        steps: Steps of each.
        generator: Source of the random starts.

    Returns:
        Attacked images, of the shape of ``x``.
    """
    settings: dict[str, Any] = {"eps": eps, "step_size": eps / 4, "steps": steps, "generator": generator}
    x_adv = attacks.pgd(model, x, y, **settings)
    left = metrics.correct(model, x_adv, y)
    if left.any():
        x_adv[left] = attacks.pgd(model, x[left], y[left], loss=attacks.margin_per_example, **settings)
    return x_adv


def _clean(bench: Bench, model: nn.Module, one: Trained, examples: int, about: dict[str, Any]) -> None:
    x, y = bench.test_images(examples)
    bench.run.add_accuracy(ARTEFACT, "accuracy", metrics.correct(model, x, y).cpu().numpy(), **about)
    tap = models.places(one.spec.arch)[0]
    ratios = linalg.variance_ratios(linalg.singular_values(metrics.feature_batches(model, x, tap)))
    k = min(DIRECTIONS, len(ratios))
    bench.run.add(ARTEFACT, "variance_ratio", ratios[k - 1].item(), n=len(x), **about, k=k)
