"""Figures of the pages on rank, compression and weights."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.plots.style import BLUE, COLOURS, GREEN, ORANGE, finished, lines, new_figure
from lrlib.results import Record, over_seeds

_SPLIT = dict(zip(("train_accuracy", "test_accuracy", "adversarial_accuracy"), (BLUE, GREEN, ORANGE), strict=True))


def variance_ratio(record: Record, panels: Sequence[tuple[str, str]]) -> Figure:
    """Figure 2: energy in the leading directions against their number, a panel for each artefact and title."""
    figure, axes = new_figure(record, len(panels))
    for ax, (artefact, title) in zip(axes, panels, strict=True):
        frame = record.frame(artefact)
        ratios = over_seeds(frame[frame.metric == "variance_ratio"], ["variant", "k"])
        lines(ax, ratios, x="k", names=COLOURS)
        ax.set(title=title, xlabel="singular values k", ylabel="variance ratio")
    return finished(figure, axes)


def compression(record: Record, panels: Sequence[tuple[str, str]]) -> Figure:
    """Tables 5(a) and 5(b) drawn: accuracy of the max-margin classifier against the dimensions it sees."""
    figure, axes = new_figure(record, len(panels))
    for ax, (artefact, title) in zip(axes, panels, strict=True):
        lines(ax, over_seeds(record.frame(artefact), ["variant", "dim"]), x="dim", names=COLOURS)
        ax.set(title=title, xscale="log", xlabel="dimensions", ylabel="accuracy")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def truncation(record: Record, scale: float) -> Figure:
    """The report's figure 7 for every classifier: three accuracies against the fraction of scaled singular values."""
    frame = record.frame("report_figure7")
    mean = over_seeds(frame[frame.scale == scale], ["arch", "metric", "fraction"])
    archs = list(dict.fromkeys(mean.arch))
    figure, axes = new_figure(record, len(archs))
    for ax, arch in zip(axes, archs, strict=True):
        lines(ax, mean[mean.arch == arch], x="fraction", names=_SPLIT, by="metric")
        ax.set(title=arch, xlabel="fraction of singular values scaled", ylabel="accuracy", ylim=(0, 1))
        for formatter in (ax.xaxis, ax.yaxis):
            formatter.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)
