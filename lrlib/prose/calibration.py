"""Calibration: what the paper leaves open about its attack, and what the fit says, in sentences."""

from __future__ import annotations

from lrlib import paper
from lrlib.prose.format import unit
from lrlib.results import Record
from lrlib.sections import calibrated
from lrlib.sections.protocol import Protocol


def claim() -> str:
    """What the paper says, with its own numbers, and what it doesn't."""
    where = {"arch": "resnet18", "dataset": "cifar10", "variant": "N-LR", "setting": "white_box"}
    soft, hard = (paper.printed("table1", eps=eps, steps=20, **where) for eps in ("8/255", "20/255"))
    return (
        f"The paper's plain ResNet-18, N-LR, keeps {soft} % of its answers under 20 steps of PGD at 8/255, and "
        f"{hard} % at 20/255. In pixels of [0, 1], networks trained on clean images alone keep none at 8/255 "
        "(RobustBench's standard model, for one). So the attack was weaker than its radius says: radius and step may "
        "have been applied to images that were already divided by a standard deviation, which makes 8/255 about 2/255. "
        "The paper states neither the unit, nor the start, nor whether an image was left alone once it was fooled, and "
        "two different steps."
    )


def findings(record: Record) -> list[str]:
    """What the fit says, and what the section on attacks uses."""
    fitted, tested = (calibrated.residuals(record, stage) for stage in ("fitted", "tested"))
    best = calibrated.protocol_of(fitted.iloc[0])
    off = next(row.residual for _, row in tested.iterrows() if calibrated.protocol_of(row) == best)
    found = calibrated.chosen(record)
    used = calibrated.stated(record.preset) if found is None else found
    verdict = (
        "identified" if found else f"not identified, for that is more than {100 * calibrated.IDENTIFIED:.0f} points"
    )
    screened = calibrated.residuals(record, "screened")
    nearest = ", ".join(
        f"{_points(rows.residual.min())} in {unit(name)}" for name, rows in screened.groupby("unit", sort=False)
    )
    return [
        f"**The closest of {len(screened)} settings**, on {_examples(record, 'fitted')} test images: {words(best)}. "
        f"Its eight accuracies differ from the paper's by {_points(fitted.residual.iloc[0])} (root mean square), and "
        f"by {_points(off)} on {_examples(record, 'tested')} other images: **{verdict}**.",
        f"**By unit**, the closest settings on the first {_examples(record, 'screened')} images: {nearest}.",
        f"**Used on the page on attacks** at `{record.preset}`: {words(used)}.",
    ]


def _points(residual: float) -> str:
    return f"{100 * residual:.1f} points"


def precision(record: Record) -> list[str]:
    """What gradients in bf16 change."""
    if not any(row["artefact"] == "precision" for row in record.rows):
        return ["Not compared: the machine of this record has no bf16 of its own."]
    gaps = calibrated.differences(record)
    said = ", ".join(f"{variant} {100 * gap:+.2f}" for (variant, _), gap in gaps.items()).replace(" -", " −")
    verdict = "may" if calibrated.agrees(record) else "may not"
    rows = record.frame("precision")
    return [
        f"Accuracy after the attack in fp32 less that after the attack in bf16, in points, on {int(rows.n.iloc[0])} "
        f"test images: {said}. At most {100 * calibrated.AGREEMENT:.1f} are allowed, so bf16 {verdict} stand in for "
        f"fp32 in the iterative attacks at `{record.preset}`."
    ]


def words(protocol: Protocol) -> str:
    """A protocol in words."""
    start = "a uniform start" if protocol.random_start else "no random start"
    stop = "each image left alone once fooled" if protocol.until_fooled else "a fixed number of steps"
    box = "kept in [0, 1]" if protocol.clip else "not kept in [0, 1]"
    return f"radii in {unit(protocol.unit)}, steps of {protocol.step_size}, {start}, {stop}, images {box}"


def _examples(record: Record, stage: str) -> int:
    frame = record.frame("calibration")
    return int(frame[frame.stage == stage].n.iloc[0])
