"""Arguments that the attacks share: each check says in one sentence what was expected and what came."""

import torch
from torch import Tensor


def check_images(x: Tensor) -> None:
    """Raises a ``ValueError`` unless ``x`` is a floating-point batch in [0, 1]."""
    if not x.is_floating_point() or x.dim() == 0:
        raise ValueError(f"expected x to be a floating-point batch (n, ...), got {x.dtype} of shape {tuple(x.shape)}")
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"expected x in [0, 1], got values from {x.min().item():g} to {x.max().item():g}")


def check_codes(z: Tensor) -> None:
    """Raises a ``ValueError`` unless ``z`` is a floating-point batch of finite numbers."""
    if not z.is_floating_point() or z.dim() == 0:
        raise ValueError(f"expected a floating-point batch (n, ...), got {z.dtype} of shape {tuple(z.shape)}")
    if not z.isfinite().all():
        raise ValueError(f"expected finite numbers, got {int((~z.isfinite()).sum())} that are not")


def check_labels(y: Tensor, x: Tensor) -> int:
    """Raises a ``ValueError`` unless ``y`` holds one label for each image; returns how many classes the labels need."""
    if y.shape != x.shape[:1] or y.dtype == torch.bool or y.is_floating_point() or y.is_complex():
        raise ValueError(
            f"expected y to hold {len(x)} integer labels, one for each image, got {y.dtype} of shape {tuple(y.shape)}"
        )
    if (y < 0).any():
        raise ValueError(f"expected labels from 0 on, got {int(y.min())}")
    return int(y.max()) + 1 if len(y) else 0


def check_count(name: str, count: int, *, least: int) -> None:
    """Raises a ``ValueError`` unless ``count`` is at least ``least``."""
    if count < least:
        raise ValueError(f"expected {name} >= {least}, got {count}")


def budget(name: str, value: float | Tensor, x: Tensor) -> Tensor:
    """Brings ``eps`` or ``step_size`` to the dtype and device of ``x``; ``ValueError`` unless it is a budget."""
    amount = torch.as_tensor(value, dtype=x.dtype, device=x.device).detach()
    if not ((amount >= 0) & amount.isfinite()).all():
        raise ValueError(f"expected {name} to be finite and at least 0, got {value}")
    # Compared from the right: a budget must never make the batch larger, which broadcasting alone would allow.
    pairs = zip(reversed(amount.shape), reversed(x.shape), strict=False)
    if amount.dim() > x.dim() or any(size not in (1, whole) for size, whole in pairs):
        raise ValueError(f"expected {name} to broadcast against x of shape {tuple(x.shape)}, got {tuple(amount.shape)}")
    return amount


def check_logits(logits: Tensor, x: Tensor, *, classes: int) -> None:
    """Raises a ``ValueError`` unless ``logits`` are ``(n, c)``, ``c >= classes``, and can be traced back to ``x``."""
    if logits.dim() != 2 or len(logits) != len(x):
        raise ValueError(f"expected logits of shape ({len(x)}, classes), got {tuple(logits.shape)}")
    if logits.shape[1] < classes:
        raise ValueError(f"expected at least {classes} logits for each image, got {logits.shape[1]}")
    if x.requires_grad and not logits.requires_grad:
        raise ValueError("expected logits that can be differentiated with respect to x, got logits without a graph")


def check_gradient(gradient: Tensor) -> None:
    """Raises a ``ValueError`` if ``gradient`` has a NaN, whose sign torch takes for 0: the image would seem robust."""
    if gradient.isnan().any():
        raise ValueError(f"expected a gradient without NaN, got {int(gradient.isnan().sum())} of {gradient.numel()}")
