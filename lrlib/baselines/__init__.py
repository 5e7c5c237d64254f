"""What the paper's table 2 compares with, and adversarial training as the control: a published method a file."""

from lrlib.baselines.adversarial import attacked
from lrlib.baselines.fitting import finish, prepare
from lrlib.baselines.snip import sensitivity, snip
from lrlib.baselines.spectral import StableRank, spectral_norm, stable_rank_norm

__all__ = [
    "StableRank",
    "attacked",
    "finish",
    "prepare",
    "sensitivity",
    "snip",
    "spectral_norm",
    "stable_rank_norm",
]
