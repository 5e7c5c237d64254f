"""The audit: what is left of the differences between the variants under attacks that nobody can call weak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrlib import metrics, zoo
from lrlib.results import Record
from lrlib.sections import auditing, calibrated
from lrlib.sections.auditing import Audited, Ball, Strong
from lrlib.sections.measuring import VARIANTS, Bench, keys
from lrlib.sections.parameters import anew, is_radius, parameter, radius
from lrlib.sections.protocol import Attack, ProtocolParameters, in_pixels
from lrlib.specs import Spec
from lrlib.zoo import Trained

ROBUST = "PGD-trained"  # the control that the audit must find robust
PLANTED = "masked"  # the control that it must fail
WORST = "worst case"
PAPER = "paper"


@dataclass(frozen=True)
class Parameters(ProtocolParameters):
    """Parameters of the page."""

    eps: str = parameter(
        "radius of the ball, in the unit", expected="a radius in (0, 1] such as 8/255", check=is_radius
    )
    steps: list[int] = parameter(
        "steps: of the paper's protocol, of the strong one, and on what that left standing",
        expected="three whole numbers from 1 on",
        check=lambda v: v >= 1,
    )
    restarts: int = parameter("restarts at most", expected="a whole number from 1 on", check=lambda v: v >= 1)
    patience: int = parameter(
        "restarts in a row that fool nothing, after which there are no more",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
    )
    costly: int = parameter(
        "test images for AutoAttack and for gradients in float64, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    radii: list[str] = parameter("radii in pixels, from small to large", expected="radii in (0, 1]", check=is_radius)
    measure: bool = anew()

    def __post_init__(self) -> None:
        if len(self.steps) != 3 or sorted(self.steps) != self.steps:
            raise ValueError(f"expected three numbers of steps, from few to many, got {self.steps}")
        if self.costly > self.examples:
            raise ValueError(f"expected costly to be at most {self.examples}, the examples, got {self.costly}")
        if sorted(self.radii, key=radius) != self.radii:
            raise ValueError(f"expected radii from small to large, got {', '.join(self.radii)}")

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The paper's smallest radius, or its largest for the digits, in the unit that the calibration arrives at."""
        protocol = asdict(calibrated.used(preset))
        pixels = ["0.25/255", "0.5/255", *(f"{2**k}/255" for k in range(8)), "1"]
        own = {"eps": "8/255", "examples": 512, "costly": 128, "precision": calibrated.precision(preset)}
        if preset == "quick":
            own = {"eps": "20/255", "examples": 128, "costly": 64, "precision": "fp32", "steps": [20, 100, 400]}
        shared = {"seeds": [0, 1, 2], "steps": [20, 200, 1000], "restarts": 20, "patience": 5, "radii": pixels}
        return protocol | shared | own | {"measure": False}

    def needed(self) -> list[Spec]:
        """The models that a measurement needs: the variants of all seeds, the PGD-trained network of the first."""
        main = [self.spec(variant, seed) for seed in self.seeds for variant in VARIANTS]
        first = self.first_seed()
        return main if first is None else [*main, self.spec(ROBUST, first)]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that a new measurement needs."""
    return parameters.needed() if parameters.measure else []


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Which images survive each attack, for all variants and both controls.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show bars.

    Returns:
        The record, with rows of ``audit`` (every attack in one ball) and ``audit_radii`` (accuracy against the radius).
    """
    bench = Bench("audit", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for seed in parameters.seeds:
        trained = {spec.variant: bench.trained(spec) for spec in parameters.needed() if spec.seed == seed}
        audited = [Audited.of(one) for one in trained.values()]
        if ROBUST in trained:
            audited.append(Audited.planted(trained["N-LR"]))
        for one in audited:
            audit = _Audit(bench, parameters, one)
            audit.paper(trained["N-LR"])
            audit.strong(trained["N-LR"], _other_seed(bench, parameters, one.trained))
            audit.by_radius()
    return bench.record()


class _Audit:
    """The audit of one network."""

    def __init__(self, bench: Bench, parameters: Parameters, audited: Audited) -> None:
        self.bench, self.parameters, self.audited = bench, parameters, audited
        self.about = {**keys(audited.trained.spec), "variant": audited.name}
        self.ball = Ball(radius(parameters.eps) * in_pixels(bench.dataset, parameters.unit).to(bench.device))
        self.clean = self._measured("clean", bench.x, bench.y, _answering(audited, lambda x, y, generator: x))
        self.standing = self.clean.copy()

    def paper(self, plain: Trained) -> None:
        """The paper's protocol: 20 steps, with the network's own gradients and with N-LR's."""
        given, steps = self.parameters, self.parameters.steps[0]
        self._add("clean", PAPER, self.clean, on="all")
        sources = {f"PGD-{steps}": self.audited.network, f"PGD-{steps} on N-LR": plain.model}
        if self.audited.network is plain.model:
            del sources[f"PGD-{steps} on N-LR"]
        for name, source in sources.items():
            attack = Attack.on(self.bench, source, given.protocol(), given.precision)
            last = partial(attack.after, eps=radius(given.eps), steps=steps)
            self._try(name, PAPER, last, own=given.clip)

    def strong(self, plain: Trained, other: Trained | None) -> None:
        """Everything else, and the worst case of all, the paper's protocol included."""
        given, (_, steps, most) = self.parameters, self.parameters.steps
        one, ball, precision = self.audited, self.ball, given.precision
        for name, attack in auditing.gradient_attacks(one, ball, steps=steps, precision=precision):
            self._try(name, "strong", attack)
        sources = {"another seed": other.model} if other is not None else {}
        if one.network is not plain.model:
            sources["N-LR"] = plain.model
        for name, source in sources.items():
            transfer = auditing.transferred(source, one, ball, steps=steps, precision=precision)
            self._try(f"transfer from {name}", "strong", transfer)
        self._try("PGD-20, float64", "strong", auditing.precise(one, ball, steps=20), first=given.costly)
        ensemble = auditing.ensemble(one, ball)
        if ensemble is not None:
            self._try("AutoAttack", "strong", ensemble, first=given.costly)
        restarted = auditing.restarted(
            one, ball, steps=20, restarts=given.restarts, patience=given.patience, precision=precision
        )
        self._try(f"up to {given.restarts} restarts", "strong", restarted, survivors=True)
        long = auditing.long(one, ball, steps=most, precision=precision)
        self._try(f"PGD-{most}", "strong", long, survivors=True)
        self._add(WORST, "strong", self.standing, on="all")
        found = self._measured("zero gradients", self.bench.x, self.bench.y, self._flat)
        self.bench.run.add("audit", "zero_gradient", found.mean(), n=len(found), **self.about, attack="", group="")

    def by_radius(self) -> None:
        """Accuracy against the radius in pixels: under the paper's loss, and in the worst case of three losses."""
        steps = self.parameters.steps[0]
        for group, losses in ((PAPER, ["cross-entropy"]), ("strong", list(auditing.LOSSES))):
            standing = self.clean.copy()
            for eps in self.parameters.radii:
                ball = Ball(radius(eps) * torch.ones(1, 1, 1, device=self.bench.device))
                tries = dict(
                    auditing.gradient_attacks(self.audited, ball, steps=steps, precision=self.parameters.precision)
                )
                for loss in losses:
                    if standing.any():
                        attack = tries[f"PGD-{steps}, {loss}"]
                        standing[standing] = self._on(f"{loss} at {eps}, {group}", attack, np.flatnonzero(standing))
                about = {**self.about, "eps": eps, "group": group}
                self.bench.run.add_accuracy("audit_radii", "adversarial_accuracy", standing, **about)
                if not standing.any():
                    break

    def _try(
        self, name: str, group: str, attack: Strong, *, first: int = 0, survivors: bool = False, own: bool = True
    ) -> None:
        """Attack all images, the first ones or those that stand, and note which survive."""
        chosen = np.arange(first or len(self.bench.x))
        if survivors:
            chosen = np.flatnonzero(self.standing)
        right = self._on(name, attack, chosen) if len(chosen) else np.zeros(0, dtype=bool)
        if survivors:
            whole = np.zeros(len(self.bench.x), dtype=bool)
            whole[chosen] = right
            right = whole
        self._add(name, group, right, on="survivors" if survivors else "all")
        if own:
            self.standing[: len(right)] &= right

    def _on(self, name: str, attack: Strong, chosen: NDArray[np.int_]) -> NDArray[np.bool_]:
        index = torch.from_numpy(chosen).to(self.bench.device)
        return self._measured(name, self.bench.x[index], self.bench.y[index], _answering(self.audited, attack))

    def _measured(
        self,
        name: str,
        x: Tensor,
        y: Tensor,
        measure: Callable[[Tensor, Tensor, torch.Generator], dict[str, list[Any]]],
    ) -> NDArray[np.bool_]:
        name = f"{self.audited.name}, {name}"
        return self.bench.in_batches(name, [self.audited.trained], x, y, measure, batch_size=128)["is"].astype(bool)

    def _add(self, name: str, group: str, right: NDArray[np.bool_], *, on: str) -> None:
        about = {**self.about, "attack": name, "group": group, "on": on}
        self.bench.run.add_accuracy("audit", "adversarial_accuracy", right, keep=True, **about)

    def _flat(self, x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
        return {"is": auditing.without_gradient(self.audited.network, x, y).tolist()}


def _answering(audited: Audited, attack: Strong) -> Callable[[Tensor, Tensor, torch.Generator], dict[str, list[Any]]]:
    """Whether the answers to attacked images are right."""
    return lambda x, y, generator: {"is": metrics.correct(audited.network, attack(x, y, generator), y).tolist()}


def _other_seed(bench: Bench, parameters: Parameters, one: Trained) -> Trained | None:
    """The same variant from the preset's next seed, if it has been trained."""
    following = parameters.following(one.spec.seed)
    if one.spec.variant not in VARIANTS or following is None:
        return None
    found = zoo.find(replace(one.spec, seed=following), device=bench.device)
    if found is not None:
        bench.run.used(found)
    return found
