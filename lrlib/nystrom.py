r"""Projections of a symmetric matrix onto the matrices of rank at most ``r`` (section 2, line 6 of Algorithm 1).

A cut to rank ``r`` is kept as :class:`Factors`, because an ``(m, m)`` result need not be formed to be used.
:func:`exact`, :func:`nystrom` and :func:`ensemble` take and return dense matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_SMOOTHING_ATTEMPTS = 100


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


def exact(W: Tensor, rank: int) -> Tensor:
    r"""Best approximation of a symmetric matrix among those of rank at most ``rank``.

    :math:`\Pi_r^{\text{rank}}(W) = \arg\min_{\operatorname{rank}(Z) \le r} \|W - Z\|_F^2` (appendix B.1): the
    eigenvalues of largest magnitude stay.

    Args:
        W: Symmetric matrix ``(m, m)``.
        rank: Target rank, ``1 <= rank <= m``.

    Returns:
        Symmetric matrix ``(m, m)``.

    Raises:
        ValueError: If ``W`` is not square and symmetric, or ``rank`` is out of range.

    Example:
        >>> exact(torch.diag(torch.tensor([3.0, 1.0, -2.0])), rank=2).diagonal()
        tensor([ 3.,  0., -2.])
    """
    _check(W)
    check_sizes(len(W), rank, columns=len(W))
    return exact_factors(W, rank).dense()


def nystrom(
    W: Tensor, rank: int, *, columns: int, generator: torch.Generator | None = None, smoothing: float = 0.01
) -> Tensor:
    r"""Nyström approximation :math:`C Z_r^+ C^\top` from a uniform sample of columns (appendix B.2, eq. 3).

    ``C`` holds the sampled columns of ``W``, ``Z`` the same rows of ``C``, and :math:`Z_r^+` is the pseudo-inverse of
    the best positive semi-definite approximation of ``Z`` of rank ``rank``, so that the result is positive
    semi-definite, as lemma 1 has it. It equals ``W`` when ``W`` is positive semi-definite of rank at most ``rank``
    and the sample spans its range.

    For a positive semi-definite ``W`` each eigenpair :math:`(d, q)` of ``Z`` satisfies
    :math:`\|Cq\|^2 \le \|W\| d`, so that no term :math:`Cqq^\top C^\top / d` of the result is larger than ``W``. Steps
    of training can leave ``W`` indefinite, and then a tiny ``d`` may make a term larger by orders of magnitude, the
    more so the fewer columns beyond ``rank`` are drawn. Pairs that break the inequality with :math:`2 \|W\|_F` in the
    place of :math:`\|W\|` are left out, which changes nothing where the theory holds.

    Args:
        W: Symmetric matrix ``(m, m)``; the theory asks for a positive semi-definite one.
        rank: Target rank, ``1 <= rank <= columns``.
        columns: Number of sampled columns, the paper's ``l``, ``columns <= m``. The paper takes ``2 * rank``.
        generator: Source of the sample, on the CPU, so that every device draws the same columns.
        smoothing: Multiple of the identity that is added to ``W``, again and again, while the decomposition of ``Z``
            does not converge (appendix B.1).

    Returns:
        Symmetric matrix ``(m, m)`` of rank at most ``rank``.

    Raises:
        ValueError: If an argument is out of range or ``W`` is not symmetric, or if the decomposition never converges.
    """
    _check(W)
    check_sizes(len(W), rank, columns=columns, smoothing=smoothing)
    return _sampled(W, rank, columns, generator, smoothing).dense()


def ensemble(
    W: Tensor,
    rank: int,
    *,
    columns: int,
    members: int,
    generator: torch.Generator | None = None,
    smoothing: float = 0.01,
    cut: bool = True,
) -> Tensor:
    """Average of independent Nyström approximations (appendix B.2, after Kumar et al., 2009).

    The average of ``t`` members of rank ``r`` has rank up to ``t * r``, though the paper speaks of a rank-``r``
    approximation. ``cut=True`` makes it one; ``cut=False`` returns the average as written.

    Args:
        W: Symmetric matrix ``(m, m)``.
        rank: Target rank of each member and, with ``cut``, of the result.
        columns: Number of sampled columns of each member.
        members: Number of members, the paper's ``t``, which it doesn't state.
        generator: Source of the samples, on the CPU.
        smoothing: As in :func:`nystrom`.
        cut: Whether the average is cut to rank ``rank``, exactly.

    Returns:
        Symmetric matrix ``(m, m)`` of rank at most ``rank`` if ``cut``, else at most ``members * rank``.

    Raises:
        ValueError: If an argument is out of range or ``W`` is not symmetric, or if a decomposition never converges.
    """
    _check(W)
    check_sizes(len(W), rank, columns=columns, members=members, smoothing=smoothing)
    return ensemble_factors(W, rank, columns, members, generator, smoothing, cut=cut).dense()


def check_sizes(width: int, rank: int, *, columns: int, members: int = 1, smoothing: float = 0.01) -> None:
    """Whether a matrix ``(width, width)`` can be cut with these settings of :func:`ensemble`.

    Raises:
        ValueError: If one of them is out of range, with its name.
    """
    if not 1 <= rank <= width:
        raise ValueError(f"expected 1 <= rank <= {width}, the width, got rank={rank}")
    if not rank <= columns <= width:
        raise ValueError(f"expected columns from rank={rank} to {width}, the width, got columns={columns}")
    if members < 1:
        raise ValueError(f"expected members >= 1, got members={members}")
    if not smoothing > 0:
        raise ValueError(f"expected smoothing > 0, got smoothing={smoothing}")


def exact_factors(W: Tensor, rank: int, smoothing: float = 0.01) -> Factors:
    """:func:`exact` as factors with orthonormal columns, largest magnitude first.

    A smoothed matrix has the eigenvectors of ``W``, so taking the shift off its eigenvalues leaves the result exact.
    """
    shifted, U, shift = _smoothed_eigh(W, smoothing)
    d = shifted - shift
    top = d.abs().argsort(descending=True)[:rank]
    return Factors(U[:, top], d[top])


def ensemble_factors(
    W: Tensor,
    rank: int,
    columns: int,
    members: int,
    generator: torch.Generator | None,
    smoothing: float,
    *,
    cut: bool,
) -> Factors:
    """:func:`ensemble` as factors."""
    parts = [_sampled(W, rank, columns, generator, smoothing) for _ in range(members)]
    average = Factors(torch.cat([p.U for p in parts], dim=1), torch.cat([p.d for p in parts]) / members)
    return recompress(average, rank, smoothing) if cut else average


def recompress(W: Factors, rank: int, smoothing: float = 0.01) -> Factors:
    """Best rank-``rank`` approximation of a factored matrix, in time linear in ``m``."""
    Q, R = torch.linalg.qr(W.U)
    small = (R * W.d) @ R.T
    U, d = exact_factors((small + small.T) / 2, rank, smoothing)
    return Factors(Q @ U, d)


def _sampled(W: Tensor, rank: int, columns: int, generator: torch.Generator | None, smoothing: float) -> Factors:
    index = torch.randperm(W.shape[0], generator=generator)[:columns].to(W.device)
    C = W[:, index]
    d, Q, shift = _smoothed_eigh(C[index], smoothing)
    if shift:
        C = C.clone()
        C[index, torch.arange(columns, device=W.device)] += shift
    zero = d.abs().max() * columns * torch.finfo(W.dtype).eps
    d, CQ = d[-rank:], C @ Q[:, -rank:]
    # The Frobenius norm bounds the spectral one cheaply; twice, to spare matrices of rank one from rounding.
    definite = CQ.square().sum(dim=0) <= 2 * (torch.linalg.matrix_norm(W) + shift) * d
    kept = (d > zero) & definite
    return Factors(CQ[:, kept] / d[kept].sqrt(), torch.ones_like(d[kept]))


def _smoothed_eigh(Z: Tensor, smoothing: float) -> tuple[Tensor, Tensor, float]:
    """Eigenvalues, ascending, and eigenvectors of ``Z + shift * I`` for the first shift at which they converge."""
    eye = torch.eye(len(Z), dtype=Z.dtype, device=Z.device)
    for attempt in range(_SMOOTHING_ATTEMPTS):
        shift = attempt * smoothing
        try:
            d, Q = torch.linalg.eigh(Z + shift * eye if shift else Z)
            return d, Q, shift
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            continue
    raise ValueError(
        f"expected a matrix whose eigenvalues converge, got one that fails after {_SMOOTHING_ATTEMPTS} attempts, "
        f"the last with {shift:g} added to its diagonal"
    )


def _check(W: Tensor) -> None:
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"expected a square matrix, got shape {tuple(W.shape)}")
    if not torch.isfinite(W).all():
        raise ValueError("expected a matrix of finite numbers, got infinities or NaN")
    if not torch.allclose(W, W.T, rtol=1e-4, atol=1e-5 * W.abs().max().item()):
        raise ValueError("expected a symmetric matrix, got one that differs from its transpose")
