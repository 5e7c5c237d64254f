"""Compression (section 3.3): a max-margin classifier on few principal components of the representations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lrlib import metrics, models
from lrlib.data import Dataset
from lrlib.results import Record
from lrlib.sections.measuring import Bench, NetworkParameters, keys, variants, widths
from lrlib.sections.parameters import parameter
from lrlib.specs import Spec
from lrlib.zoo import Trained

# Where the representations come from: table 5(a) before the FC layer, table 5(b) before the last block.
ARTEFACTS = ("table5a", "table5b")
COMPARED = {"table5a": "1-LR", "table5b": "2-LR"}


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    dim: list[int] = parameter(
        "principal components that are kept, beside all dimensions",
        expected="whole numbers from 1 on",
        check=lambda v: v >= 1,
    )
    train_examples: int = parameter(
        "training images for the classifier, the first ones",
        expected="a whole number from 2 on",
        check=lambda v: v >= 2,
        counts="train",
    )

    def __post_init__(self) -> None:
        if max(self.dim) > self.train_examples:
            raise ValueError(
                f"expected dim of at most {self.train_examples}, the number of training images, got {max(self.dim)}"
            )

    def fit(self, dataset: Dataset) -> None:
        """Also hold the dimensions to the widest representation."""
        super().fit(dataset)
        most = max(widths(self, dataset).values())
        if max(self.dim) > most:
            raise ValueError(f"expected dim to be at most {most}, the widest tap, got {max(self.dim)}")

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The dimensions of tables 5(a) and 5(b)."""
        return {
            "quick": {"seeds": [0, 1, 2], "examples": 600, "dim": [20, 10, 5], "train_examples": 1_197},
            "small": {"seeds": [0, 1, 2], "examples": 10_000, "dim": [20, 10, 5], "train_examples": 10_000},
            "paper": {"seeds": [0, 1, 2], "examples": 10_000, "dim": [20, 10, 5], "train_examples": 50_000},
        }[preset]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    return variants(parameters)


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Test accuracy of the hybrid max-margin models, with all dimensions and with few.

    Args:
        parameters: What to measure.
        device: Where the representations are computed; the classifier is scikit-learn's, on the CPU.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of tables 5(a) and 5(b).
    """
    networks = specs(parameters)
    bench = Bench("compression", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for spec in networks:
        _hybrids(bench, parameters, bench.trained(spec))
    return bench.run.record()


def _hybrids(bench: Bench, parameters: Parameters, one: Trained) -> None:
    x, y = bench.train_images(parameters.train_examples)
    for artefact, tap in zip(ARTEFACTS, models.places(one.spec.arch), strict=True):
        train = metrics.features(one.model, x, tap).cpu()
        test = metrics.features(one.model, bench.x, tap).cpu()
        width = train.shape[1]
        for dim in [width, *(d for d in parameters.dim if d < width)]:
            hybrid = metrics.fit_max_margin(train, y, dim=dim if dim < width else None, seed=one.spec.seed)
            correct = (metrics.max_margin_predictions(hybrid, test) == bench.y.cpu()).numpy()
            bench.run.add_accuracy(artefact, "max_margin_accuracy", correct, **keys(one.spec), tap=tap, dim=dim)
