"""Training as the paper does it: plain SGD first, then SGD with the LR layers (section C, "Experimental Settings")."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from tqdm import tqdm

from lrlib import metrics, models
from lrlib.data import Dataset, as_float
from lrlib.lowrank import Attachment, LowRank, Projection, attach


class TrainingDiverged(RuntimeError):
    """The loss, the weights or the activations became infinite or NaN."""


Bar: TypeAlias = "tqdm[NoReturn]"
_POSTFIX_EVERY = 20  # steps between two looks at the loss for the progress bar: each waits for the device


@dataclass(frozen=True)
class Regularizer:
    """How the LR layers of a training are set; the places come from the variant.

    The weights bear on the network's own stability: the projection loss is quadratic in the activations, so that SGD
    needs the smaller a learning rate, the larger ``lambda_c``. 2-LR was seen to diverge at a learning rate of 0.2 with
    both weights 10, from the first epoch and without a warm-up, while ``W`` stayed bounded.

    Attributes:
        lambda_c: Weight of the projection loss, the paper's λ1.
        lambda_n: Weight of the norm loss, the paper's λ2.
        from_epoch: Epoch at which the LR layers are put on; the paper trains 50 of 350 epochs without them.
        ranks: Target ranks in the order of ``models.taps``; empty for the paper's, shrunk with the features.
        cut_every: Steps between two cuts of the rank.
        step_size: Step of W and b relative to the largest stable one.
        projection: How the rank is cut.
        members: Members of the Nyström ensemble.
        as_written: Leave the ensemble's average uncut, at a rank of up to ``members`` times the target.

    Raises:
        ValueError: If one of them is out of range.
    """

    lambda_c: float
    lambda_n: float
    from_epoch: int
    ranks: tuple[int, ...] = ()
    cut_every: int = 10
    step_size: float = 0.1
    projection: Projection = "ensemble"
    members: int = 5
    as_written: bool = False

    def __post_init__(self) -> None:
        if self.from_epoch < 0:
            raise ValueError(f"expected from_epoch >= 0, got {self.from_epoch}")
        # A layer of one unit checks the rest now, rather than at `from_epoch`.
        LowRank(
            1,
            1,
            cut_every=self.cut_every,
            step_size=self.step_size,
            projection=self.projection,
            members=self.members,
        )


@dataclass(frozen=True)
class Spec:
    """All that a trained model depends on but the code; two equal specifications name the same model.

    Attributes:
        dataset: A name that ``lrlib.data.load`` knows.
        size: Height and width the images are resized to; None leaves them.
        arch: Architecture, see ``models.ARCHS``.
        width: Channels of the first convolution, or hidden units of a linear classifier.
        variant: Variant, see ``models.VARIANTS``.
        seed: Seed of the initial weights, the order of the batches and the augmentation.
        epochs: Passes over the training set; 0 leaves the random network.
        batch_size: Examples in a step at most; an epoch is cut into equal batches.
        optimizer: ``"sgd"``, or ``"adam"`` as in the SVD report.
        learning_rate: Constant, first or highest learning rate, as the schedule has it.
        milestones: Epochs at which the learning rate is divided by ten; None for a one-cycle schedule.
        momentum: Of SGD.
        weight_decay: Of the network's weights.
        precision: ``"fp32"``, or ``"bf16"`` for autocast.
        lr: The LR layers' settings; None for a training without.

    Raises:
        ValueError: If the settings don't fit together.
    """

    dataset: str
    size: int | None
    arch: str
    width: int
    variant: str
    seed: int
    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    milestones: tuple[int, ...] | None
    momentum: float
    weight_decay: float
    precision: Literal["fp32", "bf16"]
    lr: Regularizer | None

    def __post_init__(self) -> None:
        if self.lr is not None and self.variant not in models.REGULARIZED:
            raise ValueError(f"expected no LR settings for the variant {self.variant!r}, got {self.lr}")
        if self.lr is None and self.variant in models.REGULARIZED:
            raise ValueError(f"expected LR settings for the variant {self.variant!r}, got none")
        places = models.taps(self.arch, self.variant)
        if self.lr is not None and len(self.lr.ranks) not in (0, len(places)):
            raise ValueError(f"expected a rank for each of {', '.join(places)}, or none, got ranks={self.lr.ranks}")
        if self.epochs < 0 or self.batch_size < 1:
            raise ValueError(f"expected epochs >= 0 and batch_size >= 1, got {self.epochs} and {self.batch_size}")
        if self.optimizer not in ("sgd", "adam"):
            raise ValueError(f"expected an optimizer among sgd, adam, got {self.optimizer!r}")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"expected a precision among fp32, bf16, got {self.precision!r}")

    def content(self) -> dict[str, Any]:
        """The specification as JSON has it."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    @property
    def name(self) -> str:
        """A readable name that ends with a hash of the content."""
        digest = hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()[:12]
        dataset = self.dataset.replace(":", "-").replace("/", "-")
        return f"{dataset}_{self.arch}-{self.width}_{self.variant}_s{self.seed}_{digest}"


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
    regularizer = attach(model, layers, lambda_c=settings.lambda_c, lambda_n=settings.lambda_n)
    for tap, layer in layers.items():
        layer.start_(metrics.features(model, as_float(x[: max(512, 4 * layer.rank)]), tap))
    return regularizer


def crop_and_flip(x: Tensor, generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """Each image shifted by up to ``padding`` pixels over zeros, and mirrored with probability one half.

    Args:
        x: Images ``(n, c, h, w)``.
        generator: Source of the shifts and flips, on the CPU.
        padding: Largest shift in pixels.

    Returns:
        Images of the same shape.
    """
    n, _, h, w = x.shape
    shifts = torch.randint(2 * padding + 1, (2, n), generator=generator).to(x.device)
    flips = (torch.rand(n, generator=generator) < 0.5).to(x.device)
    rows = shifts[0, :, None] + torch.arange(h, device=x.device)
    columns = shifts[1, :, None] + torch.arange(w, device=x.device)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    padded = F.pad(x, (padding, padding, padding, padding))
    examples = torch.arange(n, device=x.device)[:, None, None]
    return padded[examples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
