"""Figures of the pages on rank, compression and weights."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.plots.style import COLOURS, finished, lines, new_figure
from lrlib.results import Record, over_seeds


def compression(record: Record, panels: Sequence[tuple[str, str]]) -> Figure:
    """Tables 5 and 8 drawn, those that were measured: accuracy of the classifier against the dimensions it sees."""
    measured = {row["artefact"] for row in record.rows}
    panels = [panel for panel in panels if panel[0] in measured]
    figure, axes = new_figure(record, len(panels))
    for ax, (artefact, title) in zip(axes, panels, strict=True):
        lines(ax, over_seeds(record.frame(artefact), ["variant", "dim"]), x="dim", names=COLOURS)
        ax.set(title=title, xscale="log", xlabel="dimensions", ylabel="accuracy")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)
