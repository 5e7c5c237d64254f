r"""The LR layer: a virtual layer that pulls the activations of a network into a low-dimensional affine subspace.

A :class:`LowRank` has ``W``, ``b`` and the two losses of eq. 2; :func:`lrlib.attachment.attach` puts it on a network.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn

from lrlib import nystrom
from lrlib.dense import Cut, Dense, Projection, Seen
from lrlib.factored import Factored

Form = Literal["auto", "dense", "factored"]
Start = Literal["leading", "random"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


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
    paper keeps ``W`` symmetric by the parametrisation :math:`W = (W_s + W_s^\top) / 2`; a ``W`` that starts symmetric
    and steps along the symmetric part of its gradient is the same iteration.

    The paper states neither the start of ``W`` and ``b`` nor their steps. Here ``W`` starts as the projector on the
    leading directions of the first activations it sees, with ``b`` minus their mean. The curvature of
    :math:`\mathcal{L}_c` in ``W`` is at most :math:`2\, \mathbb{E}\|a + b\|^2`, and in ``b`` about 2; the step in ``W``
    is ``step_size`` over :math:`\mathbb{E}\|a + b\|^2`, and in ``b`` half of ``step_size``, so that any ``step_size``
    below one is stable, whatever the scale of the activations.

    ``W`` is kept as a matrix or by factors that are never multiplied out, whichever is cheaper; they agree to rounding.

    Args:
        features: Width of the activations, the paper's ``m``.
        rank: Target rank ``r``, ``1 <= rank <= features``.
        cut_every: Steps between two cuts of the rank; the paper says 10.
        step_size: Step for ``W`` relative to the largest stable one, and for ``b`` likewise, in ``(0, 1)``.
        weight_decay: Share of ``W`` that a step takes off, over ``step_size``; at least 0.
        projection: How the rank is cut: ``"ensemble"`` (the paper's), ``"nystrom"``, ``"randomized"`` or ``"exact"``.
        columns: Columns that Nyström samples, or width of the random block; unless given, twice the rank.
        members: Members of the ensemble; the paper doesn't say.
        as_written: Leave the ensemble's average at its rank of up to ``members * rank``, as the paper writes it.
        smoothing: Multiple of the identity added while a decomposition fails (appendix B.1).
        seed: Seed of the columns that Nyström samples, of the random block, and of a random start.
        start: ``"leading"``, or ``"random"`` for the projector on a random subspace; ``b`` starts likewise.
        form: ``"dense"``, ``"factored"``, or ``"auto"`` for what is cheaper at the size of the batch after a start.

    Attributes:
        b: Translation ``(m,)``.
        steps: Number of steps taken.
        started: Whether ``W`` and ``b`` have their start.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> lr = LowRank(8, rank=2)
        >>> projection, norm = lr(torch.randn(32, 8))
        >>> int(torch.linalg.matrix_rank(lr.project_().W))
        2
    """

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
        start: Start = "leading",
        form: Form = "auto",
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
        _check_among("projection", projection, PROJECTIONS)
        _check_among("start", start, get_args(Start))
        _check_among("form", form, get_args(Form))
        self.features, self.rank, self.cut_every, self.start, self.form = features, rank, cut_every, start, form
        self.step_size, self.weight_decay, self.seed = step_size, weight_decay, seed
        self.cut = Cut(projection, rank, columns, members if projection == "ensemble" else 1, smoothing, as_written)
        self.matrix: Dense | Factored = Factored(torch.zeros(0, features), torch.zeros(0, 0))
        self.register_buffer("b", torch.zeros(features))
        # Not buffers: on a GPU, each look at one would wait for all that is queued there.
        self.steps, self.started, self._settled = 0, False, False
        self._seen: Seen | None = None

    @property
    def W(self) -> Tensor:
        """The symmetric matrix ``(m, m)``; of a layer by factors, formed anew at each look."""
        return self.matrix.dense()

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"features={self.features}, rank={self.rank}, projection={self.cut.projection!r}"

    def get_extra_state(self) -> dict[str, Any]:
        """What ``state_dict`` keeps beside ``b``: ``W`` in its form, ``steps`` and ``started``."""
        return {"steps": self.steps, "started": self.started, "matrix": self.matrix.content()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """What ``load_state_dict`` does with it."""
        self.steps, self.started = state["steps"], state["started"]
        content = {name: value.to(self.b).clone() for name, value in state["matrix"].items()}
        self.matrix = Dense(**content) if "W" in content else Factored(**content)
        self._settled, self._seen = self.steps > 0, None

    def forward(self, a: Tensor) -> Losses:
        r"""The two losses of a batch (eq. 2).

        .. math::
            \mathcal{L}_c = \frac1n \sum_i \|W^\top (a_i + b) - (a_i + b)\|_2^2, \qquad
            \mathcal{L}_n = \frac1n \sum_i \bigl| 1 - \|a_i\|_2 \bigr|

        Args:
            a: Activations ``(n, m)``; computed in the precision of ``W`` even under autocast.

        Returns:
            The unweighted losses, differentiable in ``a`` once.

        Raises:
            ValueError: If the activations don't have the layer's width.
            FloatingPointError: If the activations that ``W`` would start from are not finite.
        """
        if a.ndim != 2 or a.shape[1] != self.features:
            raise ValueError(f"expected activations of shape (n, {self.features}), got {tuple(a.shape)}")
        with torch.autocast(a.device.type, enabled=False):
            a = a.to(self.b.dtype)
            if self.training and not self.started:
                self.start_(a.detach())
            if self.training and not self._settled:
                self._settle_form_(len(a))
            projection, seen = self.matrix.loss(a + self.b)
            if self.training:
                self._seen = seen
            norm = (1 - torch.linalg.vector_norm(a, dim=1)).abs().mean()
        return Losses(projection, norm)

    @torch.no_grad()
    def start_(self, a: Tensor) -> Self:
        """Set ``W`` to the projector on the leading directions of ``a`` ``(n, m)`` and ``b`` to minus its mean."""
        a = a.to(self.b)
        if not torch.isfinite(a).all():
            raise FloatingPointError("expected finite activations to start W from, got infinities or NaN")
        mean = a.mean(dim=0)
        if self.start == "random":
            random = torch.randn(self.features, self.rank, generator=self._generator(), dtype=a.dtype)
            self.matrix = Factored.projector(torch.linalg.qr(random.to(a.device))[0].T)
        else:
            Q, R = torch.linalg.qr((a - mean).T)  # for wide layers: the decomposition is then as small as the batch
            self.matrix = Factored.projector(torch.linalg.svd(R.T, full_matrices=False)[2][: self.rank] @ Q.T)
        self.b.copy_(-mean)
        self.started, self._settled, self._seen = True, False, None
        return self

    @torch.no_grad()
    def set_(self, W: Tensor, b: Tensor) -> Self:
        """Set ``W``, a symmetric matrix ``(m, m)``, and ``b`` ``(m,)``, as a start of one's own."""
        nystrom.check_symmetric(W)
        if (len(W), *b.shape) != (self.features, self.features):
            raise ValueError(f"expected W and b of width {self.features}, got {tuple(W.shape)} and {tuple(b.shape)}")
        self.matrix = Dense(((W + W.T) / 2).to(self.b))
        self.b.copy_(b)
        self.started, self._settled, self._seen = True, False, None
        return self

    def _settle_form_(self, n: int) -> None:
        rows = self.rank + n * min(self.cut_every, self.features)
        dense = rows > self.features if self.form == "auto" else self.form == "dense"
        self.matrix, self._settled = Dense(self.matrix.dense()) if dense else Factored.of(self.matrix, rows), True

    @torch.no_grad()
    def step(self) -> None:
        """Lines 12 and 13 of Algorithm 2: descend on the last batch's projection loss; cut the rank when it is due.

        Does nothing when there was no batch in training mode since the last step.

        Raises:
            FloatingPointError: If that batch was not finite; ``W`` and ``b`` are left as they were.
        """
        if self._seen is None:
            return
        seen, self._seen = self._seen, None
        energy = seen.a.square().sum(dim=1).mean()
        if not torch.isfinite(energy):
            raise FloatingPointError("expected finite activations in the LR layer, got infinities, NaN or an overflow")
        with torch.autocast(self.b.device.type, enabled=False):
            if self.weight_decay:
                self.matrix.decay_(self.step_size * self.weight_decay)
            self.matrix.descend_(
                seen, self.step_size / (len(seen.a) * energy.clamp_min(torch.finfo(energy.dtype).tiny))
            )
            # With the W of now, not of the forward pass: two steps at once could overshoot together.
            mean = seen.a.mean(dim=0)
            pull = self.matrix.multiply(mean) - mean
            self.b.sub_(self.step_size * (self.matrix.multiply(pull) - pull))
        self.steps += 1
        if self.steps % self.cut_every == 0:
            self._cut_(self.cut)

    @torch.no_grad()
    def project_(self) -> Self:
        """Cut ``W`` to rank at most ``rank`` (line 13 of Algorithm 2), whatever ``as_written`` says."""
        self._cut_(self.cut._replace(as_written=False))
        return self

    def _cut_(self, cut: Cut) -> None:
        with torch.autocast(self.b.device.type, enabled=False):
            self.matrix.cut_(cut, self._generator())

    def _generator(self) -> torch.Generator:
        """Seeded by the step, so that a resumed run draws what an uninterrupted one draws."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + self.steps)


def _check_among(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"expected a {name} among {', '.join(known)}, got {value!r}")
