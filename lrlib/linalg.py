r"""Spectra of activation matrices: singular values by streaming, variance ratio, stable rank.

All functions take the representations of a data set either as one matrix or as an iterable of batches, so that a matrix
too large for memory never has to exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor

Features = Tensor | Iterable[Tensor]

_ROWS_IN_DOUBLE = 4096
_SMOOTHING_ATTEMPTS = 100


@torch.no_grad()
def singular_values(features: Features, *, centred: bool = False) -> Tensor:
    r"""Singular values of an activation matrix, by way of its Gram matrix in float64.

    The Gram matrix :math:`A^\top A` is summed over batches, so memory is ``O(m**2)`` whatever ``n``; for one matrix
    with ``n < m`` the smaller :math:`A A^\top` is taken instead. Squaring the matrix squares its condition number:
    values below about ``1e-8`` of the largest are rounding noise and say nothing about the rank. Energies
    :math:`\sigma_i^2`, and so variance ratios, keep an error near float64's ``1e-16`` relative to the total.

    Args:
        features: Activation matrix ``(n, m)``, or an iterable of batches ``(n_i, m)``.
        centred: Subtract the mean row first.

    Returns:
        ``(min(n, m),)``, descending, float64, on the device of ``features``.

    Raises:
        ValueError: If a batch is not a non-empty matrix of finite values, the widths differ, or there is no batch.

    Example:
        >>> singular_values(torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])).tolist()
        [3.0, 2.0]
    """
    if not isinstance(features, Tensor):
        return _spectrum(features, centred=centred)
    if features.ndim == 2 and 0 < len(features) < features.shape[1]:
        return _spectrum([(_centre(features) if centred else features).T], centred=False)
    return _spectrum([features], centred=centred)


def variance_ratios(s: Tensor) -> Tensor:
    r"""Variance ratio of every number of directions at once: :math:`\sum_{i \le k} \sigma_i^2 / \sum_i \sigma_i^2`.

    Args:
        s: Singular values ``(p,)``, descending, as :func:`singular_values` returns them.

    Returns:
        ``(p,)``, float64, ascending; entry ``k - 1`` belongs to ``k`` directions, the last one is exactly 1.

    Raises:
        ValueError: If ``s`` is not a descending vector of non-negative numbers that starts with a positive one.

    Example:
        >>> variance_ratios(torch.tensor([2.0, 1.0, 1.0, 0.0])).mul(6).tolist()
        [4.0, 5.0, 6.0, 6.0]
    """
    _check_spectrum(s)
    # Dividing by the largest value first keeps tiny and huge spectra from under- and overflowing when squared.
    energy = (s.double() / s[0].double()).square().cumsum(0)
    return energy / energy[-1]


def variance_ratio(features: Features, k: int, *, centred: bool = False) -> Tensor:
    r"""Fraction of the energy of the representations that their top ``k`` directions carry.

    With singular values :math:`\sigma_1 \ge \sigma_2 \ge \dots` of the activation matrix this is
    :math:`\sum_{i \le k} \sigma_i^2 / \sum_i \sigma_i^2` (Sanyal et al., section 3, "Effective Rank"). With ``k=1`` on
    the examples of one class it is the class-wise variance of appendix C.3, the inverse of the stable rank.

    Args:
        features: Activation matrix ``(n, m)``, one row per example, or an iterable of batches ``(n_i, m)``.
        k: Number of directions, ``1 <= k <= min(n, m)``.
        centred: Subtract the mean row first; the paper does not.

    Returns:
        Scalar in ``[0, 1]``, float64.

    Raises:
        ValueError: If ``k`` is out of range, the features are all zero, or
            :func:`~lrlib.linalg.singular_values` refuses them.

    Example:
        >>> round(variance_ratio(torch.diag(torch.tensor([3.0, 1.0])), k=1).item(), 2)
        0.9
    """
    s = singular_values(features, centred=centred)
    if k not in range(1, len(s) + 1):
        raise ValueError(f"expected an integer k with 1 <= k <= {len(s)}, the smaller side of the features, got k={k}")
    return variance_ratios(s)[int(k) - 1]


def stable_rank(A: Features) -> Tensor:
    r"""Stable rank :math:`\|A\|_F^2 / \|A\|_2^2`, a soft count of the directions in use (Sanyal et al., appendix A).

    Args:
        A: Matrix ``(n, m)``, or an iterable of batches ``(n_i, m)`` of its rows.

    Returns:
        Scalar in ``[1, min(n, m)]``, float64.

    Raises:
        ValueError: If ``A`` is all zero or :func:`~lrlib.linalg.singular_values` refuses it.

    Example:
        >>> stable_rank(torch.diag(torch.tensor([2.0, 1.0, 1.0]))).item()
        1.5
    """
    return 1 / variance_ratios(singular_values(A))[0]


def row_norms(x: Tensor) -> Tensor:
    """Euclidean norm of each example, whatever its shape.

    Args:
        x: Examples ``(n, ...)``.

    Returns:
        ``(n,)``, accumulated in float64.

    Example:
        >>> row_norms(torch.tensor([[[3.0], [4.0]]])).tolist()
        [5.0]
    """
    norms: Tensor = torch.linalg.vector_norm(x.detach().reshape(len(x), -1), dim=1, dtype=torch.float64)
    return norms


def smoothed_eigh(Z: Tensor, smoothing: float) -> tuple[Tensor, Tensor, float]:
    """Eigenvalues of a symmetric matrix whose decomposition may have to be helped (appendix B.1).

    Args:
        Z: Symmetric matrix ``(l, l)``.
        smoothing: Multiple of the identity that is added, again and again, while the decomposition does not converge.

    Returns:
        Eigenvalues ``(l,)``, ascending, and eigenvectors ``(l, l)`` of ``Z + shift * I``, and ``shift``.

    Raises:
        ValueError: If it never converges.
    """
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


def _spectrum(batches: Iterable[Tensor], *, centred: bool) -> Tensor:
    gram, n = _gram(batches, centred=centred)
    # Rounding can leave eigenvalues of a rank-deficient Gram matrix slightly below zero.
    s: Tensor = torch.linalg.eigvalsh(gram).flip(0)[:n].clamp(min=0).sqrt()
    return s


def _gram(batches: Iterable[Tensor], *, centred: bool) -> tuple[Tensor, int]:
    """Gram matrix ``(m, m)`` of the rows of all batches, less their mean if asked, and the number of rows."""
    stream = _checked(batches)
    first = next(stream, None)
    if first is None:
        raise ValueError("expected at least one batch of features, got an empty iterable")
    m = first.shape[1]
    # Shifting by a rough mean before summing spares the centred Gram matrix a cancellation of large numbers.
    shift = first.mean(0, dtype=torch.float64) if centred else first.new_zeros(m, dtype=torch.float64)
    gram, total, n = shift.new_zeros(m, m), torch.zeros_like(shift), 0
    for batch in chain([first], stream):
        for start in range(0, len(batch), _ROWS_IN_DOUBLE):
            rows = batch[start : start + _ROWS_IN_DOUBLE].to(gram) - shift
            gram.addmm_(rows.T, rows)
            total += rows.sum(0)
            n += len(rows)
    if centred:
        gram.addr_(total, total, alpha=-1 / n)
    return gram, n


def _checked(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    width = None
    for batch in batches:
        if batch.ndim != 2 or 0 in batch.shape:
            raise ValueError(f"expected a non-empty matrix (n, m) of features, got shape {tuple(batch.shape)}")
        width = batch.shape[1] if width is None else width
        if batch.shape[1] != width:
            raise ValueError(f"expected batches of one width, got {width} and then {batch.shape[1]}")
        if bad := int((~batch.isfinite()).sum()):
            raise ValueError(f"expected finite features, got {bad} values of {batch.numel()} that are NaN or infinite")
        yield batch


def _centre(features: Tensor) -> Tensor:
    features = features.double()
    return features - features.mean(0)


def _check_spectrum(s: Tensor) -> None:
    if s.ndim != 1 or not len(s):
        raise ValueError(f"expected a non-empty vector of singular values, got shape {tuple(s.shape)}")
    if not (s.isfinite().all() and s[-1] >= 0 and (s.diff() <= 0).all()):
        raise ValueError(f"expected finite singular values, descending and not negative, got {s.tolist()[:8]}")
    if s[0] == 0:
        raise ValueError("expected a matrix that is not all zero (after centring, if asked), got only zero directions")
