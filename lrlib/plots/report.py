"""Figures of the pages about the report on singular values and latent codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.plots.style import BLUE, COLOURS, GREEN, ORANGE, PURPLE, SKY, explain, finished, lines, new_figure, note
from lrlib.results import Record, RecordError, over_seeds

_CURVES = {"train": BLUE, "test": GREEN, "made once": ORANGE, "made again": PURPLE, "DeepFool's, made once": SKY}
_ATTACKS = {"targeted": "the report's attack", "deepfool": "DeepFool"}
_SIZES = dict(zip(_ATTACKS.values(), (PURPLE, SKY), strict=True))
_PANELS = {
    "accuracy": "clean",
    "again": "PGD, made again",
    "once": "PGD, made once",
    "variance_ratio": "variance ratio",
}


def truncation(record: Record, scale: float) -> Figure:
    """The report's figure 7 for every classifier, a row for each dataset: accuracies against the fraction."""
    frame = _scaled(record, scale)
    curve = frame.metric.str.replace("_accuracy", "")
    adversarial = frame.metric == "adversarial_accuracy"
    curve = curve.mask(adversarial & (frame.attack == "targeted"), "made " + frame.made.astype(str))
    curve = curve.mask(adversarial & (frame.attack == "deepfool"), "DeepFool's, made " + frame.made.astype(str))
    frame = frame.assign(curve=curve)[curve.isin(_CURVES)]
    figure, axes = _against_fraction(record, frame, _CURVES, "accuracy")
    for ax in axes:
        ax.set_ylim(-0.02, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def perturbation(record: Record, scale: float) -> Figure:
    """How large adversaries of the truncated classifier are, with each attack, against the fraction."""
    frame = _scaled(record, scale)
    frame = frame[(frame.metric == "rho") & (frame.made == "again")]
    frame = frame.assign(curve=frame.attack.map(_ATTACKS))
    return _against_fraction(record, frame, _SIZES, "perturbation ρ")[0]


def truncated_networks(record: Record) -> Figure:
    """N-LR, 1-LR and 2-LR against the fraction zeroed, a panel for each thing that is measured."""
    frame = record.frame("truncated_networks")
    frame = frame.assign(panel=frame.metric.mask(frame.metric == "adversarial_accuracy", frame.made))
    figure, axes = new_figure(_of(record, frame), len(_PANELS))
    for ax, (panel, title) in zip(axes, _PANELS.items(), strict=True):
        lines(ax, over_seeds(frame[frame.panel == panel], ["variant", "fraction"]), x="fraction", names=dict(COLOURS))
        ax.set(title=title, xlabel="fraction zeroed", ylim=(-0.02, 1.02))
        for formatter in (ax.xaxis, ax.yaxis):
            formatter.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def _scaled(record: Record, scale: float) -> pd.DataFrame:
    """The rows of the report's figure 7 whose lowest singular values were scaled by so much."""
    frame = record.frame("report_figure7")
    if not {"attack", "made"} <= set(frame) or scale not in set(frame.scale):
        raise RecordError(f"expected rows of the scale {scale} in the {record.preset} record, found none")
    return frame[frame.scale == scale]


def _against_fraction(
    record: Record, frame: pd.DataFrame, names: Mapping[str, Any], label: str
) -> tuple[Figure, list[Axes]]:
    """A row of panels for each dataset, a column for each classifier, a line for each name in the column ``curve``."""
    mean = over_seeds(frame, ["dataset", "arch", "curve", "fraction"])
    figure, panels = grid(record, frame, "arch")
    for (dataset, arch), ax in panels.items():
        lines(ax, mean[(mean.dataset == dataset) & (mean.arch == arch)], x="fraction", names=dict(names), by="curve")
        ax.set(title=f"{arch}, {dataset}", xlabel="fraction of singular values scaled", ylabel=label)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    return legend_above(figure, list(panels.values()))


def legend_above(figure: Figure, axes: list[Axes]) -> tuple[Figure, list[Axes]]:
    """The figure with one legend above its panels, where it hides no line."""
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure, axes


def grid(
    record: Record, frame: pd.DataFrame, by: str, *, width: float = 3.2
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A row of panels for each dataset and a column for each value of a column, with the note below."""
    datasets, columns = (list(dict.fromkeys(frame[name])) for name in ("dataset", by))
    size = (max(width * len(columns), 5.0), 3.2 * len(datasets))
    figure, axes = plt.subplots(len(datasets), len(columns), squeeze=False, figsize=size)
    bands = " · bands: 95 % interval over seeds" if frame.seed.nunique() > 1 else ""
    explain(figure, f"{note(_of(record, frame))}{bands}")
    cells = ((dataset, column) for dataset in datasets for column in columns)
    return figure, dict(zip(cells, axes.flat, strict=True))


def _of(record: Record, frame: pd.DataFrame) -> Record:
    """The record with those rows alone, and their datasets' names in the place of the first one's, for the note."""
    named = ", ".join(dict.fromkeys(frame.dataset))
    rows = [row | {"dataset": named} for row in frame.to_dict("records")]
    return Record(record.page, record.preset, record.runs, rows)
