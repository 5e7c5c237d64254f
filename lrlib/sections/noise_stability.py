"""Noise stability (section 3.2, appendix E): random pixel noise, propagation into the representation, layer cushion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lrlib import attacks, metrics, models, presets
from lrlib.results import Record
from lrlib.sections import calibrated, noise_readings
from lrlib.sections.cushions import add_cushions, figure, name
from lrlib.sections.measuring import VARIANTS, Bench, NetworkParameters, keys, variants
from lrlib.sections.noise_readings import MOMENTS, Reading
from lrlib.sections.parameters import is_radius, parameter, radius, switch
from lrlib.sections.protocol import PRECISIONS, UNITS, at_precision
from lrlib.specs import Spec
from lrlib.zoo import Trained

WHITE, BLACK, TWIN = "white_box", "black_box", "another_seed"  # who made the examples, and who is shown them


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    probability: list[float] = parameter(
        "probabilities with which a pixel is perturbed", expected="numbers in [0, 1]", check=lambda v: 0 <= v <= 1
    )
    level: str = parameter(
        "what the noise N(0, level) has in its second place",
        expected="a number in (0, 1] such as 128/255",
        check=is_radius,
    )
    moment: str = parameter(
        "what level is of the noise", expected=f"one of {', '.join(MOMENTS)}", check=MOMENTS.__contains__
    )
    unit: str = parameter(
        "unit of the noise: pixels in [0, 1], or pixels divided by a standard deviation",
        expected=f"one of {', '.join(UNITS)}",
        check=UNITS.__contains__,
    )
    clip: bool = switch("keep perturbed images in [0, 1]")
    eps: list[str] = parameter(
        "radii in pixels of the attacks that are propagated", expected="radii in (0, 1] such as 8/255", check=is_radius
    )
    steps: int = parameter("steps of PGD", expected="a whole number from 1 on", check=lambda v: v >= 1)
    attacked: int = parameter(
        "test images that are attacked, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    precision: str = parameter(
        "arithmetic in which gradients are computed; answers and representations are always fp32",
        expected=f"one of {', '.join(PRECISIONS)}",
        check=PRECISIONS.__contains__,
    )
    cushion_examples: int = parameter(
        "training images for the layer cushion, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="train",
    )

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Table 4's probabilities, and the reading of its noise that the calibration arrives at."""
        reading = noise_readings.used(preset)
        shared = {"seeds": [0, 1, 2], "probability": [0.4, 0.6, 0.8, 1.0], "level": noise_readings.LEVEL, "steps": 10}
        shared |= {"moment": reading.moment, "unit": reading.unit, "clip": reading.clip}
        eps = ["1/255", "2/255", "4/255", "8/255", "16/255"]
        precision = calibrated.precision(preset)
        own: dict[str, dict[str, Any]] = {
            "quick": {"examples": 300, "attacked": 300, "cushion_examples": 1_197, "precision": "fp32"},
            "small": {"examples": 2_000, "attacked": 1_000, "cushion_examples": 50_000, "precision": precision},
            "paper": {"examples": 10_000, "attacked": 10_000, "cushion_examples": 50_000, "precision": precision},
        }
        return shared | {"eps": [*eps[1:], "32/255"] if preset == "quick" else eps} | own[preset]

    def reading(self) -> Reading:
        """How these parameters read the noise."""
        return Reading(self.moment, self.unit, self.clip)


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    following = [seed for one in parameters.seeds if (seed := parameters.following(one)) is not None]
    twins = [parameters.spec("N-LR", seed) for seed in following if seed not in parameters.seeds]
    networks = [*variants(parameters), *twins]
    whole = replace(parameters, epochs=presets.get(parameters.preset).network.epochs)
    return [*networks, *(presets.random_network(whole.spec("N-LR", seed)) for seed in parameters.seeds)]


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy under pixel noise, how far attacks reach into the representation, and the layer cushion.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show bars while a model is trained or attacked.

    Returns:
        The record, with rows of table 4 and figures 4(b), 4(c) and 12 to 15, or those that stand for them on SVHN;
        ``table4_other_reading`` is table 4 with the other moment, ``table4_calibration`` N-LR under every reading.
    """
    networks = specs(parameters)
    bench = Bench("noise_stability", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for seed in parameters.seeds:
        trained = {name(spec): bench.trained(spec) for spec in networks if spec.seed == seed}
        main = {variant: trained[variant] for variant in VARIANTS}
        if seed == parameters.first_seed() and _is_the_presets_own(parameters):
            noise_readings.calibrate(bench, main["N-LR"])
        for one in main.values():
            _noise(bench, parameters, one)
        _propagation(bench, parameters, main)
        for one in trained.values():
            add_cushions(bench, one, parameters.cushion_examples)
    return bench.record()


def _is_the_presets_own(parameters: Parameters) -> bool:
    own = presets.get(parameters.preset).network
    return (parameters.arch, parameters.dataset) == (own.arch, own.dataset)


def _noise(bench: Bench, parameters: Parameters, one: Trained) -> None:
    reading = parameters.reading()
    for artefact, read in (("table4", reading), ("table4_other_reading", reading.other())):
        for probability in dict.fromkeys([0.0, *parameters.probability] if read == reading else parameters.probability):
            correct = noise_readings.right(bench, one, read, parameters.level, probability).numpy()
            bench.run.add_accuracy(artefact, "noise_accuracy", correct, **keys(one.spec), probability=probability)


def _propagation(bench: Bench, parameters: Parameters, trained: dict[str, Trained]) -> None:
    """Figure 4(b) of one seed: each network on examples made on itself, and the LR variants on those of N-LR.

    So is an N-LR of the following seed, for any other network is moved less than the one that they were made on.
    """
    tap = models.places(parameters.arch)[0]
    for source in trained.values():
        shown = [(WHITE, source)]
        if source.spec.variant == "N-LR":
            shown += [(BLACK, one) for variant, one in trained.items() if variant != "N-LR"]
            if (following := parameters.following(source.spec.seed)) is not None:
                shown.append((TWIN, bench.trained(parameters.spec("N-LR", following))))
        found = _ratios(bench, parameters, source, [victim for _, victim in shown], tap)
        for eps, (place, (setting, victim)) in product(parameters.eps, enumerate(shown)):
            about = {**keys(victim.spec), "seed": source.spec.seed, "setting": setting, "attack": "pgd", "eps": eps}
            into, out = found[f"{eps} input"].mean(), found[f"{eps} {place}"].mean()
            ratios = {"input_ratio": into, "representation_ratio": out, "amplification": out / into}
            for metric, ratio in ratios.items():
                n = len(found[f"{eps} input"])
                bench.run.add(figure("figure4b", parameters.dataset), metric, ratio, n=n, tap=tap, **about)


def _ratios(
    bench: Bench, parameters: Parameters, source: Trained, victims: list[Trained], tap: str
) -> dict[str, NDArray[Any]]:
    """Squared relative changes, ``(n,)`` each: of the input by radius, and of each victim's representation there."""
    gradients = at_precision(source.model, parameters.precision)

    def ratios(x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
        clean = [metrics.features(victim.model, x, tap) for victim in victims]
        found: dict[str, list[Any]] = {}
        for eps in parameters.eps:
            size = radius(eps)
            step_size = max(size / 10, min(size, 1 / 255))
            x_adv = attacks.pgd(
                gradients, x, y, eps=size, step_size=step_size, steps=parameters.steps, generator=generator
            )
            for place, (victim, before) in enumerate(zip(victims, clean, strict=True)):
                after = metrics.features(victim.model, x_adv, tap)
                into, out = metrics.propagation(x, x_adv, before, after)
                found |= {f"{eps} input": into.tolist(), f"{eps} {place}": out.tolist()}
        return found

    x, y = bench.test_images(parameters.attacked)
    return bench.in_batches(f"{source.spec.variant}, propagated", [source, *victims], x, y, ratios)
