"""Effective rank: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib import paper
from lrlib.prose.format import compare, percent, spread
from lrlib.results import Record
from lrlib.sections.effective_rank import ALL, PRUNED
from lrlib.spectra import WIDEST_EXACT

PLACES = {"figure2": ("figure2a", "figure2b"), "figure5": ("figure5",) * 2, "figure6": ("figure6b", "figure6a")}


def claim() -> str:
    """What the paper says, with its own numbers."""
    return (
        "Section 3 and figure 2: with an LR layer the representations need few directions. Before the last FC layer "
        "even N-LR has an effective rank of about ten, and the LR models leave almost no variance outside it; before "
        "the fourth block 2-LR, the only model with an LR layer there, is the only one of (reasonably) low rank. "
        f"Accuracy does not suffer: {_accuracies()} (table 1, ResNet-18 on CIFAR-10); {_of('table7a', 'vgg19')} "
        f"(table 7a, VGG19 on CIFAR-10); {_of('table7b', 'resnet18')} (table 7b, ResNet-18 on SVHN)."
    )


def _accuracies() -> str:
    where = {"dataset": "cifar10", "arch": "resnet18", "setting": "white_box", "metric": "accuracy"}
    return ", ".join(f"{v} {paper.printed('table1', variant=v, **where)} %" for v in ("N-LR", "1-LR", "2-LR"))


def _of(table: str, arch: str) -> str:
    cells = paper.table(table)
    cells = cells[cells.arch == arch]
    return ", ".join(f"{name} {shown} %" for name, shown in zip(cells.variant, cells.printed, strict=True))


def method() -> str:
    """How the spectra are computed, and when they are sketched."""
    return (
        f"Up to {WIDEST_EXACT:,} activations the spectra are exact, by way of the Gram matrix, which is summed over "
        "batches in double precision. Above, where it would take gigabytes, they are those of a sketch: a Nyström "
        "approximation of the Gram matrix from one pass over the images. It is never above the matrix itself, so its "
        "variance ratios are never too large; how much too small they can be is part of every row, and told "
        "where it is not nothing."
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    frame = record.frame()
    places = _places(frame)
    last_tap, early_tap = _taps(frame, places)
    ratios = frame[(frame.metric == "variance_ratio") & frame.artefact.isin(places)]
    last, early = (ratios[(ratios.k == 10) & (ratios.tap == tap)] for tap in (last_tap, early_tap))
    first = ratios[(ratios.k == 1) & (ratios.tap == early_tap)]
    return [
        f"**Before the FC layer**, ten directions carry {spread(last, 'N-LR')} of the energy in N-LR, "
        f"{spread(last, '1-LR')} in 1-LR and {spread(last, '2-LR')} in 2-LR. {compare(last, 'The ratio')}",
        f"**Before the fourth block**, where only 2-LR has an LR layer, they carry {spread(early, 'N-LR')} in N-LR, "
        f"{spread(early, '1-LR')} in 1-LR and {spread(early, '2-LR')} in 2-LR. {compare(early, 'The ratio')} "
        f"One direction alone carries {spread(first, 'N-LR')} in N-LR and {spread(first, '2-LR')} in 2-LR. "
        f"{beyond_the_first(record)}",
        _accuracy(frame),
        *_by_class(frame),
        *_sparsity(frame, last_tap, early_tap),
        *_pre_activations(frame),
        *_sketched(ratios),
    ]


def beyond_the_first(record: Record) -> str:
    """What is left of the low rank before the fourth block without the first direction."""
    frame = record.frame()
    places = _places(frame)
    early = frame[(frame.metric == "variance_ratio") & (frame.artefact == places[1])]
    early = early[early.tap == _taps(frame, places)[1]].set_index(["variant", "seed"])
    first = early[early.k == 1].value
    rest = (early[early.k == 10].value - first).dropna()
    share = (rest / (1 - first)).dropna().reset_index()
    rest = rest.reset_index()
    return (
        "The activations are not centred, so that the first direction is close to their mean. Before the fourth block "
        f"directions 2 to 10 carry {spread(rest, 'N-LR')} in N-LR and {spread(rest, '2-LR')} in 2-LR, which is "
        f"{spread(share, 'N-LR')} and {spread(share, '2-LR')} of what the first one leaves."
    )


def _places(frame: pd.DataFrame) -> tuple[str, str]:
    """The figure's artefacts before the last FC layer and before the fourth block, as far as a record has them."""
    return next(names for names in PLACES.values() if names[0] in set(frame.artefact))


def _taps(frame: pd.DataFrame, places: tuple[str, str]) -> list[str]:
    """The tap before the last FC layer and the earlier one, in whose order the rows stand."""
    if places[0] == places[1]:
        return list(dict.fromkeys(frame[(frame.artefact == places[0]) & (frame.k > 0)].tap))
    return [frame[(frame.artefact == name) & (frame.k > 0)].tap.iloc[0] for name in places]


def _accuracy(frame: pd.DataFrame) -> str:
    accuracy = frame[frame.metric == "accuracy"]
    accuracy = accuracy[accuracy.artefact == accuracy.artefact.iloc[0]]
    one, two, none = (accuracy[accuracy.variant == name].set_index("seed").value for name in ("1-LR", "2-LR", "N-LR"))
    kept = [int((ours >= none - 0.01).sum()) for ours in (one, two)]
    return (
        f"**Accuracy**: {spread(accuracy, 'N-LR')} for N-LR, {spread(accuracy, '1-LR')} for 1-LR and "
        f"{spread(accuracy, '2-LR')} for 2-LR. It is not lower than N-LR's by more than one point "
        f"in {kept[0]} of {len(one)} seeds for 1-LR and in {kept[1]} of {len(two)} seeds for 2-LR."
    )


def _by_class(frame: pd.DataFrame) -> list[str]:
    last, early = (_rows(frame, artefact) for artefact in ("figure7a", "figure7b"))
    if last.empty:
        return []
    last, early = (rows[rows.label == ALL] for rows in (last, early))
    of_last, of_early = (
        ", ".join(f"{spread(rows, name)} in {name}" for name in ("N-LR", "1-LR", "2-LR")) for rows in (last, early)
    )
    return [
        "**Class by class**, the leading direction alone carries this share of a class's energy before the FC layer "
        f"(means over the classes): {of_last}. {compare(last, 'The share')} Before the fourth block: {of_early}. "
        f"{compare(early, 'The share')} Not centred, that direction is close to the class's mean: a high share says "
        "that its images lie in one direction from the origin."
    ]


def _sparsity(frame: pd.DataFrame, last_tap: str, early_tap: str) -> list[str]:
    rows = _rows(frame, "appendix_sparsity")
    if rows.empty:
        return []
    one = rows[rows.variant == "1-LR"]
    said = [
        f"{percent(_mean(one, tap, 'zeros'))} of the activations are zero and {_directions(one, tap)} carry 99 % of "
        f"the energy {where}"
        for tap, where in ((early_tap, "before the fourth block"), (last_tap, "before the FC layer"))
    ]
    lines = [f"**Sparsity and rank** in 1-LR: {said[0]}; {said[1]}."]
    if PRUNED in set(rows.variant):
        seed = rows[rows.variant == PRUNED].seed.iloc[0]
        pruned, plain = (rows[(rows.variant == name) & (rows.seed == seed)] for name in (PRUNED, "N-LR"))
        lines.append(
            f"**Pruned weights**: in SNIP {percent(_mean(pruned, 'weights', 'zeros'))} of the weights are zero. At "
            f"these two places it needs {_directions(pruned, early_tap)} and {_directions(pruned, last_tap)}, and "
            f"N-LR of the same seed {_directions(plain, early_tap)} and {_directions(plain, last_tap)}."
        )
    return lines


def _pre_activations(frame: pd.DataFrame) -> list[str]:
    rows = _rows(frame, "appendix_preactivations")
    if rows.empty:
        return []
    ratio, rank = (rows[rows.metric == metric].assign(variant=rows.side) for metric in ("variance_ratio", "rank"))
    after, uncut, before = (rank[rank.side == side].value.mean() for side in ("after", "uncut", "before"))
    return [
        f"**Low-rank pre-activations**: cut to rank {before:.0f}, those of N-LR have rank {after:.0f} behind the ReLU "
        f"(uncut {uncut:.0f}; no more than there are images), where the leading {before:.0f} directions carry "
        f"{spread(ratio, 'after')} of the energy."
    ]


def _sketched(ratios: pd.DataFrame) -> list[str]:
    sketched = ratios[ratios["columns"].notna()] if "columns" in ratios else ratios[:0]
    if sketched.empty:
        return []
    return [
        f"**Sketched spectra**: the representations at {', '.join(dict.fromkeys(sketched.tap))} are too wide for a "
        f"Gram matrix; of a sketch with {sketched['columns'].max():.0f} random directions the ratios are too small "
        f"by at most {percent(sketched.error.max(), 3)}."
    ]


def _rows(frame: pd.DataFrame, artefact: str) -> pd.DataFrame:
    return frame[frame.artefact == artefact]


def _mean(rows: pd.DataFrame, tap: str, metric: str) -> float:
    return float(rows[(rows.tap == tap) & (rows.metric == metric)].value.mean())


def _directions(rows: pd.DataFrame, tap: str) -> str:
    at_least = "at_least" in rows and rows[rows.tap == tap].at_least.eq(True).any()
    count = f"{_mean(rows, tap, 'directions'):.0f}"
    return f"{'at least ' if at_least else ''}{count} direction{'' if count == '1' else 's'}"
