"""How a method is put on a network before its training, and made permanent after it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize

from lrlib.baselines.snip import snip
from lrlib.baselines.spectral import spectral_norm, stable_rank_norm


def prepare(
    model: nn.Module, method: str, x: Tensor, y: Tensor, *, sparsity: float = 0.7, stable_rank: float = 0.3
) -> None:
    """Put a method on a network, in place and before its optimizer is made.

    Args:
        model: Network with its initial weights.
        method: ``"SNIP"``, ``"SN"`` or ``"SRN"``; any other name, such as ``"PGD-trained"``, leaves the weights alone.
        x: Images in [0, 1] that SNIP takes the sensitivity on, ``(n, c, h, w)``.
        y: Their labels, ``(n,)``.
        sparsity: Share of the weights that SNIP removes.
        stable_rank: SRN's largest stable rank as a share of the smaller side of each weight's matrix.

    Raises:
        ValueError: If ``sparsity`` or ``stable_rank`` is out of range.
    """
    if method == "SNIP":
        snip(model, x, y, sparsity=sparsity)
    elif method == "SN":
        spectral_norm(model)
    elif method == "SRN":
        stable_rank_norm(model, share=stable_rank)


def finish(model: nn.Module) -> nn.Module:
    """Make pruned and normalised weights the network's own, in place.

    Args:
        model: Any network, prepared or not.

    Returns:
        The same module in evaluation mode, with the plain network's parameters; its outputs are what they were there.
    """
    model.eval()  # before the weights are taken for the last time, so that no power iteration moves them
    for module in list(model.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return model
