"""Figures 2, 5, 6, 7 and 8: variance ratios, shares by class, and the plane of two principal components."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlib.packing import unpack_points
from lrlib.plots.style import COLOURS, MARKERS, explain, finished, lines, new_figure, note
from lrlib.results import Record, over_seeds


def variance_ratio(record: Record, panels: Sequence[tuple[str, ...]]) -> Figure:
    """Figures 2, 5 and 6: energy in the leading directions against their number.

    Args:
        record: Whose rows.
        panels: The artefact and title of each panel, and the tap where two panels are of one artefact.
    """
    frames = [record.frame(artefact) for artefact, *_ in panels]
    figure, axes = new_figure(record, len(panels))
    for ax, frame, (_, title, *tap) in zip(axes, frames, panels, strict=True):
        frame = frame[(frame.metric == "variance_ratio") & frame.tap.isin(tap or frame.tap)]
        lines(ax, over_seeds(frame, ["variant", "k"]), x="k", names=COLOURS)
        ax.set(title=title, xlabel="singular values k", ylabel="variance ratio")
    return finished(figure, axes)


def by_class(record: Record, panels: Sequence[tuple[str, str]], *, mean: str) -> Figure:
    """Figure 7: share of the leading singular value for each class, a panel for each artefact and title.

    Args:
        record: Whose rows.
        panels: Artefacts and titles.
        mean: The label of the rows that are means over the classes, which are left out.
    """
    figure, axes = new_figure(record, len(panels))
    for ax, (artefact, title) in zip(axes, panels, strict=True):
        frame = record.frame(artefact)
        frame = frame[frame.label != mean]
        labels = list(dict.fromkeys(frame.label))
        table = over_seeds(frame, ["variant", "label"])
        for name, colour in COLOURS.items():
            own = table[table.variant == name].set_index("label").reindex(labels)
            if own.value.notna().any():
                ax.plot(range(len(labels)), own.value, MARKERS[name], label=name, color=colour)
                ax.vlines(range(len(labels)), own.low, own.high, color=colour, alpha=0.4)
        ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize="x-small")
        ax.set(title=title, ylabel="share of the first singular value")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def plane(record: Record) -> Figure:
    """Figure 8: images in the plane of the two leading principal components, a panel for each network, one seed."""
    frame = record.frame("figure8")
    shown = frame[frame["points"].notna()]
    figure, axes = new_figure(record, len(shown), bands=False)
    explain(figure, f"{note(record)}; the points are of seed {shown.seed.iloc[0]}")
    for ax, row in zip(axes, shown.itertuples(), strict=True):
        points, labels = unpack_points(row.points)
        colours = np.array(sns.color_palette("husl", int(labels.max()) + 1))
        ax.scatter(points[:, 0], points[:, 1], s=4, c=colours[labels], linewidths=0)
        ax.set(title=row.variant, xlabel="first component", ylabel="second component")
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure
