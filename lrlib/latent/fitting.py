"""Training of the autoencoders and of classifiers on codes, by Adam in shuffled batches (the report's section 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import models
from lrlib.latent.autoencoders import Autoencoder


def trained(
    kind: str, x: Tensor, *, latent: int, hidden: int, epochs: int, batch_size: int, learning_rate: float, seed: int
) -> Autoencoder:
    """An autoencoder of these images.

    Args:
        kind: One of ``KINDS``.
        x: Images ``(n, ...)`` in [0, 1].
        latent: Numbers a code.
        hidden: Units on either side of a variational code.
        epochs: Passes over the images, at least 0.
        batch_size: Images a step, at least 1.
        learning_rate: Of Adam.
        seed: Of the weights, the order and the draws.

    Returns:
        The autoencoder, in evaluation mode.

    Raises:
        FloatingPointError: If a weight is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(kind, pixels=x[0].numel(), latent=latent, hidden=hidden).to(x.device)
    generator = torch.Generator().manual_seed(seed)
    _fit(
        model,
        lambda index: model.loss(x[index], generator),
        *(len(x), epochs, batch_size),
        learning_rate=learning_rate,
        generator=generator,
    )
    return model.eval()


def code_classifier(
    arch: str,
    z: Tensor,
    y: Tensor,
    *,
    classes: int,
    width: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> nn.Module:
    """A classifier of codes: 1L, 2L or LRL with the numbers of a code in the place of pixels.

    Args:
        arch: One of ``models.LINEAR``.
        z: Codes ``(n, latent)``.
        y: Their labels ``(n,)``.
        classes: Number of classes.
        width: Hidden units.
        epochs: Passes over the codes; the report has 150.
        batch_size: Codes a step; the report has 1,000.
        learning_rate: Of Adam.
        seed: Of the weights and the order.

    Returns:
        The classifier, in evaluation mode.

    Raises:
        ValueError: If the architecture is another one.
        FloatingPointError: If a weight is no longer finite.
    """
    if arch not in models.LINEAR:
        raise ValueError(f"expected an arch among {', '.join(models.LINEAR)}, got {arch!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = models.build(arch, classes=classes, width=width, channels=z.shape[1], size=1).to(z.device)
    _fit(
        model,
        lambda index: F.cross_entropy(model(z[index]), y[index]),
        *(len(z), epochs, batch_size),
        learning_rate=learning_rate,
        generator=torch.Generator().manual_seed(seed),
    )
    return model.eval()


def _fit(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    n: int,
    epochs: int,
    batch_size: int,
    *,
    learning_rate: float,
    generator: torch.Generator,
) -> None:
    """Minimise a loss of the examples with these indices, in equal batches of at most that size."""
    adam = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    device = next(model.parameters()).device
    for _ in range(epochs):
        for index in torch.tensor_split(torch.randperm(n, generator=generator), -(-n // batch_size)):
            adam.zero_grad(set_to_none=True)
            loss(index.to(device)).backward()  # type: ignore[no-untyped-call]
            adam.step()
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise FloatingPointError("expected finite weights, got others: the learning rate is too large")
