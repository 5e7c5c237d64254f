"""A symmetric matrix by its factors, and the cuts of its rank that :mod:`lrlib.nystrom` describes, in that form."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lrlib.linalg import smoothed_eigh


class Factors(NamedTuple):
    r"""A symmetric matrix :math:`U \operatorname{diag}(d)\, U^\top` of rank at most ``len(d)``.

    Attributes:
        U: Columns ``(m, k)``, not necessarily orthonormal.
        d: Their weights ``(k,)``, of either sign.
    """

    U: Tensor
    d: Tensor

    def dense(self) -> Tensor:
        """The matrix itself ``(m, m)``, symmetric to the last bit."""
        W = (self.U * self.d) @ self.U.T
        return (W + W.T) / 2


def exact(W: Tensor, rank: int, smoothing: float = 0.01) -> Factors:
    """:func:`lrlib.nystrom.exact` as factors with orthonormal columns, largest magnitude first.

    A smoothed matrix has the eigenvectors of ``W``, so taking the shift off its eigenvalues leaves the result exact.
    """
    shifted, U, shift = smoothed_eigh(W, smoothing)
    d = shifted - shift
    top = d.abs().argsort(descending=True)[:rank]
    return Factors(U[:, top], d[top])


def randomized(
    multiply: Callable[[Tensor], Tensor],
    like: Tensor,
    rank: int,
    columns: int,
    generator: torch.Generator | None,
    iterations: int = 2,
) -> Factors:
    """:func:`lrlib.nystrom.randomized` as orthonormal factors, of a matrix ``(m, m)`` that only multiplies.

    Args:
        multiply: Takes a block ``(m, k)`` to its product with the matrix.
        like: Tensor ``(..., m)`` of the matrix's width, precision and device.
        rank: As in :func:`lrlib.nystrom.randomized`.
        columns: As in :func:`lrlib.nystrom.randomized`.
        generator: As in :func:`lrlib.nystrom.randomized`.
        iterations: As in :func:`lrlib.nystrom.randomized`.
    """
    block = torch.randn(like.shape[-1], columns, generator=generator, dtype=like.dtype).to(like.device)
    for _ in range(1 + iterations):
        block = torch.linalg.qr(multiply(block))[0]
    small = block.T @ multiply(block)
    U, d = exact((small + small.T) / 2, rank)
    return Factors(block @ U, d)


def ensemble(
    W: Tensor,
    rank: int,
    columns: int,
    members: int,
    generator: torch.Generator | None,
    smoothing: float,
    *,
    cut: bool,
) -> Factors:
    """:func:`lrlib.nystrom.ensemble` as factors."""
    parts = [_sampled(W, rank, columns, generator, smoothing) for _ in range(members)]
    average = Factors(torch.cat([p.U for p in parts], dim=1), torch.cat([p.d for p in parts]) / members)
    return recompress(average, rank, smoothing) if cut else average


def recompress(W: Factors, rank: int, smoothing: float = 0.01) -> Factors:
    """Best rank-``rank`` approximation of a factored matrix, in time linear in ``m``."""
    return truncated(W.U, torch.diag(W.d), rank, smoothing)


def truncated(U: Tensor, K: Tensor, rank: int, smoothing: float = 0.01) -> Factors:
    """Best rank-``rank`` approximation of ``U K U^T`` with ``U`` ``(m, q)`` and symmetric ``K`` ``(q, q)``."""
    Q, R = torch.linalg.qr(U)
    small = R @ K @ R.T
    V, d = exact((small + small.T) / 2, rank, smoothing)
    return Factors(Q @ V, d)


def _sampled(W: Tensor, rank: int, columns: int, generator: torch.Generator | None, smoothing: float) -> Factors:
    index = torch.randperm(W.shape[0], generator=generator)[:columns].to(W.device)
    C = W[:, index]
    d, Q, shift = smoothed_eigh(C[index], smoothing)
    if shift:
        C = C.clone()
        C[index, torch.arange(columns, device=W.device)] += shift
    zero = d.abs().max() * columns * torch.finfo(W.dtype).eps
    d, CQ = d[-rank:], C @ Q[:, -rank:]
    # The Frobenius norm bounds the spectral one cheaply; twice, to spare matrices of rank one from rounding.
    definite = CQ.square().sum(dim=0) <= 2 * (torch.linalg.matrix_norm(W) + shift) * d
    kept = (d > zero) & definite
    return Factors(CQ[:, kept] / d[kept].sqrt(), torch.ones_like(d[kept]))
