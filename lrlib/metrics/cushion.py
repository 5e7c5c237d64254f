"""Layer cushion: how well the inputs of a layer line up with its large singular directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib.linalg import row_norms
from lrlib.metrics.evaluation import batches
from lrlib.metrics.taps import layer_passes

Norm = Literal["operator", "positions", "kernel"]


@torch.no_grad()
def layer_cushion(layer: nn.Module, inputs: Tensor, *, norm: Norm = "operator") -> Tensor:
    r"""Cushion of each example, :math:`\|W \phi\|_2 / (\|W\|_F \|\phi\|_2)` (Sanyal et al., section 3.2, appendix E).

    The layer cushion of Arora et al. (2018) is the smallest of these over the training set; the paper plots their
    histogram. The bias is no part of it. The paper doesn't say what :math:`\|W\|_F` is for a convolution, so there are
    three readings. ``operator`` is the norm of the whole linear map at this input size, in which a kernel entry counts
    as often as it meets a real pixel. ``positions`` is that over the square root of the number of positions of the
    input, height times width, as Arora et al. scale Jacobians of convolutional networks (their interlayer cushion), so
    that layers of different sizes compare. ``kernel`` is the norm of the kernel, which is nearly the second one where
    the stride is 1. The last two can leave the ratio above 1; the first two differ by a constant of the layer's input
    size alone, so that they order networks alike.

    Args:
        layer: ``nn.Linear``, or ``nn.Conv2d`` with zero padding; stride, dilation and groups are respected.
        inputs: What enters the layer, ``(n, in_features)`` or ``(n, in_channels, height, width)``.
        norm: ``"operator"``, ``"positions"`` or ``"kernel"``; the same for ``nn.Linear``.

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
    outputs = [row_norms(_apply(layer, layer.weight, part.to(layer.weight))) for part in batches(inputs, 256)]
    return torch.cat(outputs) / _largest(layer, inputs, norm)


@torch.no_grad()
def layer_cushions(
    model: nn.Module, taps: Sequence[str], x: Tensor, *, norm: Norm = "operator", batch_size: int = 256
) -> dict[str, Tensor]:
    """:func:`layer_cushion` of several layers of a network, from one forward pass for all of them.

    Args:
        model: Any network; it runs in eval mode and is left as it was found.
        taps: Dotted names of the layers, each as :func:`layer_cushion` takes it.
        x: Examples ``(n, ...)``, on the model's device.
        norm: As for :func:`layer_cushion`.
        batch_size: Examples per forward pass.

    Returns:
        The cushions ``(n,)`` by tap, float64.

    Raises:
        ValueError: As for :func:`layer_cushion`, or if there is no such tap, or it doesn't run exactly once.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> model[0].weight.data = torch.diag(torch.tensor([4.0, 3.0]))
        >>> {tap: cushions.tolist() for tap, cushions in layer_cushions(model, ["0"], torch.eye(2)).items()}
        {'0': [0.8, 0.6]}
    """
    found: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    for passed in layer_passes(model, taps, x, batch_size=batch_size):
        for tap, (inputs, outputs) in passed.items():
            layer = model.get_submodule(tap)
            _check(layer, inputs, norm)
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            found[tap].append(row_norms(_without_bias(layer, outputs)) / _largest(layer, inputs, norm))
    return {tap: torch.cat(parts) for tap, parts in found.items()}


def _without_bias(layer: nn.Linear | nn.Conv2d, outputs: Tensor) -> Tensor:
    if layer.bias is None:
        return outputs
    return outputs - (layer.bias if isinstance(layer, nn.Linear) else layer.bias[:, None, None])


def _largest(layer: nn.Linear | nn.Conv2d, inputs: Tensor, norm: str) -> Tensor:
    """What each output's norm is compared with, ``(n,)``, float64."""
    weight = row_norms(layer.weight.flatten()[None]) if norm == "kernel" else _operator_norm(layer, inputs)
    if norm == "positions":
        weight = weight / math.sqrt(math.prod(inputs.shape[2:]))
    size: Tensor = weight * row_norms(inputs)
    if not ((size > 0) & size.isfinite()).all():
        raise ValueError("expected a weight and inputs that are finite and not all zero, got a norm of 0, inf or NaN")
    return size


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
    if norm not in get_args(Norm):
        raise ValueError(f"expected norm to be one of {', '.join(get_args(Norm))}, got {norm!r}")
    if isinstance(layer, nn.Linear):
        shape, fits = f"(n, {layer.in_features})", inputs.ndim == 2 and inputs.shape[1] == layer.in_features
    elif isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
        shape = f"(n, {layer.in_channels}, height, width)"
        fits = inputs.ndim == 4 and inputs.shape[1] == layer.in_channels
    else:
        raise ValueError(f"expected nn.Linear, or nn.Conv2d with zero padding, got {layer}")
    if not fits or not len(inputs):
        raise ValueError(f"expected inputs {shape} with n >= 1, got shape {tuple(inputs.shape)}")
