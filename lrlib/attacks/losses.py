"""What a sign-gradient attack climbs: functions of logits and labels, one value for each example."""

from collections.abc import Callable

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
        >>> import torch
        >>> cross_entropy_per_example(torch.zeros(1, 2), torch.tensor([0]))
        tensor([0.6931])
    """
    return F.cross_entropy(logits, y, reduction="none")
