"""LR layers on the named modules of any network, beside it and never in its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from lrlib.lowrank import Losses, LowRank


class Attachment:
    """LR layers on the named modules of a network; see :func:`attach`.

    During a forward pass the activations are only kept, so that the pass can be compiled; the layers see them when a
    loss or a step is asked for.

    Attributes:
        layers: The :class:`~lrlib.lowrank.LowRank` of each tap.
    """

    def __init__(
        self, model: nn.Module, layers: Mapping[str, LowRank], lambda_c: float, lambda_n: float, *, bounded: bool
    ) -> None:
        if lambda_c < 0 or lambda_n < 0:
            raise ValueError(f"expected weights of the losses from 0 on, got {lambda_c=} and {lambda_n=}")
        if not layers:
            raise ValueError("expected at least one LR layer, got none")
        modules = dict(model.named_modules())
        unknown = [tap for tap in layers if not tap or tap not in modules]
        if unknown:
            known = ", ".join(name for name in modules if name)
            raise ValueError(f"expected taps among {known}, got {', '.join(map(repr, unknown))}")
        self.layers = dict(layers)
        self.lambda_c, self.lambda_n, self.bounded = lambda_c, lambda_n, bounded
        self._activations: dict[str, Tensor] = {}
        self._losses: dict[str, Losses] = {}
        self._model = model
        self._handles = [modules[tap].register_forward_hook(self._collector(tap)) for tap in layers]
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        for layer in self.layers.values():
            layer.to(device)

    def _collector(self, tap: str) -> Callable[[nn.Module, object, object], None]:
        def collect(module: nn.Module, args: object, output: object) -> None:
            if not (self._model.training and torch.is_grad_enabled()):
                return
            if not isinstance(output, Tensor):
                raise TypeError(f"expected {tap} to return a tensor, got {type(output).__name__}")
            # A copy, for the next module may be a ReLU that overwrites what the losses still need.
            self._activations[tap] = output.flatten(1).clone()
            self._losses = {}

        return collect

    @property
    def losses(self) -> dict[str, Losses]:
        """The unweighted losses of each tap in the last forward pass in training mode since the last step.

        Of a module that a pass calls more than once they are those of the last call.
        """
        if not self._losses:
            with torch.enable_grad():
                self._losses = {tap: self.layers[tap](a) for tap, a in self._activations.items()}
        return self._losses

    def loss(self) -> Tensor:
        r"""The regularizer of the last forward pass, summed over the taps.

        It is lambda_c * projection + lambda_n * norm; with ``bounded`` the projection loss is divided by the root mean
        square of :math:`\|a + b\|` wherever that is above one.

        Raises:
            RuntimeError: If some tap saw no forward pass in training mode since the last call of :meth:`step`.
        """
        silent = self.layers.keys() - self._activations.keys()
        if silent:
            raise RuntimeError(f"expected a forward pass in training mode first, got none through {', '.join(silent)}")
        terms = []
        for tap, one in self.losses.items():
            a = self._activations[tap].detach()
            scale = _size(a + self.layers[tap].b).clamp_min(1) if self.bounded else 1
            terms.append(self.lambda_c * one.projection / scale + self.lambda_n * one.norm)
        return torch.stack(terms).sum()

    def step(self) -> None:
        """Step every layer, after the network's own optimizer: :meth:`lrlib.lowrank.LowRank.step`."""
        if self.losses:
            for layer in self.layers.values():
                layer.step()
        self._forget()

    def detach(self) -> None:
        """Take the layers off; the network is then exactly what it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()

    def _forget(self) -> None:
        self._activations.clear()
        self._losses = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()


def _size(a: Tensor) -> Tensor:
    """Root mean square of the norms of the rows of ``a`` ``(n, m)``, in fp32 or better."""
    norm: Tensor = torch.linalg.vector_norm(a, dtype=torch.promote_types(a.dtype, torch.float32))
    size: Tensor = norm / len(a) ** 0.5
    return size


def attach(
    model: nn.Module,
    layers: Mapping[str, LowRank],
    *,
    lambda_c: float = 1.0,
    lambda_n: float = 1.0,
    bounded: bool = True,
) -> Attachment:
    """Put LR layers on named modules of a network.

    The layers are virtual: they see the modules' outputs, flattened to ``(n, m)``, in training mode only. The network's
    outputs, parameters, state and speed at prediction stay those of the network without them.

    Args:
        model: Any network.
        layers: A :class:`~lrlib.lowrank.LowRank` for each tap, the dotted name of a module.
        lambda_c: Weight of the projection losses, the paper's λ1, whose value it doesn't state.
        lambda_n: Weight of the norm losses, the paper's λ2, likewise.
        bounded: Divide each projection loss by the root mean square of ``|a + b|`` where that is above one. The loss is
            quadratic in the activations: those of a plain network, with norms of ten to a hundred, would get gradients
            that many times larger than the ones of norm one that the norm loss leads to, and SGD would diverge. At
            norms up to one it is the paper's loss; ``False`` makes it that everywhere.

    Returns:
        The attachment, also a context manager that takes the layers off at the end.

    Raises:
        ValueError: If there is no layer, or the network has no module of that name.

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> lr = attach(network, {"1": LowRank(16, rank=2)}, lambda_c=1.0, lambda_n=1.0)
        >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        >>> x, y = torch.rand(32, 4), torch.randint(3, (32,))
        >>> loss = nn.functional.cross_entropy(network(x), y) + lr.loss()
        >>> optimizer.zero_grad(); loss.backward(); optimizer.step(); lr.step()
    """
    return Attachment(model, layers, lambda_c, lambda_n, bounded=bounded)
