"""Effective rank: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

from lrlib import paper
from lrlib.prose.format import compare, spread
from lrlib.results import Record


def claim() -> str:
    """What the paper says, with its own numbers."""
    return (
        "Section 3 and figure 2: with an LR layer the representations need few directions. Before the last FC layer "
        "even N-LR has an effective rank of about ten, and the LR models leave almost no variance outside it; before "
        "the fourth block 2-LR, the only model with an LR layer there, is the only one of (reasonably) low rank. "
        f"Accuracy does not suffer: {_accuracies()} (table 1, ResNet-18 on CIFAR-10)."
    )


def _accuracies() -> str:
    where = {"dataset": "cifar10", "arch": "resnet18", "setting": "white_box", "metric": "accuracy"}
    return ", ".join(f"{v} {paper.printed('table1', variant=v, **where)} %" for v in ("N-LR", "1-LR", "2-LR"))


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    frame = record.frame()
    ratios = frame[(frame.metric == "variance_ratio") & (frame.k == 10)]
    last, early = (ratios[ratios.artefact == name] for name in ("figure2a", "figure2b"))
    first = frame[(frame.artefact == "figure2b") & (frame.k == 1)]
    accuracy = frame[frame.metric == "accuracy"]
    one, two, none = (accuracy[accuracy.variant == name].set_index("seed").value for name in ("1-LR", "2-LR", "N-LR"))
    kept = [int((ours >= none - 0.01).sum()) for ours in (one, two)]
    return [
        f"**Before the FC layer**, ten directions carry {spread(last, 'N-LR')} of the energy in N-LR, "
        f"{spread(last, '1-LR')} in 1-LR and {spread(last, '2-LR')} in 2-LR. {compare(last, 'The ratio')}",
        f"**Before the fourth block**, where only 2-LR has an LR layer, they carry {spread(early, 'N-LR')} in N-LR, "
        f"{spread(early, '1-LR')} in 1-LR and {spread(early, '2-LR')} in 2-LR. {compare(early, 'The ratio')} "
        f"One direction alone carries {spread(first, 'N-LR')} in N-LR and {spread(first, '2-LR')} in 2-LR; the ratio "
        "is not centred, so a representation that is nearly the same for every image has a high one, too.",
        f"**Accuracy**: {spread(accuracy, 'N-LR')} for N-LR, {spread(accuracy, '1-LR')} for 1-LR and "
        f"{spread(accuracy, '2-LR')} for 2-LR. It is not lower than N-LR's by more than one point "
        f"in {kept[0]} of {len(one)} seeds for 1-LR and in {kept[1]} of {len(two)} seeds for 2-LR.",
    ]
