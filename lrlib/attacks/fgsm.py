"""Fast sign gradient method."""

from torch import Tensor

from lrlib.attacks._guard import Model
from lrlib.attacks.pgd import pgd


def fgsm(model: Model, x: Tensor, y: Tensor, *, eps: float | Tensor) -> Tensor:
    """One step to the edge of the ball (Goodfellow et al., 2014): PGD with nothing left to tune.

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``; left as it was found.
        x: Images in [0, 1], ``(n, ...)``.
        y: True labels, ``(n,)``.
        eps: Radius of the ball in the units of ``x``: a number, or a tensor that broadcasts against ``x``.

    Returns:
        Attacked images, of the shape and dtype of ``x``, within ``eps`` of ``x`` and in [0, 1].

    Raises:
        ValueError: If an argument, or what the model returns, doesn't fit the description above.

    Example:
        >>> import torch
        >>> fgsm(lambda z: z @ torch.eye(2), torch.tensor([[0.5, 0.5]]), torch.tensor([0]), eps=0.25)
        tensor([[0.2500, 0.7500]])
    """
    return pgd(model, x, y, eps=eps, step_size=eps, steps=1, random_start=False)
