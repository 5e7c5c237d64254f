"""What a sign-gradient attack climbs: functions of logits and labels, one value for each example."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
"""Maps logits ``(n, classes)`` and labels ``(n,)`` to one value for each example, ``(n,)``; higher is worse."""


def cross_entropy_per_example(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each example, the loss of the paper's equations (5) to (8).

    Args:
        logits: Outputs before the softmax, ``(n, classes)``.
        y: Labels, ``(n,)``.

    Returns:
        Losses in nats, ``(n,)``.

    Example:
        >>> cross_entropy_per_example(torch.zeros(1, 2), torch.tensor([0]))
        tensor([0.6931])
    """
    return F.cross_entropy(logits, y, reduction="none")


def margin_per_example(logits: Tensor, y: Tensor) -> Tensor:
    """How far the best other class is above the label (Carlini and Wagner, 2017): above 0 where the answer is wrong.

    Unlike that of cross-entropy, its gradient does not vanish where the network is sure of its answer.

    Args:
        logits: Outputs before the softmax, ``(n, classes)``, of at least 2 classes.
        y: Labels, ``(n,)``.

    Returns:
        Differences of logits, ``(n,)``.

    Example:
        >>> margin_per_example(torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([0]))
        tensor([-2.])
    """
    own = F.one_hot(y, logits.shape[1]).bool()
    return logits.masked_fill(own, -torch.inf).amax(dim=1) - logits[own]


def difference_of_logits_ratio(logits: Tensor, y: Tensor) -> Tensor:
    """The margin over the distance from the largest to the third largest logit (Croce and Hein, 2020, equation 6).

    It doesn't change when all logits are scaled or shifted, so that no scale of the logits can hide its gradient.

    Args:
        logits: Outputs before the softmax, ``(n, classes)``, of at least 3 classes.
        y: Labels, ``(n,)``.

    Returns:
        Ratios, ``(n,)``, from -1 where the label is far ahead; above 0 where the answer is wrong.

    Raises:
        ValueError: If there are fewer than 3 classes.

    Example:
        >>> difference_of_logits_ratio(torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([0]))
        tensor([-0.5000])
    """
    if logits.shape[1] < 3:
        raise ValueError(f"expected at least 3 classes for the ratio of differences, got {logits.shape[1]}")
    largest = logits.topk(3, dim=1).values
    spread = largest[:, 0] - largest[:, 2]
    return margin_per_example(logits, y) / spread.clamp(min=torch.finfo(logits.dtype).tiny)


def likelihood_of_the_least_likely(logits: Tensor, _y: Tensor) -> Tensor:
    """Log-likelihood of the class that is the least likely one now (Sanyal et al., equation 6); the label is not used.

    Args:
        logits: Outputs before the softmax, ``(n, classes)``.

    Returns:
        Log-likelihoods in nats, ``(n,)``; among equally unlikely classes of the first.

    Example:
        >>> likelihood_of_the_least_likely(torch.tensor([[1.0, 1.0]]), torch.tensor([0]))
        tensor([-0.6931])
    """
    return -cross_entropy_per_example(logits, logits.argmin(dim=1))
