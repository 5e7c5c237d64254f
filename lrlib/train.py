"""Training as the paper does it: plain SGD first, then SGD with the LR layers (section C, "Experimental Settings")."""

from __future__ import annotations

import math
from typing import NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from tqdm import tqdm

from lrlib import metrics, models
from lrlib.attachment import Attachment, attach
from lrlib.data import Dataset, as_float, crop_and_flip
from lrlib.lowrank import LowRank
from lrlib.specs import Regularizer, Spec


class TrainingDiverged(RuntimeError):
    """The loss, the weights or the activations became infinite or NaN."""


Bar: TypeAlias = "tqdm[NoReturn]"
_POSTFIX_EVERY = 20  # steps between two looks at the loss for the progress bar: each waits for the device


def build(spec: Spec, dataset: Dataset) -> nn.Module:
    """The specification's network for that dataset, with fresh weights from the global random state."""
    return models.build(
        spec.arch,
        classes=len(dataset.classes),
        width=spec.width,
        variant=spec.variant,
        channels=dataset.channels,
        size=dataset.size,
        mean=dataset.mean,
        std=dataset.std,
    )


def place(model: nn.Module, device: torch.device | str) -> nn.Module:
    """The model on that device, its convolutions in channels_last, the layout that is fastest on CPUs and GPUs."""
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def train(
    spec: Spec, dataset: Dataset, *, device: torch.device | str = "cpu", progress: bool = True
) -> tuple[nn.Module, dict[str, float]]:
    """Train a network from its specification.

    Args:
        spec: What to train.
        dataset: The data it names.
        device: Where; the whole training set is kept there as uint8.
        progress: Show a bar with loss, accuracy and remaining time, if the standard error is a terminal.

    Returns:
        The network in evaluation mode, and the loss and accuracy on the training batches of the last epoch (empty for
        0 epochs).

    Raises:
        TrainingDiverged: If the loss, the weights or the activations at an LR layer are not finite.
    """
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(spec.seed)
        model = place(build(spec, dataset), device)
        steps = spec.epochs * _batches(spec, dataset)
        with tqdm(total=steps, desc=spec.name, unit="step", disable=None if progress else True) as bar:
            try:
                summary = _run(spec, dataset, model, device, bar)
            except FloatingPointError as error:
                raise TrainingDiverged(f"{error}, training {spec.name}") from error
    return model.eval(), summary


def _run(spec: Spec, dataset: Dataset, model: nn.Module, device: torch.device, bar: Bar) -> dict[str, float]:
    x, y = dataset.x_train.to(device), dataset.y_train.to(device)
    optimizer = _optimizer(spec, model)
    schedule = _schedule(spec, optimizer, _batches(spec, dataset))
    regularizer: Attachment | None = None
    summary: dict[str, float] = {}
    for epoch in range(spec.epochs):
        if spec.lr is not None and epoch == spec.lr.from_epoch:
            regularizer = _put_on(spec, spec.lr, model, x)
        model.train()
        meter = _Meter(bar, device)
        generator = torch.Generator().manual_seed(spec.seed * 1_000_003 + epoch)
        for order in _order(len(x), _batches(spec, dataset), generator):
            index = order.to(device)
            images, labels = as_float(x[index]), y[index]
            if dataset.augment:
                images = crop_and_flip(images, generator)
            with torch.autocast(device.type, torch.bfloat16, enabled=spec.precision == "bf16"):
                logits = model(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), labels)
            total = loss if regularizer is None else loss + regularizer.loss()
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if regularizer is not None:
                regularizer.step()
            meter.add(loss.detach(), logits.detach(), labels)
        summary = meter.means()
        if not math.isfinite(summary["loss"]):
            raise FloatingPointError(f"expected a finite loss, got {summary['loss']} in epoch {epoch + 1}")
        if not all(torch.isfinite(value).all() for value in model.state_dict().values()):
            raise FloatingPointError(f"expected finite weights and statistics, got others in epoch {epoch + 1}")
    if regularizer is not None:
        regularizer.detach()
    return summary


class _Meter:
    """Mean loss and accuracy over the batches of an epoch, as they were trained on, shown on the bar on the way."""

    def __init__(self, bar: Bar, device: torch.device) -> None:
        self._bar, self._steps, self._examples = bar, 0, 0
        self._loss = torch.zeros((), device=device)
        self._right = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += loss * len(labels)
        self._right += (logits.argmax(1) == labels).sum()
        self._examples += len(labels)
        self._steps += 1
        if not self._bar.disable and self._steps % _POSTFIX_EVERY == 0:
            self.means()
        self._bar.update()

    def means(self) -> dict[str, float]:
        means = {"loss": self._loss.item() / self._examples, "accuracy": self._right.item() / self._examples}
        self._bar.set_postfix(means, refresh=False)
        return means


def _batches(spec: Spec, dataset: Dataset) -> int:
    return -(-len(dataset.x_train) // spec.batch_size)


def _order(n: int, batches: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """A shuffled epoch in batches that differ by one example at most: a tiny last one would spoil batch statistics."""
    return torch.tensor_split(torch.randperm(n, generator=generator), batches)


def _optimizer(spec: Spec, model: nn.Module) -> torch.optim.Optimizer:
    if spec.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    return torch.optim.SGD(
        model.parameters(), lr=spec.learning_rate, momentum=spec.momentum, weight_decay=spec.weight_decay
    )


def _schedule(spec: Spec, optimizer: torch.optim.Optimizer, batches: int) -> LRScheduler:
    if spec.milestones is None:
        total = max(1, spec.epochs * batches)
        return OneCycleLR(optimizer, spec.learning_rate, total_steps=total + 1, cycle_momentum=False)
    return MultiStepLR(optimizer, [epoch * batches for epoch in spec.milestones])


def _put_on(spec: Spec, settings: Regularizer, model: nn.Module, x: Tensor) -> Attachment:
    taps = models.taps(spec.arch, spec.variant)
    layers = {}
    for i, tap in enumerate(taps):
        first = metrics.features(model, as_float(x[:1]), tap)
        rank = settings.ranks[i] if settings.ranks else models.target_rank(spec.arch, tap, first.shape[1])
        layers[tap] = LowRank(
            first.shape[1],
            rank,
            cut_every=settings.cut_every,
            step_size=settings.step_size,
            projection=settings.projection,
            members=settings.members,
            as_written=settings.as_written,
            seed=spec.seed,
        )
    weights = {"lambda_c": settings.lambda_c, "lambda_n": settings.lambda_n}
    regularizer = attach(model, layers, **weights, bounded=settings.bounded)
    for tap, layer in layers.items():
        layer.start_(metrics.features(model, as_float(x[: max(512, 4 * layer.rank)]), tap))
    return regularizer
