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
    r""":math:`W = V^\top K V`, with rows of ``V`` for the rank and for the examples seen since the last cut.

    The image of a batch :math:`A` is a combination of the rows, :math:`A W = C V` with :math:`C = A V^\top K`. A step,
    which subtracts :math:`s\,(A^\top R + R^\top A)` with :math:`R = C V - A`, needs no rows but those of :math:`A`:

    .. math::
        V \leftarrow \begin{pmatrix} V \\ A \end{pmatrix}, \qquad
        K \leftarrow \begin{pmatrix} K & -s\, C^\top \\ -s\, C & 2s\, I \end{pmatrix}.

    Beside the rows their Gram matrix is kept, which grows by a product that the losses need anyway, and spares the
    gradient and each cut most of their work at width ``m``. With ``q`` rows a step costs ``O(n m q)``. The methods do
    what those of :class:`lrlib.dense.Dense` do, with the same results to rounding.
    """

    _rows: Tensor
    _core: Tensor
    _gram: Tensor

    def __init__(self, V: Tensor, K: Tensor, gram: Tensor | None = None) -> None:
        super().__init__()
        self.q = len(V)
        # The buffers have room for more rows than there are, so that a step need not copy them.
        self.register_buffer("_rows", V, persistent=False)
        self.register_buffer("_core", K, persistent=False)
        self.register_buffer("_gram", V @ V.T if gram is None else gram, persistent=False)
        self._cuts = 0  # tells whether the rows that a batch has seen are still there

    @classmethod
    def projector(cls, directions: Tensor) -> Factored:
        """The projector on the span of orthonormal rows ``(r, m)``."""
        return cls(
            directions.contiguous(), torch.eye(len(directions), dtype=directions.dtype, device=directions.device)
        )

    @classmethod
    def of(cls, matrix: Dense | Factored, room: int) -> Factored:
        """The same ``W`` by factors, with room for that many rows."""
        if isinstance(matrix, Dense):
            d, U = torch.linalg.eigh(matrix.dense())
            matrix = cls(U.T.contiguous(), torch.diag(d))
        matrix.reserve_(room)
        return matrix

    @property
    def V(self) -> Tensor:
        """Rows ``(q, m)``."""
        return self._rows[: self.q]

    @property
    def K(self) -> Tensor:
        """Symmetric matrix ``(q, q)``."""
        return self._core[: self.q, : self.q]

    @property
    def gram(self) -> Tensor:
        """``V V^T`` ``(q, q)``."""
        return self._gram[: self.q, : self.q]

    def dense(self) -> Tensor:
        """The matrix, formed anew at each call."""
        W = self.V.T @ self.K @ self.V
        return (W + W.T) / 2

    def content(self) -> dict[str, Tensor]:
        """All that it consists of, without the room for more."""
        return {"V": self.V.clone(), "K": self.K.clone(), "gram": self.gram.clone()}

    def loss(self, a: Tensor) -> tuple[Tensor, Seen]:
        """As :meth:`lrlib.dense.Dense.loss`."""
        with torch.no_grad():
            x = a @ self.V.T
            c = x @ self.K
            residual = c @ self.V - a
            loss = residual.square().sum(dim=1).mean()
            seen = Seen(a.detach(), residual, (x, c), self._cuts)
        if not (torch.is_grad_enabled() and a.requires_grad):
            return loss, seen
        with torch.no_grad():
            # The residual's product with the rows is known from their Gram matrix.
            gradient = (((c @ self.gram - x) @ self.K) @ self.V - residual) * (2 / len(a))
        return _WithGradient.apply(a, loss, gradient), seen  # type: ignore[no-untyped-call]

    def multiply(self, v: Tensor) -> Tensor:
        """As :meth:`lrlib.dense.Dense.multiply`."""
        return ((self.V @ v) @ self.K) @ self.V

    def decay_(self, share: float) -> None:
        """As :meth:`lrlib.dense.Dense.decay_`."""
        self.K.mul_(1 - share)

    def descend_(self, seen: Seen, scale: Tensor) -> None:
        """As :meth:`lrlib.dense.Dense.descend_`."""
        n, q = len(seen.a), self.q
        if seen.products is not None and seen.cuts == self._cuts:
            x, c = seen.products
            self._append_(seen.a, x)
            cross = -scale * c
            self._core[q : self.q, :q], self._core[:q, q : self.q] = cross, cross.T
            self._core[range(q, self.q), range(q, self.q)] = 2 * scale
        else:  # the image is no combination of the rows that are there now
            rows = torch.cat([seen.a, seen.residual])
            self._append_(rows, rows @ self.V.T)
            middle = q + n
            self._core[range(q, middle), range(middle, self.q)] = -scale
            self._core[range(middle, self.q), range(q, middle)] = -scale

    def cut_(self, cut: Cut, generator: torch.Generator) -> None:
        """As :meth:`lrlib.dense.Dense.cut_`."""
        if cut.projection == "exact":
            self._become_(factors.truncated(self.V.T, self.K, cut.rank, cut.smoothing))
        elif cut.projection == "randomized":
            args = (self._multiply_block, self.V, cut.rank, cut.columns, generator)
            self._become_(factors.randomized(*args))
        else:
            self._cut_by_nystrom_(cut, generator)

    def _multiply_block(self, block: Tensor) -> Tensor:
        return self.V.T @ (self.K @ (self.V @ block))

    def _cut_by_nystrom_(self, cut: Cut, generator: torch.Generator) -> None:
        """:func:`lrlib.factors.ensemble`, with the columns as combinations ``M`` of the rows instead of at width m."""
        parts = [self._member_(cut, generator) for _ in range(cut.members)]
        # Rows that a member had to add are no part of those before it.
        M = torch.cat([F.pad(part.M, (0, 0, 0, self.q - len(part.M))) for part in parts], dim=1)
        d = torch.cat([part.d for part in parts])
        shift = torch.cat([part.shift for part in parts])
        image, core = self.gram @ M, self.K @ self.gram
        norm = (core * core.T).sum().clamp_min(0).sqrt()
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
        weighted = self.K @ sample
        Z = sample.T @ weighted
        d, Q, shift = smoothed_eigh((Z + Z.T) / 2, cut.smoothing)
        zero = d.abs().max() * cut.columns * torch.finfo(d.dtype).eps
        d, Q = d[-cut.rank :], Q[:, -cut.rank :]
        M = weighted @ Q
        if shift:  # the columns of W + shift * I leave the span of the rows: unit rows of no weight widen it
            unit = torch.zeros(cut.columns, self.V.shape[1], dtype=d.dtype, device=d.device)
            unit[torch.arange(cut.columns), index] = 1
            self._append_(unit, sample.T)
            M = torch.cat([M, shift * Q])
        return _Member(M, torch.where(d > zero, d, 0), torch.full_like(d, shift))

    def _become_(self, found: Factors) -> None:
        V = found.U.T
        self._cuts += 1
        self.q = len(V)
        self.reserve_(self.q)
        self._rows[: self.q] = V
        self._gram[: self.q, : self.q] = V @ found.U
        self._core[: self.q, : self.q] = torch.diag(found.d)

    def _append_(self, V: Tensor, products: Tensor) -> None:
        """More rows ``(k, m)`` of no weight yet, with their products ``(k, q)`` with the rows that are there."""
        q, self.q = self.q, self.q + len(V)
        self.reserve_(self.q)
        self._rows[q : self.q] = V
        self._gram[q : self.q, :q], self._gram[:q, q : self.q] = products, products.T
        self._gram[q : self.q, q : self.q] = V @ V.T
        self._core[q : self.q, : self.q] = 0
        self._core[:q, q : self.q] = 0

    def reserve_(self, q: int) -> None:
        """Make room for ``q`` rows."""
        room = q - len(self._rows)
        if room > 0:
            self._rows = F.pad(self._rows, (0, 0, 0, room))
            self._core = F.pad(self._core, (0, room, 0, room))
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
