"""DeepFool."""

import torch
from torch import Tensor

from lrlib.attacks._ascent import answers
from lrlib.attacks._checks import check_count, check_gradient, check_images, check_logits
from lrlib.attacks._guard import Model, undisturbed

# The authors' code adds it to every distance, lest an image on a boundary stop there.
_FLOOR = 1e-4


def deepfool(
    model: Model,
    x: Tensor,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    classes: int = 10,
    clip: bool = True,
    victim: Model | None = None,
) -> Tensor:
    """Looks for the smallest perturbation in the Euclidean norm that changes the prediction.

    Each step crosses the nearest hyperplane of the linearised classifier (Moosavi-Dezfooli et al., 2016, Algorithm 2).
    As in the authors' code, the next linearisation is made at ``x + (1 + overshoot) * total``, with ``total`` the sum
    of the steps so far, and only the classes that were the likeliest on the clean image are candidates. An image is
    fooled, and left alone from then on, when its prediction is no longer the clean one; an image that never is comes
    back as its last iterate.

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``. An ``nn.Module`` is attacked in evaluation mode and
            left as it was found; any other callable is used as it is.
        x: Images in [0, 1], ``(n, ...)``.
        steps: Most steps that any image takes, at least 1.
        overshoot: How far to go beyond the boundary, as a fraction of the perturbation, at least 0.
        classes: Number of candidates with the clean prediction among them, at least 2; at most the number of logits
            are used.
        clip: Keep every iterate in [0, 1]. Without it this is the authors' algorithm.
        victim: Whose change of prediction ends the search, the attacked model's if left out. With another one this is
            the black-box attack of Sanyal et al., appendix D.5.

    Returns:
        Attacked images, of the shape and dtype of ``x``.

    Raises:
        ValueError: If an argument, or what the model returns, doesn't fit the description above, or if a gradient has
            a NaN.

    Example:
        >>> x = torch.tensor([[0.6, 0.4]])
        >>> deepfool(lambda z: z @ torch.eye(2), x).round(decimals=3)
        tensor([[0.4980, 0.5020]])
    """
    check_images(x)
    check_count("steps", steps, least=1)
    check_count("classes", classes, least=2)
    if not 0 <= overshoot < float("inf"):
        raise ValueError(f"expected overshoot to be finite and at least 0, got {overshoot}")
    victim = model if victim is None else victim
    with undisturbed(model), undisturbed(victim):
        x = x.detach().clone()
        x_adv, total = x.clone(), torch.zeros_like(x)
        ranked, clean = _ranked_classes(model, x)[:, :classes], answers(victim, x)
        active = torch.arange(len(x), device=x.device)
        for _ in range(steps):
            if len(active) == 0:
                break
            total[active] += _step_to_nearest_hyperplane(model, x_adv[active], ranked[active])
            moved = x[active] + (1 + overshoot) * total[active]
            x_adv[active] = moved.clamp(0, 1) if clip else moved
            active = active[answers(victim, x_adv[active]) == clean[active]]
    return x_adv


@torch.no_grad()
def _ranked_classes(model: Model, x: Tensor) -> Tensor:
    """All classes from the likeliest on, ``(n, classes)``; the first of equals comes first, as it does for argmax."""
    logits = model(x)
    check_logits(logits, x, classes=2)
    return logits.argsort(dim=1, descending=True, stable=True)


def _step_to_nearest_hyperplane(model: Model, x: Tensor, ranked: Tensor) -> Tensor:
    """Shortest way to a tie with another candidate in the classifier linearised at ``x``: ``(n, ...)``.

    It is zero for an image where no candidate's advantage has a gradient.
    """
    x = x.detach().requires_grad_()
    logits = model(x)
    check_logits(logits, x, classes=2)
    candidates = logits.gather(1, ranked)
    gaps = candidates[:, 1:] - candidates[:, :1]
    normals = _gradients(gaps, x)
    norms = normals.reshape(*normals.shape[:2], -1).norm(dim=2)
    distances = torch.where(norms > 0, gaps.detach().abs().T / norms, torch.inf)
    nearest, everyone = distances.argmin(dim=0), torch.arange(len(x), device=x.device)
    distance = distances[nearest, everyone]
    reachable = distance.isfinite()
    scale = torch.where(reachable, (distance + _FLOOR) / norms[nearest, everyone].where(reachable, 1), 0)
    return scale.reshape(-1, *[1] * (x.dim() - 1)) * normals[nearest, everyone]


def _gradients(outputs: Tensor, x: Tensor) -> Tensor:
    """Gradients of every column of ``outputs`` ``(n, k)`` with respect to ``x`` ``(n, ...)``: ``(k, n, ...)``."""
    # One pass each: on a processor faster than all at once by vmap, which also takes as much memory as all passes.
    columns = outputs.sum(dim=0)
    gradients = torch.stack([torch.autograd.grad(column, x, retain_graph=True)[0] for column in columns])
    check_gradient(gradients)
    return gradients
