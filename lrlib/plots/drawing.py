"""The picture of the idea: the virtual layer beside the network, forward and backward, after the paper's figure 1."""

from __future__ import annotations

from io import StringIO
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

# Mid-tones that are told apart on white and on the dark theme's ground; the figure itself has no ground.
INK, NETWORK, VIRTUAL, GRADIENT = "#7d8590", "#2f81c7", "#d07c1a", "#c2567e"
_HEIGHT = 0.62  # of a box
_NETWORK = {"x": 0.5, "first layers\nφ": 2.3, "activations\na": 4.5, "the rest\nθ": 6.7}  # and where each box is
_LOSS = 8.8


def idea() -> Figure:
    """The network in a row, the LR layer above it, and what each gives the other in training.

    Returns:
        A figure of no data: solid arrows are data, dashed ones belong to the virtual layer and exist in training only.
    """
    figure = plt.figure(figsize=(8.0, 3.2), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    figure.patch.set_alpha(0)
    ax.set(xlim=(-0.3, 9.6), ylim=(-1.0, 2.8))
    ax.axis("off")
    for text, x in _NETWORK.items():
        _box(ax, x, 0.5, text, NETWORK)
    _box(ax, _LOSS, 0.5, "loss ℒ", INK)
    places = [*_NETWORK.values(), _LOSS]
    for left, right in pairwise(places):
        _arrow(ax, (left + 0.62, 0.5), (right - 0.62, 0.5), NETWORK)
    _box(ax, 4.5, 2.2, "LR layer\nW, b", VIRTUAL, dashed=True)
    _box(ax, 7.3, 2.2, "ℒc: from a + b to W(a + b)\nℒn: from |a| to 1", VIRTUAL, half=1.55, dashed=True)
    _arrow(ax, (4.4, 0.85), (4.4, 1.85), VIRTUAL, dashed=True)
    _arrow(ax, (5.15, 2.2), (5.72, 2.2), VIRTUAL, dashed=True)
    _gradients(ax)
    ax.text(1.3, 2.2, "every 10 steps:\ncut W to rank r", ha="center", va="center", color=VIRTUAL, fontsize=10)
    _arrow(ax, (2.5, 2.2), (3.83, 2.2), VIRTUAL, dashed=True)
    ax.text(-0.2, -0.8, "solid: the network, also at prediction", color=NETWORK, fontsize=9)
    ax.text(3.7, -0.8, "dashed: in training only", color=VIRTUAL, fontsize=9)
    ax.text(6.6, -0.8, "thin: gradients of all losses", color=GRADIENT, fontsize=9)
    return figure


def idea_svg() -> str:
    """The picture as an SVG file's text, the same at every call, on no ground."""
    with plt.rc_context({"svg.fonttype": "path", "svg.hashsalt": "lrlib"}):
        figure, text = idea(), StringIO()
        figure.savefig(text, format="svg", facecolor="none", metadata={"Date": None})
        plt.close(figure)
    return text.getvalue()


def _gradients(ax: Axes) -> None:
    """Back through the network from its loss, and from the LR layer's losses into the activations and W."""
    for right, left in pairwise([_LOSS, *reversed(_NETWORK.values())][:-1]):
        _arrow(ax, (right - 0.62, 0.3), (left + 0.62, 0.3), GRADIENT, width=0.9)
    _arrow(ax, (6.3, 1.82), (5.15, 0.82), GRADIENT, width=0.9)
    _arrow(ax, (5.72, 2.36), (5.15, 2.36), GRADIENT, width=0.9)


def _box(ax: Axes, x: float, y: float, text: str, colour: str, *, half: float = 0.6, dashed: bool = False) -> None:
    box = FancyBboxPatch(
        (x - half, y - _HEIGHT / 2),
        2 * half,
        _HEIGHT,
        boxstyle="round,pad=0.02,rounding_size=0.12",
        linewidth=1.6,
        linestyle="--" if dashed else "-",
        edgecolor=colour,
        facecolor="none",
    )
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=10)


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    *,
    dashed: bool = False,
    width: float = 1.8,
) -> None:
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0}
    style = "--" if dashed else "-"
    ax.add_patch(FancyArrowPatch(start, end, linewidth=width, linestyle=style, color=colour, **look))
