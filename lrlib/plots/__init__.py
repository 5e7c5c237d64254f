"""Figures from rows: each function takes a record and gives matplotlib's figure; the only place that sets a style."""

from lrlib.plots.attacks import attacked, calibration, gallery, ladder, path, radii
from lrlib.plots.drawing import idea, idea_svg
from lrlib.plots.lr_layer import collapse, course, window
from lrlib.plots.sections import compression, cushion, noise, propagation, truncation, variance_ratio
from lrlib.plots.style import COLOURS, MARKERS, of_each, of_latest, use_style

__all__ = [
    "COLOURS",
    "MARKERS",
    "attacked",
    "calibration",
    "collapse",
    "compression",
    "course",
    "cushion",
    "gallery",
    "idea",
    "idea_svg",
    "ladder",
    "noise",
    "of_each",
    "of_latest",
    "path",
    "propagation",
    "radii",
    "truncation",
    "use_style",
    "variance_ratio",
    "window",
]
