"""Figures of the page on noise stability."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.plots.style import COLOURS, GREY, explain, finished, lines, new_figure, note
from lrlib.results import Record, RecordError, over_seeds
from lrlib.sections.cushions import BLOCKS, WITHIN, figure, of_blocks
from lrlib.sections.noise_readings import MOMENTS
from lrlib.sections.noise_stability import BLACK, TWIN, WHITE

_ANOTHER = "N-LR, another seed"
_MOMENTS = dict(zip(MOMENTS, ("level as standard deviation", "level as variance"), strict=True))


def noise(record: Record) -> Figure:
    """Table 4 drawn: accuracy against the probability that a pixel is perturbed, a panel for each reading."""
    parts = [(one, title) for one, title in _readings(record) if _has(record, one)]
    drawn, axes = new_figure(record, len(parts))
    for ax, (artefact, title) in zip(axes, parts, strict=True):
        lines(ax, over_seeds(record.frame(artefact), ["variant", "probability"]), x="probability", names=COLOURS)
        ax.set(title=title, xlabel="probability p that a pixel is perturbed", ylabel="accuracy", ylim=(0, 1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(drawn, axes)


def _readings(record: Record) -> list[tuple[str, str]]:
    """The artefacts with table 4's rows, and how each of them reads the noise."""
    used = record.runs[0]["parameters"].get("moment", "")  # records from before there were two don't say
    other = next((one for one in MOMENTS if used in MOMENTS and one != used), "")
    return [("table4", _MOMENTS.get(used, "")), ("table4_other_reading", _MOMENTS.get(other, ""))]


def _has(record: Record, artefact: str) -> bool:
    return any(row["artefact"] == artefact for row in record.rows)


def propagation(record: Record) -> Figure:
    """Figure 4(b), or 16: squared relative change of the representation against that of the input, by setting."""
    frame = record.frame(figure("figure4b", record.rows[0]["dataset"]))
    twin = frame.setting == TWIN
    frame = frame.assign(variant=frame.variant.mask(twin, _ANOTHER), setting=frame.setting.mask(twin, BLACK))
    settings = list(dict.fromkeys(frame.setting))
    drawn, axes = new_figure(record, len(settings))
    for ax, setting in zip(axes, settings, strict=True):
        lines(ax, _changes(frame[frame.setting == setting]), x="input", names=COLOURS | {_ANOTHER: GREY}, floor=1e-6)
        ax.set(xscale="log", yscale="log", xlabel="input: |δ|² / |x|²", ylabel="representation: |Δf|² / |f|²")
        ax.set_title(setting.replace("_", " ") if setting == WHITE else "black box: made on N-LR")
        ax.legend()
    return finished(drawn, axes)


def _changes(frame: pd.DataFrame) -> pd.DataFrame:
    mean = over_seeds(frame, ["variant", "eps", "metric"])
    wide = mean.pivot(index=["variant", "eps"], columns="metric", values=["value", "low", "high"])
    parts = {part: wide[(part, "representation_ratio")] for part in ("value", "low", "high")}
    return pd.DataFrame({"input": wide[("value", "input_ratio")], **parts}).reset_index()


def cushion(record: Record) -> Figure:
    """Figure 4(c): share of the training images whose layer cushion is at most a value."""
    frame = record.frame("figure4c")
    taps = list(dict.fromkeys(frame.tap))
    drawn, axes = new_figure(record, len(taps), bands=False)
    for ax, tap in zip(axes, taps, strict=True):
        _distribution(ax, frame, tap)
    return finished(drawn, axes)


def block_cushions(record: Record) -> Figure:
    """Figures 12 to 15, or 17 to 20: the same for the layers of all blocks, a row each."""
    row = record.rows[0]
    taps = {one: own for one, own in of_blocks(row["arch"], row["dataset"]).items() if _has(record, one)}
    if not taps:
        raise RecordError(f"expected layer cushions of all blocks in the {record.preset} record, found none")
    drawn, axes = plt.subplots(len(BLOCKS), len(WITHIN), squeeze=False, figsize=(10.0, 9.0))
    for line, (artefact, own) in zip(axes, taps.items(), strict=True):
        for ax, tap in zip(line, own, strict=True):
            _distribution(ax, record.frame(artefact), tap)
            ax.label_outer(remove_inner_ticks=False)
        for ax in line[1:]:
            ax.set_ylabel("")
    axes[0, 0].legend()
    explain(drawn, note(record))
    return drawn


def _distribution(ax: Axes, frame: pd.DataFrame, tap: str) -> None:
    own = frame[(frame.tap == tap) & (frame.metric == "layer_cushion")]
    for name, group in over_seeds(own, ["variant", "quantile"]).groupby("variant", sort=False):
        ax.plot(group.value, group["quantile"], label=name, color=COLOURS[str(name)])
    ax.set(title=tap, xlabel="layer cushion μ", ylabel="share of images")
