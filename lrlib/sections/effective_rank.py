"""Effective rank (section 3, figure 2): how much of the representations' energy their leading directions carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lrlib import linalg, metrics, models
from lrlib.data import Dataset
from lrlib.results import Record
from lrlib.sections.measuring import Bench, NetworkParameters, keys, variants, widths
from lrlib.sections.parameters import parameter
from lrlib.specs import Spec

ARTEFACTS = ("figure2a", "figure2b")  # before the last FC layer, before the fourth block


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    directions: int = parameter(
        "leading directions to show", expected="a whole number from 10 on", check=lambda v: v >= 10
    )
    part: str = parameter(
        "images whose representations are taken", expected="train or test", check=("train", "test").__contains__
    )

    def __post_init__(self) -> None:
        if self.part == "test" and self.examples < self.directions:
            raise ValueError(
                f"expected examples to be at least {self.directions}, the number of directions, got {self.examples}"
            )

    def fit(self, dataset: Dataset) -> None:
        """Also hold the number of directions to the narrowest representation."""
        super().fit(dataset)
        least = min(widths(self, dataset).values())
        if self.directions > least:
            raise ValueError(f"expected directions to be at most {least}, the narrowest tap, got {self.directions}")

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The test set at quick and small; the paper speaks of the entire dataset."""
        return {
            "quick": {"seeds": [0, 1, 2, 3, 4], "examples": 600, "directions": 20, "part": "test"},
            "small": {"seeds": [0, 1, 2], "examples": 10_000, "directions": 50, "part": "test"},
            "paper": {"seeds": [0, 1, 2], "examples": 10_000, "directions": 100, "part": "train"},
        }[preset]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    return variants(parameters)


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy, and the variance ratio at 1 to ``directions`` at both places of the paper.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of figures 2(a) and 2(b).
    """
    networks = specs(parameters)
    bench = Bench("effective_rank", parameters, device=device, dataset=parameters.dataset, progress=progress)
    x = bench.x if parameters.part == "test" else bench.train_images()[0]
    for spec in networks:
        model = bench.trained(spec).model
        correct = metrics.correct(model, bench.x, bench.y).cpu().numpy()
        bench.run.add_accuracy("figure2a", "accuracy", correct, **keys(spec), tap="", k=0)
        for artefact, tap in zip(ARTEFACTS, models.places(spec.arch), strict=True):
            ratios = linalg.variance_ratios(linalg.singular_values(metrics.feature_batches(model, x, tap)))
            for k, ratio in enumerate(ratios[: parameters.directions].tolist(), start=1):
                bench.run.add(artefact, "variance_ratio", ratio, n=len(x), **keys(spec), tap=tap, k=k)
    return bench.run.record()
