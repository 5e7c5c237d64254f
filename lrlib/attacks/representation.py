"""An attack on the representation instead of the answer."""

import torch
from torch import Tensor

from lrlib.attacks._checks import check_images
from lrlib.attacks._guard import Model, undisturbed
from lrlib.attacks.pgd import pgd


def representation(
    features: Model,
    x: Tensor,
    x_guide: Tensor,
    *,
    eps: float | Tensor,
    step_size: float | Tensor,
    steps: int,
    random_start: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Brings each image's representation close to that of a guide, inside a ball (after Sabour et al., 2016).

    It needs neither labels nor logits, so that nothing behind the representation can hide its gradient.

    Args:
        features: Maps images in [0, 1] to representations ``(n, m)``; an ``nn.Module`` is used in evaluation mode and
            left as it was found.
        x: Images in [0, 1], ``(n, ...)``.
        x_guide: An image for each of them, usually of another class, of the same shape.
        eps: Radius of the ball in the units of ``x``: a number, or a tensor that broadcasts against ``x``.
        step_size: Length of a step in each coordinate; units and shape as for ``eps``.
        steps: Number of steps, at least 1.
        random_start: Start at a uniform draw from the ball instead of at ``x``.
        generator: Source of that draw; torch's global one if left out.

    Returns:
        Attacked images, of the shape and dtype of ``x``, within ``eps`` of ``x`` and in [0, 1].

    Raises:
        ValueError: If an argument, or what ``features`` returns, doesn't fit the description above.

    Example:
        >>> x, x_guide = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.5]])
        >>> representation(lambda z: z, x, x_guide, eps=0.25, step_size=0.25, steps=1, random_start=False)
        tensor([[0.7500, 0.5000]])
    """
    check_images(x)
    if x_guide.shape != x.shape:
        raise ValueError(f"expected a guide for each image, of shape {tuple(x.shape)}, got {tuple(x_guide.shape)}")
    # The labels are not looked at.
    unused = torch.zeros(len(x), dtype=torch.long, device=x.device)
    with undisturbed(features):
        with torch.no_grad():
            wanted = features(x_guide.detach()).flatten(1)
        return pgd(
            lambda z: features(z).flatten(1),
            x,
            unused,
            eps=eps,
            step_size=step_size,
            steps=steps,
            random_start=random_start,
            generator=generator,
            loss=lambda a, _: -(a - wanted).square().sum(dim=1),
        )
