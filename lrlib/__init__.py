"""The library under the executable companion to *Robustness via Deep Low-Rank Representations*."""

from lrlib import attacks, linalg, lowrank, metrics, models, nystrom, svd
from lrlib.attachment import attach
from lrlib.lowrank import LowRank

__all__ = ["LowRank", "attach", "attacks", "linalg", "lowrank", "metrics", "models", "nystrom", "svd"]
__version__ = "0.1.0"
