"""Iterative least likely class method."""

import torch
from torch import Tensor

from lrlib.attacks._guard import Model
from lrlib.attacks.losses import likelihood_of_the_least_likely
from lrlib.attacks.pgd import pgd


def iterative_least_likely(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float | Tensor,
    step_size: float | Tensor,
    steps: int,
    random_start: bool = False,
    generator: torch.Generator | None = None,
    until_fooled: bool = False,
    victim: Model | None = None,
    clip: bool = True,
) -> Tensor:
    """Steps towards the class that is the least likely one at that step (Sanyal et al., equation 6).

    This is the paper's Iter-LL-FSGM. Kurakin et al. (2017), from whom it comes, choose the target once, on the clean
    image. Among equally unlikely classes the target is the first.

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``; left as it was found.
        x: Images in [0, 1], ``(n, ...)``.
        y: True labels, ``(n,)``: what ``until_fooled`` takes for right; the target is the model's choice.
        eps: Radius of the ball in the units of ``x``: a number, or a tensor that broadcasts against ``x``.
        step_size: Length of a step in each coordinate, the paper's alpha; units and shape as for ``eps``.
        steps: Number of steps, at least 1.
        random_start: Start at a uniform draw from the ball instead of at ``x``.
        generator: Source of that draw; torch's global one if left out.
        until_fooled: Leave an image alone from the step on at which the victim gets it wrong.
        victim: Whose mistakes count; the attacked model if left out.
        clip: Keep every iterate in [0, 1].

    Returns:
        Attacked images, of the shape and dtype of ``x``, within ``eps`` of ``x`` and, with ``clip``, in [0, 1].

    Raises:
        ValueError: If an argument, or what the model returns, doesn't fit the description above.

    Example:
        >>> x, y = torch.tensor([[0.5, 0.25]]), torch.tensor([0])
        >>> iterative_least_likely(lambda z: z @ torch.eye(2), x, y, eps=0.25, step_size=0.125, steps=1)
        tensor([[0.3750, 0.3750]])
    """
    return pgd(
        model,
        x,
        y,
        eps=eps,
        step_size=step_size,
        steps=steps,
        random_start=random_start,
        generator=generator,
        loss=likelihood_of_the_least_likely,
        until_fooled=until_fooled,
        victim=victim,
        clip=clip,
    )
