"""Adversarial training: a network learns from attacked images alone (Madry et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrlib import attacks


def attacked(
    model: nn.Module,
    forward: attacks.Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """The images that a step of adversarial training takes in the place of its own.

    They are made by PGD from a uniform start, against the network as it is in evaluation mode.

    Args:
        model: Network in training mode, and again so afterwards.
        forward: The network as it is called: itself, or its compiled form.
        x: Images in [0, 1], ``(n, c, h, w)``.
        y: Their labels, ``(n,)``.
        eps: Radius of the ball in the maximum norm, in units of [0, 1].
        step_size: Length of a step in each pixel, in the same units.
        steps: Number of steps.
        generator: Source of the start.

    Returns:
        Attacked images ``(n, c, h, w)``, within ``eps`` of ``x`` and in [0, 1].

    Raises:
        FloatingPointError: If the gradient has a NaN: the training diverged.
    """
    model.eval().requires_grad_(False)  # the weights' gradients would be half of every backward pass
    try:
        return attacks.pgd(
            forward, x, y, eps=eps, step_size=step_size, steps=steps, random_start=True, generator=generator
        )
    except ValueError as error:  # images and labels are right: it is the network's fault
        raise FloatingPointError(f"{error} attacking the network in training") from error
    finally:
        model.train().requires_grad_(True)
