"""What the paper measures: functions of tensors and of any PyTorch model, none of which changes the model."""

from lrlib.linalg import stable_rank, variance_ratio
from lrlib.metrics.classification import (
    accuracy,
    correct,
    cumulative_accuracy,
    instantaneous_accuracy,
    predictions,
)
from lrlib.metrics.compression import fit_max_margin, max_margin, max_margin_accuracy, max_margin_predictions
from lrlib.metrics.cushion import layer_cushion, layer_cushions
from lrlib.metrics.hybrid import Hybrid, as_linear
from lrlib.metrics.noise import random_pixel_noise
from lrlib.metrics.perturbation import dissimilarity, propagation, rho
from lrlib.metrics.taps import feature_batches, features, features_at, layer_inputs, layer_passes

__all__ = [
    "Hybrid",
    "accuracy",
    "as_linear",
    "correct",
    "cumulative_accuracy",
    "dissimilarity",
    "feature_batches",
    "features",
    "features_at",
    "fit_max_margin",
    "instantaneous_accuracy",
    "layer_cushion",
    "layer_cushions",
    "layer_inputs",
    "layer_passes",
    "max_margin",
    "max_margin_accuracy",
    "max_margin_predictions",
    "predictions",
    "propagation",
    "random_pixel_noise",
    "rho",
    "stable_rank",
    "variance_ratio",
]
