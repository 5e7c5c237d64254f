"""Effective rank (section 3, C.1, C.3, appendix A): figures 2, 5, 6 and 7, tables 7(a) and 7(b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lrlib import metrics, models, presets, spectra
from lrlib.data import Dataset
from lrlib.results import Record
from lrlib.sections import appendix_a
from lrlib.sections.classes import check_classes
from lrlib.sections.measuring import Bench, NetworkParameters, keys, variants, widths
from lrlib.sections.parameters import parameter
from lrlib.specs import Spec
from lrlib.zoo import Trained

PRUNED, BOTTLENECK = "SNIP", "Bottle-2LR"
ALL = "all"  # in the place of a class: the mean over the classes
FEW = (1, 2, 5, 10, 20, 50, 100)  # directions at which a stand-in repeats the numbers of another figure
PRE_ACTIVATIONS = 2_000  # images at most whose pre-activations are cut


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    directions: int = parameter(
        "leading directions to show", expected="a whole number from 10 on", check=lambda v: v >= 10
    )
    part: str = parameter(
        "images whose representations are taken", expected="train or test", check=("train", "test").__contains__
    )
    rank: int = parameter(
        "rank that pre-activations are cut to (appendix A)",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
    )

    def __post_init__(self) -> None:
        if self.part == "test" and self.examples < self.directions:
            raise ValueError(
                f"expected examples to be at least {self.directions}, the number of directions, got {self.examples}"
            )
        if self.rank > self.examples:
            raise ValueError(f"expected rank to be at most {self.examples}, the number of examples, got {self.rank}")

    def fit(self, dataset: Dataset) -> None:
        """Also hold the directions to the narrowest representation, and the images to at least one of each class."""
        super().fit(dataset)
        least = min(widths(self, dataset).values())
        for name in ("directions", "rank"):
            if getattr(self, name) > least:
                raise ValueError(f"expected {name} to be at most {least}, the narrowest tap, got {getattr(self, name)}")
        check_classes(dataset, self.part, self.examples if self.part == "test" else None)

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The test set at quick and small; the paper speaks of the entire dataset. Its rank is 100 of 16,384."""
        return {
            "quick": {"seeds": [0, 1, 2, 3, 4], "examples": 600, "directions": 20, "part": "test", "rank": 10},
            "small": {"seeds": [0, 1, 2], "examples": 10_000, "directions": 50, "part": "test", "rank": 25},
            "paper": {"seeds": [0, 1, 2], "examples": 10_000, "directions": 100, "part": "train", "rank": 100},
        }[preset]


@dataclass(frozen=True)
class Names:
    """What the paper calls the numbers of a network.

    Attributes:
        accuracy: Where its clean accuracies are printed.
        last: The figure of the representations before the last FC layer.
        early: The figure of those at the earlier tap.
    """

    accuracy: tuple[str, ...]
    last: tuple[str, ...]
    early: tuple[str, ...]


def names(parameters: NetworkParameters) -> Names:
    """The artefacts of the parameters' network; a small one on the preset's own images also stands in for SVHN's."""
    svhn = parameters.dataset == "svhn"
    if parameters.arch == "vgg19":
        return Names(("table7b" if svhn else "table7a",), ("figure5",), ("figure5",))
    if svhn:
        return Names(("table7b",), ("figure6b",), ("figure6a",))
    if parameters.preset != "paper" and is_own(parameters):
        return Names(("figure2a", "table7b"), ("figure2a", "figure6b"), ("figure2b", "figure6a"))
    return Names(("figure2a",), ("figure2a",), ("figure2b",))


def is_own(parameters: NetworkParameters) -> bool:
    """Whether the network is the preset's own, which the comparison with pruning is about."""
    own = presets.get(parameters.preset).network
    return (parameters.arch, parameters.dataset) == (own.arch, own.dataset)


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs: on SVHN the bottleneck's too, and SNIP of the preset's first seed."""
    first = parameters.first_seed()
    bottle = (BOTTLENECK,) if parameters.dataset == "svhn" and parameters.arch != "vgg19" else ()
    pruned = [parameters.spec(PRUNED, first)] if first is not None and is_own(parameters) else []
    return [*variants(parameters), *variants(parameters, bottle), *pruned]


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy, the variance ratio at both places of the paper, whole and by class, and appendix A's checks.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of figures 2, 5 or 6 and 7, tables 7(a) or 7(b), and of appendix A.
    """
    networks = specs(parameters)
    bench = Bench("effective_rank", parameters, device=device, dataset=parameters.dataset, progress=progress)
    images = (bench.x, bench.y) if parameters.part == "test" else bench.train_images()
    for spec in networks:
        one = bench.trained(spec)
        if spec.variant != PRUNED:
            correct = metrics.correct(one.model, bench.x, bench.y).cpu().numpy()
            for artefact in names(parameters).accuracy:
                bench.run.add_accuracy(artefact, "accuracy", correct, **keys(spec), tap="", k=0)
        if spec.variant != BOTTLENECK:
            appendix_a.pruned(bench, one)
            _spectra(bench, parameters, one, *images)
        if spec.variant == "N-LR":
            appendix_a.pre_activations(bench, one, bench.x[:PRE_ACTIVATIONS], parameters.rank)
    return bench.run.record()


def _spectra(bench: Bench, parameters: Parameters, one: Trained, x: Tensor, y: Tensor) -> None:
    """One pass over the images, class by class: what the classes add up to is the whole."""
    taps = models.places(one.spec.arch)
    whole: dict[str, spectra.Gram | spectra.Sketch] = {}
    zeros = dict.fromkeys(taps, 0)
    shares: dict[str, list[tuple[float, float]]] = {tap: [] for tap in taps}
    for label in range(len(bench.dataset.classes)):
        own: dict[str, spectra.Gram | spectra.Sketch] = {}
        for part in metrics.features_at(one.model, x[y == label], taps):
            for tap, a in part.items():
                own.setdefault(tap, spectra.accumulator(a.shape[1], device=a.device)).add(a)
                zeros[tap] += int((a == 0).sum())
        for tap, seen in own.items():
            shares[tap].append(seen.leading())
            whole[tap] = seen if tap not in whole else _together(whole[tap], seen)
    named = names(parameters)
    for tap, artefacts, by_class in zip(taps, (named.last, named.early), ("figure7a", "figure7b"), strict=True):
        width, found = whole[tap].width, whole[tap].spectrum()
        exact = found.columns is None
        empty = zeros[tap] / (width * len(x))
        appendix_a.sparsity(bench, one, tap, empty, found.directions(appendix_a.SHARE), exact=exact, n=len(x))
        if one.spec.variant != PRUNED:
            _ratios(bench, one, tap, found, artefacts, parameters.directions, len(x))
            _by_class(bench, one, tap, shares[tap], by_class, torch.bincount(y.cpu()).tolist())


def _together(whole: Any, part: Any) -> Any:
    whole += part
    return whole


def _ratios(
    bench: Bench, one: Trained, tap: str, found: spectra.Spectrum, artefacts: tuple[str, ...], most: int, n: int
) -> None:
    first, *others = artefacts
    ratios, errors = (part[:most].tolist() for part in (found.ratios(), found.errors()))
    for k, (ratio, error) in enumerate(zip(ratios, errors, strict=True), start=1):
        sketched = {} if found.columns is None else {"columns": found.columns, "error": float(f"{error:.2g}")}
        about = {**keys(one.spec), "tap": tap, "k": k, **sketched}
        for artefact in (first, *(others if k in FEW else ())):
            bench.run.add(artefact, "variance_ratio", min(ratio, 1.0), n=n, **about)


def _by_class(
    bench: Bench, one: Trained, tap: str, shares: list[tuple[float, float]], artefact: str, counts: list[int]
) -> None:
    """The leading direction's share class by class, and its mean."""
    about = {**keys(one.spec), "tap": tap, "k": 1}
    for (share, error), n, name in zip(shares, counts, bench.dataset.classes, strict=True):
        sketched = {"error": float(f"{error:.2g}")} if error else {}
        bench.run.add(artefact, "variance_ratio", share, n=n, **about, label=name, **sketched)
    mean = sum(share for share, _ in shares) / len(shares)
    bench.run.add(artefact, "variance_ratio", mean, n=sum(counts), **about, label=ALL)
