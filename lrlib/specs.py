"""What a model is trained from: a specification whose content names the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, Self, get_type_hints

from lrlib import models
from lrlib.dense import Projection
from lrlib.lowrank import LowRank, Start
from lrlib.typed import fits


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
        start: What W and b start from, see ``LowRank``.
        projection: How the rank is cut.
        members: Members of the Nyström ensemble.
        as_written: Leave the ensemble's average uncut, at a rank of up to ``members`` times the target.
        bounded: Bound the gradient of the projection loss, see ``attach``.

    Raises:
        ValueError: If one of them is out of range.
    """

    lambda_c: float
    lambda_n: float
    from_epoch: int
    ranks: tuple[int, ...] = ()
    cut_every: int = 10
    step_size: float = 0.1
    start: Start = "leading"
    projection: Projection = "ensemble"
    members: int = 5
    as_written: bool = False
    bounded: bool = True

    def __post_init__(self) -> None:
        if self.from_epoch < 0:
            raise ValueError(f"expected from_epoch >= 0, got {self.from_epoch}")
        if self.lambda_c < 0 or self.lambda_n < 0:
            raise ValueError(f"expected weights of the losses from 0 on, got {self.lambda_c} and {self.lambda_n}")
        if any(rank < 1 for rank in self.ranks):
            raise ValueError(f"expected ranks from 1 on, got {self.ranks}")
        # A layer of one unit checks the rest now, rather than at `from_epoch`.
        LowRank(
            1,
            1,
            cut_every=self.cut_every,
            step_size=self.step_size,
            start=self.start,
            projection=self.projection,
            members=self.members,
        )


@dataclass(frozen=True)
class Baseline:
    """How the methods that the paper compares with are set; each takes what concerns it.

    Attributes:
        sparsity: Share of the weights that SNIP removes; the paper's appendix A has 0.7.
        stable_rank: SRN's largest stable rank as a share of the smaller side of a weight's matrix; 0.3 is SRN-30.
        eps: Radius of the attack that PGD-trained learns from, in the maximum norm and units of [0, 1].
        step_size: Length of a step of that attack in each pixel, in the same units.
        steps: Its number of steps.

    Raises:
        ValueError: If one of them is out of range.
    """

    sparsity: float = 0.7
    stable_rank: float = 0.3
    eps: float = 8 / 255
    step_size: float = 2 / 255
    steps: int = 7

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"expected a sparsity from 0 on and below 1, got {self.sparsity}")
        if not 0 < self.stable_rank <= 1:
            raise ValueError(f"expected a stable rank above 0 and up to 1 of the smaller side, got {self.stable_rank}")
        if not (0 < self.eps <= 1 and 0 < self.step_size <= 1):
            raise ValueError(f"expected eps and step_size above 0 and up to 1, got {self.eps} and {self.step_size}")
        if self.steps < 1:
            raise ValueError(f"expected steps >= 1, got {self.steps}")


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
        baseline: The settings of ``models.BASELINES``; None for the other variants.

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
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        if self.lr is not None and self.variant not in models.REGULARIZED:
            raise ValueError(f"expected no LR settings for the variant {self.variant!r}, got {self.lr}")
        if self.lr is None and self.variant in models.REGULARIZED:
            raise ValueError(f"expected LR settings for the variant {self.variant!r}, got none")
        if self.baseline is not None and self.variant not in models.BASELINES:
            raise ValueError(f"expected no baseline's settings for the variant {self.variant!r}, got {self.baseline}")
        if self.baseline is None and self.variant in models.BASELINES:
            raise ValueError(f"expected a baseline's settings for the variant {self.variant!r}, got none")
        places = models.taps(self.arch, self.variant)
        if self.lr is not None and len(self.lr.ranks) not in (0, len(places)):
            raise ValueError(f"expected a rank for each of {', '.join(places)}, or none, got ranks={self.lr.ranks}")
        if self.lr is not None and 0 < self.epochs <= self.lr.from_epoch:
            raise ValueError(f"expected LR layers from an epoch before {self.epochs} on, got {self.lr.from_epoch}")
        if self.seed < 0:
            raise ValueError(f"expected seed >= 0, got {self.seed}")
        if self.epochs < 0 or self.batch_size < 1:
            raise ValueError(f"expected epochs >= 0 and batch_size >= 1, got {self.epochs} and {self.batch_size}")
        if self.optimizer not in ("sgd", "adam"):
            raise ValueError(f"expected an optimizer among sgd, adam, got {self.optimizer!r}")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"expected a precision among fp32, bf16, got {self.precision!r}")

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """The specification that :meth:`content` gave.

        Raises:
            ValueError: If fields are missing, unknown or don't fit together.
        """
        if isinstance(content, Mapping):
            parts = {"lr": Regularizer, "baseline": Baseline}
            content = {**content, **{name: _part(kind, content.get(name)) for name, kind in parts.items()}}
        return cls(**_fields(cls, content))

    def content(self) -> dict[str, Any]:
        """The specification as JSON has it, without the settings of a baseline where there are none.

        Models that were there before the baselines keep their names so.
        """
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in content.items() if name != "baseline" or value is not None}

    @property
    def attack(self) -> dict[str, Any] | None:
        """The arguments of the PGD that the network learns from; None for all but PGD-trained."""
        if self.baseline is None or self.variant != "PGD-trained":
            return None
        return {"eps": self.baseline.eps, "step_size": self.baseline.step_size, "steps": self.baseline.steps}

    @property
    def name(self) -> str:
        """A readable name that ends with a hash of the content."""
        digest = hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()[:12]
        dataset = self.dataset.replace(":", "-").replace("/", "-")
        return f"{dataset}_{self.arch}-{self.width}_{self.variant}_s{self.seed}_{digest}"


def _part(kind: type, content: Any) -> Any:
    """An object of a dataclass from its JSON, None from none."""
    return None if content is None else kind(**_fields(kind, content))


def _fields(kind: type, content: Any) -> dict[str, Any]:
    """The fields of a dataclass from their JSON, each of its type.

    Raises:
        ValueError: If fields are missing or unknown, or one is of another type.
    """
    types = get_type_hints(kind)
    if not isinstance(content, Mapping):
        raise ValueError(f"expected the fields {', '.join(types)}, got {content!r}")
    missing = [one.name for one in fields(kind) if one.default is MISSING and one.name not in content]
    unknown = [name for name in content if name not in types]
    if missing or unknown:
        faults = [f"{name!r} is missing" for name in missing] + [f"{name!r} is unknown" for name in unknown]
        raise ValueError(f"expected the fields {', '.join(types)}, but {', '.join(faults)}")
    for name, value in content.items():
        if not fits(value, types[name]):
            raise ValueError(f"expected {name} to be {_spelled(types[name])}, got {value!r}")
    return {name: _as(value, types[name]) for name, value in content.items()}


def _as(value: Any, kind: Any) -> Any:
    """A value that JSON has in another type of number or list."""
    if kind is float:
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def _spelled(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind).replace("typing.", "")
