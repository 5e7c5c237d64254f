"""The symmetric ``W`` of an LR layer as a matrix, and what its two forms have in common."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lrlib import factors

Projection = Literal["ensemble", "nystrom", "exact", "randomized"]


class Cut(NamedTuple):
    """How a rank is cut: the arguments of the functions of :mod:`lrlib.nystrom`; one member unless an ensemble."""

    projection: Projection
    rank: int
    columns: int
    members: int
    smoothing: float
    as_written: bool


class Seen(NamedTuple):
    """A batch as ``W`` saw it: ``a`` ``(n, m)``, the residual ``a W - a``, and what a factored ``W`` needs of it."""

    a: Tensor
    residual: Tensor
    products: tuple[Tensor, Tensor] | None = None
    cuts: int = 0


class Dense(nn.Module):
    """``W`` as a matrix ``(m, m)``: ``O(n m**2)`` a step; the oracle of :class:`lrlib.factored.Factored`."""

    W: Tensor

    def __init__(self, W: Tensor) -> None:
        super().__init__()
        self.register_buffer("W", W, persistent=False)

    def dense(self) -> Tensor:
        """The matrix itself, not a copy."""
        return self.W

    def content(self) -> dict[str, Tensor]:
        """All that it consists of."""
        return {"W": self.W}

    def loss(self, a: Tensor) -> tuple[Tensor, Seen]:
        """Mean squared distance of the rows of ``a`` ``(n, m)`` from their image, and the batch as it was seen."""
        residual = a @ self.W - a
        return residual.square().sum(dim=1).mean(), Seen(a.detach(), residual.detach())

    def multiply(self, v: Tensor) -> Tensor:
        """``v W`` of a vector ``(m,)``."""
        return v @ self.W

    def decay_(self, share: float) -> None:
        """Take a share off ``W``."""
        self.W.mul_(1 - share)

    def descend_(self, seen: Seen, scale: Tensor) -> None:
        r"""Subtract :math:`s\,(A^\top R + R^\top A)`, the symmetric gradient of the loss, scaled."""
        outer = (scale * seen.a).T @ seen.residual
        self.W.sub_(outer + outer.T)

    def cut_(self, cut: Cut, generator: torch.Generator) -> None:
        """Cut the rank."""
        if cut.projection == "exact":
            found = factors.exact(self.W, cut.rank, cut.smoothing)
        elif cut.projection == "randomized":
            found = factors.randomized(self.W.__matmul__, self.W, cut.rank, cut.columns, generator)
        else:
            args = (self.W, cut.rank, cut.columns, cut.members, generator, cut.smoothing)
            found = factors.ensemble(*args, cut=not cut.as_written)
        self.W.copy_(found.dense())
