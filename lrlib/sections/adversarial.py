"""Adversarial robustness (section 3.1, appendix D): tables 1, 2, 3, 9 and 10, figures 3, 4a, 9, 10 and 11."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lrlib import metrics
from lrlib.results import Record
from lrlib.sections import calibration, perturbations
from lrlib.sections.measuring import Bench, keys, variants
from lrlib.sections.parameters import is_radius, parameter, radius
from lrlib.sections.protocol import Attack, ProtocolParameters, Scales, at_precision
from lrlib.specs import Spec
from lrlib.zoo import Trained

COMPARED = ("SNIP", "SRN", "SN")  # table 2's other methods
BOTTLENECK = "Bottle-1LR"  # figure 4a's


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
        expected="a number in (0, 1] such as 1/255",
        check=is_radius,
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
        shared = {
            "seeds": [0, 1, 2],
            "eps": ["8/255", "10/255", "16/255", "20/255"],
            "steps": [7, 20],
            "ladder": ["1/255", "2/255", "4/255", "8/255", "16/255", "32/255"],
            "search_step": "1/255",
            "search_steps": 50,
            "gallery": 5,
            **asdict(calibration.used(preset)),
        }
        digits = {"ladder": ["8/255", "16/255", "32/255", "64/255"], "search_step": "16/255", "search_steps": 20}
        own = {
            "quick": {"examples": 300, "searched": 100, "precision": "fp32", **digits},
            "small": {"examples": 1_000, "searched": 256, "precision": "bf16"},
            "paper": {"examples": 10_000, "searched": 1_000, "precision": "bf16"},
        }
        return shared | own[preset]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs: the variants of all seeds, the others of the first."""
    return [*variants(parameters), *(parameters.spec(name, parameters.seeds[0]) for name in others(parameters))]


def others(parameters: Parameters) -> tuple[str, ...]:
    """The variants that are measured with the first of the preset's seeds alone."""
    first = type(parameters).of(parameters.preset).seeds[0]
    return (*COMPARED, BOTTLENECK) if parameters.seeds[0] == first else ()


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
        main = {name: one for name, one in trained.items() if name not in (*COMPARED, BOTTLENECK)}
        _tables(bench, parameters, trained)
        bottleneck = {name: one for name, one in trained.items() if name == BOTTLENECK}
        perturbations.ladder(bench, parameters, parameters.ladder, main | bottleneck)
        perturbations.smallest(bench, parameters, main, step_size=parameters.search_step, steps=parameters.search_steps)
        perturbations.deepfool(
            bench, parameters, main, gallery=parameters.gallery if seed == parameters.seeds[0] else 0
        )
        perturbations.path(bench, parameters, trained["1-LR"])
    return bench.record()


def _tables(bench: Bench, parameters: Parameters, trained: dict[str, Trained]) -> None:
    """Tables 1 and 2 of one seed: clean, white box, and N-LR's examples shown to the LR variants."""
    main = [one for name, one in trained.items() if name not in (*COMPARED, BOTTLENECK)]
    rivals = [trained[name] for name in ("N-LR", *COMPARED, "1-LR") if all(rival in trained for rival in COMPARED)]
    for artefact, group in (("table1", main), ("table2", rivals)):
        for one in group:
            correct = metrics.correct(one.model, bench.x, bench.y).cpu().numpy()
            about = {**keys(one.spec), "setting": "white_box", "attack": "", "eps": "", "steps": None}
            bench.run.add_accuracy(artefact, "accuracy", correct, **about)
    for unit, suffix in ((parameters.unit, ""), (other_unit(parameters.unit), "_other_unit")):
        for one in main:
            victims = main if one.spec.variant == "N-LR" else [one]
            _attacked(bench, parameters, one, victims, unit, f"table1{suffix}")
        for one in rivals:
            _attacked(bench, parameters, one, [one], unit, f"table2{suffix}")


def other_unit(unit: str) -> str:
    """The unit beside which a unit's numbers are shown: pixels, or normalised pixels beside these."""
    return "normalized" if unit == "pixel" else "pixel"


def _attacked(
    bench: Bench, parameters: Parameters, source: Trained, victims: list[Trained], unit: str, artefact: str
) -> None:
    """Accuracy of each victim on the source's examples, made with each radius and number of steps."""
    scale = Scales(bench.dataset, bench.device)[unit]
    attack = Attack(at_precision(source.model, parameters.precision), parameters.protocol(unit=unit), scale)
    for eps in parameters.eps:
        name = f"{source.spec.variant}, PGD at {eps}, {unit}"
        shown = partial(_shown, attack, victims, radius(eps), parameters.steps)
        right = bench.in_batches(name, [source, *victims], bench.x, bench.y, shown)
        for steps in parameters.steps:
            for victim in victims:
                about = {
                    "setting": "white_box" if victim is source else "black_box",
                    "attack": "pgd",
                    "eps": eps,
                    "steps": steps,
                }
                correct = right[f"{victim.spec.variant} {steps}"].astype(bool)
                bench.run.add_accuracy(
                    artefact, "adversarial_accuracy", correct, keep=True, **keys(victim.spec), **about
                )


def _shown(
    attack: Attack,
    victims: list[Trained],
    eps: float,
    steps: list[int],
    x: Tensor,
    y: Tensor,
    generator: torch.Generator,
) -> dict[str, list[Any]]:
    """Whether each victim is right after each of these numbers of steps."""
    way = attack.iterates(x, y, eps=eps, steps=max(steps), generator=generator)
    return {
        f"{victim.spec.variant} {k}": metrics.correct(victim.model, x_adv, y).tolist()
        for k, x_adv in enumerate(way)
        if k in steps
        for victim in victims
    }
