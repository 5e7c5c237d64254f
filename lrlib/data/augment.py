"""The augmentation of the published recipe."""

import torch
from torch import Tensor
from torch.nn import functional as F


def crop_and_flip(x: Tensor, generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """Each image shifted by up to ``padding`` pixels over zeros, and mirrored with probability one half.

    Args:
        x: Images ``(n, c, h, w)``.
        generator: Source of the shifts and flips, on the CPU.
        padding: Largest shift in pixels.

    Returns:
        Images of the same shape.
    """
    n, _, h, w = x.shape
    shifts = torch.randint(2 * padding + 1, (2, n), generator=generator).to(x.device)
    flips = (torch.rand(n, generator=generator) < 0.5).to(x.device)
    rows = shifts[0, :, None] + torch.arange(h, device=x.device)
    columns = shifts[1, :, None] + torch.arange(w, device=x.device)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    padded = F.pad(x, (padding, padding, padding, padding))
    examples = torch.arange(n, device=x.device)[:, None, None]
    return padded[examples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
