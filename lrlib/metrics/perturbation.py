"""Size of a perturbation, in the input and in the representation."""

from __future__ import annotations

import torch
from torch import Tensor

from lrlib.linalg import row_norms


@torch.no_grad()
def dissimilarity(x: Tensor, x_adv: Tensor) -> Tensor:
    r"""Normalised :math:`\ell_2` dissimilarity of each example, :math:`\|x_a - x_d\|_2 / \|x_d\|_2`.

    A ratio has no unit, but it depends on the origin: on normalised inputs it is another number than on pixels in
    ``[0, 1]``, and the paper does not say which it reports. Pass both tensors in the space that is meant.

    Args:
        x: Clean examples ``(n, ...)``, not all zero.
        x_adv: Perturbed examples, of the same shape.

    Returns:
        ``(n,)``, float64.

    Raises:
        ValueError: If the shapes differ, there is no example, or a clean example is all zero or anything is not finite.

    Example:
        >>> dissimilarity(torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[3.0, 9.0], [0.0, 2.0]])).tolist()
        [1.0, 0.0]
    """
    if x.shape != x_adv.shape or x.ndim == 0 or 0 in x.shape:
        raise ValueError(
            f"expected two non-empty tensors (n, ...) of one shape, got {tuple(x.shape)} and {tuple(x_adv.shape)}"
        )
    size, change = row_norms(x), row_norms(x_adv.double() - x.double())
    if not (size.isfinite() & change.isfinite()).all():
        raise ValueError("expected finite examples, got NaN or infinite values")
    if (zero := size == 0).any():
        raise ValueError(
            f"expected examples with a norm above zero, got {int(zero.sum())} that are all zero, "
            f"the first at index {int(zero.nonzero()[0])}"
        )
    return change / size


def rho(x: Tensor, x_adv: Tensor) -> Tensor:
    r"""Mean relative size of a perturbation (Sanyal et al., section 3.1): :math:`E[\|x_a - x_d\|_2 / \|x_d\|_2]`.

    Arguments and errors are those of :func:`dissimilarity`, whose mean it is.

    Returns:
        Scalar, float64.

    Example:
        >>> rho(torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[3.0, 9.0], [0.0, 2.0]])).item()
        0.5
    """
    return dissimilarity(x, x_adv).mean()


def propagation(x: Tensor, x_adv: Tensor, a: Tensor, a_adv: Tensor) -> tuple[Tensor, Tensor]:
    r"""How far a perturbation moves each input and its representation (Sanyal et al., section 3.2, figure 4(b)).

    Args:
        x: Clean examples ``(n, ...)``.
        x_adv: Perturbed examples, of the same shape.
        a: Representations ``(n, ...)`` of ``x``.
        a_adv: Representations of ``x_adv``, of the same shape as ``a``.

    Returns:
        :math:`\|\delta\|^2 / \|x\|^2` and :math:`\|f(x + \delta) - f(x)\|^2 / \|f(x)\|^2`, squared norms as in the
        figure, each ``(n,)`` and float64.

    Raises:
        ValueError: If the numbers of examples differ, or :func:`dissimilarity` refuses a pair.

    Example:
        >>> x, x_adv = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 2.0]])
        >>> propagation(x, x_adv, x[:, 1:], x_adv[:, 1:])
        (tensor([0.5000], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    if x.shape[:1] != a.shape[:1]:
        raise ValueError(f"expected one representation per example, got {tuple(a.shape)} for {tuple(x.shape)}")
    return dissimilarity(x, x_adv).square(), dissimilarity(a, a_adv).square()
