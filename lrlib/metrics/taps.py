"""What comes out of, or goes into, a named place of any network.

A place is a *tap*: the dotted name of a module in ``model.named_modules()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lrlib.metrics.evaluation import batches, evaluating

_LISTED = 40


def features(model: nn.Module, x: Tensor, tap: str, *, batch_size: int = 256) -> Tensor:
    """Representations at a tap: what the module of that name puts out, flattened.

    Args:
        model: Any network; it runs in eval mode without gradients and is left as it was found.
        x: Examples ``(n, ...)``, on the model's device.
        tap: Dotted name of a module that runs once in a forward pass and puts out one tensor ``(n, ...)``.
        batch_size: Examples per forward pass.

    Returns:
        Activation matrix ``(n, m)``.

    Raises:
        ValueError: If there is no such tap (the message lists those that exist), it does not run exactly once, it puts
            out anything else than one tensor with a row per example, or there are no examples.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
        >>> features(model, torch.ones(5, 1, 2, 2), "1").shape
        torch.Size([5, 3])
    """
    return torch.cat(list(feature_batches(model, x, tap, batch_size=batch_size)))


def feature_batches(model: nn.Module, x: Tensor, tap: str, *, batch_size: int = 256) -> Iterator[Tensor]:
    """Stream :func:`features`, for spectra of matrices that do not fit into memory.

    Arguments and errors are those of :func:`features`; between two batches the model is as it was found.

    Yields:
        Parts ``(n_i, m)`` of the activation matrix, in order, ``n_i <= batch_size``.

    Example:
        >>> from lrlib.linalg import singular_values
        >>> singular_values(feature_batches(nn.Sequential(nn.Identity()), torch.eye(3), "0", batch_size=2)).tolist()
        [1.0, 1.0, 1.0]
    """
    module = _module(model, tap)

    def watch(keep: Callable[[object], None]) -> RemovableHandle:
        return module.register_forward_hook(lambda _module, _args, output: keep(output))

    return (_caught(model, batch, tap, watch).reshape(len(batch), -1) for batch in batches(x, batch_size))


def features_at(
    model: nn.Module, x: Tensor, taps: Sequence[str], *, batch_size: int = 256
) -> Iterator[dict[str, Tensor]]:
    """Stream the representations at several taps from one forward pass.

    Arguments and errors are those of :func:`features`; between two batches the model is as it was found.

    Yields:
        Parts ``(n_i, m)`` of the activation matrix of each tap, by its name, ``n_i <= batch_size``.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
        >>> {tap: a.shape[1] for tap, a in next(features_at(model, torch.ones(5, 1, 2, 2), ["0", "2"])).items()}
        {'0': 4, '2': 3}
    """
    modules = {tap: _module(model, tap) for tap in taps}
    return (_caught_at(model, batch, modules) for batch in batches(x, batch_size))


def layer_inputs(model: nn.Module, tap: str, x: Tensor, *, batch_size: int = 256) -> Iterator[Tensor]:
    """Stream what enters the module at a tap, in its own shape, as :func:`lrlib.metrics.layer_cushion` wants it.

    Args:
        model: Any network; between two batches it is as it was found.
        tap: Dotted name of a module that runs once in a forward pass and takes one tensor ``(n, ...)``.
        x: Examples ``(n, ...)``, on the model's device.
        batch_size: Examples per forward pass.

    Yields:
        Inputs ``(n_i, ...)`` of the layer, in order, ``n_i <= batch_size``.

    Raises:
        ValueError: As for :func:`features`.

    Example:
        >>> model = nn.Sequential(nn.ReLU(), nn.Linear(2, 1))
        >>> next(layer_inputs(model, "1", torch.tensor([[-1.0, 2.0]]))).tolist()
        [[0.0, 2.0]]
    """
    module = _module(model, tap)

    def watch(keep: Callable[[object], None]) -> RemovableHandle:
        return module.register_forward_pre_hook(lambda _module, args: keep(args[0] if len(args) == 1 else args))

    return (_caught(model, batch, tap, watch) for batch in batches(x, batch_size))


def layer_passes(
    model: nn.Module, taps: Sequence[str], x: Tensor, *, batch_size: int = 256
) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Stream what enters and what leaves the modules at several taps, from one forward pass for all of them.

    Args:
        model: Any network; between two batches it is as it was found.
        taps: Dotted names of modules that run once in a forward pass, take one tensor ``(n, ...)`` and put one out.
        x: Examples ``(n, ...)``, on the model's device.
        batch_size: Examples per forward pass.

    Yields:
        Inputs and outputs ``(n_i, ...)`` by tap, in their own shapes, batch by batch in order, ``n_i <= batch_size``.

    Raises:
        ValueError: As for :func:`features`.

    Example:
        >>> model = nn.Sequential(nn.ReLU(), nn.Flatten())
        >>> next(layer_passes(model, ["0"], torch.tensor([[-1.0, 2.0]])))
        {'0': (tensor([[-1.,  2.]]), tensor([[0., 2.]]))}
    """
    modules = {tap: _module(model, tap) for tap in taps}
    return (_passed(model, batch, modules) for batch in batches(x, batch_size))


def _passed(model: nn.Module, batch: Tensor, modules: dict[str, nn.Module]) -> dict[str, tuple[Tensor, Tensor]]:
    entered: dict[str, list[Tensor]] = {tap: [] for tap in modules}
    left: dict[str, list[Tensor]] = {tap: [] for tap in modules}

    def enter(tap: str, _module: nn.Module, args: tuple[object, ...]) -> None:
        _keep(entered[tap], tap, len(batch), args[0] if len(args) == 1 else args)

    def leave(tap: str, _module: nn.Module, _args: object, output: object) -> None:
        _keep(left[tap], tap, len(batch), output)

    with ExitStack() as handles, evaluating(model):
        for tap, module in modules.items():
            handles.enter_context(module.register_forward_pre_hook(partial(enter, tap)))
            handles.enter_context(module.register_forward_hook(partial(leave, tap)))
        model(batch)
    return {tap: (_only(entered[tap], tap), _only(left[tap], tap)) for tap in modules}


def _module(model: nn.Module, tap: str) -> nn.Module:
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    if tap not in names:
        names.remove("")
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise ValueError(f"expected a tap of this model, one of {', '.join(names[:_LISTED])}{more}, got {tap!r}")
    return model.get_submodule(tap)


def _caught(model: nn.Module, batch: Tensor, tap: str, watch: Callable[[Any], RemovableHandle]) -> Tensor:
    """Run one batch with a hook in place, and take the one tensor that the hook has seen."""
    seen: list[Tensor] = []
    handle = watch(partial(_keep, seen, tap, len(batch)))
    try:
        with evaluating(model):
            model(batch)
    finally:
        handle.remove()
    if len(seen) != 1:
        raise ValueError(f"expected tap {tap!r} to run once in a forward pass, it ran {len(seen)} times")
    return seen[0]


def _caught_at(model: nn.Module, batch: Tensor, modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Run one batch with a hook at each tap, and take the flattened tensors."""
    seen: dict[str, list[Tensor]] = {tap: [] for tap in modules}
    handles = [
        module.register_forward_hook(lambda _module, _args, output, tap=tap: _keep(seen[tap], tap, len(batch), output))
        for tap, module in modules.items()
    ]
    try:
        with evaluating(model):
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    for tap, found in seen.items():
        if len(found) != 1:
            raise ValueError(f"expected tap {tap!r} to run once in a forward pass, it ran {len(found)} times")
    return {tap: found.flatten(1) for tap, (found,) in seen.items()}


def _only(seen: list[Tensor], tap: str) -> Tensor:
    if len(seen) != 1:
        raise ValueError(f"expected tap {tap!r} to run once in a forward pass, it ran {len(seen)} times")
    return seen[0]


def _keep(seen: list[Tensor], tap: str, n: int, value: object) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"expected one tensor at tap {tap!r}, got {type(value).__name__}")
    if value.shape[:1] != (n,):
        raise ValueError(f"expected a tensor ({n}, ...) at tap {tap!r}, got shape {tuple(value.shape)}")
    # A copy, because a later in-place operation (ReLU, a residual sum) may overwrite the tensor.
    seen.append(value.clone())
