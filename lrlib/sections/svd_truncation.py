"""SVD truncation (the report on singular values, its section 3.6): shrink the lowest singular values of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lrlib import attacks, metrics, presets, svd
from lrlib.results import Record
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import PageParameters as Base
from lrlib.sections.parameters import parameter
from lrlib.specs import Spec
from lrlib.zoo import Trained

CLASSIFIERS = ("1L", "2L", "LRL")
METRICS = ("train_accuracy", "test_accuracy", "adversarial_accuracy")


@dataclass(frozen=True)
class Parameters(Base):
    """Parameters of the page."""

    fraction: list[float] = parameter(
        "fractions of the lowest singular values that are scaled",
        expected="numbers in [0, 1]",
        check=lambda v: 0 <= v <= 1,
    )
    scale: list[float] = parameter(
        "what they are multiplied by: 0 zeroes them, 0.1 divides by ten",
        expected="numbers in [0, 1]",
        check=lambda v: 0 <= v <= 1,
    )
    adversaries: int = parameter(
        "adversaries of each classifier, made once", expected="a whole number from 1 on", check=lambda v: v >= 1
    )

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The report's 180 adversaries, and its fractions in steps of a twentieth."""
        fractions = [i / 20 for i in range(21)]
        rest = {"seeds": [0, 1, 2], "fraction": fractions, "scale": [0.1, 0.0], "adversaries": 180}
        return rest | {"examples": {"quick": 600, "small": 10_000, "paper": 10_000}[preset]}


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    return [presets.classifier(parameters.preset, arch, seed) for seed in parameters.seeds for arch in CLASSIFIERS]


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Train, test and adversarial accuracy of each classifier against the fraction of scaled singular values.

    The adversaries are DeepFool's, against the whole classifier, of test images that it classifies right.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of the report's figure 7.
    """
    networks = specs(parameters)
    bench = Bench("svd_truncation", parameters, device=device, dataset=networks[0].dataset, progress=progress)
    for spec in networks:
        _truncations(bench, parameters, bench.trained(spec))
    return bench.run.record()


def _truncations(bench: Bench, parameters: Parameters, one: Trained) -> None:
    x, y = bench.train_images()
    right = metrics.correct(one.model, bench.x, bench.y).nonzero().flatten()[: parameters.adversaries]
    if not len(right):
        raise ValueError(f"expected {one.spec.name} to have some of {len(bench.x)} test images right, got none")
    x_adv, y_adv = attacks.deepfool(one.model, bench.x[right]), bench.y[right]
    sets = dict(zip(METRICS, ((x, y), (bench.x, bench.y), (x_adv, y_adv)), strict=True))
    for scale in parameters.scale:
        for fraction in parameters.fraction:
            truncated = svd.truncate(one.model, fraction, scale=scale)
            for metric, (images, labels) in sets.items():
                correct = metrics.correct(truncated, images, labels).cpu().numpy()
                about = {**keys(one.spec), "scale": scale, "fraction": fraction}
                bench.run.add_accuracy("report_figure7", metric, correct, **about)
