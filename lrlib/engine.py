"""One training in progress: its network, optimizer and LR layers, an epoch of it, and its state between two epochs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from tqdm import tqdm

from lrlib import baselines, metrics, models
from lrlib.attachment import Attachment, attach
from lrlib.data import Dataset, as_float, crop_and_flip
from lrlib.lowrank import LowRank
from lrlib.specs import Regularizer, Spec

Bar: TypeAlias = "tqdm[NoReturn]"
_POSTFIX_EVERY = 20  # steps between two looks at the loss for the progress bar: each waits for the device


class Training:
    """A training between two epochs.

    Random numbers come from torch's global state (weights, dropout) and, for the order of the images and their
    augmentation, from a generator seeded by the epoch; both are part of :meth:`state`, so that a training that goes on
    from a state is the one that was never interrupted.

    Raises:
        ValueError: If an LR layer is to have a higher rank than the activations there.

    Attributes:
        model: The network.
        precision: The specification's, or ``"fp32"`` where the device has no bf16.
        epochs_done: Number of finished epochs.
        summary: Loss and accuracy on the training batches of the last epoch; empty before the first.
    """

    def __init__(self, spec: Spec, dataset: Dataset, model: nn.Module, device: torch.device) -> None:
        _check_ranks(spec, dataset, model)
        self.spec, self.dataset, self.model, self.device = spec, dataset, model, device
        self.x, self.y = dataset.x_train.to(device), dataset.y_train.to(device)
        self.batches = batches(spec, dataset)
        if spec.baseline is not None:
            baselines.prepare(
                *(model, spec.variant, as_float(self.x[: spec.batch_size]), self.y[: spec.batch_size]),
                sparsity=spec.baseline.sparsity,
                stable_rank=spec.baseline.stable_rank,
            )
        self.optimizer = _optimizer(spec, model)
        self.schedule = _schedule(spec, self.optimizer, self.batches)
        self.precision = spec.precision if has_bf16(device) else "fp32"
        self.regularizer: Attachment | None = None
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._compile()
        self.epochs_done = 0
        self.summary: dict[str, float] = {}

    def epoch(self, bar: Bar) -> None:
        """Train for one epoch.

        Raises:
            FloatingPointError: If the loss, the weights or the activations at an LR layer are not finite.
        """
        if self.spec.lr is not None and self.epochs_done == self.spec.lr.from_epoch:
            self.attach_layers(self.spec.lr)
        self.model.train()
        meter = _Meter(bar, self.device)
        generator = torch.Generator().manual_seed(self.spec.seed * 1_000_003 + self.epochs_done)
        attack = self.spec.attack
        for order in _order(len(self.x), self.batches, generator):
            index = order.to(self.device)
            images, labels = as_float(self.x[index]), self.y[index]
            if self.dataset.augment:
                images = crop_and_flip(images, generator)
            if attack is not None:
                images = baselines.attacked(self.model, self._forward, images, labels, **attack, generator=generator)
            loss, logits = self.step(images, labels)
            meter.add(loss, logits, labels)
        self.summary = meter.means()
        self.epochs_done += 1
        if not math.isfinite(self.summary["loss"]):
            raise FloatingPointError(f"expected a finite loss, got {self.summary['loss']} in epoch {self.epochs_done}")
        if not all(torch.isfinite(value).all() for value in self.model.state_dict().values()):
            raise FloatingPointError(f"expected finite weights and statistics, got others in epoch {self.epochs_done}")

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One step of SGD on images ``(n, c, h, w)`` in [0, 1] and labels ``(n,)``: the loss and the logits."""
        logits = self._forward(images)
        loss = F.cross_entropy(logits.float(), labels)
        total = loss if self.regularizer is None else loss + self.regularizer.loss()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        if self.regularizer is not None:
            self.regularizer.step()
        return loss.detach(), logits.detach()

    def _forward(self, images: Tensor) -> Tensor:
        """The logits; on a GPU from the compiled network, or from the network itself where compiling fails."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            if self._compiled is not None:
                try:
                    logits: Tensor = self._compiled(images)
                    return logits
                except Exception as error:  # whatever a compiler raises, training goes on
                    failed = f"training without torch.compile, which failed: {error}"
                    warnings.warn(failed, RuntimeWarning, stacklevel=2)
                    self._compiled = None
            uncompiled: Tensor = self.model(images)
            return uncompiled

    def _compile(self) -> None:
        if self.device.type == "cuda":
            torch._dynamo.reset()  # compiled code does not see hooks that come later
            self._compiled = torch.compile(self.model)

    def finish(self) -> nn.Module:
        """The network in evaluation mode, without its LR layers, and with pruned or normalised weights as its own."""
        if self.regularizer is not None:
            self.regularizer.detach()
        return baselines.finish(self.model)

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on, as tensors and plain values."""
        layers = self.regularizer.layers if self.regularizer is not None else {}
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {
            "epochs_done": self.epochs_done,
            "summary": self.summary,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "layers": {tap: layer.state_dict() for tap, layer in layers.items()},
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same specification."""
        self.epochs_done, self.summary = state["epochs_done"], state["summary"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if state["layers"] and self.spec.lr is not None:
            self.attach_layers(self.spec.lr)
            for tap, layer in self.regularizer.layers.items() if self.regularizer else ():
                layer.load_state_dict(state["layers"][tap])
        torch.set_rng_state(state["random"]["cpu"].cpu())
        if state["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["random"]["cuda"].cpu(), self.device)

    def attach_layers(self, settings: Regularizer) -> None:
        """Put the LR layers on, started from the features of the first training images."""
        taps = models.taps(self.spec.arch, self.spec.variant)
        layers = {}
        for i, tap in enumerate(taps):
            first = metrics.features(self.model, as_float(self.x[:1]), tap)
            rank = settings.ranks[i] if settings.ranks else models.target_rank(self.spec.arch, tap, first.shape[1])
            layers[tap] = LowRank(
                first.shape[1],
                rank,
                cut_every=settings.cut_every,
                step_size=settings.step_size,
                start=settings.start,
                projection=settings.projection,
                members=settings.members,
                as_written=settings.as_written,
                seed=self.spec.seed,
            )
        weights = {"lambda_c": settings.lambda_c, "lambda_n": settings.lambda_n}
        self.regularizer = attach(self.model, layers, **weights, bounded=settings.bounded)
        for tap, layer in layers.items():
            layer.start_(metrics.features(self.model, as_float(self.x[: max(512, 4 * layer.rank)]), tap))
        self._compile()


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


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16 itself; one that doesn't is slower with it than without."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def _check_ranks(spec: Spec, dataset: Dataset, model: nn.Module) -> None:
    """Before the first epoch, for the LR layers may be put on after many."""
    taps = models.taps(spec.arch, spec.variant)
    for tap, rank in zip(taps, spec.lr.ranks if spec.lr else (), strict=False):
        width = models.widths(model, [tap], channels=dataset.channels, size=dataset.size)[tap]
        if rank > width:
            raise ValueError(f"expected a rank of at most {width}, the activations at {tap}, got {rank}")


def batches(spec: Spec, dataset: Dataset) -> int:
    """Number of steps in an epoch."""
    return -(-len(dataset.x_train) // spec.batch_size)


def _order(n: int, batches: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """A shuffled epoch in batches that differ by one example at most: a tiny last one would spoil batch statistics."""
    return torch.tensor_split(torch.randperm(n, generator=generator), batches)


def _optimizer(spec: Spec, model: nn.Module) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    if spec.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True)
    momentum, decay = spec.momentum, spec.weight_decay
    return torch.optim.SGD(parameters, lr=spec.learning_rate, momentum=momentum, weight_decay=decay, fused=True)


def _schedule(spec: Spec, optimizer: torch.optim.Optimizer, batches: int) -> LRScheduler:
    if spec.milestones is None:
        total = max(1, spec.epochs * batches)
        return OneCycleLR(optimizer, spec.learning_rate, total_steps=total + 1, cycle_momentum=False)
    return MultiStepLR(optimizer, [epoch * batches for epoch in spec.milestones])
