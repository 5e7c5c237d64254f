r"""Truncation and scaling of the small singular values of a trained network's weights.

The defence of Cocola and Rabindranath, "Making Neural Nets Robust Again", sections 2.2 and 3.6: the bottom singular
values of every weight matrix are zeroed or divided by ten. It acts on weights, where the LR layer acts on
representations.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection

import torch
from torch import Tensor, nn


def truncate(
    model: nn.Module, fraction: float, *, scale: float = 0.0, layers: Collection[str] | None = None
) -> nn.Module:
    """Copy a network with the lowest singular values of its weight matrices scaled down.

    A weight matrix is the weight of an ``nn.Linear``, or of an ``nn.Conv2d`` as ``(out, in / groups * kh * kw)``;
    biases and all other parameters stay. Layers that share a weight still share it in the copy, and it is cut once.

    Args:
        model: Any network; not changed.
        fraction: Of the singular values of each matrix, lowest first, in ``[0, 1]``. With 0 the copy is bit-equal, with
            1 and ``scale=0`` the output no longer depends on the input.
        scale: Factor for those values: 0 zeroes them, 0.1 divides them by ten.
        layers: Dotted names of the layers to cut; all by default.

    Returns:
        A deep copy with the same types, devices and modes.

    Raises:
        ValueError: If ``fraction`` or ``scale`` is out of range, a layer has no weight matrix (the message lists those
            that have), or a weight is computed by a parametrisation, so that it can't be written.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> truncate(model, 1.0, layers=["2"])[2].weight.count_nonzero().item()
        0
    """
    _check_cut(fraction, scale)
    cut = copy.deepcopy(model)
    for weight in {id(weight): weight for weight in _weights(cut, layers).values()}.values():
        matrix = truncate_matrix(weight.detach().flatten(1), fraction, scale=scale)
        with torch.no_grad():
            weight.copy_(matrix.view_as(weight))
    return cut


def truncate_matrix(W: Tensor, fraction: float, *, scale: float = 0.0) -> Tensor:
    """Multiply the lowest ``round(fraction * min(W.shape))`` singular values of a matrix by ``scale``.

    With ``scale=0`` this is the nearest matrix of the remaining rank. Computed in float64.

    Args:
        W: Matrix ``(p, q)``.
        fraction: Of its ``min(p, q)`` singular values, in ``[0, 1]``.
        scale: Factor, finite and not negative.

    Returns:
        A new matrix ``(p, q)`` of the type and on the device of ``W``; bit-equal to ``W`` if no value is touched.

    Raises:
        ValueError: If ``W`` is not a finite matrix, or ``fraction`` or ``scale`` is out of range.

    Example:
        >>> truncate_matrix(torch.diag(torch.tensor([2.0, 3.0, 1.0, 4.0])), 0.5, scale=0.1).diag().tolist()
        [0.20000000298023224, 3.0, 0.10000000149011612, 4.0]
    """
    _check_cut(fraction, scale)
    if W.ndim != 2 or not W.isfinite().all():
        bad = int((~W.isfinite()).sum())
        raise ValueError(f"expected a matrix of finite values, got shape {tuple(W.shape)} with {bad} not finite")
    p = min(W.shape)
    lowest = round(fraction * p)
    if lowest == 0:
        return W.clone()
    U, S, Vh = torch.linalg.svd(W.double(), full_matrices=False)
    S[p - lowest :] *= scale
    cut: Tensor = ((U * S) @ Vh).to(W.dtype)
    return cut


def singular_values(model: nn.Module) -> dict[str, Tensor]:
    """Singular values of every weight matrix of a network, by the name of its layer.

    Args:
        model: Any network; weight matrices are those of :func:`truncate`.

    Returns:
        Descending values ``(min(p, q),)`` in float64 for each layer, in the order of ``named_modules``.

    Raises:
        ValueError: If a weight is computed by a parametrisation.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> layer.weight.data = torch.diag(torch.tensor([1.0, 2.0]))
        >>> singular_values(nn.Sequential(layer))["0"].tolist()
        [2.0, 1.0]
    """
    weights = _weights(model, None)
    return {name: torch.linalg.svdvals(weight.detach().flatten(1).double()) for name, weight in weights.items()}


def _weights(model: nn.Module, layers: Collection[str] | None) -> dict[str, Tensor]:
    modules = model.named_modules(remove_duplicate=False)
    found = {name: module for name, module in modules if isinstance(module, nn.Linear | nn.Conv2d)}
    wanted = set(found) if layers is None else set(layers)
    if unknown := sorted(wanted - set(found)):
        raise ValueError(f"expected names of layers with a weight matrix, among {', '.join(found)}, got {unknown}")
    for name in wanted:
        if "weight" not in dict(found[name].named_parameters(recurse=False)):
            raise ValueError(f"expected a plain weight in layer {name!r}, got one that a parametrisation computes")
    return {name: module.weight for name, module in found.items() if name in wanted}


def _check_cut(fraction: float, scale: float) -> None:
    if not 0 <= fraction <= 1:
        raise ValueError(f"expected a fraction in [0, 1], got {fraction}")
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"expected a finite scale that is not negative, got {scale}")
