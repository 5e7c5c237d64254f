"""AutoAttack, by its authors' implementation."""

import logging

import torch
from torch import Tensor, nn

from lrlib.attacks._checks import check_images, check_labels
from lrlib.attacks._guard import Model, undisturbed

ENSEMBLE = ("apgd-ce", "apgd-t", "fab-t", "square")


def autoattack(model: Model, x: Tensor, y: Tensor, *, eps: float, seed: int = 0) -> Tensor:
    """Two forms of APGD, FAB and the Square attack in the maximum norm, each on what the ones before left standing.

    This is the standard version of Croce and Hein (2020), by the package ``pyautoattack``. Square needs no gradient.

    Args:
        model: Maps images in [0, 1] to logits ``(n, classes)``; left as it was found.
        x: Images in [0, 1], ``(n, c, h, w)``.
        y: True labels, ``(n,)``.
        eps: Radius of the ball in the units of ``x``: one number, for the package knows no other balls.
        seed: Of its random draws.

    Returns:
        Attacked images, of the shape of ``x``.

    Raises:
        ValueError: If an argument doesn't fit the description above.
        ModuleNotFoundError: If ``pyautoattack`` is not installed; the extra ``book`` brings it.
    """
    from pyautoattack import AutoAttack

    check_images(x)
    classes = check_labels(y, x)
    if not 0 < eps <= 1:
        raise ValueError(f"expected eps in (0, 1], got {eps}")
    logging.getLogger("auto-attack").setLevel(logging.ERROR)  # it warns of zero gradients, which we count ourselves
    with undisturbed(model), torch.random.fork_rng():
        with torch.no_grad():
            classes = max(classes, model(x[:1]).shape[1])
        ensemble = AutoAttack(
            model if isinstance(model, nn.Module) else _Wrapped(model),
            norm="Linf",
            eps=eps,
            seed=seed,
            version="custom",
            attacks=list(ENSEMBLE),
            device=x.device,
        )
        ensemble.verbose = False
        for targeted in (ensemble.apgd_targeted, ensemble.fab):
            targeted.n_target_classes = min(9, classes - 1)
        ensemble.apgd.n_restarts = ensemble.fab.n_restarts = 1
        x_adv: Tensor = ensemble.run_standard_evaluation(x, y, batch_size=len(x))[0]
    return x_adv.detach()


class _Wrapped(nn.Module):
    """A callable as the module that the package asks for."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)
