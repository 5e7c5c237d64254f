"""Training as the paper does it: plain SGD first, then SGD with the LR layers (section C, "Experimental Settings")."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from tqdm import tqdm

from lrlib import metrics, models
from lrlib.data import Dataset, as_float
from lrlib.lowrank import Attachment, LowRank, Projection, attach


class TrainingDiverged(RuntimeError):
    """The loss became infinite or NaN."""


@dataclass(frozen=True)
class Regularizer:
    """How the LR layers of a training are set; the places come from the variant.

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
        TrainingDiverged: If the loss is not finite.
    """
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(spec.seed)
        model = place(build(spec, dataset), device)
        summary = _run(spec, dataset, model, device, progress)
    return model.eval(), summary


def _run(spec: Spec, dataset: Dataset, model: nn.Module, device: torch.device, progress: bool) -> dict[str, float]:
    x, y = dataset.x_train.to(device), dataset.y_train.to(device)
    optimizer = _optimizer(spec, model)
    batches = -(-len(x) // spec.batch_size)
    schedule = _schedule(spec, optimizer, batches)
    augment = crop_and_flip if dataset.augment else _leave
    regularizer: Attachment | None = None
    summary: dict[str, float] = {}
    bar = tqdm(total=spec.epochs * batches, desc=spec.name, unit="step", disable=None if progress else True)
    for epoch in range(spec.epochs):
        if spec.lr is not None and epoch == spec.lr.from_epoch:
            regularizer = _put_on(spec, spec.lr, model, x)
        model.train()
        loss_sum = torch.zeros((), device=device)
        right = torch.zeros((), device=device)
        generator = torch.Generator().manual_seed(spec.seed * 1_000_003 + epoch)
        for index in _order(len(x), spec.batch_size, generator):
            images = augment(as_float(x[index.to(device)]), generator)
            labels = y[index.to(device)]
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
            loss_sum += loss.detach() * len(index)
            right += (logits.detach().argmax(1) == labels).sum()
            bar.update()
        summary = {"loss": (loss_sum / len(x)).item(), "accuracy": (right / len(x)).item()}
        bar.set_postfix(loss=f"{summary['loss']:.3f}", accuracy=f"{summary['accuracy']:.3f}")
        if not torch.isfinite(loss_sum):
            raise TrainingDiverged(f"expected a finite loss, got {summary['loss']} in epoch {epoch + 1} of {spec.name}")
    bar.close()
    if regularizer is not None:
        regularizer.detach()
    return summary


def _order(n: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """A shuffled epoch in batches that differ by one example at most: a tiny last one would spoil batch statistics."""
    return torch.tensor_split(torch.randperm(n, generator=generator), -(-n // batch_size))


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


def _leave(x: Tensor, generator: torch.Generator) -> Tensor:
    return x
