"""What all figures share: colours, panels, lines and the note that says which preset the numbers are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats

from lrlib import drift, presets
from lrlib.results import Record, RecordError, largest_first

# Okabe and Ito's colours, which colour-blind people can tell apart, and two of Tol's; each also has its own marker.
BLUE, ORANGE, GREEN, PURPLE, GREY = sns.color_palette(["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#7F7F7F"])
SKY, VERMILION, WINE, BLACK, OLIVE = sns.color_palette(["#56B4E9", "#D55E00", "#882255", "#000000", "#999933"])
COLOURS = {"N-LR": BLUE, "1-LR": ORANGE, "2-LR": GREEN, "Bottle-1LR": PURPLE, "random": GREY}
COLOURS |= {"SNIP": SKY, "SRN": VERMILION, "SN": WINE, "PGD-trained": BLACK, "masked": OLIVE}
MARKERS = {"N-LR": "o", "1-LR": "s", "2-LR": "^", "Bottle-1LR": "D", "random": "x"}
MARKERS |= {"SNIP": "v", "SRN": "P", "SN": "<", "PGD-trained": "*", "masked": "X"}


def use_style() -> None:
    """Set the book's style, sharp figures and whole tables with whole sentences for a notebook."""
    plt.style.use(Path(__file__).parents[1] / "lrlib.mplstyle")
    for limit in ("display.max_colwidth", "display.max_rows", "display.max_columns"):
        pd.set_option(limit, None)
    set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]


def new_figure(record: Record, count: int, *, height: float = 3.4, bands: bool = True) -> tuple[Figure, list[Axes]]:
    """So many panels, four of them in two rows, with the note below.

    Args:
        record: Whose rows are drawn.
        count: How many panels.
        height: Of a row, in inches.
        bands: Whether intervals over seeds are drawn.
    """
    rows = 2 if count == 4 else 1
    width = {1: 5.0, 2: 7.2, 3: 9.0, 4: 7.2}.get(count, 10.0)
    figure, axes = plt.subplots(rows, count // rows, squeeze=False, figsize=(width, rows * height))
    explained = " · bands: 95 % interval over seeds" if bands and record.frame().seed.nunique() > 1 else ""
    explain(figure, f"{note(record)}{explained}")
    return figure, list(axes.flat)


def explain(figure: Figure, text: str) -> None:
    """Put a line below all panels."""
    figure.supxlabel(text, fontsize="small", color="0.35")


def note(record: Record) -> str:
    """What every figure says about its numbers."""
    frame = record.frame()
    seeds = frame.seed.nunique()
    short = {run["shortened"]["epochs"]: run["shortened"]["of"] for run in record.runs if run["shortened"]}
    schedule = "".join(f" · {epochs} of {whole} epochs" for epochs, whole in short.items())
    older = drift.remark(record)
    own = presets.get(record.preset).network.arch
    archs = list(dict.fromkeys(frame.arch)) if "arch" in frame else [own]
    other = f"{archs[0]} on " if len(archs) == 1 and archs != [own] else ""
    said = f"preset {record.preset} · {other}{frame.dataset.iloc[0]} · {seeds} seed{'s' if seeds > 1 else ''}{schedule}"
    return f"{said} · {older}" if older else said


def lines(
    ax: Axes, frame: pd.DataFrame, *, x: str, names: dict[str, Any], by: str = "variant", floor: float | None = None
) -> None:
    """A line with its band for each name in the column ``by``: ``value``, ``low`` and ``high`` against ``x``."""
    for name, colour in names.items():
        group = frame[frame[by] == name].sort_values(x)
        if group.empty:
            continue
        label = name.replace("_accuracy", "")
        ax.plot(group[x], group.value, label=label, color=colour, marker=MARKERS.get(name, "o"))
        low = group.low if floor is None else group.low.clip(lower=floor)
        ax.fill_between(group[x], low, group.high, color=colour, alpha=0.15, linewidth=0)


def finished(figure: Figure, axes: Iterable[Axes]) -> Figure:
    """The figure with one legend, and the label of the vertical axis at the left end of each row alone."""
    axes = list(axes)
    for ax in axes:
        place = ax.get_subplotspec()
        if place is not None and not place.is_first_col():
            ax.set_ylabel("")
    axes[0].legend()
    return figure


def of_latest(draw: Callable[[Record], Figure], records: Mapping[str, Record]) -> Figure | None:
    """A figure of the last of the records, which is of the largest preset; None if there is no record yet."""
    return draw(list(records.values())[-1]) if records else None


def of_each(draw: Callable[[Record], Figure], records: Mapping[str, Record]) -> list[Figure]:
    """A figure of every record that has its rows, the largest preset's first; where none has, that is said."""
    figures = []
    for record in largest_first(records).values():
        before = set(plt.get_fignums())
        try:
            figures.append(draw(record))
        except RecordError:  # measured before the page had these rows
            for begun in set(plt.get_fignums()) - before:
                plt.close(begun)
    if not figures:
        print(f"Nothing to draw: these rows were not measured in {', '.join(records) or 'any record'}.")
    return figures
