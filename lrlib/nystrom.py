r"""Projections of a symmetric matrix onto the matrices of rank at most ``r`` (section 2, line 6 of Algorithm 1).

The functions take and return dense matrices; :mod:`lrlib.factors` has them by factors, as the LR layer uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrlib import factors


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
    check_symmetric(W)
    check_sizes(len(W), rank, columns=len(W))
    return factors.exact(W, rank).dense()


def randomized(
    W: Tensor, rank: int, *, columns: int, iterations: int = 2, generator: torch.Generator | None = None
) -> Tensor:
    """Nearly the best approximation of a symmetric matrix, by randomized subspace iteration.

    A random block of ``columns`` vectors is multiplied by ``W`` and made orthonormal, ``1 + iterations`` times; within
    the subspace it then spans, the truncation is exact (Halko, Martinsson and Tropp, 2011, algorithms 4.4 and 5.3).
    Unlike the Nyström approximation it holds for an indefinite ``W`` too and does not shrink it.

    Args:
        W: Symmetric matrix ``(m, m)``.
        rank: Target rank, ``1 <= rank <= columns``.
        columns: Width of the block, ``columns <= m``.
        iterations: Multiplications beyond the first one; each brings the result closer to :func:`exact`.
        generator: Source of the block, on the CPU, so that every device draws the same.

    Returns:
        Symmetric matrix ``(m, m)`` of rank at most ``rank``.

    Raises:
        ValueError: If an argument is out of range or ``W`` is not symmetric.

    Example:
        >>> randomized(torch.diag(torch.tensor([3.0, 0.0, -2.0])), rank=2, columns=2).diagonal().round(decimals=4)
        tensor([ 3.,  0., -2.])
    """
    check_symmetric(W)
    check_sizes(len(W), rank, columns=columns)
    if iterations < 0:
        raise ValueError(f"expected iterations >= 0, got iterations={iterations}")
    return factors.randomized(W.__matmul__, W, rank, columns, generator, iterations).dense()


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
    check_symmetric(W)
    check_sizes(len(W), rank, columns=columns, smoothing=smoothing)
    return factors.ensemble(W, rank, columns, 1, generator, smoothing, cut=False).dense()


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
    check_symmetric(W)
    check_sizes(len(W), rank, columns=columns, members=members, smoothing=smoothing)
    return factors.ensemble(W, rank, columns, members, generator, smoothing, cut=cut).dense()


def check_sizes(width: int, rank: int, *, columns: int, members: int = 1, smoothing: float = 0.01) -> None:
    """Whether a matrix ``(width, width)`` can be cut with these settings of :func:`ensemble`.

    Raises:
        ValueError: If one of them is out of range, with its name.
    """
    if rank not in range(1, width + 1):
        raise ValueError(f"expected a whole rank, 1 <= rank <= {width}, the width, got rank={rank}")
    if columns not in range(rank, width + 1):
        raise ValueError(f"expected columns from rank={rank} to {width}, the width, got columns={columns}")
    if members < 1:
        raise ValueError(f"expected members >= 1, got members={members}")
    if not smoothing > 0:
        raise ValueError(f"expected smoothing > 0, got smoothing={smoothing}")


def check_symmetric(W: Tensor) -> None:
    """Whether ``W`` is a finite symmetric matrix, but for rounding.

    Raises:
        ValueError: If it is not, with what it is instead.
    """
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"expected a square matrix, got shape {tuple(W.shape)}")
    if not torch.isfinite(W).all():
        raise ValueError("expected a matrix of finite numbers, got infinities or NaN")
    if not torch.allclose(W, W.T, rtol=1e-4, atol=1e-5 * W.abs().max().item()):
        raise ValueError("expected a symmetric matrix, got one that differs from its transpose")
