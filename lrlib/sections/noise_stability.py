"""Noise stability (section 3.2): random pixel noise, propagation into the representation, layer cushion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from lrlib import attacks, metrics, models, presets
from lrlib.results import Record
from lrlib.sections.measuring import Bench, NetworkParameters, keys, variants
from lrlib.sections.parameters import is_radius, parameter, radius
from lrlib.specs import Spec
from lrlib.zoo import Trained

# Figure 4(c): the last layer of the third and of the fourth block (of VGG19: of its last two), and the last FC layer.
CUSHIONED = {
    "resnet18": ("layer3.1.conv2", "layer4.1.conv2", "fc"),
    "resnet50": ("layer3.5.conv3", "layer4.2.conv3", "fc"),
    "vgg19": ("features.36", "features.49", "classifier.6"),
}
QUANTILES = [i / 20 for i in range(21)]
RANDOM = "random"


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    probability: list[float] = parameter(
        "probabilities with which a pixel is perturbed", expected="numbers in [0, 1]", check=lambda v: 0 <= v <= 1
    )
    std: str = parameter(
        "standard deviation of the noise in pixel units", expected="a number in (0, 1] such as 128/255", check=is_radius
    )
    eps: list[str] = parameter(
        "radii of the attacks that are propagated", expected="radii in (0, 1] such as 8/255", check=is_radius
    )
    steps: int = parameter("steps of PGD", expected="a whole number from 1 on", check=lambda v: v >= 1)
    cushion_examples: int = parameter(
        "training images for the layer cushion, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="train",
    )

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Table 4's probabilities, with N(0, 128/255) read as a standard deviation."""
        noise = {"probability": [0.4, 0.6, 0.8, 1.0], "std": "128/255", "steps": 10}
        eps = ["1/255", "2/255", "4/255", "8/255", "16/255"]
        return (
            noise
            | {
                "quick": {"seeds": [0, 1, 2], "examples": 300, "eps": [*eps[1:], "32/255"], "cushion_examples": 300},
                "small": {"seeds": [0, 1, 2], "examples": 2_000, "eps": eps, "cushion_examples": 2_000},
                "paper": {"seeds": [0, 1, 2], "examples": 10_000, "eps": eps, "cushion_examples": 50_000},
            }[preset]
        )


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    networks = variants(parameters)
    whole = replace(parameters, epochs=presets.get(parameters.preset).network.epochs)
    return [*networks, *(presets.random_network(whole.spec("N-LR", seed)) for seed in parameters.seeds)]


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy under pixel noise, how far attacks reach into the representation, and the layer cushion.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of table 4 and figures 4(b) and 4(c).
    """
    networks = specs(parameters)
    bench = Bench("noise_stability", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for spec in networks:
        trained = bench.trained(spec)
        if spec.epochs:
            _noise(bench, parameters, trained)
            _propagation(bench, parameters, trained)
        _cushion(bench, parameters, trained)
    return bench.run.record()


def _noise(bench: Bench, parameters: Parameters, one: Trained) -> None:
    for probability in dict.fromkeys([0.0, *parameters.probability]):
        generator = bench.generator(one.spec.seed, round(1000 * probability))
        std = radius(parameters.std)
        noisy = metrics.random_pixel_noise(bench.x, probability, std=std, generator=generator)
        correct = metrics.correct(one.model, noisy, bench.y).cpu().numpy()
        bench.run.add_accuracy("table4", "noise_accuracy", correct, **keys(one.spec), probability=probability)


def _propagation(bench: Bench, parameters: Parameters, one: Trained) -> None:
    tap = models.places(one.spec.arch)[0]
    clean = metrics.features(one.model, bench.x, tap)
    for eps in parameters.eps:
        size = radius(eps)
        x_adv = attacks.pgd(
            one.model,
            bench.x,
            bench.y,
            eps=size,
            step_size=max(size / 10, min(size, 1 / 255)),
            steps=parameters.steps,
            generator=bench.generator(one.spec.seed, 2),
        )
        ratios = metrics.propagation(bench.x, x_adv, clean, metrics.features(one.model, x_adv, tap))
        about = {**keys(one.spec), "setting": "white_box", "attack": "pgd", "eps": eps, "tap": tap}
        for name, ratio in zip(("input_ratio", "representation_ratio"), ratios, strict=True):
            bench.run.add("figure4b", name, ratio.mean().item(), n=len(ratio), **about)


def _cushion(bench: Bench, parameters: Parameters, one: Trained) -> None:
    x, _ = bench.train_images(parameters.cushion_examples)
    about = keys(one.spec) | ({} if one.spec.epochs else {"variant": RANDOM})
    for tap in CUSHIONED[one.spec.arch]:
        layer = one.model.get_submodule(tap)
        inputs = metrics.layer_inputs(one.model, tap, x)
        cushion = torch.cat([metrics.layer_cushion(layer, batch) for batch in inputs]).double().cpu()
        points = torch.tensor(QUANTILES, dtype=torch.float64)
        for quantile, value in zip(QUANTILES, torch.quantile(cushion, points).tolist(), strict=True):
            bench.run.add("figure4c", "layer_cushion", value, n=len(x), **about, tap=tap, quantile=quantile)
