"""Figures of the page on the LR layer."""

from __future__ import annotations

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lrlib.plots.style import BLUE, COLOURS, GREEN, ORANGE, PURPLE, finished, lines, new_figure
from lrlib.results import Record, over_seeds

_FLOOR = 1e-8  # shares below are rounding


def collapse(record: Record) -> Figure:
    """The share of the energy that each direction carries, a line for each step, without the layer and with it."""
    frame = record.frame("spectrum")
    steps = sorted(set(frame.step))
    colours = sns.color_palette("flare", len(steps))
    figure, axes = new_figure(record, 2, bands=False)
    for ax, (variant, title) in zip(axes, {"N-LR": "without", "1-LR": "with the LR layer"}.items(), strict=True):
        mean = over_seeds(frame[frame.variant == variant], ["step", "k"])
        for step, colour in zip(steps, colours, strict=True):
            line = mean[mean.step == step].sort_values("k")
            ax.plot(line.k, line.value.clip(lower=_FLOOR), color=colour, label=f"step {step}")
        ax.axvline(_rank(record) + 1, color="0.5", linestyle=":", linewidth=1)
        ax.set(title=title, yscale="log", xlabel="direction k", ylabel="share of the energy")
        ax.set_ylim(max(_FLOOR, frame.value.min() / 2), 1.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finished(figure, axes)


def course(record: Record) -> Figure:
    """The variance ratio, both losses and the accuracy against the steps with the layer."""
    frame = record.frame("course")
    frame = frame.assign(step=frame.step.where(frame.step > 0, 0.5))  # step 0 has no place on a logarithmic axis
    figure, axes = new_figure(record, 3)
    k = _rank(record) + 1
    for ax, metric, title in ((axes[0], "variance_ratio", f"variance ratio at {k}"), (axes[1], "accuracy", "accuracy")):
        lines(ax, over_seeds(frame[frame.metric == metric], ["variant", "step"]), x="step", names=COLOURS)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set(title=title, xscale="log", xlabel="step (0 at the left end)")
    losses = over_seeds(frame[frame.metric.str.endswith("_loss")], ["metric", "step"])
    names = {"projection_loss": PURPLE, "norm_loss": GREEN}
    lines(axes[2], losses, x="step", names=names, by="metric", floor=losses.value.min() / 10)
    axes[2].set(title="losses of the layer", xscale="log", yscale="log", xlabel="step (0 at the left end)")
    axes[2].legend()
    return finished(figure, axes)


def window(record: Record) -> Figure:
    """The rank of W and what of it lies outside its leading directions, after each of the first steps."""
    frame = record.frame("window")
    figure, axes = new_figure(record, 2)
    for ax, (metric, title, colour) in zip(
        axes, (("rank_of_W", "rank of W", BLUE), ("tail", "share of |W| beyond rank r", ORANGE)), strict=True
    ):
        mean = over_seeds(frame[frame.metric == metric], ["step"]).sort_values("step")
        ax.plot(mean.step, mean.value, color=colour, marker="o")
        ax.fill_between(mean.step, mean.low, mean.high, color=colour, alpha=0.15, linewidth=0)
        ax.set(title=title, xlabel="step")
    axes[0].axhline(_rank(record), color="0.5", linestyle=":", linewidth=1)
    return figure


def _rank(record: Record) -> int:
    return int(record.runs[-1]["parameters"]["rank"])
