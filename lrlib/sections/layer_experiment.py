"""A small training with an LR layer that can be watched step by step, and its twin without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import metrics, models
from lrlib.attachment import attach
from lrlib.data import Dataset, as_float
from lrlib.lowrank import LowRank

ARCH, TAP = "LRL", "2"  # linear, ReLU, linear; the tap is the ReLU
MOMENTUM = 0.9
STARTED_FROM = 512  # training images whose activations W starts from


@dataclass(frozen=True)
class Settings:
    """What is trained.

    Attributes:
        features: Hidden units, the width ``m`` of the activations.
        rank: Target rank of the LR layer.
        before: Plain steps before the layer is put on.
        steps: Steps with the layer.
        lambda_c: Weight of the projection loss.
        lambda_n: Weight of the norm loss.
        learning_rate: Of the network's own SGD.
        batch_size: Images in a batch.
    """

    features: int
    rank: int
    before: int
    steps: int
    lambda_c: float
    lambda_n: float
    learning_rate: float
    batch_size: int


def watched(
    dataset: Dataset, settings: Settings, *, with_layer: bool, seed: int, device: torch.device
) -> Iterator[tuple[int, nn.Module, LowRank | None]]:
    """Train a network of one hidden layer, plainly at first, then with an LR layer on its hidden activations.

    With the layer and without, a seed gives the same weights at step 0 and the same batches.

    Args:
        dataset: What it is trained on.
        settings: How.
        with_layer: Whether there is an LR layer; the network is trained for as long without.
        seed: Of the weights, the batches and the layer's random numbers.
        device: Where.

    Yields:
        The step, from 0, when the layer has just been put on, to ``settings.steps``; the network in evaluation mode;
        the layer, if there is one.
    """
    network = _network(dataset, settings, seed).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=MOMENTUM)
    images, labels = dataset.x_train.to(device), dataset.y_train.to(device)
    generator = torch.Generator().manual_seed(seed)
    layer, regularizer = LowRank(settings.features, settings.rank, seed=seed), None
    for step in range(-settings.before, settings.steps + 1):
        if step == 0 and with_layer:
            regularizer = attach(network, {TAP: layer}, lambda_c=settings.lambda_c, lambda_n=settings.lambda_n)
            layer.start_(metrics.features(network, as_float(images[:STARTED_FROM]), TAP))
        if step >= 0:
            yield step, network.eval(), layer if with_layer else None
        if step == settings.steps:
            return
        index = torch.randint(len(images), (settings.batch_size,), generator=generator).to(device)
        loss = F.cross_entropy(network.train()(as_float(images[index])), labels[index])
        if regularizer is not None:
            loss = loss + regularizer.loss()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if regularizer is not None:
            regularizer.step()


def _network(dataset: Dataset, settings: Settings, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return models.build(
            ARCH,
            classes=len(dataset.classes),
            width=settings.features,
            channels=dataset.channels,
            size=dataset.size,
        )


def effective_rank(W: Tensor) -> int:
    """Number of eigenvalues of a symmetric ``W`` that are not rounding beside the largest one."""
    return int(torch.linalg.matrix_rank(W.double(), hermitian=True, rtol=1e-5))
