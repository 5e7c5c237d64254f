"""Figures of the pages on rank, noise, compression and weights."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.plots.style import BLUE, COLOURS, GREEN, ORANGE, finished, lines, new_figure
from lrlib.results import Record, RecordError, over_seeds

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


def noise(record: Record) -> Figure:
    """Table 4 drawn: accuracy against the probability that a pixel is perturbed."""
    figure, (ax,) = new_figure(record, 1)
    lines(ax, over_seeds(record.frame("table4"), ["variant", "probability"]), x="probability", names=COLOURS)
    ax.set(xlabel="probability p that a pixel is perturbed", ylabel="accuracy", ylim=(0, 1))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, [ax])


def propagation(record: Record) -> Figure:
    """Figure 4(b): squared relative change of the representation against that of the input."""
    frame = record.frame("figure4b")
    mean = over_seeds(frame, ["variant", "eps", "metric"])
    wide = mean.pivot(index=["variant", "eps"], columns="metric", values=["value", "low", "high"])
    table = pd.DataFrame(
        {
            "input": wide[("value", "input_ratio")],
            **{part: wide[(part, "representation_ratio")] for part in ("value", "low", "high")},
        }
    ).reset_index()
    figure, (ax,) = new_figure(record, 1)
    lines(ax, table, x="input", names=COLOURS, floor=1e-6)
    ax.set(xscale="log", yscale="log", xlabel="input: |δ|² / |x|²", ylabel="representation: |Δf|² / |f|²")
    return finished(figure, [ax])


def cushion(record: Record) -> Figure:
    """Figure 4(c): share of the training images whose layer cushion is at most a value."""
    frame = record.frame("figure4c")
    taps = list(dict.fromkeys(frame.tap))
    figure, axes = new_figure(record, len(taps), bands=False)
    for ax, tap in zip(axes, taps, strict=True):
        mean = over_seeds(frame[frame.tap == tap], ["variant", "quantile"])
        for name, group in mean.groupby("variant", sort=False):
            ax.plot(group.value, group["quantile"], label=name, color=COLOURS[str(name)])
        ax.set(title=tap, xlabel="layer cushion μ", ylabel="share of images")
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
    if scale not in set(frame.scale):
        raise RecordError(f"expected rows of the scale {scale} in the {record.preset} record, found none")
    mean = over_seeds(frame[frame.scale == scale], ["arch", "metric", "fraction"])
    archs = list(dict.fromkeys(mean.arch))
    figure, axes = new_figure(record, len(archs))
    for ax, arch in zip(axes, archs, strict=True):
        lines(ax, mean[mean.arch == arch], x="fraction", names=_SPLIT, by="metric")
        ax.set(title=arch, xlabel="fraction of singular values scaled", ylabel="accuracy", ylim=(0, 1))
        for formatter in (ax.xaxis, ax.yaxis):
            formatter.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)
