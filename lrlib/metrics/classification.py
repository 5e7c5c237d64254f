"""Accuracy, clean and attacked.

Attacked accuracy is no function of its own: it is ``accuracy(model, x_adv, y)`` with the true labels ``y`` of the
unattacked examples, and the examples that survived are ``correct(model, x_adv, y)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrlib.metrics.evaluation import Model, batches, evaluating


def predictions(model: Model, x: Tensor, *, batch_size: int = 256) -> Tensor:
    """Class with the largest logit, in eval mode.

    Args:
        model: Maps ``(n, ...)`` to logits ``(n, classes)``; left in the mode it was found in.
        x: Examples ``(n, ...)``, on the model's device.
        batch_size: Examples per forward pass.

    Returns:
        int64 ``(n,)``.

    Raises:
        ValueError: If there are no examples, or the logits are not ``(n, classes)``, or some are NaN.

    Example:
        >>> predictions(lambda x: x, torch.tensor([[0.1, 0.9], [0.6, 0.4]])).tolist()
        [1, 0]
    """
    return _predict(model, x, batch_size)[0]


def correct(model: Model, x: Tensor, y: Tensor, *, batch_size: int = 256) -> Tensor:
    """Which examples the model classifies correctly, in eval mode.

    With attacked examples ``x_adv`` for ``x`` this says which examples survive the attack.

    Args:
        model: Maps ``(n, ...)`` to logits ``(n, classes)``; left in the mode it was found in.
        x: Examples ``(n, ...)``, clean or attacked.
        y: True labels ``(n,)``, integers in ``[0, classes)``.
        batch_size: Examples per forward pass.

    Returns:
        bool ``(n,)``, on the device of the logits.

    Raises:
        ValueError: If the labels do not fit the examples or the logits, or :func:`predictions` refuses the input.

    Example:
        >>> correct(lambda x: x, torch.tensor([[0.1, 0.9], [0.6, 0.4]]), torch.tensor([1, 1])).tolist()
        [True, False]
    """
    if y.shape != x.shape[:1] or y.is_floating_point() or y.is_complex() or y.dtype is torch.bool:
        raise ValueError(f"expected integer labels of shape {tuple(x.shape[:1])}, got {y.dtype} {tuple(y.shape)}")
    predicted, classes = _predict(model, x, batch_size)
    if not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError(f"expected labels in [0, {classes}), got labels from {int(y.min())} to {int(y.max())}")
    return predicted == y.to(predicted.device)


def accuracy(model: Model, x: Tensor, y: Tensor, *, batch_size: int = 256) -> float:
    """Fraction of correctly classified examples, in ``[0, 1]``; arguments and errors as for :func:`correct`.

    Example:
        >>> accuracy(lambda x: x, torch.tensor([[0.1, 0.9], [0.6, 0.4]]), torch.tensor([1, 1]))
        0.5
    """
    return int(correct(model, x, y, batch_size=batch_size).sum()) / len(y)


def instantaneous_accuracy(answers: Tensor) -> Tensor:
    r"""Share of examples whose answer after ``k`` steps of an attack is the one before it (Sanyal et al., D.4).

    Args:
        answers: Class given to each example after 0, 1, ... steps, ``(n, steps + 1)``, of at least one example.

    Returns:
        :math:`a_I(k)` for each number of steps, ``(steps + 1,)``, float64.

    Raises:
        ValueError: If there is no example.

    Example:
        >>> instantaneous_accuracy(torch.tensor([[0, 1, 0], [2, 2, 1]])).tolist()
        [1.0, 0.5, 0.5]
    """
    return _kept(answers).double().mean(dim=0)


def cumulative_accuracy(answers: Tensor) -> Tensor:
    r"""Share of examples whose answer was at none of the first ``k`` steps another than before them (D.4).

    Arguments and errors are those of :func:`instantaneous_accuracy`, which it never exceeds.

    Returns:
        :math:`a_C(k)` for each number of steps, ``(steps + 1,)``, float64.

    Example:
        >>> cumulative_accuracy(torch.tensor([[0, 1, 0], [2, 2, 1]])).tolist()
        [1.0, 0.5, 0.0]
    """
    return _kept(answers).cummin(dim=1).values.double().mean(dim=0)


def _kept(answers: Tensor) -> Tensor:
    if answers.ndim != 2 or 0 in answers.shape:
        raise ValueError(f"expected answers (n, steps + 1) of at least one example, got {tuple(answers.shape)}")
    return (answers == answers[:, :1]).int()


def _predict(model: Model, x: Tensor, batch_size: int) -> tuple[Tensor, int]:
    parts = []
    with evaluating(model):
        for batch in batches(x, batch_size):
            logits = model(batch)
            _check_logits(logits, len(batch))
            parts.append(logits.argmax(1))
    return torch.cat(parts), logits.shape[1]


def _check_logits(logits: Tensor, n: int) -> None:
    if logits.ndim != 2 or len(logits) != n or not logits.shape[1]:
        raise ValueError(f"expected logits of shape ({n}, classes), got {tuple(logits.shape)}")
    if logits.isnan().any():
        raise ValueError(f"expected logits without NaN, got NaN in {int(logits.isnan().any(1).sum())} of {n} examples")
