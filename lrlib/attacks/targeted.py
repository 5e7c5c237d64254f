"""The attack of the SVD report: a chosen class with high confidence, close to the image."""

import torch
from torch import Tensor

from lrlib.attacks._checks import check_codes, check_count, check_gradient, check_images, check_labels, check_logits
from lrlib.attacks._guard import Model, undisturbed
from lrlib.attacks.losses import cross_entropy_per_example


def targeted(
    model: Model,
    x: Tensor,
    y_target: Tensor,
    *,
    weight: float = 0.1,
    confidence: float = 0.95,
    step_size: float = 0.1,
    steps: int = 1000,
    clip: bool = True,
) -> Tensor:
    r"""Gradient descent on :math:`CE(y_{goal}, C(x)) + \lambda \|\bar x - x\|_2` with clamping to [0, 1].

    Cocola and Rabindranath, "Making Neural Nets Robust Again", section 2.4; an image is done when the target has the
    confidence that their section 3.4 asks for. They state neither :math:`\lambda` nor the step.

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``; an ``nn.Module`` is attacked in evaluation mode and
            left as it was found.
        x: Images in [0, 1], ``(n, ...)``.
        y_target: The classes to reach, ``(n,)``.
        weight: The report's :math:`\lambda`, of the distance from the image, at least 0.
        confidence: Probability of the target, in (0, 1), at which an image is left alone.
        step_size: Length of the step for a gradient of norm 1, in the units of ``x``, above 0.
        steps: Steps at most, at least 1.
        clip: Keep every iterate in [0, 1]; without it ``x`` may be any finite numbers, such as codes of images.

    Returns:
        Attacked images, with ``clip`` in [0, 1], of the shape and dtype of ``x``. Where the confidence was not reached
        this is the last iterate, which :func:`reached` tells from the others.

    Raises:
        ValueError: If an argument, or what the model returns, doesn't fit the description above, or if the gradient has
            a NaN.

    Example:
        >>> x, y_target = torch.tensor([[0.9, 0.1]]), torch.tensor([1])
        >>> x_adv = targeted(lambda z: 10 * z, x, y_target, weight=0.0)
        >>> reached(lambda z: 10 * z, x_adv, y_target, confidence=0.95)
        tensor([True])
    """
    check_images(x) if clip else check_codes(x)
    check_count("steps", steps, least=1)
    classes = check_labels(y_target, x)
    if not 0 <= weight < float("inf"):
        raise ValueError(f"expected weight to be finite and at least 0, got {weight}")
    if not 0 < step_size < float("inf"):
        raise ValueError(f"expected step_size to be finite and above 0, got {step_size}")
    with undisturbed(model):
        x, y_target = x.detach().clone(), y_target.to(x.device, torch.long, copy=True)
        x_adv, left = x.clone(), torch.arange(len(x), device=x.device)
        for step in range(steps + 1):
            done = reached(model, x_adv[left], y_target[left], confidence=confidence, classes=classes)
            left = left[~done]
            if len(left) == 0 or step == steps:
                break
            point = x_adv[left].requires_grad_()
            away = (point - x[left]).flatten(1)
            # The square root has no gradient at 0; there the distance has its smallest subgradient.
            distance = torch.where(away.detach().any(dim=1), away.square().sum(dim=1), 1).sqrt()
            loss = cross_entropy_per_example(model(point), y_target[left]) + weight * distance
            (slope,) = torch.autograd.grad(loss.sum(), point)
            check_gradient(slope)
            moved = point.detach() - step_size * slope
            x_adv[left] = moved.clamp(0, 1) if clip else moved
    return x_adv


@torch.no_grad()
def reached(model: Model, x: Tensor, y_target: Tensor, *, confidence: float, classes: int = 0) -> Tensor:
    """Whether the model gives the target at least that probability.

    Args:
        model: Maps images to logits ``(n, classes)``; used in evaluation mode and left as it was found.
        x: Images, ``(n, ...)``.
        y_target: Classes, ``(n,)``.
        confidence: A probability in (0, 1).
        classes: Number of logits that there have to be at least.

    Returns:
        ``(n,)``, true or false.

    Raises:
        ValueError: If the confidence is out of range or the model's output is not as described.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected confidence in (0, 1), got {confidence}")
    if len(x) == 0:
        return torch.zeros(0, dtype=torch.bool, device=x.device)
    with undisturbed(model), torch.no_grad():
        logits = model(x)
    check_logits(logits, x, classes=classes)
    return logits.softmax(dim=1).gather(1, y_target[:, None])[:, 0] >= confidence
