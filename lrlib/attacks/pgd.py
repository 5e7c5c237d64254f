"""Projected gradient descent in the maximum norm, and the loop of every attack that follows the sign of a gradient."""

import torch
from torch import Tensor

from lrlib.attacks._checks import budget, check_count, check_gradient, check_images, check_labels, check_logits
from lrlib.attacks._guard import Model, undisturbed
from lrlib.attacks.losses import Loss, cross_entropy_per_example


def pgd(
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
) -> Tensor:
    """Climbs ``loss`` by the sign of its gradient, inside a ball of the maximum norm (Madry et al., 2018).

    Without a random start this is the paper's Iter-FSGM (Sanyal et al., equation 5; Kurakin et al., 2016), here also
    kept in [0, 1].

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``. An ``nn.Module`` is attacked in evaluation mode and
            left as it was found; any other callable is used as it is.
        x: Images in [0, 1], ``(n, ...)``.
        y: True labels, ``(n,)``.
        eps: Radius of the ball in the units of ``x``: a number, or a tensor that broadcasts against ``x``, such as
            ``eps * std`` for a budget in normalised units.
        step_size: Length of a step in each coordinate; units and shape as for ``eps``.
        steps: Number of steps, at least 1.
        random_start: Start at a uniform draw from the ball, clipped to [0, 1], instead of at ``x``.
        generator: Source of that draw, which is made on the generator's own device so that a CPU generator gives the
            same start on every device; torch's global one for the device of ``x`` if left out.
        loss: What to climb: maps ``(logits, y)`` to one value for each example, ``(n,)``.

    Returns:
        Attacked images, of the shape and dtype of ``x``, within ``eps`` of ``x`` and in [0, 1].

    Raises:
        ValueError: If an argument, or what the model or ``loss`` returns, doesn't fit the description above, or if the
            gradient has a NaN.

    Example:
        >>> x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
        >>> pgd(lambda z: z @ torch.eye(2), x, y, eps=0.25, step_size=0.125, steps=2, random_start=False)
        tensor([[0.2500, 0.7500]])
    """
    check_images(x)
    check_count("steps", steps, least=1)
    classes = check_labels(y, x)
    radius, stride = budget("eps", eps, x), budget("step_size", step_size, x)
    with undisturbed(model):
        # Copies, because autograd can't save tensors that a caller made in inference mode.
        x, y = x.detach().clone(), y.to(x.device, torch.long, copy=True)
        lower, upper = (x - radius).clamp(min=0), (x + radius).clamp(max=1)
        x_adv = (x + radius * _uniform_like(x, generator)).clamp(lower, upper) if random_start else x
        for _ in range(steps):
            ascent = _gradient(model, x_adv, y, loss, classes=classes).sign()
            x_adv = (x_adv + stride * ascent).clamp(lower, upper)
    return x_adv


def _uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from [-1, 1) in the shape of ``x``."""
    device = x.device if generator is None else generator.device
    return 2 * torch.rand(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device) - 1


def _gradient(model: Model, x: Tensor, y: Tensor, loss: Loss, *, classes: int) -> Tensor:
    """Gradient of each example's loss with respect to that example, ``(n, ...)``."""
    x = x.detach().requires_grad_()
    logits = model(x)
    check_logits(logits, x, classes=classes)
    values = loss(logits, y)
    if values.shape != y.shape:
        raise ValueError(f"expected loss to return one value for each of {len(y)} examples, got {tuple(values.shape)}")
    (gradient,) = torch.autograd.grad(values.sum(), x)
    check_gradient(gradient)
    return gradient
