"""The audit: how it came about, and its verdicts, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib import paper
from lrlib.prose.format import percent, unit
from lrlib.results import Record
from lrlib.sections import audit as section
from lrlib.sections.verdicts import SIGNIFICANT, gains, paper_attack, verdicts


def claim() -> str:
    """Why the paper's numbers call for an audit, with these numbers."""
    where: dict[str, object] = {"arch": "resnet50", "dataset": "cifar10", "variant": "1-LR", "steps": 20}
    seen, unseen = (
        paper.printed("table1", setting=setting, eps="20/255", **where) for setting in ("white_box", "black_box")
    )
    return (
        f"Under 20 steps of PGD at 20/255 the paper's ResNet-50 1-LR keeps {seen} % of its answers when the attack "
        f"sees it, and {unseen} % when the attack sees N-LR instead (table 1). An attack that knows more and does "
        "worse is a textbook sign of masked gradients: the network is not harder to fool, its gradient is of no use to "
        "this attack."
    )


def findings(record: Record) -> list[str]:
    """The verdicts on the variants."""
    table, each = verdicts(record), gains(record)
    parameters = record.runs[0]["parameters"]
    ball = f"{parameters['eps']} in {unit(parameters['unit'])}"
    plain = table[table.variant == "N-LR"].iloc[0]
    lines = [
        f"**The ball** has the radius {ball}. Of {parameters['examples']} test images N-LR keeps "
        f"{percent(plain.paper)} under the paper's protocol ({paper_attack(record)}) and {percent(plain.strong)} in "
        "the worst case.",
    ]
    controls = (section.ROBUST, section.PLANTED)
    lines += [_variant(row, each) for _, row in table.iterrows() if row.variant not in ("N-LR", *controls)]
    return lines


def controls(record: Record) -> list[str]:
    """Whether the audit tells its two controls apart."""
    table = verdicts(record).set_index("variant")
    lines = []
    if section.ROBUST in table.index:
        row = table.loc[section.ROBUST]
        passed = "as it should be" if row.verdict == "survives" else "**against expectation**"
        lines.append(
            f"**{section.ROBUST}**, trained on attacked images: {percent(row.paper)} under the paper's protocol, "
            f"{percent(row.strong)} in the worst case; the verdict on its gain over N-LR is *{row.verdict}*, {passed}."
        )
    if section.PLANTED in table.index:
        row = table.loc[section.PLANTED]
        passed = "as it should be" if row.verdict in ("gone", "not shown") and row.masked else "**against expectation**"
        lines.append(
            f"**{section.PLANTED}** is N-LR with its logits multiplied by ten thousand, which changes no answer: "
            f"{percent(row.paper)} under the paper's protocol, {percent(row.strong)} in the worst case; the "
            f"verdict on its gain is *{row.verdict}*, {passed}. {percent(row.zero_gradient)} of its images have no "
            f"gradient at all, and {_flag(row)}."
        )
    return lines


def _variant(row: pd.Series, each: pd.DataFrame) -> str:
    own = each[each.variant == row.variant]
    significant = int((own.p <= SIGNIFICANT).sum())
    interval = "" if pd.isna(row.low) else f" (95 % interval over {row.seeds:.0f} seeds {_points(row.low, row.high)})"
    left = f", {percent(row.share, 0)} of that gain" if 0 <= row.share <= 1 else ""
    return (
        f"**{row.variant}** gains {100 * row.paper_gain:+.1f} points over N-LR under the paper's protocol and "
        f"{100 * row.strong_gain:+.1f} in the worst case{interval}{left}; image by image the difference is significant "
        f"in {significant} of {len(own)} seeds (McNemar, p ≤ {SIGNIFICANT:g}). Verdict: **{row.verdict}**. "
        f"{_flag(row)[0].upper()}{_flag(row)[1:]}."
    ).replace(" -", " −")


def _points(low: float, high: float) -> str:
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _flag(row: pd.Series) -> str:
    """What the accuracy does when the radius grows until any image fits."""
    if row.ends_paper == "":
        return "under the paper's loss the accuracy stays above 0 at every radius, which flags it as masked"
    flagged = ", but most of its images have no gradient, which flags it as masked" if row.masked else ""
    return f"under the paper's loss its accuracy reaches 0 at the radius {row.ends_paper}{flagged}"
