"""The strong attacks of the audit on one network, each within the same ball."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from lrlib import attacks, metrics, models
from lrlib.attacks import Loss
from lrlib.sections.protocol import at_precision
from lrlib.zoo import Trained

FEW = 20  # steps that are tried first where an attack does not stop by itself
MASK = 1e4  # what the planted control multiplies its logits with
LOSSES: dict[str, Loss] = {
    "cross-entropy": attacks.cross_entropy_per_example,
    "margin": attacks.margin_per_example,
    "difference of logits ratio": attacks.difference_of_logits_ratio,
}
Strong = Callable[[Tensor, Tensor, torch.Generator], Tensor]


class Masked(nn.Module):
    """A network with the same answers whose cross-entropy has no gradient: its logits are far too large.

    The softmax of the logits is 0 and 1 to the last bit, so that the gradient of a right answer's cross-entropy is 0.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to logits ``(n, classes)``."""
        logits: Tensor = MASK * self.model(x)
        return logits


@dataclass(frozen=True)
class Audited:
    """A network under audit.

    Attributes:
        name: Its variant, or what the control is called.
        trained: The stored model.
        network: What answers: the stored model's network, or the planted one around it.
    """

    name: str
    trained: Trained
    network: nn.Module

    @classmethod
    def of(cls, trained: Trained) -> Audited:
        """A stored model as it is."""
        return cls(trained.spec.variant, trained, trained.model)

    @classmethod
    def planted(cls, trained: Trained) -> Audited:
        """The control with masked gradients."""
        return cls("masked", trained, Masked(trained.model))


@dataclass(frozen=True)
class Ball:
    """Where attacks may go: ``eps`` in pixels, as a tensor that broadcasts against images."""

    eps: Tensor

    @property
    def inner(self) -> float:
        """The largest radius in pixels that is inside it in every channel."""
        return float(self.eps.min())


def gradient_attacks(audited: Audited, ball: Ball, *, precision: str, steps: int) -> Iterator[tuple[str, Strong]]:
    """PGD with every loss, with rescaled logits, and on the representation."""
    network = at_precision(audited.network, precision)
    for name, loss in LOSSES.items():
        yield f"PGD-{steps}, {name}", _pgd(network, audited.network, ball, steps, loss)
    yield f"PGD-{steps}, rescaled logits", _rescaled(network, audited.network, ball, steps)
    yield f"representation, {steps} steps", _representation(audited, ball, steps, precision)


def precise(audited: Audited, ball: Ball, *, steps: int) -> Strong:
    """PGD with gradients in float64."""
    double = copy.deepcopy(audited.network).double()

    def attack(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        found = attacks.pgd(
            double,
            x.double(),
            y,
            eps=ball.eps.double(),
            step_size=ball.eps.double() / 8,
            steps=steps,
            generator=generator,
        )
        return found.float()

    return attack


def transferred(source: nn.Module, audited: Audited, ball: Ball, *, steps: int, precision: str) -> Strong:
    """PGD with another network's gradients, until this one is fooled."""
    return _pgd(at_precision(source, precision), audited.network, ball, steps, attacks.margin_per_example)


def ensemble(audited: Audited, ball: Ball) -> Strong | None:
    """AutoAttack, in the largest ball of pixels that is inside; None where the package is not installed."""
    if find_spec("pyautoattack") is None:
        return None
    return lambda x, y, generator: attacks.autoattack(
        audited.network, x, y, eps=ball.inner, seed=generator.initial_seed()
    )


def restarted(audited: Audited, ball: Ball, *, steps: int, restarts: int, patience: int, precision: str) -> Strong:
    """Short PGD on the margin from many starts."""
    network, loss = at_precision(audited.network, precision), attacks.margin_per_example
    return _pgd(network, audited.network, ball, steps, loss, restarts=restarts, patience=patience)


def long(audited: Audited, ball: Ball, *, steps: int, precision: str) -> Strong:
    """Very many small steps of PGD on the margin."""
    network = at_precision(audited.network, precision)
    return _pgd(network, audited.network, ball, steps, attacks.margin_per_example, part=32)


def without_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Whether the gradient of cross-entropy at an image is zero everywhere, ``(n,)``."""
    return (attacks.gradient(model, x, y) == 0).flatten(1).all(dim=1)


def _pgd(
    network: nn.Module, victim: nn.Module, ball: Ball, steps: int, loss: Loss, *, part: int = 8, **more: Any
) -> Strong:
    def attack(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return attacks.pgd(
            network,
            x,
            y,
            eps=ball.eps,
            step_size=ball.eps / part,
            steps=steps,
            loss=loss,
            until_fooled=True,
            victim=victim,
            generator=generator,
            **more,
        )

    return attack


def _rescaled(network: nn.Module, victim: nn.Module, ball: Ball, steps: int) -> Strong:
    """Cross-entropy of logits divided by their median lead, so that no scale of theirs hides its gradient."""

    def attack(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            first, second = network(x).topk(2, dim=1).values.T
        lead = (first - second).median().clamp(min=1e-12)

        def loss(logits: Tensor, labels: Tensor) -> Tensor:
            return attacks.cross_entropy_per_example(logits / lead, labels)

        return _pgd(network, victim, ball, steps, loss)(x, y, generator)

    return attack


def _representation(audited: Audited, ball: Ball, steps: int, precision: str) -> Strong:
    """Towards the representation of the nearest image of the batch with another label; in few steps where these do."""
    model = audited.trained.model
    network, tap = at_precision(model, precision), models.places(audited.trained.spec.arch)[0]

    def attack(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        own = metrics.features(model, x, tap)
        distance = torch.cdist(own, own).masked_fill(y[:, None] == y[None, :], torch.inf)
        guides, x_adv = x[distance.argmin(dim=1)], x.clone()
        standing = torch.arange(len(x), device=x.device)
        for length in (min(FEW, steps), steps):
            x_adv[standing] = attacks.representation(
                lambda z: _features(network, model.get_submodule(tap), z),
                x[standing],
                guides[standing],
                eps=ball.eps,
                step_size=ball.eps / 8,
                steps=length,
                generator=generator,
            )
            standing = standing[metrics.correct(audited.network, x_adv[standing], y[standing])]
            if len(standing) == 0:
                break
        return x_adv

    return attack


def _features(network: nn.Module, place: nn.Module, x: Tensor) -> Tensor:
    """The representation with its graph, in the network's own evaluation mode."""
    kept: list[Tensor] = []
    handle = place.register_forward_hook(lambda _m, _i, out: kept.append(out))
    try:
        network(x)
    finally:
        handle.remove()
    return kept[0].flatten(1).float()
