"""The loop of every attack that follows the sign of a gradient inside a ball of the maximum norm."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lrlib.attacks._checks import budget, check_count, check_gradient, check_images, check_labels, check_logits
from lrlib.attacks._guard import Model, undisturbed
from lrlib.attacks.losses import Loss, cross_entropy_per_example


def iterates(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float | Tensor,
    step_size: float | Tensor,
    steps: int,
    random_start: bool = True,
    generator: torch.Generator | None = None,
    loss: Loss = cross_entropy_per_example,
    until_fooled: bool = False,
    victim: Model | None = None,
    clip: bool = True,
) -> Iterator[Tensor]:
    """The images of :func:`pgd` after 0, 1, ... steps, for what happens on the way (Sanyal et al., appendix D.4).

    Arguments and errors are those of :func:`pgd`.

    Returns:
        An iterator over ``steps + 1`` tensors of the shape and dtype of ``x``.

    Example:
        >>> x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
        >>> way = iterates(lambda z: z @ torch.eye(2), x, y, eps=1, step_size=0.25, steps=2, random_start=False)
        >>> [x_adv.tolist() for x_adv in way]
        [[[0.5, 0.5]], [[0.25, 0.75]], [[0.0, 1.0]]]
    """
    check_images(x)
    check_count("steps", steps, least=1)
    classes = check_labels(y, x)
    radius, stride = (budget(name, value, x) for name, value in (("eps", eps), ("step_size", step_size)))
    x, y = x.detach().clone(), y.to(x.device, torch.long)
    lower, upper = x - radius, x + radius
    if clip:
        lower, upper = lower.clamp(min=0), upper.clamp(max=1)
    x_adv = (x + radius * _uniform_like(x, generator)).clamp(lower, upper) if random_start else x
    victim = model if victim is None else victim

    def climb(x_adv: Tensor) -> Iterator[Tensor]:
        active = torch.arange(len(x), device=x.device)
        for step in range(steps + 1):
            if until_fooled and len(active):
                active = active[answers(victim, x_adv[active], classes=classes) == y[active]]
            yield x_adv
            if step < steps and len(active):
                slope = gradient(model, x_adv[active], y[active], loss, classes=classes).sign()
                moved = x_adv[active] + stride.expand_as(x)[active] * slope
                x_adv = x_adv.index_copy(0, active, moved.clamp(lower[active], upper[active]))

    return climb(x_adv)


def gradient(model: Model, x: Tensor, y: Tensor, loss: Loss = cross_entropy_per_example, *, classes: int = 0) -> Tensor:
    """Gradient of each example's loss with respect to that example.

    Args:
        model: Maps images to logits ``(n, classes)``; an ``nn.Module`` is used in evaluation mode and left as it was.
        x: Images ``(n, ...)``.
        y: Labels ``(n,)``.
        loss: Maps ``(logits, y)`` to one value for each example, ``(n,)``.
        classes: Number of logits that there have to be at least.

    Returns:
        ``(n, ...)``, of the dtype of ``x``.

    Raises:
        ValueError: If the model or ``loss`` returns something else, or the gradient has a NaN.

    Example:
        >>> gradient(lambda z: z @ torch.eye(2), torch.tensor([[0.5, 0.5]]), torch.tensor([0]))
        tensor([[-0.5000,  0.5000]])
    """
    with undisturbed(model):
        # Copies, because autograd can't save tensors that a caller made in inference mode.
        x, y = x.detach().clone().requires_grad_(), y.clone()
        logits = model(x)
        check_logits(logits, x, classes=classes)
        values = loss(logits, y)
        if values.shape != y.shape:
            raise ValueError(
                f"expected loss to return one value for each of {len(y)} examples, got {tuple(values.shape)}"
            )
        (slope,) = torch.autograd.grad(values.sum(), x)
    check_gradient(slope)
    return slope


def answers(model: Model, x: Tensor, *, classes: int = 0) -> Tensor:
    """The class that the model gives each image, ``(n,)``; the first of equals."""
    with undisturbed(model), torch.no_grad():
        logits = model(x)
    check_logits(logits, x, classes=classes)
    return logits.argmax(dim=1)


def _uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from [-1, 1) in the shape of ``x``."""
    device = x.device if generator is None else generator.device
    return 2 * torch.rand(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device) - 1
