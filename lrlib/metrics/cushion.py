"""Layer cushion: how well the inputs of a layer line up with its large singular directions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib.linalg import row_norms
from lrlib.metrics.evaluation import batches


@torch.no_grad()
def layer_cushion(layer: nn.Module, inputs: Tensor, *, norm: Literal["operator", "kernel"] = "operator") -> Tensor:
    r"""Cushion of each example, :math:`\|W \phi\|_2 / (\|W\|_F \|\phi\|_2)` (Sanyal et al., section 3.2, appendix E).

    The layer cushion of Arora et al. (2018) is the smallest of these over the training set; the paper plots their
    histogram. The bias is no part of it. Neither paper says what :math:`\|W\|_F` is for a convolution, so both readings
    exist: the norm of the whole linear map at this input size, in which a kernel entry counts as often as it meets a
    real pixel, and the norm of the kernel, which depends on no input size but can leave the ratio above 1.

    Args:
        layer: ``nn.Linear``, or ``nn.Conv2d`` with zero padding; stride, dilation and groups are respected.
        inputs: What enters the layer, ``(n, in_features)`` or ``(n, in_channels, height, width)``.
        norm: ``"operator"`` or ``"kernel"``; the same for ``nn.Linear``.

    Returns:
        ``(n,)``, float64, within ``[0, 1]`` for ``norm="operator"``.

    Raises:
        ValueError: If the layer is of another kind, the inputs do not fit it, or an input or the weight is all zero or
            not finite.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> layer.weight.data = torch.diag(torch.tensor([4.0, 3.0]))
        >>> layer_cushion(layer, torch.eye(2)).tolist()
        [0.8, 0.6]
    """
    _check(layer, inputs, norm)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = _operator_norm(layer, inputs) if norm == "operator" else row_norms(layer.weight.flatten()[None])
    size = weight * row_norms(inputs)
    if not ((size > 0) & size.isfinite()).all():
        raise ValueError("expected a weight and inputs that are finite and not all zero, got a norm of 0, inf or NaN")
    outputs = [row_norms(_apply(layer, layer.weight, part.to(layer.weight))) for part in batches(inputs, 256)]
    return torch.cat(outputs) / size


def _apply(layer: nn.Linear | nn.Conv2d, weight: Tensor, inputs: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return F.linear(inputs, weight)
    return F.conv2d(inputs, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)


def _operator_norm(layer: nn.Linear | nn.Conv2d, inputs: Tensor) -> Tensor:
    # With squared weights and an input of ones, each output is the squared norm of one row of the operator.
    weight = layer.weight.double()
    norm: Tensor = _apply(layer, weight.square(), weight.new_ones(1, *inputs.shape[1:])).sum().sqrt()
    return norm


def _check(layer: nn.Module, inputs: Tensor, norm: str) -> None:
    if norm not in ("operator", "kernel"):
        raise ValueError(f"expected norm to be 'operator' or 'kernel', got {norm!r}")
    if isinstance(layer, nn.Linear):
        shape, fits = f"(n, {layer.in_features})", inputs.ndim == 2 and inputs.shape[1] == layer.in_features
    elif isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
        shape = f"(n, {layer.in_channels}, height, width)"
        fits = inputs.ndim == 4 and inputs.shape[1] == layer.in_channels
    else:
        raise ValueError(f"expected nn.Linear, or nn.Conv2d with zero padding, got {layer}")
    if not fits or not len(inputs):
        raise ValueError(f"expected inputs {shape} with n >= 1, got shape {tuple(inputs.shape)}")
