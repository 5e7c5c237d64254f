"""Appendix A's checks: what a ReLU does to rank, sparsity beside rank, and low-rank pre-activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import linalg, metrics
from lrlib.sections.measuring import Bench, keys
from lrlib.zoo import Trained

SHARE = 0.99  # of the variance, for whose directions the paper counts
# The paper's counter-example, of rank 1 before the ReLU and 2 after it.
COUNTEREXAMPLE = ((1.0, -1.0, 1.0), (-1.0, 1.0, -1.0))
_DIRECTIONS_OF_RANDOM = (1, 2, 3, 5, 10)
_ROWS, _UNITS = 200, 100
_NULL = 1e-6  # singular values below this share of the largest count as zero; the Gram route's noise is 1e-8
# What the last ReLU before each early tap is put on: the last normalisation and, in a residual network, the block that
# also adds its input.
BEFORE_RELU = {
    "resnet18": ("layer3.1.bn2", "layer3.1"),
    "resnet50": ("layer3.5.bn3", "layer3.5"),
    "vgg19": ("classifier.3", ""),
}


def relu_ranks() -> list[dict[str, Any]]:
    r"""Ranks before and after a ReLU: of the paper's counter-example, and of random matrices of low rank.

    A product :math:`u v^\top` has rank 2 after a ReLU unless a sign is missing, for the positive and negative parts of
    u and v are two products; each further direction multiplies the patterns of signs, until the rank is full.
    """
    generator = torch.Generator().manual_seed(0)
    matrices = {"the paper's 2 x 3 matrix": torch.tensor(COUNTEREXAMPLE, dtype=torch.float64)}
    for r in _DIRECTIONS_OF_RANDOM:
        U, V = (torch.randn(n, r, generator=generator, dtype=torch.float64) for n in (_ROWS, _UNITS))
        matrices[f"random {_ROWS} x {_UNITS} of {r} direction{'s' if r > 1 else ''}"] = U @ V.T
    return [{"matrix": name, "rank": rank(A), "rank after the ReLU": rank(A.relu())} for name, A in matrices.items()]


def rank(A: Tensor) -> int:
    """Number of singular values that are not rounding noise."""
    s = linalg.singular_values(A)
    return int((s > _NULL * s[0]).sum())


def sparsity(bench: Bench, one: Trained, tap: str, zeros: float, directions: int, *, exact: bool, n: int) -> None:
    """Rows of a tap: the share of activations that are zero, and the directions that 99 % of the energy need."""
    about = {**keys(one.spec), "tap": tap}
    bench.run.add("appendix_sparsity", "zeros", zeros, n=n, **about)
    known = {} if exact else {"at_least": True}
    bench.run.add("appendix_sparsity", "directions", directions, n=n, **about, share=SHARE, **known)


def pruned(bench: Bench, one: Trained) -> None:
    """A row of the whole network: the share of its weights that are zero."""
    layers = [module for module in one.model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
    share = (weights == 0).double().mean().item()
    bench.run.add("appendix_sparsity", "zeros", share, n=len(weights), **keys(one.spec), tap="weights")


def pre_activations(bench: Bench, one: Trained, x: Tensor, r: int) -> None:
    """Rows on what is left of a low rank behind a ReLU: the leading r directions of the pre-activations alone pass it.

    Args:
        bench: Takes the rows.
        one: The network; its early tap's last ReLU is looked at, of VGG19 the one before its last FC layer.
        x: Images.
        r: Rank that the pre-activations are cut to.
    """
    before = before_relu(one, x).double()
    cut = truncated(before, r)
    sides = {"before": cut, "after": F.relu(cut), "uncut": F.relu(before)}
    about = {**keys(one.spec), "rank": r}
    for side, features in sides.items():
        s = linalg.singular_values(features)
        bench.run.add("appendix_preactivations", "rank", int((s > _NULL * s[0]).sum()), n=len(x), **about, side=side)
        ratio = linalg.variance_ratios(s)[r - 1].item()
        bench.run.add("appendix_preactivations", "variance_ratio", min(ratio, 1.0), n=len(x), **about, side=side, k=r)
        if side == "after":
            for k in (k for k in (1, r + 1, 10 * r) if k <= len(s)):
                value = s[k - 1].item()
                bench.run.add("appendix_preactivations", "singular_value", value, n=len(x), **about, side=side, k=k)


def before_relu(one: Trained, x: Tensor) -> Tensor:
    """What the ReLU is put on, ``(n, m)``."""
    norm, block = BEFORE_RELU[one.spec.arch]
    found = metrics.features(one.model, x, norm)
    if not block:
        return found
    return found + torch.cat([a.flatten(1) for a in metrics.layer_inputs(one.model, block, x)])


def truncated(A: Tensor, r: int) -> Tensor:
    """The best approximation of rank r, by the leading left singular vectors or, of a tall matrix, the right ones."""
    wide = A.shape[1] > len(A)
    Q = torch.linalg.eigh(A @ A.T if wide else A.T @ A).eigenvectors[:, -r:]
    best: Tensor = Q @ (Q.T @ A) if wide else A @ Q @ Q.T
    return best
