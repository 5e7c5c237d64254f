"""Random perturbations of the input."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def random_pixel_noise(
    x: Tensor,
    probability: float,
    *,
    generator: torch.Generator,
    std: float | Tensor = 128 / 255,
    clip: bool = True,
) -> Tensor:
    """Add Gaussian noise to a random subset of the pixels (Sanyal et al., section 3.2, table 4).

    Each position of an image is perturbed with the given probability, one draw shared by its channels; the noise itself
    is independent between channels. Draws are made on the generator's device, so that a CPU generator gives the same
    noise everywhere; with the same seed a larger probability perturbs a superset of the positions by the same amounts.

    The paper's "N(0, 128/255)" leaves open whether 128/255 is a standard deviation or a variance, in which space, and
    whether the result is clipped, so the caller decides: the default reads it as a standard deviation in pixel units;
    ``std=(128 / 255) ** 0.5`` is the variance reading, and ``std=128 / 255 * channel_std`` with a tensor
    ``(channels, 1, 1)`` is the same in normalised units.

    Args:
        x: Images ``(n, channels, height, width)`` in ``[0, 1]``.
        probability: Chance that a position is perturbed, in ``[0, 1]``.
        generator: Source of all randomness.
        std: Standard deviation in pixel units, or a tensor that broadcasts against ``x``.
        clip: Clip the result to ``[0, 1]``.

    Returns:
        Perturbed images, shaped like ``x``, of its type and on its device.

    Raises:
        ValueError: If ``x`` is not a floating-point 4-D tensor, or ``probability`` or ``std`` is out of range.

    Example:
        >>> x = torch.full((1, 3, 100, 100), 0.5)
        >>> touched = random_pixel_noise(x, 0.4, generator=torch.Generator().manual_seed(0)) != x
        >>> round(touched.float().mean().item(), 1)
        0.4
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(f"expected floating-point images (n, channels, height, width), got {x.dtype} {tuple(x.shape)}")
    if not 0 <= probability <= 1:
        raise ValueError(f"expected a probability in [0, 1], got {probability}")
    _check_std(std, x)
    n, _, height, width = x.shape
    device = generator.device
    touched = torch.rand(n, 1, height, width, generator=generator, device=device) < probability
    noise = torch.randn(x.shape, generator=generator, device=device).to(x)
    noisy = x + touched.to(x.device) * noise * (std.to(x) if isinstance(std, Tensor) else std)
    return noisy.clamp(0, 1) if clip else noisy


def _check_std(std: float | Tensor, x: Tensor) -> None:
    if isinstance(std, Tensor):
        if not _broadcasts(std, x):
            raise ValueError(f"expected std to broadcast against {tuple(x.shape)}, got shape {tuple(std.shape)}")
        lowest, highest = float(std.min()), float(std.max())
    else:
        lowest = highest = std
    if not (lowest >= 0 and math.isfinite(highest)):
        raise ValueError(f"expected std to be finite and not negative, got values from {lowest} to {highest}")


def _broadcasts(std: Tensor, x: Tensor) -> bool:
    try:
        std.expand(x.shape)
    except RuntimeError:
        return False
    return True
