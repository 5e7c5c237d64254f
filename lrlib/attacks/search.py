"""The smallest radius at which an attack fools nearly all images."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from lrlib.attacks._checks import check_count

Attacked = TypeVar("Attacked")


def smallest_radius(
    attack: Callable[[float], Attacked],
    fooled: Callable[[Attacked], Tensor],
    *,
    resolution: float = 0.001,
    most: int = 256,
    rate: float = 0.99,
) -> tuple[float, Attacked] | None:
    """Searches for the smallest radius at which at least ``rate`` of the images are fooled (Sanyal et al., D.3).

    Multiples of ``resolution`` are doubled until one is large enough; then the gap to the last one that was too small
    is halved. So the radius found is large enough and the multiple below it was tried and too small, which makes it the
    smallest if a larger radius never fools fewer images.

    Args:
        attack: Maps a radius to attacked images ``(n, ...)``, or to anything that says of each whether it is fooled.
        fooled: Maps what ``attack`` gives to true or false for each image, ``(n,)``.
        resolution: What the radius is a multiple of, above 0.
        most: The largest multiple, at least 1.
        rate: Share of the images to fool, in (0, 1].

    Returns:
        The radius and what ``attack`` gave for it; None if the largest radius is too small.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> import torch
        >>> found = smallest_radius(lambda eps: torch.full((4, 1), eps), lambda x_adv: x_adv[:, 0] > 0.0255)
        >>> round(found[0], 6)
        0.026
    """
    if not 0 < resolution < float("inf"):
        raise ValueError(f"expected resolution to be finite and above 0, got {resolution}")
    check_count("most", most, least=1)
    if not 0 < rate <= 1:
        raise ValueError(f"expected rate in (0, 1], got {rate}")

    def tried(multiple: int) -> Attacked | None:
        attacked = attack(multiple * resolution)
        return attacked if fooled(attacked).double().mean() >= rate else None

    small, large = 0, 1
    found = tried(large)
    while found is None and large < most:
        small, large = large, min(2 * large, most)
        found = tried(large)
    if found is None:
        return None
    while large - small > 1:
        middle = (small + large) // 2
        better = tried(middle)
        small, large, found = (middle, large, found) if better is None else (small, middle, better)
    return large * resolution, found
