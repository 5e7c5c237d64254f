"""Compression: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lrlib import paper
from lrlib.prose.format import compare, percent, spread
from lrlib.results import Record
from lrlib.sections.compression import COMPARED
from lrlib.sections.hybrids import NOTHING, OWN, WHITE

PLACES = {"table5a": "Before the FC layer", "table5b": "Before the fourth block", "table8": "Before the first FC layer"}


def claim() -> str:
    """What the paper says, with its own numbers."""
    a = {(v, d): paper.printed("table5a", variant=v, dim=d) for v in ("1-LR", "N-LR") for d in (2048, 5)}
    b = {(v, d): paper.printed("table5b", variant=v, dim=d) for v in ("2-LR", "N-LR") for d in (16_384, 10)}
    c = {v: _table6(v) for v in ("2-LR", "N-LR")}
    return (
        "Section 3.3: representations of LR models can be compressed further. Before the FC layer of ResNet-50 "
        f"(CIFAR-100, coarse labels), a max-margin classifier on 5 of 2,048 dimensions has {a['1-LR', 5]} % for 1-LR "
        f"(all: {a['1-LR', 2048]} %) and {a['N-LR', 5]} % for N-LR (all: {a['N-LR', 2048]} %) (table 5a). Before the "
        f"fourth block of ResNet-18 (CIFAR-10), 10 of 16,384 dimensions give {b['2-LR', 10]} % for 2-LR (all: "
        f"{b['2-LR', 16_384]} %) and {b['N-LR', 10]} % for N-LR (all: {b['N-LR', 16_384]} %) (table 5b). Of PGD's "
        f"examples that fooled 2-LR its max-margin model has a share of {c['2-LR']} right, N-LR's a share of "
        f"{c['N-LR']} of those that follow N-LR's gradients until 1-LR is fooled (table 6)."
    )


def _table6(variant: str) -> str:
    return paper.printed("table6", variant=variant, setting="white_box", attack="pgd")


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    frame = record.frame()
    tables = [_compressed(frame[frame.artefact == name], name) for name in PLACES if name in set(frame.artefact)]
    return [*tables, *_plane(frame), *_size(frame), *_fooled(frame), *_end_to_end(frame)]


def _compressed(frame: pd.DataFrame, artefact: str) -> str:
    ours = COMPARED[artefact]
    full, least = frame[frame.dim == frame.dim.max()], frame[frame.dim == frame.dim.min()]
    return (
        f"**{PLACES[artefact]}**, all {full.dim.iloc[0]:.0f} dimensions give {spread(full, ours)} for {ours} and "
        f"{spread(full, 'N-LR')} for N-LR; {least.dim.iloc[0]:.0f} dimensions give {spread(least, ours)} and "
        f"{spread(least, 'N-LR')}. {compare(least, 'With those few, the accuracy', ours=(ours,))}"
    )


def _plane(frame: pd.DataFrame) -> list[str]:
    rows = frame[frame.artefact == "figure8"]
    if rows.empty:
        return []
    said = ", ".join(f"{spread(rows, name)} for {name}" for name in ("N-LR", "1-LR", "2-LR"))
    return [
        f"**In the plane** of two principal components before the last FC layer a max-margin classifier has {said}. "
        f"{compare(rows, 'The accuracy')}"
    ]


def _size(frame: pd.DataFrame) -> list[str]:
    rows = frame[frame.artefact == "model_size"]
    if rows.empty:
        return []
    tap = rows.tap.iloc[-1]
    counts = rows[rows.tap == tap].groupby(["width", "counted"], sort=False).value.first()
    said = [
        f"at width {width:.0f} {of['replaced']:,.0f} parameters behind {tap} against {of['linear']:,.0f} of the linear "
        f"model, {of['linear'] / of['replaced']:.3f} times as many"
        for width, of in ((width, counts[width]) for width in dict.fromkeys(counts.index.get_level_values("width")))
    ]
    components = [name for name in counts.index.get_level_values("counted") if "components" in name]
    more = ""
    if components:
        largest = counts.xs(components[0], level="counted")
        more = (
            f" On {components[0].split()[2]} components, with the projection kept apart, it is "
            f"{largest.iloc[-1]:,.0f} at width {largest.index[-1]:.0f}; folded into one map it is as large as on all."
        )
    return [f"**Size**: {'; '.join(said)}.{more}"]


def _fooled(frame: pd.DataFrame) -> list[str]:
    rows = frame[(frame.artefact == "table6") & (frame.metric == "max_margin_adversarial_accuracy")]
    lines = []
    for attack, called in (("deepfool", "DeepFool"), ("pgd", "PGD")):
        of = rows[(rows.attack == attack) & (rows.tap == rows.tap.iloc[0])] if len(rows) else rows
        white, own = (of[of.setting == one] if len(of) else of for one in (WHITE, OWN))
        if own.empty or not {"1-LR", "2-LR", "N-LR"} <= set(white.variant):
            continue
        said = ", ".join(f"{spread(white, name)} for {name}" for name in ("2-LR", "1-LR", "N-LR"))
        lines.append(
            f"**Examples that fooled the network**, {called}: the max-margin model at {white.tap.iloc[0]} has {said} "
            "right. As in appendix D.5 N-LR's went on until 1-LR was fooled; on those that stop when N-LR itself is "
            f"fooled, as the other two's do, its max-margin model has {spread(own, 'N-LR')}.{_gained(white, own)}"
        )
    return lines


def _gained(white: pd.DataFrame, own: pd.DataFrame) -> str:
    """In how many seeds the LR models are above N-LR, shown examples of either kind; of the seeds that have all three.

    A seed in which no example fooled a network has no share of them.
    """
    like = pd.concat([white[white.variant != "N-LR"], own])
    said = []
    for rows, what in ((white, "With the former, the accuracy"), (like, "With the latter, it")):
        whole = rows[rows.groupby("seed").variant.transform("nunique") == rows.variant.nunique()]
        said += [compare(whole, what, ours=("2-LR", "1-LR"))] if len(whole) else []
    return "".join(f" {one}" for one in said)


def _end_to_end(frame: pd.DataFrame) -> list[str]:
    rows = frame[frame.artefact == "hybrid_attack"]
    if rows.empty:
        return []
    eps = next(one for one in dict.fromkeys(rows.eps) if one != NOTHING)
    lines = []
    for hybrid in [name for name in dict.fromkeys(rows.answers) if name != "network"]:
        own = rows[rows.answers == hybrid]
        parts = []
        for name in dict.fromkeys(own.variant):
            of = own[own.variant == name]
            clean, through_network, through_itself = (
                percent(of[(of.eps == at) & (of.gradients == made)].value.mean())
                for at, made in ((NOTHING, "network"), (eps, "network"), (eps, hybrid))
            )
            parts.append(f"{name} {clean}, {through_network} and {through_itself}")
        lines.append(
            f"**Through the {hybrid}**: its accuracy on clean images, on PGD's at {eps} through the network, and on "
            f"those through itself is {'; '.join(parts)}."
        )
    return lines


def _transferred(frame: pd.DataFrame) -> list[str]:
    rows = frame[frame.artefact == "table7c"]
    if rows.empty:
        return []
    parts = [
        f"{spread(rows[rows.dataset == name], variant)} for {variant} on {name}"
        for name in dict.fromkeys(rows.dataset)
        for variant in dict.fromkeys(rows.variant)
    ]
    return [f"**From coarse to fine labels**: {', '.join(parts)}."]


def transfer(records: Mapping[str, Record]) -> str:
    """What was found of table 7(c), or why it was not measured.

    Args:
        records: All records of the page, by heading.
    """
    if found := [line for one in records.values() for line in _transferred(one.frame())]:
        return "\n\n".join(found)
    notes = paper.artefacts().set_index("artefact").loc["table7c"]
    skipped = dict.fromkeys(one.preset for one in records.values())
    said = [f"at `{preset}`, {notes[preset + '_note']}" for preset in skipped]
    return f"Skipped: {'; '.join(said)}."
