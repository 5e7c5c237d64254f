"""Figures from rows: each function takes a record and gives matplotlib's figure; the only place that sets a style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from matplotlib_inline.backend_inline import set_matplotlib_formats

from lrlib.results import Record, over_seeds, unpack_image
from lrlib.sections.parameters import radius

# Okabe and Ito's colours, which colour-blind people can tell apart; each also has its own marker.
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = sns.color_palette(["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#7F7F7F"])
COLOURS = {"N-LR": _BLUE, "1-LR": _ORANGE, "2-LR": _GREEN, "Bottle-1LR": _PURPLE, "random": _GREY}
MARKERS = {"N-LR": "o", "1-LR": "s", "2-LR": "^", "Bottle-1LR": "D", "random": "x"}
_SPLIT = dict(zip(("train_accuracy", "test_accuracy", "adversarial_accuracy"), (_BLUE, _GREEN, _ORANGE), strict=True))


def use_style() -> None:
    """Set the book's style, sharp figures and tables with whole sentences for a notebook."""
    plt.style.use(Path(__file__).with_name("lrlib.mplstyle"))
    pd.set_option("display.max_colwidth", None)
    set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]


def variance_ratio(record: Record, panels: Sequence[tuple[str, str]]) -> Figure:
    """Figure 2: energy in the leading directions against their number, a panel for each artefact and title."""
    figure, axes = _panels(record, len(panels))
    for ax, (artefact, title) in zip(axes, panels, strict=True):
        frame = record.frame(artefact)
        ratios = over_seeds(frame[frame.metric == "variance_ratio"], ["variant", "k"])
        _lines(ax, ratios, x="k", names=COLOURS)
        ax.set(title=title, xlabel="singular values k", ylabel="variance ratio")
    return _finished(figure, axes)


def attacked(record: Record) -> Figure:
    """Table 1 drawn: accuracy against the radius, a panel for each setting and number of steps."""
    frame = record.frame("table1")
    frame = frame[frame.metric == "adversarial_accuracy"]
    frame = frame.assign(steps=frame.steps.astype(int))
    panels = list(frame.groupby(["setting", "steps"], sort=False).groups)
    panels.sort(key=lambda panel: (panel[0] != "white_box", panel[1]))
    figure, axes = _panels(record, len(panels), height=3.0)
    for ax, (setting, steps) in zip(axes, panels, strict=True):
        part = frame[(frame.setting == setting) & (frame.steps == steps)]
        part = part.assign(radius=[255 * radius(eps) for eps in part.eps])
        _lines(ax, over_seeds(part, ["variant", "radius"]), x="radius", names=COLOURS)
        ax.set(
            title=f"{setting.replace('_', ' ')}, {steps} steps",
            xlabel="radius in 1/255",
            ylabel="accuracy",
            ylim=(0, 1),
        )
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return _finished(figure, axes)


def noise(record: Record) -> Figure:
    """Table 4 drawn: accuracy against the probability that a pixel is perturbed."""
    figure, (ax,) = _panels(record, 1)
    _lines(ax, over_seeds(record.frame("table4"), ["variant", "probability"]), x="probability", names=COLOURS)
    ax.set(xlabel="probability p that a pixel is perturbed", ylabel="accuracy", ylim=(0, 1))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    return _finished(figure, [ax])


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
    figure, (ax,) = _panels(record, 1)
    _lines(ax, table, x="input", names=COLOURS, floor=1e-6)
    ax.set(xscale="log", yscale="log", xlabel="input: |δ|² / |x|²", ylabel="representation: |Δf|² / |f|²")
    return _finished(figure, [ax])


def cushion(record: Record) -> Figure:
    """Figure 4(c): share of the training images whose layer cushion is at most a value."""
    frame = record.frame("figure4c")
    taps = list(dict.fromkeys(frame.tap))
    figure, axes = _panels(record, len(taps), bands=False)
    for ax, tap in zip(axes, taps, strict=True):
        mean = over_seeds(frame[frame.tap == tap], ["variant", "quantile"])
        for name, group in mean.groupby("variant", sort=False):
            ax.plot(group.value, group["quantile"], label=name, color=COLOURS[str(name)])
        ax.set(title=tap, xlabel="layer cushion μ", ylabel="share of images")
    return _finished(figure, axes)


def compression(record: Record, panels: Sequence[tuple[str, str]]) -> Figure:
    """Tables 5(a) and 5(b) drawn: accuracy of the max-margin classifier against the dimensions it sees."""
    figure, axes = _panels(record, len(panels))
    for ax, (artefact, title) in zip(axes, panels, strict=True):
        _lines(ax, over_seeds(record.frame(artefact), ["variant", "dim"]), x="dim", names=COLOURS)
        ax.set(title=title, xscale="log", xlabel="dimensions", ylabel="accuracy")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return _finished(figure, axes)


def truncation(record: Record, scale: float) -> Figure:
    """The report's figure 7 for every classifier: three accuracies against the fraction of scaled singular values."""
    frame = record.frame("report_figure7")
    mean = over_seeds(frame[frame.scale == scale], ["arch", "metric", "fraction"])
    archs = list(dict.fromkeys(mean.arch))
    figure, axes = _panels(record, len(archs))
    for ax, arch in zip(axes, archs, strict=True):
        _lines(ax, mean[mean.arch == arch], x="fraction", names=_SPLIT, by="metric")
        ax.set(title=arch, xlabel="fraction of singular values scaled", ylabel="accuracy", ylim=(0, 1))
        for formatter in (ax.xaxis, ax.yaxis):
            formatter.set_major_formatter(PercentFormatter(1))
    return _finished(figure, axes)


def gallery(record: Record) -> Figure:
    """Figure 10: originals above, DeepFool's images below, a pair of rows for each variant."""
    frame = record.frame("figure10")
    variants, examples = list(dict.fromkeys(frame.variant)), sorted(set(frame.example))
    figure, axes = plt.subplots(
        2 * len(variants), len(examples), squeeze=False, figsize=(1.25 * len(examples) + 0.8, 2.5 * len(variants))
    )
    for row in frame.itertuples():
        top, column = 2 * variants.index(row.variant), examples.index(row.example)
        pairs = ((row.image, f"{row.predicted}"), (row.image_adv, f"{row.predicted_adv}, ρ {row.value:.2f}"))
        for ax, (image, title) in zip(axes[top : top + 2, column], pairs, strict=True):
            ax.imshow(unpack_image(image), cmap="gray", vmin=0, vmax=255)
            ax.set_title(title, fontsize="small")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
    for i, variant in enumerate(variants):
        axes[2 * i, 0].set_ylabel(f"{variant}\noriginal")
        axes[2 * i + 1, 0].set_ylabel(f"{variant}\nDeepFool")
    figure.supxlabel(_note(record), fontsize="x-small", color="0.35")
    return figure


def _panels(record: Record, count: int, *, height: float = 3.4, bands: bool = True) -> tuple[Figure, list[Axes]]:
    width = {1: 5.0, 2: 7.2, 3: 9.0}.get(count, 10.0)
    figure, axes = plt.subplots(1, count, squeeze=False, figsize=(width, height))
    explained = " · bands: 95 % interval over seeds" if bands and record.frame().seed.nunique() > 1 else ""
    figure.supxlabel(f"{_note(record)}{explained}", fontsize="x-small", color="0.35")
    return figure, list(axes.flat)


def _note(record: Record) -> str:
    """What every figure says about its numbers."""
    frame = record.frame()
    seeds = frame.seed.nunique()
    short = {run["shortened"]["epochs"]: run["shortened"]["of"] for run in record.runs if run["shortened"]}
    schedule = "".join(f" · {epochs} of {whole} epochs" for epochs, whole in short.items())
    return f"preset {record.preset} · {frame.dataset.iloc[0]} · {seeds} seed{'s' if seeds > 1 else ''}{schedule}"


def _lines(
    ax: Axes, frame: pd.DataFrame, *, x: str, names: dict[str, Any], by: str = "variant", floor: float | None = None
) -> None:
    for name, colour in names.items():
        group = frame[frame[by] == name].sort_values(x)
        if group.empty:
            continue
        label = name.replace("_accuracy", "")
        ax.plot(group[x], group.value, label=label, color=colour, marker=MARKERS.get(name, "o"))
        low = group.low if floor is None else group.low.clip(lower=floor)
        ax.fill_between(group[x], low, group.high, color=colour, alpha=0.15, linewidth=0)


def _finished(figure: Figure, axes: Iterable[Axes]) -> Figure:
    axes = list(axes)
    for ax in axes[1:]:
        ax.set_ylabel("")
    axes[0].legend()
    return figure
