"""Which attack the paper may have used: settings fitted to its N-LR row, and what the fast arithmetic changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrlib import metrics, paper, results
from lrlib.engine import has_bf16
from lrlib.results import Record
from lrlib.sections.measuring import VARIANTS, Bench, NetworkParameters, keys
from lrlib.sections.parameters import parameter, radius
from lrlib.sections.protocol import PRECISIONS, UNITS, Attack, Protocol, Scales, at_precision
from lrlib.specs import Spec
from lrlib.zoo import Trained

EPS = ("8/255", "10/255", "16/255", "20/255")
STEPS = (7, 20)
STEP_SIZES = ("1/255", "2/255", "0.01", "eps/4")
SETTING = ["unit", "step_size", "random_start", "until_fooled", "clip"]
IDENTIFIED = 0.05  # the largest root mean square difference from the paper's row that counts as a fit
AGREEMENT = 0.003  # the largest difference between the two arithmetics with which the fast one is used


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
    measure: bool = parameter(
        "measure anew instead of showing the committed record", expected="true or false", check=lambda v: True
    )

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

    def at_defaults(self) -> bool:
        """Whether these are the preset's own values, measured anew or not."""
        return replace(self, measure=False) == type(self).of(self.preset)


def settings() -> list[Protocol]:
    """All settings that are compared."""
    return [Protocol(*one) for one in product(UNITS, STEP_SIZES, (True, False), (True, False), (True, False))]


def stated(preset: str) -> Protocol:
    """What the section uses where no setting fits: the unit that public code suggests, and pixels for the digits."""
    unit = "pixel" if preset == "quick" else "normalized"
    return Protocol(unit, "1/255", random_start=True, until_fooled=False, clip=True)


def used(preset: str) -> Protocol:
    """What the pages on attacks use: the setting that the preset's committed record identifies, or the stated one."""
    record = results.committed("calibration").get(preset)
    return (record and chosen(record.main())) or stated(preset)


def specs(parameters: Parameters) -> list[Spec]:
    """The models that a new measurement needs."""
    if not parameters.measure:
        return []
    return [parameters.spec(variant, seed) for seed in parameters.seeds[:1] for variant in VARIANTS]


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
    trained = {spec.variant: bench.trained(spec) for spec in specs(replace(parameters, measure=True))}
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


def residuals(record: Record, stage: str) -> pd.DataFrame:
    """Distance of each setting's eight accuracies from the paper's N-LR row, the closest first.

    Args:
        record: A record of this page.
        stage: ``screened``, ``fitted`` or ``tested``.

    Returns:
        One row for each setting with its columns :data:`SETTING` and ``residual``, the root mean square difference.
    """
    frame = record.frame("calibration")
    frame = frame[frame.stage == stage]
    wanted = target()
    gaps = frame.value - [wanted[eps, steps] for eps, steps in zip(frame.eps, frame.steps, strict=True)]
    table = frame.assign(residual=gaps**2).groupby(SETTING, sort=False).residual.mean().pow(0.5).reset_index()
    return table.sort_values("residual", kind="stable", ignore_index=True)


def chosen(record: Record) -> Protocol | None:
    """The setting that fits best on the images of the fit, if it also fits others; None if none is identified."""
    best = protocol_of(residuals(record, "fitted").iloc[0])
    tested = residuals(record, "tested")
    of = next(row.residual for _, row in tested.iterrows() if protocol_of(row) == best)
    return best if of <= IDENTIFIED else None


def differences(record: Record) -> pd.Series:
    """How much less accurate each variant is when attacked with gradients in bf16 instead of fp32."""
    frame = record.frame("precision")
    table = frame.pivot(index=["variant", "eps"], columns="precision", values="value")
    return table["fp32"] - table["bf16"]


def target() -> dict[tuple[str, int], float]:
    """The paper's accuracies of N-LR by radius and number of steps (table 1, ResNet-18 on CIFAR-10, white box)."""
    cells = paper.table("table1")
    row = cells[(cells.arch == "resnet18") & (cells.dataset == "cifar10") & (cells.variant == "N-LR")]
    row = row[(row.setting == "white_box") & (row.metric == "adversarial_accuracy")]
    return {(eps, int(steps)): value for eps, steps, value in zip(row.eps, row.steps, row.value, strict=True)}


class _Fit:
    """Settings tried on N-LR, those that differ in stopping alone in one run."""

    def __init__(self, bench: Bench, one: Trained, parameters: Parameters) -> None:
        self.bench, self.one = bench, one
        self.network = at_precision(one.model, parameters.precision)
        self.scales = Scales(bench.dataset, bench.device)

    def try_all(self, stage: str, chosen: list[Protocol], x: Tensor, y: Tensor) -> None:
        for protocol, eps in product(chosen, EPS):
            right = self._right(replace(protocol, until_fooled=False), eps, x, y)
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
        found = residuals(self.bench.run.record(), stage)
        return [protocol_of(row) for _, row in found.head(count).iterrows()]

    def _right(self, protocol: Protocol, eps: str, x: Tensor, y: Tensor) -> NDArray[np.bool_]:
        """Whether the answer is right after 0, 1, ... steps, ``(n, steps + 1)``."""
        attack = Attack(self.network, protocol, self.scales[protocol.unit])

        def way(images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
            iterates = attack.iterates(images, labels, eps=radius(eps), steps=max(STEPS), generator=generator)
            right = [metrics.correct(self.network, x_adv, labels) for x_adv in iterates]
            return {"right": torch.stack(right, dim=1).tolist()}

        name = ", ".join(f"{key}={value}" for key, value in {**asdict(protocol), "eps": eps}.items())
        return self.bench.in_batches(name, [self.one], x, y, way)["right"].astype(bool)


def _compare(bench: Bench, parameters: Parameters, one: Trained, x: Tensor, y: Tensor) -> None:
    """Accuracy in fp32 under the stated protocol, with gradients in either arithmetic."""
    protocol, eps = stated(parameters.preset), EPS[0]
    scale = Scales(bench.dataset, bench.device)[protocol.unit]

    def attacked(attack: Attack, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
        *_, x_adv = attack.iterates(images, labels, eps=radius(eps), steps=max(STEPS), generator=generator)
        return {"right": metrics.correct(one.model, x_adv, labels).tolist()}

    for precision in PRECISIONS:
        name = f"{one.spec.variant}, gradients in {precision}"
        attack = Attack(at_precision(one.model, precision), protocol, scale)
        right = bench.in_batches(name, [one], x, y, partial(attacked, attack))["right"].astype(bool)
        about = {**keys(one.spec), "setting": "white_box", "attack": "pgd", "eps": eps, "steps": max(STEPS)}
        bench.run.add_accuracy("precision", "adversarial_accuracy", right, precision=precision, **about)


def protocol_of(row: pd.Series) -> Protocol:
    """The setting of a row of :func:`residuals`."""
    return Protocol(
        str(row["unit"]),
        str(row.step_size),
        random_start=bool(row.random_start),
        until_fooled=bool(row.until_fooled),
        clip=bool(row.clip),
    )
