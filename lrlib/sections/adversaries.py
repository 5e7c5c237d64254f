"""Adversaries as the SVD report makes them: a chosen class at 95 % confidence, so many for each classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lrlib import attacks, metrics

CONFIDENCE = 0.95  # the report's section 3.4
STEPS = 500  # of gradient descent at most; the report states no number


@dataclass(frozen=True)
class Start:
    """Where an attack starts, and which classes it aims at.

    Attributes:
        x: Images ``(n, c, h, w)`` or codes ``(n, l)`` that the classifier has right.
        y: Their labels ``(n,)``.
        goal: Another class for each, ``(n,)``.
        index: Which of the images or codes that there were, ``(n,)``.
    """

    x: Tensor
    y: Tensor
    goal: Tensor
    index: Tensor

    def of(self, chosen: Tensor) -> Start:
        """Some of them."""
        return Start(self.x[chosen], self.y[chosen], self.goal[chosen], self.index[chosen])


def pairs(y: Tensor, right: Tensor, classes: int, n: int) -> tuple[Tensor, Tensor]:
    """Images and goals in equal shares: the first image of each class with each other class, then the second, ...

    Args:
        y: Labels ``(m,)``.
        right: Whether each image may be taken, ``(m,)``.
        classes: Number of classes.
        n: Pairs at most; with ten classes 180 are two images of each class with nine goals.

    Returns:
        Indices of the images and their goals, ``(k,)`` each with ``k <= n``; none if no image may be taken.

    Example:
        >>> pairs(torch.tensor([0, 1, 1]), torch.tensor([True, True, True]), classes=2, n=3)
        (tensor([0, 1, 2]), tensor([1, 0, 0]))
    """
    own = [(right & (y == label)).nonzero().flatten().tolist() for label in range(classes)]
    found = [
        (images[rank], (label + shift) % classes)
        for rank in range(max(map(len, own), default=0))
        for shift in range(1, classes)
        for label, images in enumerate(own)
        if rank < len(images)
    ][:n]
    index, goal = torch.tensor(found, dtype=torch.long, device=y.device).reshape(-1, 2).unbind(1)
    return index, goal


def start(model: attacks.Model, x: Tensor, y: Tensor, n: int, *, classes: int, name: str) -> Start:
    """What the report's attack on a classifier starts from.

    Args:
        model: The classifier.
        x: Images or codes that it may start from.
        y: Their labels.
        n: Adversaries that are wanted.
        classes: Number of classes.
        name: The classifier's, for the message.

    Raises:
        ValueError: If the classifier has none of them right.
    """
    index, goal = pairs(y, metrics.correct(model, x, y), classes, n)
    if not len(index):
        raise ValueError(f"expected {name} to have some of {len(x)} test images right, got none")
    return Start(x[index], y[index], goal, index)


def targeted(model: attacks.Model, begin: Start, *, clip: bool = True) -> tuple[Tensor, Tensor]:
    """The report's attack, and for which of them the goal has the confidence."""
    x_adv = attacks.targeted(model, begin.x, begin.goal, confidence=CONFIDENCE, steps=STEPS, clip=clip)
    return x_adv, attacks.reached(model, x_adv, begin.goal, confidence=CONFIDENCE)


def deepfool(model: attacks.Model, begin: Start) -> tuple[Tensor, Tensor]:
    """DeepFool's images, whatever the goal, and which of them are wrong."""
    x_adv = attacks.deepfool(model, begin.x)
    return x_adv, ~metrics.correct(model, x_adv, begin.y)


ATTACKS: dict[str, Callable[[attacks.Model, Start], tuple[Tensor, Tensor]]] = {
    "targeted": targeted,
    "deepfool": deepfool,
}
