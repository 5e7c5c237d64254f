r"""The LR layer: a virtual layer that pulls the activations of a network into a low-dimensional affine subspace.

A :class:`LowRank` holds ``W`` and ``b`` and computes the two losses of eq. 2. :func:`attach` puts such layers on named
modules of any network, collects their losses during the forward pass and leaves prediction as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
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
    :math:`\mathcal{L}_c` in ``W`` and ``b``, and every ``cut_every`` steps cuts ``W`` to rank ``rank``. The paper keeps
    ``W`` symmetric by the parametrisation :math:`W = (W_s + W_s^\top) / 2`; the gradient in :math:`W_s` is then the
    symmetric part of the gradient in ``W``, so a ``W`` that starts symmetric and takes that step is the same iteration.

    The paper states neither the start of ``W`` and ``b`` nor their step. Here ``W`` starts as the projector on the
    leading directions of the first activations it sees, with ``b`` minus their mean, and its step is divided by
    :math:`\mathbb{E}\|a + b\|^2`, which bounds the curvature of :math:`\mathcal{L}_c` in ``W``: any ``step_size`` below
    one is stable, whatever the scale of the activations.

    Args:
        features: Width of the activations, the paper's ``m``.
        rank: Target rank ``r``, ``1 <= rank <= features``.
        cut_every: Steps between two cuts of the rank; the paper says 10.
        step_size: Step for ``W`` and ``b`` relative to the largest stable one, in ``(0, 1)``.
        weight_decay: Rate at which ``W`` shrinks a step, times ``step_size``.
        projection: How the rank is cut: ``"ensemble"`` (the paper's), ``"nystrom"`` or ``"exact"``.
        columns: Columns that Nyström samples; twice the rank, as in the paper, unless given, at most ``features``.
        members: Members of the ensemble; the paper doesn't say.
        as_written: Leave the ensemble's average at its rank of up to ``members * rank``, as the paper writes it.
        smoothing: Multiple of the identity added while a decomposition fails (appendix B.1).
        seed: Seed of the columns that Nyström samples.

    Attributes:
        W: Symmetric matrix ``(m, m)``.
        b: Translation ``(m,)``.

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
    steps: Tensor
    started: Tensor

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
        if not 1 <= rank <= features:
            raise ValueError(f"expected 1 <= rank <= {features}, the width of the activations, got rank={rank}")
        if not 0 < step_size < 1:
            raise ValueError(f"expected a step_size between 0 and 1, relative to the stable one, got {step_size}")
        if cut_every < 1:
            raise ValueError(f"expected cut_every >= 1, got {cut_every}")
        if projection not in PROJECTIONS:
            raise ValueError(f"expected a projection among {', '.join(PROJECTIONS)}, got {projection!r}")
        self.features, self.rank, self.cut_every = features, rank, cut_every
        self.step_size, self.weight_decay = step_size, weight_decay
        self.projection, self.members, self.as_written = projection, members, as_written
        self.columns = min(features, 2 * rank) if columns is None else columns
        self.smoothing, self.seed = smoothing, seed
        self.register_buffer("W", torch.zeros(features, features))
        self.register_buffer("b", torch.zeros(features))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self._batch: tuple[Tensor, Tensor] | None = None

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"features={self.features}, rank={self.rank}, projection={self.projection!r}"

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
        """Set ``W`` to the projector on the leading directions of ``a`` ``(n, m)`` and ``b`` to minus its mean."""
        mean = a.to(self.W).mean(dim=0)
        directions = torch.linalg.svd(a.to(self.W) - mean, full_matrices=False)[2][: self.rank]
        self.W.copy_(nystrom.Factors(directions.T, torch.ones_like(directions[:, 0])).dense())
        self.b.copy_(-mean)
        self.started.fill_(True)
        return self

    @torch.no_grad()
    def step(self) -> None:
        """Lines 12 and 13 of Algorithm 2: descend on the last batch's projection loss; cut the rank when it is due.

        Does nothing when there was no batch in training mode since the last step.
        """
        if self._batch is None:
            return
        translated, residual = self._batch
        self._batch = None
        energy = translated.square().sum(dim=1).mean().clamp_min(torch.finfo(translated.dtype).tiny)
        outer = translated.T @ residual
        if self.weight_decay:
            self.W.mul_(1 - self.step_size * self.weight_decay)
        self.W.sub_((outer + outer.T) * (self.step_size / (len(translated) * energy)))
        pull = residual.mean(dim=0)
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
            self.W.copy_(nystrom.exact_factors(self.W, self.rank).dense())
            return
        # Seeded by the step, so that a resumed run draws what an uninterrupted one draws.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.steps))
        members = self.members if self.projection == "ensemble" else 1
        args = (self.W, self.rank, self.columns, members, generator, self.smoothing)
        self.W.copy_(nystrom.ensemble_factors(*args, cut=cut).dense())


class Attachment:
    """LR layers on the named modules of a network; see :func:`attach`.

    Attributes:
        layers: The :class:`LowRank` of each tap.
        losses: The unweighted losses of each tap in the last forward pass in training mode.
    """

    def __init__(self, model: nn.Module, layers: Mapping[str, LowRank], lambda_c: float, lambda_n: float) -> None:
        modules = dict(model.named_modules())
        unknown = [tap for tap in layers if not tap or tap not in modules]
        if unknown:
            known = ", ".join(name for name in modules if name)
            raise ValueError(f"expected taps among {known}, got {', '.join(map(repr, unknown))}")
        self.layers = dict(layers)
        self.lambda_c, self.lambda_n = lambda_c, lambda_n
        self.losses: dict[str, Losses] = {}
        self._model = model
        self._handles = [modules[tap].register_forward_hook(self._collector(tap)) for tap in layers]
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        for layer in self.layers.values():
            layer.to(device)

    def _collector(self, tap: str):  # type: ignore[no-untyped-def]
        def collect(module: nn.Module, args: object, output: Tensor) -> None:
            if self._model.training and torch.is_grad_enabled():
                self.losses[tap] = self.layers[tap](output.flatten(1))

        return collect

    def loss(self) -> Tensor:
        r"""The regularizer of the last forward pass: the sum over taps of lambda_c * projection + lambda_n * norm.

        Raises:
            RuntimeError: If some tap saw no forward pass in training mode since the last call of :meth:`step`.
        """
        silent = self.layers.keys() - self.losses.keys()
        if silent:
            raise RuntimeError(f"expected a forward pass in training mode first, got none through {', '.join(silent)}")
        terms = [self.lambda_c * one.projection + self.lambda_n * one.norm for one in self.losses.values()]
        return torch.stack(terms).sum()

    def step(self) -> None:
        """Step every layer, after the network's own optimizer: :meth:`LowRank.step`."""
        for layer in self.layers.values():
            layer.step()
        self.losses.clear()

    def detach(self) -> None:
        """Take the layers off; the network is then exactly what it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.losses.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()


def attach(
    model: nn.Module, layers: Mapping[str, LowRank], *, lambda_c: float = 1.0, lambda_n: float = 1.0
) -> Attachment:
    """Put LR layers on named modules of a network.

    The layers are virtual: they see the modules' outputs, flattened to ``(n, m)``, in training mode only. The network's
    outputs, parameters, state and speed at prediction stay those of the network without them.

    Args:
        model: Any network.
        layers: A :class:`LowRank` for each tap, the dotted name of a module.
        lambda_c: Weight of the projection losses, the paper's λ1, whose value it doesn't state.
        lambda_n: Weight of the norm losses, the paper's λ2, likewise.

    Returns:
        The attachment, also a context manager that takes the layers off at the end.

    Raises:
        ValueError: If the network has no module of that name.

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> lr = attach(network, {"1": LowRank(16, rank=2)}, lambda_c=1.0, lambda_n=1.0)
        >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        >>> x, y = torch.rand(32, 4), torch.randint(3, (32,))
        >>> loss = nn.functional.cross_entropy(network(x), y) + lr.loss()
        >>> optimizer.zero_grad(); loss.backward(); optimizer.step(); lr.step()
    """
    return Attachment(model, layers, lambda_c, lambda_n)
