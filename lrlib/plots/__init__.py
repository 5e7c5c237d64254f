"""Figures from rows: each function takes a record and gives matplotlib's figure; the only place that sets a style."""

from lrlib.plots.attacks import attacked, calibration, gallery, ladder, path, radii
from lrlib.plots.drawing import idea, idea_svg
from lrlib.plots.latent import latent_accuracy, latent_sizes, latent_transfer
from lrlib.plots.lr_layer import collapse, course, window
from lrlib.plots.ranks import by_class, plane, variance_ratio
from lrlib.plots.report import perturbation, truncated_networks, truncation
from lrlib.plots.sections import compression
from lrlib.plots.stability import block_cushions, cushion, noise, propagation
from lrlib.plots.style import COLOURS, MARKERS, of_each, of_latest, use_style

__all__ = [
    "COLOURS",
    "MARKERS",
    "attacked",
    "block_cushions",
    "by_class",
    "calibration",
    "collapse",
    "compression",
    "course",
    "cushion",
    "gallery",
    "idea",
    "idea_svg",
    "ladder",
    "latent_accuracy",
    "latent_sizes",
    "latent_transfer",
    "noise",
    "of_each",
    "of_latest",
    "path",
    "perturbation",
    "plane",
    "propagation",
    "radii",
    "truncated_networks",
    "truncation",
    "use_style",
    "variance_ratio",
    "window",
]
