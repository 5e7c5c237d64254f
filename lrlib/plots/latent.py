"""Figures of the page on latent codes: the report's figures 4 to 6, a point for each classifier over what it sees."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.plots.report import grid, legend_above
from lrlib.plots.style import BLUE, GREEN, ORANGE
from lrlib.results import Record, over_seeds

_ARCHS = dict(zip(("1L", "2L", "LRL"), (BLUE, ORANGE, GREEN), strict=True))
_MARKERS = dict(zip(_ARCHS, "os^", strict=True))
_SPACES = {"code": "codes changed", "image": "images changed"}
_SHOWN = {"adversarial_accuracy": "adversaries", "accuracy": "their originals"}
_ORDER = ["clean images", *_SPACES.values(), *_SHOWN.values()]


def latent_accuracy(record: Record) -> Figure:
    """Figure 4: test accuracy of the classifiers of images and of codes, a row of panels for each dataset."""
    frame = record.frame("report_figure4")
    frame = frame[frame.metric == "accuracy"]
    return _shares(record, frame.assign(panel="clean images"), "test accuracy")


def latent_sizes(record: Record) -> Figure:
    """Figure 5: relative size of adversaries, among the codes that are classified and among images."""
    frame = record.frame("report_figure5")
    frame = frame[frame.metric == "rho"]
    figure, axes = _by_code(record, frame.assign(panel=frame.space.map(_SPACES)), "perturbation ρ")
    for ax in axes:
        ax.set_ylim(bottom=0)
    return figure


def latent_transfer(record: Record) -> Figure:
    """Figure 6: accuracy on the adversaries of the classifier of images, beside that on what they were made from."""
    frame = record.frame("report_figure6")
    return _shares(record, frame.assign(panel=frame.metric.map(_SHOWN)), "accuracy")


def _shares(record: Record, frame: pd.DataFrame, label: str) -> Figure:
    figure, axes = _by_code(record, frame, label)
    for ax in axes:
        ax.set_ylim(-0.02, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _by_code(record: Record, frame: pd.DataFrame, label: str) -> tuple[Figure, list[Axes]]:
    """A panel for each dataset and value of the column ``panel``, with a point and its interval for each classifier."""
    mean = over_seeds(frame, ["dataset", "panel", "code", "arch"])
    codes = list(dict.fromkeys(frame.code))
    ordered = frame.sort_values("panel", key=lambda panel: panel.map(_ORDER.index), kind="stable")
    figure, axes = grid(record, ordered, "panel", width=4.6)
    for (dataset, panel), ax in axes.items():
        for shift, (arch, colour) in zip((-0.2, 0.0, 0.2), _ARCHS.items(), strict=True):
            own = mean[(mean.dataset == dataset) & (mean.panel == panel) & (mean.arch == arch)]
            at = np.array([codes.index(code) for code in own.code]) + shift
            bars = np.nan_to_num([own.value - own.low, own.high - own.value])
            ax.errorbar(at, own.value, yerr=bars, fmt=_MARKERS[arch], color=colour, label=arch, elinewidth=1)
        ax.set_xticks(range(len(codes)), [code.replace(" ", "\n") for code in codes], fontsize="small")
        ax.set(title=f"{dataset}, {panel}", ylabel=label)
    return legend_above(figure, list(axes.values()))
