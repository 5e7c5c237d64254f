"""How every metric runs a model: in batches, in eval mode, without gradients, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Put a model into eval mode without gradients, and every one of its modules back into its own mode afterwards.

    Args:
        model: Any module; a plain function has no mode and is left alone.

    Example:
        >>> layer = nn.Dropout()
        >>> with evaluating(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        # Not model.eval(): a network that overrides train() may do more there than can be undone.
        for module in modules:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def batches(x: Tensor, batch_size: int) -> list[Tensor]:
    """Cut examples into views of at most ``batch_size``.

    Args:
        x: Examples ``(n, ...)``.
        batch_size: At least 1.

    Returns:
        Views of ``x``, in order.

    Raises:
        ValueError: If there are no examples or ``batch_size`` is not positive.
    """
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"expected at least one example (n, ...), got shape {tuple(x.shape)}")
    if batch_size < 1:
        raise ValueError(f"expected batch_size >= 1, got {batch_size}")
    return [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
