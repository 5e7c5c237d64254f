"""Fast sign gradient method."""

import torch
from torch import Tensor

from lrlib.attacks._ascent import answers, gradient
from lrlib.attacks._checks import budget, check_count, check_images, check_labels
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
        >>> fgsm(lambda z: z @ torch.eye(2), torch.tensor([[0.5, 0.5]]), torch.tensor([0]), eps=0.25)
        tensor([[0.2500, 0.7500]])
    """
    return pgd(model, x, y, eps=eps, step_size=eps, steps=1, random_start=False)


def smallest_fgsm(model: Model, x: Tensor, y: Tensor, *, eps: float | Tensor, tries: int = 100) -> Tensor:
    """The shortest step along the sign of the gradient at ``x`` that the model gets wrong.

    Steps of 0, ``eps / tries``, 2 ``eps / tries`` and so on are tried in turn, because a step that fools can have a
    longer one behind it that does not.

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``; left as it was found.
        x: Images in [0, 1], ``(n, ...)``.
        y: True labels, ``(n,)``.
        eps: The longest step, in the units of ``x``: a number, or a tensor that broadcasts against ``x``.
        tries: Number of equal parts it is cut into, at least 1.

    Returns:
        Attacked images in [0, 1], of the shape and dtype of ``x``; an image that no step fools comes back from the
        longest one, an image that is wrong already as it is.

    Raises:
        ValueError: If an argument, or what the model returns, doesn't fit the description above.

    Example:
        >>> x, y = torch.tensor([[0.6, 0.4]]), torch.tensor([0])
        >>> smallest_fgsm(lambda z: z @ torch.eye(2), x, y, eps=0.5, tries=10).round(decimals=3)
        tensor([[0.4500, 0.5500]])
    """
    check_images(x)
    check_count("tries", tries, least=1)
    classes = check_labels(y, x)
    x, y = x.detach().clone(), y.to(x.device, torch.long)
    longest = budget("eps", eps, x) * gradient(model, x, y, classes=classes).sign()
    x_adv, left = x, torch.arange(len(x), device=x.device)
    for attempt in range(tries + 1):
        step = (x[left] + attempt / tries * longest[left]).clamp(0, 1)
        x_adv = x_adv.index_copy(0, left, step)
        left = left[answers(model, step, classes=classes) == y[left]]
        if len(left) == 0:
            break
    return x_adv
