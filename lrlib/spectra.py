r"""Spectra of representations that are too many or too wide for memory, accumulated batch by batch.

Both accumulators see :math:`C = A^\top A` of an activation matrix :math:`A` through batches of its rows, and add up:
those of all classes give that of the whole data set. :class:`Gram` holds C and is exact; its memory is that of ``m**2``
numbers. :class:`Sketch` holds what C does to a few random directions, and says how much it can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import scipy.linalg
import scipy.sparse.linalg
import torch
from torch import Tensor

WIDEST_EXACT = 8_192  # activations up to which a Gram matrix is kept, of half a gigabyte at most
_SKETCH_NUMBERS = 2**26  # in each of a sketch's matrices: half a gigabyte
_PROBES = 32
_ROWS_IN_DOUBLE = 512
_BLOCK = 512  # columns of a Gram matrix at a time, for of each only what is on and below the diagonal
_NULL = 1e-12  # eigenvalues below this share of the largest are taken to be rounding


@dataclass(frozen=True)
class Spectrum:
    r"""Leading singular values of an activation matrix, and all of its energy.

    Attributes:
        values: Singular values, descending, float64; all of them, or those that a sketch sees.
        energy: Sum of the squares of all singular values, exact.
        missed: Bound on the Frobenius norm of what a sketch leaves of :math:`A^\top A`; 0 if ``values`` are exact.
        columns: Random directions of the sketch; None if there is none.
    """

    values: Tensor
    energy: float
    missed: float = 0.0
    columns: int | None = None

    def ratios(self) -> Tensor:
        """Variance ratio at 1, 2, ... directions; a sketch's are never too large."""
        return self.values.square().cumsum(0) / self.energy

    def errors(self) -> Tensor:
        r"""How much too small each ratio can be.

        What the sketch leaves, :math:`E = C - \hat C`, is positive semidefinite. So k eigenvalues of C together exceed
        those of :math:`\hat C` by no more than the k largest of E (Ky Fan): than its trace, which is known, and than
        :math:`\sqrt k \|E\|_F`.
        """
        if self.columns is None:
            return torch.zeros_like(self.values)
        ratios = self.ratios()
        counts = torch.arange(1, len(ratios) + 1, device=ratios.device)
        return torch.minimum((1 - ratios[-1]).clamp(min=0), counts.sqrt() * self.missed / self.energy)

    def directions(self, share: float) -> int:
        """How few directions can carry that share of the energy: exactly so many, or, of a sketch, at least so many."""
        highest = self.ratios() + self.errors()
        return min(int((highest < share).sum()), len(highest) - 1) + 1


class Gram:
    """The Gram matrix of all rows seen, in float64; of its symmetric halves the lower one is kept.

    Args:
        width: Activations ``m`` in a row.
        device: Where it is kept.

    Example:
        >>> gram = Gram(2)
        >>> for batch in torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]).split(2):
        ...     gram.add(batch)
        >>> gram.spectrum().values.tolist()
        [3.0, 2.0]
    """

    def __init__(self, width: int, *, device: torch.device | str = "cpu") -> None:
        self.width, self.rows = width, 0
        self.matrix = torch.zeros(width, width, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, batch: Tensor) -> None:
        """See another batch of rows ``(n, m)``.

        Raises:
            ValueError: If it is no non-empty matrix of that width, or not finite.
        """
        _check(batch, self.width)
        for rows in torch.split(batch, _ROWS_IN_DOUBLE):
            rows = rows.to(self.matrix)
            for start in range(0, self.width, _BLOCK):
                stop = start + _BLOCK
                self.matrix[start:stop, :stop].addmm_(rows[:, start:stop].T, rows[:, :stop])
        self.rows += len(batch)

    def __iadd__(self, other: Self) -> Self:
        """Also see what another one has seen."""
        self.matrix += other.matrix
        self.rows += other.rows
        return self

    def spectrum(self) -> Spectrum:
        """All ``min(n, m)`` singular values; the matrix is used up, for its decomposition takes its place."""
        _check_seen(self.rows)
        energy, matrix = _positive(float(self.matrix.trace())), self.matrix
        del self.matrix
        if matrix.device.type == "cpu":
            # In place: torch's own would copy it. LAPACK calls the transpose in order, and its upper half our lower.
            upper = matrix.T.numpy()
            found = scipy.linalg.eigvalsh(upper, lower=False, overwrite_a=True, check_finite=False, driver="evd")
            eigenvalues = torch.from_numpy(found)
        else:
            eigenvalues = torch.linalg.eigvalsh(matrix)
        return Spectrum(eigenvalues.flip(0)[: self.rows].clamp(min=0).sqrt(), energy)

    def leading(self) -> tuple[float, float]:
        """Share of the energy in the leading direction, and 0, its error."""
        _check_seen(self.rows)
        energy = _positive(float(self.matrix.trace()))
        if self.width <= _PROBES:
            return torch.linalg.eigvalsh(self.matrix)[-1].item() / energy, 0.0
        for at in range(0, self.width, _BLOCK):
            self.matrix[:at, at : at + _BLOCK] = self.matrix[at : at + _BLOCK, :at].T
        start = torch.randn(self.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        found = scipy.sparse.linalg.eigsh(self.matrix.cpu().numpy(), k=1, v0=start.numpy(), return_eigenvectors=False)
        return float(found[0]) / energy, 0.0


class Sketch:
    r"""What :math:`C` does to random directions: its Nyström approximation, from one pass over the data.

    With a Gaussian :math:`\Omega` and :math:`Y = C \Omega` this is :math:`\hat C = Y (\Omega^\top Y)^+ Y^\top`, which
    is never above C (Tropp, Yurtsever, Udell and Cevher, 2017). The trace of C is summed exactly. How far
    :math:`\hat C` is from C in the Frobenius norm is estimated on 32 further Gaussian directions; twice their root mean
    square is too little with a probability below 4e-5, whatever C is (Chernoff's bound, worst for rank one).

    Args:
        width: Activations ``m`` in a row.
        columns: Random directions; half a gigabyte of them unless given, and at most ``width``.
        seed: Of the random directions; only sketches of one seed add up.
        device: Where it is kept.

    Raises:
        ValueError: If ``columns`` is not positive.
    """

    def __init__(
        self, width: int, columns: int | None = None, *, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        if columns is not None and columns < 1:
            raise ValueError(f"expected at least one column of a sketch, got {columns}")
        self.width, self.rows, self.energy = width, 0, 0.0
        self.columns = min(width, columns or max(1, _SKETCH_NUMBERS // width))
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(width, self.columns + _PROBES, generator=generator, dtype=torch.float64)
        self.test = drawn.to(device)
        self.image = torch.zeros_like(self.test)

    @torch.no_grad()
    def add(self, batch: Tensor) -> None:
        """See another batch of rows; as for :meth:`Gram.add`."""
        _check(batch, self.width)
        for rows in torch.split(batch, _ROWS_IN_DOUBLE):
            rows = rows.to(self.test)
            self.image.addmm_(rows.T, rows @ self.test)
            self.energy += float(rows.square().sum())
        self.rows += len(batch)

    def __iadd__(self, other: Self) -> Self:
        """Also see what another one has seen, with the same random directions."""
        self.image += other.image
        self.energy += other.energy
        self.rows += other.rows
        return self

    def spectrum(self, columns: int | None = None) -> Spectrum:
        """The singular values that it sees, with bounds; from all its random directions, or the first few."""
        _check_seen(self.rows)
        used = self.columns if columns is None else min(columns, self.columns)
        half = _half(self.test[:, :used], self.image[:, :used])
        eigenvalues = torch.linalg.eigvalsh(half.T @ half).flip(0)[: self.rows].clamp(min=0)
        probes, images = self.test[:, self.columns :], self.image[:, self.columns :]
        left = images - half @ (half.T @ probes)
        missed = 2 * float(left.square().sum(0).mean().sqrt())
        return Spectrum(eigenvalues.sqrt(), _positive(self.energy), missed, used)

    def leading(self) -> tuple[float, float]:
        """Share of the energy in the leading direction, and how much too small that can be."""
        found = self.spectrum(2 * _PROBES)
        return found.ratios()[0].item(), found.errors()[0].item()


def accumulator(width: int, *, device: torch.device | str = "cpu") -> Gram | Sketch:
    """A Gram matrix up to :data:`WIDEST_EXACT` activations, a sketch above: both within four gigabytes, classes too."""
    return Gram(width, device=device) if width <= WIDEST_EXACT else Sketch(width, device=device)


def _half(test: Tensor, image: Tensor) -> Tensor:
    r""":math:`B` with :math:`\hat C = B B^\top`; directions in which there is nothing but rounding are left out."""
    core = test.T @ image
    d, V = torch.linalg.eigh((core + core.T) / 2)
    kept = d > _NULL * d[-1]
    factor: Tensor = image @ (V[:, kept] / d[kept].sqrt())
    return factor


def _check(batch: Tensor, width: int) -> None:
    if batch.ndim != 2 or 0 in batch.shape:
        raise ValueError(f"expected a non-empty matrix (n, m) of features, got shape {tuple(batch.shape)}")
    if batch.shape[1] != width:
        raise ValueError(f"expected batches of one width, got {width} and then {batch.shape[1]}")
    if bad := int((~batch.isfinite()).sum()):
        raise ValueError(f"expected finite features, got {bad} values of {batch.numel()} that are NaN or infinite")


def _check_seen(rows: int) -> None:
    if not rows:
        raise ValueError("expected at least one batch of features, got none")


def _positive(energy: float) -> float:
    if energy <= 0:
        raise ValueError("expected features that are not all zero, got only zeros")
    return energy
