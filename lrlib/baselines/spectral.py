"""Weights of spectral norm 1 (SN: Miyato et al., 2018), and of a bounded stable rank too (SRN: Sanyal et al., 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from lrlib.baselines._layers import weighted

_FIRST_ITERATIONS = 15  # of the power method, before the first step; as many as torch's own spectral norm makes
_TINY = 1e-12


class StableRank(nn.Module):
    r"""Divides a weight by its spectral norm, and shrinks all but its leading direction to a bounded stable rank.

    With :math:`\hat W = W / \sigma_1` and its leading direction :math:`S = u v^\top` this is
    :math:`S + \gamma (\hat W - S)` with the largest :math:`\gamma \le 1` for which
    :math:`\|S + \gamma (\hat W - S)\|_F^2 = 1 + \gamma^2 \|\hat W - S\|_F^2` is at most the target: the nearest such
    matrix that keeps :math:`S` (Sanyal, Torr and Dokania, 2020).

    A parametrization of a weight ``(out, in, ...)``, taken as the matrix of ``out`` rows. In training mode each forward
    pass improves ``u`` and ``v`` by one step of the power method. The precision is the weight's, under autocast too.

    Args:
        weight: The weight to start from.
        share: Largest stable rank as a share of ``min(rows, columns)``, above 0 and at most 1; a target below 1, which
            no matrix has, is raised to 1.

    Attributes:
        target: Largest stable rank.

    Raises:
        ValueError: If ``share`` is out of range.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, share: float) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"expected a stable rank above 0 and up to 1 of the smaller side, got {share}")
        matrix = _matrix(weight.detach())
        self.target = max(1.0, share * min(matrix.shape))
        self.register_buffer("u", matrix.new_zeros(matrix.shape[0]))
        self.register_buffer("v", F.normalize(torch.empty_like(matrix[0]).normal_(), dim=0))
        self._iterate(matrix, _FIRST_ITERATIONS)

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight, in the shape of the weight."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = _matrix(weight)
            if self.training:
                self._iterate(matrix.detach(), 1)
            u, v = self.u.clone(), self.v.clone()  # the next forward pass may come before this one's backward pass
            sigma = torch.dot(u, torch.mv(matrix, v))
            free = self.target - 1  # what S leaves of the target
            rest = (torch.linalg.vector_norm(matrix) / sigma).square() - 1  # squared norm of the other directions
            gamma = math.sqrt(free) * rest.clamp(min=max(free, _TINY)).rsqrt()
            # A product of matrices in place of the outer one would have its backward pass in bf16 when it is compiled.
            normalised: Tensor = (gamma / sigma) * matrix + torch.outer((1 - gamma) * u, v)
            return normalised.view(weight.movedim(1, -1).shape).movedim(-1, 1)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> None:
        for _ in range(times):
            self.u.copy_(F.normalize(torch.mv(matrix, self.v), dim=0))
            self.v.copy_(F.normalize(torch.mv(matrix.T, self.u), dim=0))


def _matrix(weight: Tensor) -> Tensor:
    """The matrix ``(out, ...)`` of a weight, its columns in an order that copies nothing in channels_last."""
    return weight.movedim(1, -1).flatten(1)


def spectral_norm(model: nn.Module) -> None:
    """Divide the weight of every convolution and linear layer by its spectral norm, in place (SN).

    A convolution's is that of its matrix ``(out, in * height * width)``.
    """
    for layer in weighted(model).values():
        parametrizations.spectral_norm(layer)


def stable_rank_norm(model: nn.Module, *, share: float) -> None:
    """Put :class:`StableRank` on every convolution and linear layer, in place (SRN).

    Args:
        model: Network with its initial weights.
        share: Largest stable rank as a share of the smaller side of each weight's matrix; 0.3 is the SRN-30 of Sanyal,
            Torr and Dokania (2020).

    Raises:
        ValueError: If ``share`` is not above 0 and at most 1.
    """
    for layer in weighted(model).values():
        parametrize.register_parametrization(layer, "weight", StableRank(layer.weight, share))
