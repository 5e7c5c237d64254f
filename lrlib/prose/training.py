"""How the networks were trained: what the search, the stability table and the comparison of precisions say."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lrlib import presets
from lrlib.intervals import over_seeds
from lrlib.prose.format import percent
from lrlib.results import Record
from lrlib.sections import training

NEAR_CHANCE = 0.2  # with ten classes


def claim() -> str:
    """What the paper says and what it doesn't."""
    return (
        "Section C states SGD with learning rate 0.1, divided by ten at epochs 150 and 250 of 350, batches of 128, "
        "plain training for 50 epochs and then Algorithm 2 with a cut of the rank every ten steps. It does not state "
        "λ1, λ2, the start of W and b, or their steps."
    )


def search(records: Mapping[str, Record]) -> list[str]:
    """What was chosen at each preset, and what the preset trains with."""
    lines = []
    for preset, record in _having(records, "search"):
        for variant, best in training.chosen(record).items():
            lr = presets.spec(preset, variant, 0).lr
            ours = "" if lr is None else _setting(lr.lambda_c, lr.lambda_n, lr.step_size, lr.start)
            lines.append(f"`{preset}`, {variant}: {_pick(best)}; the preset trains with {ours}.")
    return lines


def stability(records: Mapping[str, Record]) -> list[str]:
    """How many trainings diverged."""
    lines = []
    for preset, record in _having(records, "stability"):
        frame = record.frame("stability")
        for bounded, name in ((True, "bounded"), (False, "paper's")):
            ours = frame[frame.bounded == bounded]
            diverged, accuracy = (ours[ours.metric == metric] for metric in ("diverged", "accuracy"))
            if len(ours):
                lines.append(
                    f"`{preset}`, with the {name} projection loss: {int(diverged.value.sum())} of {len(diverged)} "
                    f"trainings diverged, {int((accuracy.value < NEAR_CHANCE).sum())} ended below "
                    f"{percent(NEAR_CHANCE, 0)} accuracy, near chance."
                )
    return lines


def parity(records: Mapping[str, Record]) -> list[str]:
    """The mean difference, with its interval over seeds, beside the spread of fp32 over seeds."""
    lines = []
    for preset, record in _having(records, "parity"):
        table = training.accuracies(record)
        if table.empty:
            lines.append(f"`{preset}`: of every seed one precision diverged.")
            continue
        paired = pd.DataFrame({"value": 100 * (table.bf16 - table.fp32), "seed": table.index, "all": 0})
        mean = over_seeds(paired, ["all"]).iloc[0]
        line = f"`{preset}`: bf16 is {mean.value:+.2f} points from fp32"
        if len(table) > 1:
            within = "contains" if mean.low <= 0 <= mean.high else "does not contain"
            line += (
                f" in the mean over {len(table)} seeds, 95 % interval {mean.low:+.2f} to {mean.high:+.2f}, which "
                f"{within} zero; fp32 alone spreads over {100 * (table.fp32.max() - table.fp32.min()):.2f} points "
                "between seeds"
            )
        lines.append(f"{line}.")
    return lines


def _having(records: Mapping[str, Record], artefact: str) -> list[tuple[str, Record]]:
    return [(name, one) for name, one in records.items() if any(row["artefact"] == artefact for row in one.rows)]


def _pick(best: training.Choice | None) -> str:
    if best is None:
        return "no setting lowers the rank"
    if best.lost <= training.TOLERATED:
        return f"the rule picks {_setting(*best.setting)}"
    return (
        f"whatever lowers the rank loses more than {100 * training.TOLERATED:g} point of accuracy, least with "
        f"{_setting(*best.setting)}, which loses {100 * best.lost:.1f}"
    )


def _setting(lambda_c: float, lambda_n: float, step_size: float, start: str) -> str:
    return f"λ1 = {lambda_c:g}, λ2 = {lambda_n:g}, step {step_size:g}, start {start}"
