"""SNIP: a network pruned once, before its training (Lee, Ajanthan and Torr, 2019)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lrlib.baselines._layers import weighted


class Mask(nn.Module):
    """Sets weights to zero, in every forward pass; as a parametrization it also keeps their gradients at zero.

    Args:
        keep: Which weights stay, of the weights' shape, bool.
    """

    keep: Tensor

    def __init__(self, keep: Tensor) -> None:
        super().__init__()
        self.register_buffer("keep", keep)

    def forward(self, weight: Tensor) -> Tensor:
        """The weights, in their own shape."""
        return weight * self.keep


def snip(model: nn.Module, x: Tensor, y: Tensor, *, sparsity: float) -> None:
    """Prune the weights that the loss is least sensitive to, over all convolutions and linear layers together.

    Biases and batch normalisations are not pruned. ``torch.nn.utils.prune`` has no part in it, because its global
    pruning takes no weights in channels_last.

    Args:
        model: Network with its initial weights, changed in place: the layers' weights become masked ones.
        x: Images in [0, 1] to take the sensitivity on, ``(n, c, h, w)``.
        y: Their labels, ``(n,)``.
        sparsity: Share of the weights to remove, at least 0 and below 1; the paper's appendix A has 0.7.

    Raises:
        ValueError: If ``sparsity`` is out of range.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"expected a sparsity from 0 on and below 1, got {sparsity}")
    scores = sensitivity(model, x, y)
    flat = torch.cat([score.flatten() for score in scores.values()])
    keep = torch.zeros_like(flat, dtype=torch.bool)
    keep[flat.topk(round((1 - sparsity) * len(flat))).indices] = True
    parts = torch.split(keep, [score.numel() for score in scores.values()])
    for (name, layer), part in zip(weighted(model).items(), parts, strict=True):
        # In the memory format of the weights, so that the masked ones have it too.
        mask = torch.empty_like(layer.weight, dtype=torch.bool).copy_(part.view(scores[name].shape))
        parametrize.register_parametrization(layer, "weight", Mask(mask))


def sensitivity(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    r"""Connection sensitivity :math:`|w \, \partial L / \partial w|` of every weight, L the mean cross-entropy.

    Args:
        model: Network, which is left as it is; the loss is taken in training mode, with the statistics of the batch.
        x: Images in [0, 1], ``(n, c, h, w)``.
        y: Their labels, ``(n,)``.

    Returns:
        For each convolution and linear layer by name, a tensor of its weights' shape.
    """
    twin = deepcopy(model).train()  # its batch normalisations may note the statistics of this batch
    weights = {name: layer.weight for name, layer in weighted(twin).items()}
    gradients = torch.autograd.grad(F.cross_entropy(twin(x), y), list(weights.values()))
    return {name: (w * g).detach().abs() for (name, w), g in zip(weights.items(), gradients, strict=True)}
