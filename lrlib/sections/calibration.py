"""Which attack the paper may have used: settings fitted to its N-LR row, and what the fast arithmetic changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrlib import metrics
from lrlib.data import Dataset
from lrlib.engine import has_bf16
from lrlib.results import Record
from lrlib.sections.calibrated import protocol_of, residuals, stated
from lrlib.sections.measuring import VARIANTS, Bench, NetworkParameters, keys
from lrlib.sections.parameters import anew, parameter, radius
from lrlib.sections.protocol import PRECISIONS, UNITS, Attack, Protocol
from lrlib.specs import Spec
from lrlib.zoo import Trained

EPS = ("8/255", "10/255", "16/255", "20/255")
STEPS = (7, 20)
STEP_SIZES = ("1/255", "2/255", "0.01", "eps/4")


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    screened: int = parameter(
        "test images on which every setting is tried, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    finalists: int = parameter(
        "settings that are tried on all images of the fit",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
    )
    compared: int = parameter(
        "test images on which fp32 and bf16 are compared, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    precision: str = parameter(
        "arithmetic of the network during the fit",
        expected=f"one of {', '.join(PRECISIONS)}",
        check=PRECISIONS.__contains__,
    )
    measure: bool = anew()

    def __post_init__(self) -> None:
        if len(self.seeds) != 1:
            raise ValueError(f"expected one seed, for the fit is to one network, got {len(self.seeds)}")
        if self.screened > self.examples:
            raise ValueError(f"expected screened to be at most {self.examples}, the examples, got {self.screened}")

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """One N-LR network; a fit on the first ``examples`` test images, tested on as many of the next."""
        sizes = {"quick": (100, 300, 300, "fp32"), "small": (100, 1_000, 2_000, "bf16")}
        screened, examples, compared, precision = sizes.get(preset, (500, 1_000, 2_000, "bf16"))
        shared = {"seeds": [0], "finalists": 8, "measure": False}
        return shared | {"screened": screened, "examples": examples, "compared": compared, "precision": precision}

    @classmethod
    def networks(cls, preset: str) -> list[dict[str, str]]:
        """The preset's own network alone."""
        return super().networks(preset)[:1]

    def fit(self, dataset: Dataset) -> None:
        """Also hold the images of the fit to half of the test set: it is tested on as many others."""
        super().fit(dataset)
        if 2 * self.examples > len(dataset.x_test):
            half = len(dataset.x_test) // 2
            raise ValueError(f"expected examples to be at most {half}, half of the test images, got {self.examples}")

    def needed(self) -> list[Spec]:
        """The models that a measurement needs."""
        return [self.spec(variant, seed) for seed in self.seeds for variant in VARIANTS]


def settings() -> list[Protocol]:
    """All settings that are compared."""
    return [Protocol(*one) for one in product(UNITS, STEP_SIZES, (True, False), (True, False), (True, False))]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that a new measurement needs."""
    return parameters.needed() if parameters.measure else []


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """N-LR's accuracy under every setting, and the accuracies of all variants when gradients are computed in bf16.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show bars.

    Returns:
        The record, with rows of ``calibration`` (stages ``screened``, ``fitted`` and ``tested``) and ``precision``.
    """
    bench = Bench("calibration", parameters, device=device, dataset=parameters.dataset, progress=progress)
    trained = {spec.variant: bench.trained(spec) for spec in parameters.needed()}
    fit = _Fit(bench, trained["N-LR"], parameters)
    x, y = bench.test_images()
    parts = {
        "screened": (x[: parameters.screened], y[: parameters.screened]),
        "fitted": (bench.x, bench.y),
        "tested": (x[len(bench.x) : 2 * len(bench.x)], y[len(bench.x) : 2 * len(bench.x)]),
    }
    fit.try_all("screened", settings(), *parts["screened"])
    finalists = fit.best("screened", parameters.finalists)
    usual = [one for one in [stated(parameters.preset)] if one not in finalists]
    fit.try_all("fitted", [*finalists, *usual], *parts["fitted"])
    fit.try_all("tested", list(dict.fromkeys([*fit.best("fitted", 1), stated(parameters.preset)])), *parts["tested"])
    if has_bf16(bench.device):
        for one in trained.values():
            _compare(bench, parameters, one, x[: parameters.compared], y[: parameters.compared])
    return bench.record()


class _Fit:
    """Settings tried on N-LR, those that differ in stopping alone in one run."""

    def __init__(self, bench: Bench, one: Trained, parameters: Parameters) -> None:
        self.bench, self.one, self.precision = bench, one, parameters.precision

    def try_all(self, stage: str, chosen: list[Protocol], x: Tensor, y: Tensor) -> None:
        for protocol, eps in product(chosen, EPS):
            right = self._right(stage, replace(protocol, until_fooled=False), eps, x, y)
            if protocol.until_fooled:
                right = np.logical_and.accumulate(right, axis=1)
            for steps in STEPS:
                about = {**keys(self.one.spec), "setting": "white_box", "attack": "pgd", "eps": eps, "steps": steps}
                self.bench.run.add(
                    "calibration",
                    "adversarial_accuracy",
                    float(right[:, steps].mean()),
                    n=len(x),
                    stage=stage,
                    **asdict(protocol),
                    **about,
                )

    def best(self, stage: str, count: int) -> list[Protocol]:
        run = self.bench.run
        found = residuals(Record(run.page, run.preset, [], run.rows), stage)
        return [protocol_of(row) for _, row in found.head(count).iterrows()]

    def _right(self, stage: str, protocol: Protocol, eps: str, x: Tensor, y: Tensor) -> NDArray[np.bool_]:
        """Whether the answer is right after 0, 1, ... steps, ``(n, steps + 1)``."""
        attack = Attack.on(self.bench, self.one.model, protocol, self.precision)

        def way(images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
            iterates = attack.iterates(images, labels, generator, eps=radius(eps), steps=max(STEPS))
            right = [metrics.correct(attack.network, x_adv, labels) for x_adv in iterates]
            return {"right": torch.stack(right, dim=1).tolist()}

        name = ", ".join(f"{key}={value}" for key, value in {"stage": stage, **asdict(protocol), "eps": eps}.items())
        return self.bench.in_batches(name, [self.one], x, y, way)["right"].astype(bool)


def _compare(bench: Bench, parameters: Parameters, one: Trained, x: Tensor, y: Tensor) -> None:
    """Accuracy in fp32 under the stated protocol, with gradients in either arithmetic, from the same starts."""
    protocol, eps, steps = stated(parameters.preset), EPS[0], max(STEPS)

    def attacked(images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
        right, start = {}, generator.get_state()
        for precision in PRECISIONS:
            generator.set_state(start)
            attack = Attack.on(bench, one.model, protocol, precision)
            x_adv = attack.after(images, labels, generator, eps=radius(eps), steps=steps)
            right[precision] = metrics.correct(one.model, x_adv, labels).tolist()
        return right

    found = bench.in_batches(f"{one.spec.variant}, gradients in either arithmetic", [one], x, y, attacked)
    about = {**keys(one.spec), "setting": "white_box", "attack": "pgd", "eps": eps, "steps": steps}
    for precision, right in found.items():
        bench.run.add_accuracy("precision", "adversarial_accuracy", right.astype(bool), precision=precision, **about)
