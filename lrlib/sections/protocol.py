"""How the attacks of the paper are carried out where it leaves that open: units, steps, starts, stopping, precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn

from lrlib import attacks
from lrlib.data import Dataset, as_float
from lrlib.sections.measuring import Bench, NetworkParameters
from lrlib.sections.parameters import is_radius, parameter, radius, switch

UNITS = ("pixel", "normalized", "normalized by image")
PRECISIONS = ("fp32", "bf16")


def is_step(text: str) -> bool:
    """Whether the text is a step: a number or a fraction in (0, 1], or ``eps/4`` for a quarter of the radius."""
    whole, _, part = text.replace(" ", "").partition("/")
    return is_radius(f"1/{part}") if whole == "eps" else is_radius(text)


def step(text: str, eps: float) -> float:
    """The step of an attack of that radius, in the unit of the radius."""
    whole, _, part = text.replace(" ", "").partition("/")
    return eps * radius(f"1/{part}") if whole == "eps" else radius(text)


@dataclass(frozen=True)
class Protocol:
    """What the paper does not say about its iterative attacks.

    Attributes:
        unit: Of the radius and the step: pixels in [0, 1]; pixels divided by the standard deviation of each channel
            over the training set (``normalized``), or by the mean over its images of the deviation within an image
            (``normalized by image``). For CIFAR-10 these are the two triples that public code has.
        step_size: ``1/255``, ``0.01`` and the like, or ``eps/4``.
        random_start: Start at a uniform draw from the ball.
        until_fooled: Leave an image alone once it is fooled.
        clip: Keep every iterate in [0, 1].
    """

    unit: str
    step_size: str
    random_start: bool
    until_fooled: bool
    clip: bool


@dataclass(frozen=True)
class Attack:
    """An iterative attack as a protocol carries it out.

    Attributes:
        network: Whose gradients it follows.
        protocol: What the paper leaves open.
        scale: One unit of the protocol in pixels.
        loss: What it climbs.
        victim: Whose mistakes stop it, if the protocol stops; the network's own if left out.
    """

    network: nn.Module
    protocol: Protocol
    scale: Tensor
    loss: attacks.Loss = attacks.cross_entropy_per_example
    victim: nn.Module | None = None

    @classmethod
    def on(cls, bench: Bench, network: nn.Module, protocol: Protocol, precision: str, **more: Any) -> Self:
        """The attack on a network, with gradients in fp32 or bf16; its mistakes are those of its fp32 answers."""
        scale = in_pixels(bench.dataset, protocol.unit).to(bench.device)
        return cls(at_precision(network, precision), protocol, scale, **{"victim": network} | more)

    def iterates(self, x: Tensor, y: Tensor, generator: torch.Generator, *, eps: float, steps: int) -> Iterator[Tensor]:
        """The images after 0, 1, ... steps, see ``attacks.iterates``; ``eps`` is in the protocol's unit."""
        return attacks.iterates(self.network, x, y, steps=steps, generator=generator, **self._options(eps))

    def after(self, x: Tensor, y: Tensor, generator: torch.Generator, *, eps: float, steps: int) -> Tensor:
        """The images after all steps."""
        return attacks.pgd(self.network, x, y, steps=steps, generator=generator, **self._options(eps))

    def _options(self, eps: float) -> dict[str, Any]:
        return {
            "eps": eps * self.scale,
            "step_size": step(self.protocol.step_size, eps) * self.scale,
            "random_start": self.protocol.random_start,
            "loss": self.loss,
            "victim": self.victim,
            "until_fooled": self.protocol.until_fooled,
            "clip": self.protocol.clip,
        }


def in_pixels(dataset: Dataset, unit: str) -> Tensor:
    """One unit in pixels, as a tensor that broadcasts against images ``(n, c, h, w)``."""
    if unit == "pixel":
        return torch.ones(1, 1, 1)
    values = torch.tensor(dataset.std) if unit == "normalized" else _deviation_by_image(dataset)
    return values.view(-1, 1, 1)


@cache
def _deviation_by_image(dataset: Dataset) -> Tensor:
    within = [as_float(part).flatten(2).std(dim=2) for part in torch.split(dataset.x_train, 4096)]
    return torch.cat(within).double().mean(dim=0).float()


class Fast(nn.Module):
    """A network whose layers compute in bf16, with images and logits in fp32: for attacks, not for verdicts."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to logits ``(n, classes)``, fp32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.model(x.contiguous(memory_format=torch.channels_last))
        return logits.float()


def at_precision(model: nn.Module, precision: str) -> nn.Module:
    """The network as attacks see it."""
    return Fast(model) if precision == "bf16" else model


@dataclass(frozen=True)
class ProtocolParameters(NetworkParameters):
    """Parameters of the pages that attack networks as the paper may have done."""

    unit: str = parameter(
        "unit of eps and step_size: pixels in [0, 1], or pixels divided by a standard deviation",
        expected=f"one of {', '.join(UNITS)}",
        check=UNITS.__contains__,
    )
    step_size: str = parameter(
        "length of a step of an iterative attack", expected="a number in (0, 1] such as 1/255, or eps/4", check=is_step
    )
    random_start: bool = switch("start at a uniform draw from the ball")
    until_fooled: bool = switch("leave an image alone once it is fooled")
    clip: bool = switch("keep attacked images in [0, 1]")
    precision: str = parameter(
        "arithmetic in which gradients are computed; answers are always fp32",
        expected=f"one of {', '.join(PRECISIONS)}",
        check=PRECISIONS.__contains__,
    )

    def protocol(self, **changed: object) -> Protocol:
        """The protocol of these parameters."""
        names = ("unit", "step_size", "random_start", "until_fooled", "clip")
        return Protocol(**{name: getattr(self, name) for name in names} | changed)
