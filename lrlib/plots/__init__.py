"""Figures from rows: each function takes a record and gives matplotlib's figure; the only place that sets a style."""

from lrlib.plots.attacks import attacked, calibration, gallery, ladder, path, radii
from lrlib.plots.sections import compression, truncation, variance_ratio
from lrlib.plots.stability import block_cushions, cushion, noise, propagation
from lrlib.plots.style import COLOURS, MARKERS, of_latest, use_style

__all__ = [
    "COLOURS",
    "MARKERS",
    "attacked",
    "block_cushions",
    "calibration",
    "compression",
    "cushion",
    "gallery",
    "ladder",
    "noise",
    "of_latest",
    "path",
    "propagation",
    "radii",
    "truncation",
    "use_style",
    "variance_ratio",
]
