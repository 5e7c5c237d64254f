"""What a calibration comes to: how far each setting is from the paper's row, which fits, and what is used."""

from __future__ import annotations

import pandas as pd

from lrlib import paper, results
from lrlib.results import Record
from lrlib.sections.protocol import Protocol

SETTING = ["unit", "step_size", "random_start", "until_fooled", "clip"]
IDENTIFIED = 0.05  # the largest root mean square difference from the paper's row that counts as a fit
AGREEMENT = 0.003  # the largest difference between the two arithmetics with which the fast one is used


def stated(preset: str) -> Protocol:
    """What the section uses where no setting fits: the unit that public code suggests, and pixels for the digits."""
    unit = "pixel" if preset == "quick" else "normalized"
    return Protocol(unit, "1/255", random_start=True, until_fooled=False, clip=True)


def used(preset: str) -> Protocol:
    """What the pages on attacks use: the setting that the preset's committed record identifies, or the stated one."""
    record = results.committed("calibration").get(preset)
    return (record and chosen(record.main())) or stated(preset)


def precision(preset: str) -> str:
    """The arithmetic of gradients on the pages on attacks: bf16 if the preset's committed record shows that it may."""
    record = results.committed("calibration").get(preset)
    if record is None or not any(row["artefact"] == "precision" for row in record.main().rows):
        return "fp32"
    return "bf16" if agrees(record.main()) else "fp32"


def residuals(record: Record, stage: str) -> pd.DataFrame:
    """Distance of each setting's eight accuracies from the paper's N-LR row, the closest first.

    Args:
        record: A record of the calibration.
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
    return (table["fp32"] - table["bf16"]).round(6)  # records keep six digits


def agrees(record: Record) -> bool:
    """Whether the difference is small enough for every variant, of those that were compared."""
    return bool(differences(record).abs().max() <= AGREEMENT)


def target() -> dict[tuple[str, int], float]:
    """The paper's accuracies of N-LR by radius and number of steps (table 1, ResNet-18 on CIFAR-10, white box)."""
    cells = paper.table("table1")
    row = cells[(cells.arch == "resnet18") & (cells.dataset == "cifar10") & (cells.variant == "N-LR")]
    row = row[(row.setting == "white_box") & (row.metric == "adversarial_accuracy")]
    return {(eps, int(steps)): value for eps, steps, value in zip(row.eps, row.steps, row.value, strict=True)}


def protocol_of(row: pd.Series) -> Protocol:
    """The setting of a row of :func:`residuals`."""
    return Protocol(
        str(row["unit"]),
        str(row["step_size"]),
        random_start=bool(row["random_start"]),
        until_fooled=bool(row["until_fooled"]),
        clip=bool(row["clip"]),  # pandas has a method of that name
    )
