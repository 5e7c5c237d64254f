"""Hybrid max-margin models under attack (table 6, appendix D.5, and through the hybrid), and their size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from lrlib import attacks, metrics, models
from lrlib.metrics.evaluation import evaluating
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import radius
from lrlib.sections.protocol import at_precision
from lrlib.zoo import Trained

Hybrids = Mapping[str, tuple[Trained, Mapping[str, Pipeline]]]  # by variant: the network and its hybrids by tap
WHITE, BLACK = "white_box", "black_box"
OWN = "own_stop"  # N-LR's examples that stop when N-LR itself is fooled, which the paper doesn't show
NOTHING = "0"  # the radius of clean images
AT_ONCE = 250  # images in a batch of an attack
PAPERS_IMAGES: dict[str, Any] = {"channels": 3, "size": 32}
PAPERS_CLASSES = 10
PAPERS_COMPONENTS = (20, 10)  # of table 5(b)


@dataclass(frozen=True)
class Iterative:
    """How the iterative attacks are carried out; all lengths are in pixels.

    Attributes:
        reach: Radius of table 6's.
        step_size: Step of table 6's.
        eps: Radii of those through the hybrid model, with steps of a quarter.
        steps: Steps of each.
        precision: Arithmetic of the gradients.
    """

    reach: str
    step_size: str
    eps: list[str]
    steps: int
    precision: str


def fooled(bench: Bench, of: Hybrids, attack: Iterative, x: Tensor, y: Tensor) -> None:
    """Table 6: of the examples that fooled a network that had the image right, how many its hybrid has right.

    As in appendix D.5 the examples that N-LR's hybrid is shown are N-LR's, stopped when 1-LR is fooled. They are larger
    than N-LR's own, which is why its own are shown too.
    """
    for source, victim, shown, setting in _pairs():
        plain, judge = of[source][0].model, of[victim][0].model
        one, hybrids = of[shown]
        clean = metrics.correct(judge, x, y)
        for name, make in _attacks(plain, judge, attack).items():
            x_adv = torch.cat(
                [make(*part) for part in zip(torch.split(x, AT_ONCE), torch.split(y, AT_ONCE), strict=True)]
            )
            chosen = clean & ~metrics.correct(judge, x_adv, y)
            about = {**keys(one.spec), "setting": setting, "attack": name}
            if clean.any():
                success = chosen[clean].cpu().numpy()
                bench.run.add_accuracy("table6", "success_rate", success, **about, tap="")
            if not chosen.any():
                continue
            size = metrics.rho(x[chosen], x_adv[chosen]).item()
            bench.run.add("table6", "rho", size, n=int(chosen.sum()), **about, tap="")
            for tap, hybrid in hybrids.items():
                a = metrics.features(one.model, x_adv[chosen], tap).cpu()
                right = (metrics.max_margin_predictions(hybrid, a) == y[chosen].cpu()).numpy()
                bench.run.add_accuracy("table6", "max_margin_adversarial_accuracy", right, **about, tap=tap)


def _pairs() -> Iterator[tuple[str, str, str, str]]:
    """Whose gradients, who is to be fooled, whose hybrid is shown the examples, and the setting."""
    for name in ("2-LR", "1-LR"):
        yield name, name, name, WHITE
        yield "N-LR", name, name, BLACK
    yield "N-LR", "1-LR", "N-LR", WHITE
    yield "N-LR", "N-LR", "N-LR", OWN


def _attacks(source: nn.Module, victim: nn.Module, attack: Iterative) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    fast = at_precision(source, attack.precision)

    def iterative(loss: attacks.Loss) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: attacks.pgd(
            fast,
            x,
            y,
            eps=radius(attack.reach),
            step_size=radius(attack.step_size),
            steps=attack.steps,
            random_start=False,
            loss=loss,
            until_fooled=True,
            victim=victim,
        )

    return {
        "deepfool": lambda x, y: attacks.deepfool(source, x, victim=victim),
        "iterative_least_likely": iterative(attacks.likelihood_of_the_least_likely),
        "pgd": iterative(attacks.cross_entropy_per_example),
    }


def end_to_end(bench: Bench, of: Hybrids, attack: Iterative, x: Tensor, y: Tensor) -> None:
    """PGD with the margin loss through the network, and through the hybrid that replaces its end, shown to both."""
    for one, pipelines in of.values():
        judges: dict[str, nn.Module] = {"": one.model}
        judges |= {tap: metrics.Hybrid(one.model, tap, pipeline) for tap, pipeline in pipelines.items()}
        for eps in (NOTHING, *attack.eps):
            for made_on, source in judges.items() if eps != NOTHING else (("", one.model),):
                x_adv = x if eps == NOTHING else _pgd(bench, source, attack, eps, x, y, one.spec.seed)
                for tap in (tap for tap in judges if made_on in ("", tap) or not tap):
                    right = metrics.correct(judges[tap], x_adv, y).cpu().numpy()
                    about = {**keys(one.spec), "eps": eps, "answers": _named(tap), "gradients": _named(made_on)}
                    bench.run.add_accuracy("hybrid_attack", "adversarial_accuracy", right, **about)


def _named(tap: str) -> str:
    """What a model is called: the network itself, or the hybrid at a tap."""
    return f"hybrid at {tap}" if tap else "network"


def _pgd(bench: Bench, model: nn.Module, attack: Iterative, eps: str, x: Tensor, y: Tensor, seed: int) -> Tensor:
    generator, size = bench.generator(seed, 4), radius(eps)
    fast = at_precision(model, attack.precision)
    parts = [
        attacks.pgd(
            fast,
            *part,
            eps=size,
            step_size=size / 4,
            steps=attack.steps,
            generator=generator,
            loss=attacks.margin_per_example,
        )
        for part in zip(torch.split(x, AT_ONCE), torch.split(y, AT_ONCE), strict=True)
    ]
    return torch.cat(parts)


def sizes(bench: Bench, one: Trained, taps: Mapping[str, str]) -> None:
    """Parameters of what stands behind each tap and of the linear model in its place.

    Both of the measured network and of the paper's: of full width, for ten classes of images of 3 x 32 x 32 pixels.
    """
    spec, dataset = one.spec, bench.dataset
    own = (one.model, {"channels": dataset.channels, "size": dataset.size}, len(dataset.classes))
    with torch.random.fork_rng(devices=[]):
        full = models.build(spec.arch, classes=PAPERS_CLASSES, **PAPERS_IMAGES)
    by_width = {spec.width: own} if spec.width == models.FULL_WIDTH else {spec.width: own, models.FULL_WIDTH: None}
    for width, found in by_width.items():
        model, images, classes = found or (full, PAPERS_IMAGES, PAPERS_CLASSES)
        for tap in taps.values():
            features = models.widths(model, [tap], **images)[tap]
            counts = {"replaced": behind(model, tap, **images), "linear": classes * (features + 1)}
            for dim in (d for d in PAPERS_COMPONENTS if d < features):
                counts[f"linear on {dim} components"] = dim * features + features + classes * (dim + 1)
            for counted, value in counts.items():
                about = keys(spec) | {"width": width}
                bench.run.add("model_size", "parameters", value, n=1, **about, tap=tap, counted=counted)


def behind(model: nn.Module, tap: str, *, channels: int, size: int) -> int:
    """Number of parameters of the modules that run after the one at a tap, in a pass of one image."""
    order: list[str] = []
    hooks = [
        module.register_forward_hook(lambda _m, _a, _o, name=name: order.append(name))
        for name, module in model.named_modules()
        if name == tap or list(module.parameters(recurse=False))
    ]
    try:
        device = next(model.parameters()).device
        with evaluating(model):
            model(torch.zeros(1, channels, size, size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    after = dict.fromkeys(order[order.index(tap) + 1 :])
    return sum(p.numel() for name in after for p in model.get_submodule(name).parameters(recurse=False))
