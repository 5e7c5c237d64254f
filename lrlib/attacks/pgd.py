"""Projected gradient descent in the maximum norm."""

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from lrlib.attacks._ascent import answers, iterates
from lrlib.attacks._checks import budget, check_count, check_images, check_labels
from lrlib.attacks._guard import Model
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
    restarts: int = 1,
    patience: int | None = None,
    until_fooled: bool = False,
    victim: Model | None = None,
    clip: bool = True,
) -> Tensor:
    """Climbs ``loss`` by the sign of its gradient, inside a ball of the maximum norm (Madry et al., 2018).

    Without a random start this is the paper's Iter-FSGM (Sanyal et al., equation 5; Kurakin et al., 2016), here also
    kept in [0, 1]. With ``until_fooled`` it is what the paper calls the attack until the classifier makes a mistake
    (appendix D.4), and with a ``victim`` of its own that attack as black box (appendix D.5).

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
        restarts: Starts at most, at least 1; more than one needs a random start. An image that the victim gets wrong is
            not attacked again; one that it never does comes back from its last start.
        patience: Give up after so many starts in a row that fooled no further image; never if left out.
        until_fooled: Leave an image alone from the step on at which the victim gets it wrong, the start included.
        victim: Whose mistakes count, for ``until_fooled`` and ``restarts``; the attacked model if left out.
        clip: Keep every iterate in [0, 1].

    Returns:
        Attacked images, of the shape and dtype of ``x``, within ``eps`` of ``x`` and, with ``clip``, in [0, 1].

    Raises:
        ValueError: If an argument, or what the model or ``loss`` returns, doesn't fit the description above, or if the
            gradient has a NaN.

    Example:
        >>> x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
        >>> pgd(lambda z: z @ torch.eye(2), x, y, eps=0.25, step_size=0.125, steps=2, random_start=False)
        tensor([[0.2500, 0.7500]])
    """
    check_images(x)
    check_count("restarts", restarts, least=1)
    if restarts > 1 and not random_start:
        raise ValueError(f"expected a random start for more than one start, got restarts={restarts} without")
    if patience is not None:
        check_count("patience", patience, least=1)
    classes = check_labels(y, x)
    y, victim = y.to(x.device), model if victim is None else victim
    radius, stride = budget("eps", eps, x).expand_as(x), budget("step_size", step_size, x).expand_as(x)

    def attacked(chosen: Tensor) -> Tensor:
        way = iterates(
            model,
            x[chosen],
            y[chosen],
            eps=radius[chosen],
            step_size=stride[chosen],
            steps=steps,
            random_start=random_start,
            generator=generator,
            loss=loss,
            until_fooled=until_fooled,
            victim=victim,
            clip=clip,
        )
        return _last(way)

    left = torch.arange(len(x), device=x.device)
    x_adv, in_vain = attacked(left), 0
    for _ in range(restarts - 1):
        standing = left[answers(victim, x_adv[left], classes=classes) == y[left]]
        in_vain = in_vain + 1 if len(standing) == len(left) else 0
        left = standing
        if len(left) == 0 or (patience is not None and in_vain >= patience):
            break
        x_adv = x_adv.index_copy(0, left, attacked(left))
    return x_adv


def _last(way: Iterator[Tensor]) -> Tensor:
    return deque(way, maxlen=1).pop()
