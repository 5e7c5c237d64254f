"""What an LR layer's W costs as a matrix and by factors, counted, and the projections that cut its rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lrlib import factors, models
from lrlib.lowrank import LowRank
from lrlib.sections.benchmarks import COLUMNS, MEMBERS, STEPS, activations

SMOOTHING = 0.01
PLACE = ("resnet18", "avgpool")  # whose share of the activations the target rank is


class Cost(NamedTuple):
    """What one form of W costs between two cuts.

    Attributes:
        floats: Numbers that are kept, at the most.
        multiplications: Multiplications, each with its addition, of a step, on average.
    """

    floats: int
    multiplications: int


def costs(m: int, rank: int, batch: int, cut_every: int = STEPS) -> dict[str, Cost]:
    """The costs of both forms of W, counted.

    As a matrix it takes three products with a batch in a step: for the loss, for its gradient in the activations, and
    for the gradient in W. By factors, ``q`` rows are kept, their ``q x q`` core and Gram matrix, and a batch more after
    each step; three products are with the rows, three with the core or the Gram matrix, and one is of the batch with
    itself.

    Args:
        m: Number of activations.
        rank: Target rank.
        batch: Examples in a batch.
        cut_every: Steps between two cuts.

    Returns:
        ``"dense"`` and ``"factored"``; without the cut itself, and without what steps ``b``, a vector.
    """
    rows = [rank + batch * step for step in range(cut_every + 1)]
    products = [3 * batch * q * (m + q) + batch**2 * m for q in rows[:-1]]
    return {
        "dense": Cost(m**2, 3 * batch * m**2),
        "factored": Cost(rows[-1] * m + 2 * rows[-1] ** 2, sum(products) // cut_every),
    }


def matrix(size: int, batch: int, seed: int, device: torch.device) -> tuple[Tensor, int]:
    """W of an LR layer just before a cut, ``(size, size)``, and its target rank, the paper's before the FC layer."""
    rank = models.target_rank(*PLACE, size)
    layer = LowRank(size, rank, form="dense", cut_every=STEPS + 1).to(device)
    made_up = activations(STEPS * batch, size, device, seed)
    layer.start_(made_up)
    for a in torch.split(made_up, batch):
        layer(a)
        layer.step()
    return layer.W, rank


def cuts(W: Tensor, rank: int, seed: int) -> dict[str, Callable[[], factors.Factors]]:
    """Each projection of a matrix ``(m, m)`` to a rank, by its name; the exact one last."""
    columns = min(COLUMNS * rank, len(W))

    def sampled(members: int, cut: bool) -> factors.Factors:
        return factors.ensemble(W, rank, columns, members, torch.Generator().manual_seed(seed), SMOOTHING, cut=cut)

    def randomized() -> factors.Factors:
        return factors.randomized(W.__matmul__, W, rank, columns, torch.Generator().manual_seed(seed))

    return {
        "nystrom": lambda: sampled(1, False),
        "ensemble as written": lambda: sampled(MEMBERS, False),
        "ensemble": lambda: sampled(MEMBERS, True),
        "randomized": randomized,
        "exact": lambda: factors.exact(W, rank),
    }
