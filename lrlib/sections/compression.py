"""Compression (sections 3.3, C.1, C.2, C.4, D.5): tables 5, 6, 7(c) and 8, figure 8, and what is replaced by what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from sklearn.pipeline import Pipeline
from torch import Tensor

from lrlib import data, metrics, models
from lrlib.data import Dataset
from lrlib.packing import pack_points
from lrlib.results import Record
from lrlib.sections import calibrated, hybrids
from lrlib.sections.classes import check_classes
from lrlib.sections.measuring import Bench, NetworkParameters, keys, variants, widths
from lrlib.sections.parameters import is_radius, parameter
from lrlib.sections.protocol import PRECISIONS
from lrlib.specs import Spec
from lrlib.zoo import Trained

COMPARED = {"table5a": "1-LR", "table5b": "2-LR", "table8": "2-LR"}
COARSE, FINE = "cifar100-coarse", "cifar100-fine"
TRANSFERRED = ("N-LR", "1-LR", "Bottle-1LR")  # table 7(c)'s
POINTS = 300  # of figure 8
PLANE = 2


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
    attacked: int = parameter(
        "test images that are attacked, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    reach: str = parameter(
        "radius of table 6's iterative attacks, in pixels",
        expected="a number in (0, 1] such as 8/255",
        check=is_radius,
    )
    step_size: str = parameter(
        "length of their steps, in pixels", expected="a number in (0, 1] such as 1/255", check=is_radius
    )
    eps: list[str] = parameter(
        "radii of the attacks through the hybrid model, in pixels",
        expected="radii in (0, 1] such as 8/255",
        check=is_radius,
    )
    steps: int = parameter("steps of every attack", expected="a whole number from 1 on", check=lambda v: v >= 1)
    precision: str = parameter(
        "arithmetic in which gradients are computed; answers are always fp32",
        expected=f"one of {', '.join(PRECISIONS)}",
        check=PRECISIONS.__contains__,
    )

    def __post_init__(self) -> None:
        if max(self.dim) > self.train_examples:
            raise ValueError(
                f"expected dim of at most {self.train_examples}, the number of training images, got {max(self.dim)}"
            )

    def fit(self, dataset: Dataset) -> None:
        """Also hold the dimensions to the widest representation, and the training images to some of each class."""
        super().fit(dataset)
        most = max(widths(self, dataset).values())
        if max(self.dim) > most:
            raise ValueError(f"expected dim to be at most {most}, the widest tap, got {max(self.dim)}")
        check_classes(dataset, "train", self.train_examples)

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The dimensions of tables 5(a) and 5(b)."""
        shared = {"seeds": [0, 1, 2], "dim": [20, 10, 5], "steps": 10, "precision": calibrated.precision(preset)}
        natural = {"reach": "8/255", "step_size": "1/255", "eps": ["1/255", "2/255"]}
        digits = {"reach": "128/255", "step_size": "16/255", "eps": ["16/255", "32/255"], "precision": "fp32"}
        own: dict[str, dict[str, Any]] = {
            "quick": {"examples": 600, "train_examples": 1_197, "attacked": 64, **digits},
            "small": {"examples": 10_000, "train_examples": 10_000, "attacked": 128, **natural},
            "paper": {"examples": 10_000, "train_examples": 50_000, "attacked": 1_000, **natural},
        }
        return shared | own[preset]


def places(arch: str) -> dict[str, str]:
    """The taps of the paper's tables on compression for an architecture, by the table.

    Of ResNet-50 it has the narrow tap alone, and the wide one has 65,536 activations; of VGG19 the one before the first
    of three FC layers.
    """
    last, early = models.places(arch)
    return {
        "resnet18": {"table5a": last, "table5b": early},
        "resnet50": {"table5a": last},
        "vgg19": {"table8": early},
    }[arch]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs: on CIFAR-100's coarse labels also that with a bottleneck."""
    networks = variants(parameters)
    return [*networks, *variants(parameters, TRANSFERRED[-1:])] if _transfers(parameters) else networks


def _transfers(parameters: Parameters) -> bool:
    return parameters.dataset == COARSE


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Test accuracy of the hybrid max-margin models, with all dimensions and few, of their attacks, and their size.

    Args:
        parameters: What to measure.
        device: Where the representations are computed; the classifier is scikit-learn's, on the CPU.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of tables 5(a) and 5(b), or 8, figure 8 and ``model_size``; of ResNet-18 also of table 6
        and ``hybrid_attack``, and on CIFAR-100's coarse labels of table 7(c).
    """
    networks = specs(parameters)
    bench = Bench("compression", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for seed in parameters.seeds:
        trained = {spec.variant: bench.trained(spec) for spec in networks if spec.seed == seed}
        fitted = {name: _hybrids(bench, parameters, one) for name, one in trained.items()}
        hybrids.sizes(bench, trained["2-LR"], places(parameters.arch))
        if parameters.arch == "resnet18":
            attack = hybrids.Iterative(
                parameters.reach, parameters.step_size, parameters.eps, parameters.steps, parameters.precision
            )
            of = {name: (one, fitted[name]) for name, one in trained.items() if not name.startswith("Bottle")}
            x, y = bench.test_images(parameters.attacked)
            hybrids.fooled(bench, of, attack, x, y)
            hybrids.end_to_end(bench, of, attack, x, y)
    return bench.run.record()


def _hybrids(bench: Bench, parameters: Parameters, one: Trained) -> dict[str, Pipeline]:
    """Tables 5, 7(c) and 8 and figure 8 of a network; its max-margin models on all dimensions, by tap."""
    x, y = bench.train_images(parameters.train_examples)
    last = models.places(one.spec.arch)[0]
    taps = list(dict.fromkeys([*places(one.spec.arch).values(), last]))
    train, test = (_features(one, part, taps) for part in (x, bench.x))
    fitted: dict[str, Pipeline] = {}
    for artefact, tap in places(one.spec.arch).items():
        width = train[tap].shape[1]
        for dim in [width, *(d for d in parameters.dim if d < width)]:
            hybrid = metrics.fit_max_margin(train[tap], y, dim=dim if dim < width else None, seed=one.spec.seed)
            correct = (metrics.max_margin_predictions(hybrid, test[tap]) == bench.y.cpu()).numpy()
            if not one.spec.variant.startswith("Bottle"):
                bench.run.add_accuracy(artefact, "max_margin_accuracy", correct, **keys(one.spec), tap=tap, dim=dim)
            fitted.setdefault(tap, hybrid)
    if not one.spec.variant.startswith("Bottle"):
        _plane(bench, one, last, train[last], y, test[last])
    if _transfers(parameters) and one.spec.variant in TRANSFERRED:
        _transfer(bench, one, last, train[last], test[last])
    return fitted


def _features(one: Trained, x: Tensor, taps: list[str]) -> dict[str, Tensor]:
    """The representations at all taps, from one pass, on the CPU."""
    parts = [{tap: a.cpu() for tap, a in part.items()} for part in metrics.features_at(one.model, x, taps)]
    return {tap: torch.cat([part[tap] for part in parts]) for tap in taps}


def _plane(bench: Bench, one: Trained, tap: str, train: Tensor, y: Tensor, test: Tensor) -> None:
    """Figure 8: how far two principal components tell the classes apart, and where they put the first images."""
    hybrid = metrics.fit_max_margin(train, y, dim=PLANE, seed=one.spec.seed)
    correct = (metrics.max_margin_predictions(hybrid, test) == bench.y.cpu()).numpy()
    drawn: dict[str, Any] = {}
    if one.spec.seed == bench.run.parameters["seeds"][0]:
        drawn = {"points": pack_points(hybrid[:-1].transform(test[:POINTS].numpy()), bench.y[:POINTS].cpu().numpy())}
    about = {**keys(one.spec), "tap": tap, "dim": PLANE}
    bench.run.add_accuracy("figure8", "max_margin_accuracy", correct, **about, **drawn)


def _transfer(bench: Bench, one: Trained, tap: str, train: Tensor, test: Tensor) -> None:
    """Table 7(c): max-margin models on the labels that the network was trained on, and on finer ones.

    Raises:
        ValueError: If the fine labels are not of the same images.
    """
    fine = data.load(FINE)
    if not (torch.equal(fine.x_train, bench.dataset.x_train) and torch.equal(fine.x_test, bench.dataset.x_test)):
        raise ValueError(f"expected {FINE} to have the images of {COARSE} in their order, got others")
    bench.run.datasets[FINE] = fine.fingerprint
    for name, labels in ((COARSE, bench.dataset), (FINE, fine)):
        hybrid = metrics.fit_max_margin(train, labels.y_train[: len(train)], seed=one.spec.seed)
        correct = (metrics.max_margin_predictions(hybrid, test) == labels.y_test[: len(test)]).numpy()
        about = keys(one.spec) | {"dataset": name}
        bench.run.add_accuracy("table7c", "max_margin_accuracy", correct, **about, tap=tap)
