"""Figures from rows: each function takes a record and gives matplotlib's figure; the only place that sets a style."""

from lrlib.plots.attacks import attacked, calibration, gallery, ladder, path, radii
from lrlib.plots.latent import latent_accuracy, latent_sizes, latent_transfer
from lrlib.plots.report import perturbation, truncated_networks, truncation
from lrlib.plots.sections import compression, cushion, noise, propagation, variance_ratio
from lrlib.plots.style import COLOURS, MARKERS, of_each, of_latest, use_style

__all__ = [
    "COLOURS",
    "MARKERS",
    "attacked",
    "calibration",
    "compression",
    "cushion",
    "gallery",
    "ladder",
    "latent_accuracy",
    "latent_sizes",
    "latent_transfer",
    "noise",
    "of_each",
    "of_latest",
    "path",
    "perturbation",
    "propagation",
    "radii",
    "truncated_networks",
    "truncation",
    "use_style",
    "variance_ratio",
]
