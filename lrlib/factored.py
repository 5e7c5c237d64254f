"""The symmetric ``W`` of an LR layer by factors that never form it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import factors
from lrlib.dense import Cut, Dense, Seen
from lrlib.factors import Factors
from lrlib.linalg import smoothed_eigh


class Factored(nn.Module):
    r""":math:`W = V^\top \operatorname{diag}(d)\, V`, with rows for the rank and for the batches since the last cut.

    A step subtracts :math:`s\,(A^\top R + R^\top A) = \tfrac s2 \left( (A+R)^\top (A+R) - (A-R)^\top (A-R) \right)`,
    which is ``2n`` rows more, of weight :math:`\mp s/2`. Beside the rows their Gram matrix is kept, which grows by
    products that the losses need anyway and spares the gradient, and each cut, most of their work at width ``m``. A
    step costs ``O(n m q)``. Methods do what those of :class:`lrlib.dense.Dense` do, with the same results to rounding.

    Attributes:
        d: Weights of the rows ``(q,)``, of either sign.
    """

    d: Tensor
    _rows: Tensor
    _gram: Tensor

    def __init__(self, V: Tensor, d: Tensor, gram: Tensor | None = None) -> None:
        super().__init__()
        # The buffers have room for more rows than there are, so that a step need not copy them.
        self.register_buffer("_rows", V, persistent=False)
        self.register_buffer("d", d, persistent=False)
        self.register_buffer("_gram", V @ V.T if gram is None else gram, persistent=False)
        self._cuts = 0  # tells whether the rows that a batch has seen are still there

    @classmethod
    def projector(cls, directions: Tensor) -> Factored:
        """The projector on the span of orthonormal rows ``(r, m)``."""
        return cls(directions.contiguous(), torch.ones_like(directions[:, 0]))

    @classmethod
    def of(cls, matrix: Dense | Factored, room: int) -> Factored:
        """The same ``W`` by factors, with room for that many rows."""
        if isinstance(matrix, Dense):
            d, U = torch.linalg.eigh(matrix.dense())
            matrix = cls(U.T.contiguous(), d)
        matrix.reserve_(room)
        return matrix

    @property
    def V(self) -> Tensor:
        """Rows ``(q, m)``."""
        return self._rows[: len(self.d)]

    @property
    def gram(self) -> Tensor:
        """``V V^T`` ``(q, q)``."""
        return self._gram[: len(self.d), : len(self.d)]

    def dense(self) -> Tensor:
        """The matrix, formed anew at each call."""
        return Factors(self.V.T, self.d).dense()

    def content(self) -> dict[str, Tensor]:
        """All that it consists of, without the room for more."""
        return {"V": self.V.clone(), "d": self.d, "gram": self.gram.clone()}

    def loss(self, a: Tensor) -> tuple[Tensor, Seen]:
        """As :meth:`lrlib.dense.Dense.loss`."""
        with torch.no_grad():
            x = a @ self.V.T
            xd = x * self.d
            y = xd @ self.gram  # the image's product with the rows, without another product of width m
            residual = xd @ self.V - a
            loss = residual.square().sum(dim=1).mean()
            seen = Seen(a.detach(), residual, (x, y), self._cuts)
        if not (torch.is_grad_enabled() and a.requires_grad):
            return loss, seen
        with torch.no_grad():
            gradient = (((y - x) * self.d) @ self.V - residual) * (2 / len(a))
        return _WithGradient.apply(a, loss, gradient), seen  # type: ignore[no-untyped-call]

    def multiply(self, v: Tensor) -> Tensor:
        """As :meth:`lrlib.dense.Dense.multiply`."""
        return ((self.V @ v) * self.d) @ self.V

    def decay_(self, share: float) -> None:
        """As :meth:`lrlib.dense.Dense.decay_`."""
        self.d = self.d * (1 - share)

    def descend_(self, seen: Seen, scale: Tensor) -> None:
        """As :meth:`lrlib.dense.Dense.descend_`."""
        half = (scale / 2).expand(len(seen.a))
        rows = torch.cat([seen.a + seen.residual, seen.a - seen.residual])
        if seen.products is None or seen.cuts != self._cuts:
            products = rows @ self.V.T
        else:
            x, y = seen.products
            products = torch.cat([y, 2 * x - y])
        self._append_(rows, torch.cat([-half, half]), products)

    def cut_(self, cut: Cut, generator: torch.Generator) -> None:
        """As :meth:`lrlib.dense.Dense.cut_`."""
        if cut.projection == "exact":
            self._become_(factors.recompress(Factors(self.V.T, self.d), cut.rank, cut.smoothing))
        elif cut.projection == "randomized":
            args = (self._multiply_block, self.V, cut.rank, cut.columns, generator)
            self._become_(factors.randomized(*args))
        else:
            self._cut_by_nystrom_(cut, generator)

    def _multiply_block(self, block: Tensor) -> Tensor:
        return self.V.T @ (self.d[:, None] * (self.V @ block))

    def _cut_by_nystrom_(self, cut: Cut, generator: torch.Generator) -> None:
        """:func:`lrlib.factors.ensemble`, with the columns as combinations ``M`` of the rows instead of at width m."""
        parts = [self._member_(cut, generator) for _ in range(cut.members)]
        # Rows that a member had to add are no part of those before it.
        M = torch.cat([F.pad(part.M, (0, 0, 0, len(self.d) - len(part.M))) for part in parts], dim=1)
        d = torch.cat([part.d for part in parts])
        shift = torch.cat([part.shift for part in parts])
        image = self.gram @ M
        norm = (self.d @ self.gram.square() @ self.d).sqrt()
        kept = (d > 0) & ((M * image).sum(dim=0) <= 2 * (norm + shift) * d)
        scale = (cut.members * d[kept]).rsqrt()
        M, image = M[:, kept] * scale, image[:, kept] * scale
        if not cut.as_written and cut.members > 1:
            small = M.T @ image
            M = M @ smoothed_eigh((small + small.T) / 2, cut.smoothing)[1][:, -cut.rank :]
        self._become_(Factors(self.V.T @ M, torch.ones_like(M[0])))

    def _member_(self, cut: Cut, generator: torch.Generator) -> _Member:
        """One Nyström approximation, as ``factors.ensemble`` draws it."""
        index = torch.randperm(self.V.shape[1], generator=generator)[: cut.columns].to(self.V.device)
        sample = self.V[:, index]
        weighted = sample * self.d[:, None]
        Z = sample.T @ weighted
        d, Q, shift = smoothed_eigh((Z + Z.T) / 2, cut.smoothing)
        zero = d.abs().max() * cut.columns * torch.finfo(d.dtype).eps
        d, Q = d[-cut.rank :], Q[:, -cut.rank :]
        M = weighted @ Q
        if shift:  # the columns of W + shift * I leave the span of the rows: unit rows of no weight widen it
            unit = torch.zeros(cut.columns, self.V.shape[1], dtype=d.dtype, device=d.device)
            unit[torch.arange(cut.columns), index] = 1
            self._append_(unit, torch.zeros_like(unit[:, 0]), sample.T)
            M = torch.cat([M, shift * Q])
        return _Member(M, torch.where(d > zero, d, 0), torch.full_like(d, shift))

    def _become_(self, found: Factors) -> None:
        V = found.U.T
        q = len(found.d)
        self._cuts += 1
        self.reserve_(q)
        self._rows[:q] = V
        self._gram[:q, :q] = V @ found.U
        self.d = found.d

    def _append_(self, V: Tensor, d: Tensor, products: Tensor) -> None:
        """More rows ``(k, m)``, their weights, and their products ``(k, q)`` with the rows that are there."""
        q, more = len(self.d), len(d)
        self.reserve_(q + more)
        self._rows[q : q + more] = V
        self._gram[q : q + more, :q] = products
        self._gram[:q, q : q + more] = products.T
        self._gram[q : q + more, q : q + more] = V @ V.T
        self.d = torch.cat([self.d, d])

    def reserve_(self, q: int) -> None:
        """Make room for ``q`` rows."""
        room = q - len(self._rows)
        if room > 0:
            self._rows = F.pad(self._rows, (0, 0, 0, room))
            self._gram = F.pad(self._gram, (0, room, 0, room))


class _Member(NamedTuple):
    M: Tensor  # coefficients of the rows, (q, r)
    d: Tensor  # eigenvalues, zero for those to be dropped, (r,)
    shift: Tensor  # what was added to the diagonal, (r,)


class _WithGradient(torch.autograd.Function):
    """A scalar whose gradient in ``a`` is known already."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        return outer[0] * ctx.saved_tensors[0], None, None
