"""Adversarial robustness (section 3.1, appendix D): tables 1, 2, 3, 9 and 10, figures 3, 4a, 9, 10 and 11."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrlib import metrics
from lrlib.results import Record
from lrlib.sections import calibrated, perturbations
from lrlib.sections.measuring import VARIANTS, Bench, keys
from lrlib.sections.parameters import is_radius, parameter, radius
from lrlib.sections.protocol import Attack, ProtocolParameters
from lrlib.specs import Spec
from lrlib.zoo import Trained

COMPARED = ("SNIP", "SRN", "SN")  # table 2's other methods
WHITE, TWIN = "white_box", "another_seed"  # settings: who made the examples that a network is shown
BOTTLENECK = "Bottle-1LR"  # figure 4a's
TABLES = {"table1": VARIANTS, "table2": ("N-LR", *COMPARED, "1-LR")}


@dataclass(frozen=True)
class Parameters(ProtocolParameters):
    """Parameters of the page."""

    eps: list[str] = parameter("radii of the ball", expected="radii in (0, 1] such as 8/255", check=is_radius)
    steps: list[int] = parameter("steps of PGD", expected="whole numbers from 1 on", check=lambda v: v >= 1)
    ladder: list[str] = parameter(
        "radii of figure 4a and 9, in the same unit", expected="radii in (0, 1] such as 8/255", check=is_radius
    )
    searched: int = parameter(
        "test images for figures 4a, 9 and 11 and tables 3 and 10, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    search_step: str = parameter(
        "length of a step in the search for the smallest radius (tables 3 and 10), in steps of a quarter of it",
        expected="a number in [0.002, 1] such as 1/255",
        check=lambda v: is_radius(v) and radius(v) >= 0.002,
    )
    search_steps: int = parameter(
        "steps at most in that search", expected="a whole number from 1 on", check=lambda v: v >= 1
    )
    gallery: int = parameter(
        "images in the gallery", expected="a whole number from 1 to 10", check=range(1, 11).__contains__
    )

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Table 1's radii and steps, and the protocol that the page on calibration arrives at."""
        shared: dict[str, Any] = {
            "seeds": [0, 1, 2],
            "eps": ["8/255", "10/255", "16/255", "20/255"],
            "steps": [7, 20],
            "ladder": ["1/255", "2/255", "4/255", "8/255", "16/255", "32/255"],
            "search_step": "1/255",
            "search_steps": 50,
            "gallery": 5,
            "precision": calibrated.precision(preset),
            **asdict(calibrated.used(preset)),
        }
        digits = {"ladder": ["8/255", "16/255", "32/255", "64/255"], "search_step": "16/255", "search_steps": 20}
        own: dict[str, dict[str, Any]] = {
            "quick": {"examples": 300, "searched": 100, "precision": "fp32", **digits},
            "small": {"examples": 1_000, "searched": 256},
            "paper": {"examples": 10_000, "searched": 1_000},
        }
        return shared | own[preset]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs: the variants of all seeds, the others of the preset's first.

    The variants also of the seeds that follow these, for what is transferred between two trainings.
    """
    first = parameters.first_seed()
    others = [] if first is None else [parameters.spec(name, first) for name in (*COMPARED, BOTTLENECK)]
    following = [parameters.following(seed) for seed in parameters.seeds]
    seeds = dict.fromkeys(seed for seed in (*parameters.seeds, *following) if seed is not None)
    return [*(parameters.spec(variant, seed) for seed in seeds for variant in VARIANTS), *others]


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy under attack, the size of the smallest perturbations, what happens on the way, and some images.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show bars while a model is trained or attacked.

    Returns:
        The record, with rows of tables 1, 2, 3 and 10 and figures 4a, 10 and 11; ``table1_other_unit`` and
        ``table2_other_unit`` are the first two in :func:`other_unit`.
    """
    networks = specs(parameters)
    bench = Bench("adversarial", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for seed in parameters.seeds:
        trained = {spec.variant: bench.trained(spec) for spec in networks if spec.seed == seed}
        main = {name: trained[name] for name in VARIANTS}
        _tables(bench, parameters, {name: one for name, one in trained.items() if name != BOTTLENECK})
        laddered = {name: one for name, one in trained.items() if name not in COMPARED}
        perturbations.ladder(bench, parameters, parameters.ladder, laddered)
        perturbations.smallest(bench, parameters, main, step_size=parameters.search_step, steps=parameters.search_steps)
        perturbations.deepfool(
            bench, parameters, main, gallery=parameters.gallery if seed == parameters.seeds[0] else 0
        )
        perturbations.path(bench, parameters, trained["1-LR"])
    return bench.record()


def _tables(bench: Bench, parameters: Parameters, trained: dict[str, Trained]) -> None:
    """Tables 1 and 2 of one seed: clean, white box, and examples shown to networks that they were not made on."""
    whole = all(name in trained for name in COMPARED)
    tables = {table: names for table, names in TABLES.items() if whole or table == "table1"}

    def add(one: Trained, metric: str, correct: NDArray[np.bool_], suffix: str = "", **about: Any) -> None:
        for table, names in tables.items():
            if one.spec.variant in names and (about["setting"] == WHITE or table == "table1"):
                bench.run.add_accuracy(f"{table}{suffix}", metric, correct, keep=bool(about["eps"]), **about)

    for one in trained.values():
        correct = metrics.correct(one.model, bench.x, bench.y).cpu().numpy()
        add(one, "accuracy", correct, **keys(one.spec), setting=WHITE, attack="", eps="", steps=None)
    twins = _twins(bench, parameters, trained)
    for unit, suffix in ((parameters.unit, ""), (other_unit(parameters.unit), "_other_unit")):
        for source, eps in product(trained.values(), parameters.eps):
            shown = _shown(source, trained, twins)
            found = _attacked(bench, parameters, source, [victim for _, victim in shown], unit, eps)
            for (place, (setting, victim)), steps in product(enumerate(shown), parameters.steps):
                about = {**keys(victim.spec), "seed": source.spec.seed, "setting": setting}
                about |= {"attack": "pgd", "eps": eps, "steps": steps}
                add(victim, "adversarial_accuracy", found[f"{place} {steps}"].astype(bool), suffix, **about)


def _twins(bench: Bench, parameters: Parameters, trained: dict[str, Trained]) -> dict[str, Trained]:
    """The variants of the seed that follows."""
    following = parameters.following(trained["N-LR"].spec.seed)
    if following is None:
        return {}
    return {name: bench.trained(parameters.spec(name, following)) for name in VARIANTS}


def _shown(source: Trained, trained: dict[str, Trained], twins: dict[str, Trained]) -> list[tuple[str, Trained]]:
    """Who is shown a network's examples, and in which setting: itself, its twin of another seed, LR variants N-LR's.

    The twin's rows have the seed of the network that the examples were made on.
    """
    shown = [(WHITE, source)]
    if source.spec.variant in twins:
        shown.append((TWIN, twins[source.spec.variant]))
    if source.spec.variant == "N-LR":
        shown += [("black_box", trained[name]) for name in VARIANTS if name != "N-LR"]
    return shown


def other_unit(unit: str) -> str:
    """The unit beside which a unit's numbers are shown: pixels, or normalised pixels beside these."""
    return "normalized" if unit == "pixel" else "pixel"


def _attacked(
    bench: Bench, parameters: Parameters, source: Trained, victims: list[Trained], unit: str, eps: str
) -> dict[str, NDArray[Any]]:
    """Whether each victim is right about the source's examples of that radius after each of the numbers of steps.

    The columns are called by the place of the victim and the number of steps.
    """
    attack = Attack.on(bench, source.model, parameters.protocol(unit=unit), parameters.precision)

    def right(x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
        way = attack.iterates(x, y, generator, eps=radius(eps), steps=max(parameters.steps))
        return {
            f"{place} {k}": metrics.correct(victim.model, x_adv, y).tolist()
            for k, x_adv in enumerate(way)
            if k in parameters.steps
            for place, victim in enumerate(victims)
        }

    name = f"{source.spec.variant}, PGD at {eps}, {unit}"
    return bench.in_batches(name, [source, *victims], bench.x, bench.y, right)
