"""Compression: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

from lrlib import paper
from lrlib.prose.format import compare, spread
from lrlib.results import Record
from lrlib.sections.compression import COMPARED


def claim() -> str:
    """What the paper says, with its own numbers."""
    a = {(v, d): paper.printed("table5a", variant=v, dim=d) for v in ("1-LR", "N-LR") for d in (2048, 5)}
    b = {(v, d): paper.printed("table5b", variant=v, dim=d) for v in ("2-LR", "N-LR") for d in (16_384, 10)}
    return (
        "Section 3.3: representations of LR models can be compressed further. Before the FC layer of ResNet-50 "
        f"(CIFAR-100, coarse labels), a max-margin classifier on 5 of 2,048 dimensions has {a['1-LR', 5]} % for 1-LR "
        f"(all: {a['1-LR', 2048]} %) and {a['N-LR', 5]} % for N-LR (all: {a['N-LR', 2048]} %) (table 5a). Before the "
        f"fourth block of ResNet-18 (CIFAR-10), 10 of 16,384 dimensions give {b['2-LR', 10]} % for 2-LR (all: "
        f"{b['2-LR', 16_384]} %) and {b['N-LR', 10]} % for N-LR (all: {b['N-LR', 16_384]} %) (table 5b)."
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    sentences = []
    for artefact, where in (("table5a", "Before the FC layer"), ("table5b", "Before the fourth block")):
        frame, ours = record.frame(artefact), COMPARED[artefact]
        full, least = frame[frame.dim == frame.dim.max()], frame[frame.dim == frame.dim.min()]
        sentences.append(
            f"**{where}**, all {full.dim.iloc[0]} dimensions give {spread(full, ours)} for {ours} and "
            f"{spread(full, 'N-LR')} for N-LR; {least.dim.iloc[0]} dimensions give {spread(least, ours)} and "
            f"{spread(least, 'N-LR')}. {compare(least, 'With those few, the accuracy', ours=(ours,))}"
        )
    return sentences
