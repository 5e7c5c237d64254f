"""Attacks on classifiers: one published method a file, one loop for all that follow the sign of a gradient."""

from lrlib.attacks._ascent import gradient, iterates
from lrlib.attacks._guard import Model
from lrlib.attacks.autoattack import autoattack
from lrlib.attacks.deepfool import deepfool
from lrlib.attacks.fgsm import fgsm, smallest_fgsm
from lrlib.attacks.iterative_least_likely import iterative_least_likely
from lrlib.attacks.losses import (
    Loss,
    cross_entropy_per_example,
    difference_of_logits_ratio,
    likelihood_of_the_least_likely,
    margin_per_example,
)
from lrlib.attacks.pgd import pgd
from lrlib.attacks.representation import representation
from lrlib.attacks.search import smallest_radius
from lrlib.attacks.targeted import reached, targeted

__all__ = [
    "Loss",
    "Model",
    "autoattack",
    "cross_entropy_per_example",
    "deepfool",
    "difference_of_logits_ratio",
    "fgsm",
    "gradient",
    "iterates",
    "iterative_least_likely",
    "likelihood_of_the_least_likely",
    "margin_per_example",
    "pgd",
    "reached",
    "representation",
    "smallest_fgsm",
    "smallest_radius",
    "targeted",
]
