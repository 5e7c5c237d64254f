"""Attacks on classifiers: one published method a file, one loop for all that follow the sign of a gradient."""

from lrlib.attacks._guard import Model
from lrlib.attacks.deepfool import deepfool
from lrlib.attacks.fgsm import fgsm
from lrlib.attacks.iterative_least_likely import iterative_least_likely
from lrlib.attacks.losses import Loss, cross_entropy_per_example
from lrlib.attacks.pgd import pgd

__all__ = ["Loss", "Model", "cross_entropy_per_example", "deepfool", "fgsm", "iterative_least_likely", "pgd"]
