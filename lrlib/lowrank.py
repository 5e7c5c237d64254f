r"""The LR layer: a virtual layer that pulls the activations of a network into a low-dimensional affine subspace.

A :class:`LowRank` holds ``W`` and ``b`` and computes the two losses of eq. 2; :func:`lrlib.attach` puts such layers on
named modules of a network.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from lrlib import nystrom

Projection = Literal["ensemble", "nystrom", "exact"]
PROJECTIONS: tuple[Projection, ...] = ("ensemble", "nystrom", "exact")


class Losses(NamedTuple):
    """The unweighted losses of one batch, scalars.

    Attributes:
        projection: L_c, the mean squared distance of the activations from their image under ``W``.
        norm: L_n, the mean distance of the activations' norms from one.
    """

    projection: Tensor
    norm: Tensor


class LowRank(nn.Module):
    r"""The LR layer ``(W, b)`` of algorithms 1 and 2.

    The layer is trained beside the network: after each backward pass, :meth:`step` takes one descent step on
    :math:`\mathcal{L}_c` in ``W``, then one in ``b``, and every ``cut_every`` steps cuts ``W`` to rank ``rank``. The
    paper keeps ``W`` symmetric by the parametrisation :math:`W = (W_s + W_s^\top) / 2`; the gradient in :math:`W_s` is
    then the symmetric part of the gradient in ``W``, so a ``W`` that starts symmetric and takes that step is the same
    iteration.

    The paper states neither the start of ``W`` and ``b`` nor their steps. Here ``W`` starts as the projector on the
    leading directions of the first activations it sees, with ``b`` minus their mean. The curvature of
    :math:`\mathcal{L}_c` in ``W`` is at most :math:`2\, \mathbb{E}\|a + b\|^2`, and in ``b`` about 2; the step in ``W``
    is ``step_size`` over :math:`\mathbb{E}\|a + b\|^2`, and in ``b`` half of ``step_size``, so that any ``step_size``
    below one is stable, whatever the scale of the activations.

    Args:
        features: Width of the activations, the paper's ``m``.
        rank: Target rank ``r``, ``1 <= rank <= features``.
        cut_every: Steps between two cuts of the rank; the paper says 10.
        step_size: Step for ``W`` relative to the largest stable one, and for ``b`` likewise, in ``(0, 1)``.
        weight_decay: Share of ``W`` that a step takes off, over ``step_size``; at least 0.
        projection: How the rank is cut: ``"ensemble"`` (the paper's), ``"nystrom"`` or ``"exact"``.
        columns: Columns that Nyström samples; twice the rank, as in the paper, unless given, at most ``features``.
        members: Members of the ensemble; the paper doesn't say.
        as_written: Leave the ensemble's average at its rank of up to ``members * rank``, as the paper writes it; of no
            effect on the other projections.
        smoothing: Multiple of the identity added while a decomposition fails (appendix B.1).
        seed: Seed of the columns that Nyström samples.

    Attributes:
        W: Symmetric matrix ``(m, m)``.
        b: Translation ``(m,)``.
        steps: Number of steps taken.
        started: Whether ``W`` and ``b`` have their start.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> lr = LowRank(8, rank=2)
        >>> a = torch.randn(32, 8)
        >>> projection, norm = lr(a)
        >>> lr.step()
        >>> int(torch.linalg.matrix_rank(lr.project_().W))
        2
    """

    W: Tensor
    b: Tensor

    def __init__(
        self,
        features: int,
        rank: int,
        *,
        cut_every: int = 10,
        step_size: float = 0.1,
        weight_decay: float = 0.0,
        projection: Projection = "ensemble",
        columns: int | None = None,
        members: int = 5,
        as_written: bool = False,
        smoothing: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        columns = min(features, 2 * rank) if columns is None else columns
        nystrom.check_sizes(features, rank, columns=columns, members=members, smoothing=smoothing)
        if not 0 < step_size < 1:
            raise ValueError(f"expected a step_size between 0 and 1, relative to the stable one, got {step_size}")
        if weight_decay < 0:
            raise ValueError(f"expected weight_decay >= 0, got {weight_decay}")
        if cut_every < 1:
            raise ValueError(f"expected cut_every >= 1, got {cut_every}")
        if projection not in PROJECTIONS:
            raise ValueError(f"expected a projection among {', '.join(PROJECTIONS)}, got {projection!r}")
        self.features, self.rank, self.cut_every = features, rank, cut_every
        self.step_size, self.weight_decay = step_size, weight_decay
        self.projection, self.members, self.as_written = projection, members, as_written
        self.columns, self.smoothing, self.seed = columns, smoothing, seed
        self.register_buffer("W", torch.zeros(features, features))
        self.register_buffer("b", torch.zeros(features))
        # Not buffers: on a GPU, each look at one would wait for all that is queued there.
        self.steps, self.started = 0, False
        self._batch: tuple[Tensor, Tensor] | None = None

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"features={self.features}, rank={self.rank}, projection={self.projection!r}"

    def get_extra_state(self) -> Tensor:
        """What ``state_dict`` keeps beside ``W`` and ``b``: ``steps`` and ``started``."""
        return torch.tensor([self.steps, int(self.started)])

    def set_extra_state(self, state: Tensor) -> None:
        """What ``load_state_dict`` does with it."""
        self.steps, self.started = int(state[0]), bool(state[1])

    def forward(self, a: Tensor) -> Losses:
        r"""The two losses of a batch (eq. 2).

        .. math::
            \mathcal{L}_c = \frac1n \sum_i \|W^\top (a_i + b) - (a_i + b)\|_2^2, \qquad
            \mathcal{L}_n = \frac1n \sum_i \bigl| 1 - \|a_i\|_2 \bigr|

        Args:
            a: Activations ``(n, m)``; computed in the precision of ``W`` even under autocast.

        Returns:
            The unweighted losses, differentiable in ``a``.

        Raises:
            ValueError: If the activations don't have the layer's width.
            FloatingPointError: If the activations that ``W`` would start from are not finite.
        """
        if a.ndim != 2 or a.shape[1] != self.features:
            raise ValueError(f"expected activations of shape (n, {self.features}), got {tuple(a.shape)}")
        with torch.autocast(a.device.type, enabled=False):
            a = a.to(self.W.dtype)
            if self.training and not self.started:
                self.start_(a.detach())
            translated = a + self.b
            residual = translated @ self.W - translated
            if self.training:
                self._batch = (translated.detach(), residual.detach())
            projection = residual.square().sum(dim=1).mean()
            norm = (1 - torch.linalg.vector_norm(a, dim=1)).abs().mean()
        return Losses(projection, norm)

    @torch.no_grad()
    def start_(self, a: Tensor) -> Self:
        """Set ``W`` to the projector on the leading directions of ``a`` ``(n, m)`` and ``b`` to minus its mean.

        Raises:
            FloatingPointError: If ``a`` is not finite.
        """
        a = a.to(self.W)
        if not torch.isfinite(a).all():
            raise FloatingPointError("expected finite activations to start W from, got infinities or NaN")
        mean = a.mean(dim=0)
        directions = torch.linalg.svd(a - mean, full_matrices=False)[2][: self.rank]
        self.W.copy_(nystrom.Factors(directions.T, torch.ones_like(directions[:, 0])).dense())
        self.b.copy_(-mean)
        self.started = True
        return self

    @torch.no_grad()
    def step(self) -> None:
        """Lines 12 and 13 of Algorithm 2: descend on the last batch's projection loss; cut the rank when it is due.

        Does nothing when there was no batch in training mode since the last step.

        Raises:
            FloatingPointError: If that batch was not finite; ``W`` and ``b`` are left as they were.
        """
        if self._batch is None:
            return
        translated, residual = self._batch
        self._batch = None
        energy = translated.square().sum(dim=1).mean()
        if not torch.isfinite(energy):
            raise FloatingPointError("expected finite activations in the LR layer, got infinities, NaN or an overflow")
        scale = self.step_size / (len(translated) * energy.clamp_min(torch.finfo(energy.dtype).tiny))
        with torch.autocast(self.W.device.type, enabled=False):
            if self.weight_decay:
                self.W.mul_(1 - self.step_size * self.weight_decay)
            outer = (scale * translated).T @ residual
            self.W.sub_(outer + outer.T)
            # With the W of now, not of the forward pass: two steps at once could overshoot together.
            mean = translated.mean(dim=0)
            pull = mean @ self.W - mean
            self.b.sub_(self.step_size * (pull @ self.W - pull))
        self.steps += 1
        if self.steps % self.cut_every == 0:
            self._cut_(cut=not self.as_written)

    def project_(self) -> Self:
        """Cut ``W`` to rank at most ``rank`` (line 13 of Algorithm 2), whatever ``as_written`` says."""
        self._cut_(cut=True)
        return self

    @torch.no_grad()
    def _cut_(self, *, cut: bool) -> None:
        if self.projection == "exact":
            self.W.copy_(nystrom.exact_factors(self.W, self.rank, self.smoothing).dense())
            return
        # Seeded by the step, so that a resumed run draws what an uninterrupted one draws.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.steps)
        members = self.members if self.projection == "ensemble" else 1
        args = (self.W, self.rank, self.columns, members, generator, self.smoothing)
        self.W.copy_(nystrom.ensemble_factors(*args, cut=cut).dense())
