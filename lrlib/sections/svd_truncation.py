"""SVD truncation (the report on singular values, its section 3.6): shrink the lowest singular values of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lrlib import data, metrics, presets, svd
from lrlib.results import Record
from lrlib.sections import adversaries, truncated_networks
from lrlib.sections.adversaries import ATTACKS, Start
from lrlib.sections.measuring import VARIANTS, Bench, keys
from lrlib.sections.parameters import PageParameters as Base
from lrlib.sections.parameters import is_radius, parameter, switch
from lrlib.specs import Spec
from lrlib.zoo import Trained

CLASSIFIERS = ("1L", "2L", "LRL")
SHARE = "numbers in [0, 1]"


@dataclass(frozen=True)
class Parameters(Base):
    """Parameters of the page."""

    datasets: list[str] = parameter(
        "datasets of the classifiers",
        expected=f"one of {', '.join(data.names())} or {data.FOLDER}/path/to/tree",
        check=data.is_known,
    )
    fraction: list[float] = parameter(
        "fractions of the lowest singular values that are scaled in the classifiers",
        expected=SHARE,
        check=lambda v: 0 <= v <= 1,
    )
    scale: list[float] = parameter(
        "what they are multiplied by: 0 zeroes them, 0.1 divides by ten",
        expected=SHARE,
        check=lambda v: 0 <= v <= 1,
    )
    adversaries: int = parameter(
        "adversaries of each classifier", expected="a whole number from 1 on", check=lambda v: v >= 1
    )
    compared: bool = switch("also measure N-LR, 1-LR and 2-LR, which takes most of the time")
    network_fraction: list[float] = parameter(
        "fractions of the lowest singular values that are zeroed in N-LR, 1-LR and 2-LR",
        expected=SHARE,
        check=lambda v: 0 <= v <= 1,
    )
    network_examples: int = parameter(
        "test images for the accuracy and the variance ratio of those networks, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    attacked: int = parameter(
        "test images for PGD on those networks, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    eps: str = parameter("radius of PGD in pixels", expected="a radius in (0, 1] such as 8/255", check=is_radius)
    steps: int = parameter("steps of PGD", expected="a whole number from 1 on", check=lambda v: v >= 1)

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The report's datasets and its 180 adversaries, and fractions in steps of a twentieth."""
        quick = preset == "quick"
        rest = {"seeds": [0, 1, 2], "scale": [0.1, 0.0], "adversaries": 180, "compared": True}
        datasets = ["digits"] if quick else ["mnist", "fashion-mnist"]
        coarse = [0.0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1.0]
        rest |= {"datasets": datasets, "fraction": coarse if quick else [i / 20 for i in range(21)]}
        rest |= {"network_fraction": [0.0, 0.2, 0.4, 0.6, 0.8] if quick else [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]}
        rest |= {"eps": "16/255" if quick else "1/255", "attacked": 50 if quick else 200, "steps": 10 if quick else 20}
        rest |= {"network_examples": 600 if quick else 10_000 if preset == "paper" else 2_000}
        return rest | {"examples": 600 if quick else 10_000}


def classifiers(parameters: Parameters, seed: int, dataset: str) -> list[Spec]:
    """The report's classifiers of a seed on a dataset."""
    return [presets.classifier(parameters.preset, arch, seed, dataset=dataset) for arch in CLASSIFIERS]


def networks(parameters: Parameters, seed: int) -> list[Spec]:
    """The preset's own networks of a seed, N-LR first; none if they are not wanted."""
    return [presets.spec(parameters.preset, variant, seed) for variant in VARIANTS if parameters.compared]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    return [
        spec
        for seed in parameters.seeds
        for spec in (
            *(one for dataset in parameters.datasets for one in classifiers(parameters, seed, dataset)),
            *networks(parameters, seed),
        )
    ]


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracies of each classifier, and of the paper's networks, against the fraction of scaled singular values.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of the report's figure 7 and of the artefact ``truncated_networks``. The key ``made`` says
        whether adversaries were made once, of the untouched network, or again of the truncated one, and ``attack``
        which attack made them: the report's or DeepFool.
    """
    on = {
        name: Bench("svd_truncation", parameters, device=device, dataset=name, progress=progress)
        for name in dict.fromkeys(spec.dataset for spec in specs(parameters))
    }
    run = on[parameters.datasets[0]].run
    for bench in on.values():
        bench.run = run
    for seed in parameters.seeds:
        for dataset in parameters.datasets:
            for spec in classifiers(parameters, seed, dataset):
                _truncations(on[dataset], parameters, on[dataset].trained(spec))
        if parameters.compared:
            whole = [on[spec.dataset].trained(spec) for spec in networks(parameters, seed)]
            truncated_networks.measure(
                on[whole[0].spec.dataset],
                whole,
                fractions=parameters.network_fraction,
                examples=parameters.network_examples,
                attacked=parameters.attacked,
                eps=parameters.eps,
                steps=parameters.steps,
            )
    return run.record()


def _truncations(bench: Bench, parameters: Parameters, one: Trained) -> None:
    sets = {"train_accuracy": bench.train_images(), "test_accuracy": (bench.x, bench.y)}
    starts = _starts(bench, parameters, one)
    once = {name: ATTACKS[name](one.model, begin) for name, begin in starts.items()}
    for name, (_, done) in once.items():
        if not done.any():
            raise ValueError(f"expected {name} to fool {one.spec.name} on some of {len(done)} images, got none")
    for scale in parameters.scale:
        for fraction in parameters.fraction:
            truncated = svd.truncate(one.model, fraction, scale=scale)
            about = {**keys(one.spec), "scale": scale, "fraction": fraction}
            for metric, (x, y) in sets.items():
                _accuracy(bench, metric, truncated, x, y, about)
            for name, (x_adv, done) in once.items():
                labels = starts[name].y[done]
                made = about | {"attack": name, "made": "once"}
                _accuracy(bench, "adversarial_accuracy", truncated, x_adv[done], labels, made)
                again = about | {"attack": name, "made": "again"}
                _again(bench, truncated, name, starts[name], (x_adv, done), again)


def _starts(bench: Bench, parameters: Parameters, one: Trained) -> dict[str, Start]:
    """What each attack starts from: pairs of images and goals, and as many images for the one without a goal."""
    classes = len(bench.dataset.classes)
    begin = adversaries.start(one.model, bench.x, bench.y, parameters.adversaries, classes=classes, name=one.spec.name)
    right = metrics.correct(one.model, bench.x, bench.y).nonzero().flatten()[: parameters.adversaries]
    y = bench.y[right]
    return {"targeted": begin, "deepfool": Start(bench.x[right], y, (y + 1) % classes, right)}


def _again(
    bench: Bench, truncated: nn.Module, attack: str, begin: Start, once: tuple[Tensor, Tensor], about: dict[str, Any]
) -> None:
    """Adversaries of the truncated network, and how large they are where it was right and both attacks got there.

    ``rho_whole`` is the size of the whole network's adversaries of the same images: what truncation loses first are
    images near a boundary, so that a mean over those that are left would grow by itself.
    """
    right = metrics.correct(truncated, begin.x, begin.y)
    x_adv, done = begin.x.clone(), torch.zeros_like(right)
    if right.any():
        x_adv[right], done[right] = ATTACKS[attack](truncated, begin.of(right))
    _accuracy(bench, "adversarial_accuracy", truncated, x_adv, begin.y, about)
    both = done & once[1]
    if both.any():
        for metric, changed in (("rho", x_adv), ("rho_whole", once[0])):
            rho = metrics.rho(begin.x[both], changed[both]).item()
            bench.run.add("report_figure7", metric, rho, n=int(both.sum()), **about)


def _accuracy(bench: Bench, metric: str, model: nn.Module, x: Tensor, y: Tensor, about: dict[str, Any]) -> None:
    bench.run.add_accuracy("report_figure7", metric, metrics.correct(model, x, y).cpu().numpy(), **about)
