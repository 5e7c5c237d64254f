"""Adversarial robustness (section 3.1): table 1, DeepFool's column of table 3, and DeepFool's images (figure 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lrlib import attacks, metrics
from lrlib.packing import pack_image
from lrlib.results import Record
from lrlib.sections.measuring import Bench, NetworkParameters, keys, variants
from lrlib.sections.parameters import is_radius, parameter, radius
from lrlib.specs import Spec
from lrlib.zoo import Trained


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    eps: list[str] = parameter("radii of the ball", expected="radii in (0, 1] such as 8/255", check=is_radius)
    steps: list[int] = parameter("steps of PGD", expected="whole numbers from 1 on", check=lambda v: v >= 1)
    step_size: str = parameter("length of a step of PGD", expected="a number in (0, 1] such as 1/255", check=is_radius)
    unit: str = parameter(
        "unit of eps and step_size: pixels in [0, 1], or pixels divided by the dataset's standard deviation",
        expected="pixel or normalized",
        check=("pixel", "normalized").__contains__,
    )
    random_start: bool = parameter(
        "start PGD at a uniform draw from the ball", expected="true or false", check=lambda v: True
    )
    deepfool_examples: int = parameter(
        "test images for DeepFool, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
    gallery: int = parameter(
        "images in the gallery", expected="a whole number from 1 to 10", check=range(1, 11).__contains__
    )

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Table 1's radii and steps; the step that appendix D.1 calls 1, in units of 1/255."""
        published = {"eps": ["8/255", "10/255", "16/255", "20/255"], "steps": [7, 20], "step_size": "1/255"}
        return (
            published
            | {
                "quick": {
                    "seeds": [0, 1, 2],
                    "examples": 300,
                    "unit": "pixel",
                    "random_start": False,
                    "deepfool_examples": 100,
                    "gallery": 5,
                },
                "small": {
                    "seeds": [0, 1, 2],
                    "examples": 1_000,
                    "unit": "normalized",
                    "random_start": True,
                    "deepfool_examples": 256,
                    "gallery": 5,
                },
                "paper": {
                    "seeds": [0, 1, 2],
                    "examples": 10_000,
                    "unit": "normalized",
                    "random_start": True,
                    "deepfool_examples": 1_000,
                    "gallery": 5,
                },
            }[preset]
        )


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    return variants(parameters)


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy under PGD, white box and transferred from N-LR; the size of DeepFool's perturbations, and some images.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of table 1, table 3 and figure 10.
    """
    networks = specs(parameters)
    bench = Bench("adversarial", parameters, device=device, dataset=parameters.dataset, progress=progress)
    for seed in parameters.seeds:
        trained = {spec.variant: bench.trained(spec) for spec in networks if spec.seed == seed}
        _pgd(bench, parameters, trained)
        for one in trained.values():
            _deepfool(bench, parameters, one)
    return bench.run.record()


def _pgd(bench: Bench, parameters: Parameters, trained: dict[str, Trained]) -> None:
    """Table 1's rows of one seed: clean, white box for each variant, and N-LR's examples shown to the others."""
    for one in trained.values():
        correct = metrics.correct(one.model, bench.x, bench.y).cpu().numpy()
        about = {**keys(one.spec), "setting": "white_box", "attack": "", "eps": "", "steps": None}
        bench.run.add_accuracy("table1", "accuracy", correct, **about)
    for name, one in trained.items():
        for about, x_adv in _attacked(bench, parameters, one):
            for victim in trained.values() if name == "N-LR" else [one]:
                setting = "white_box" if victim is one else "black_box"
                correct = metrics.correct(victim.model, x_adv, bench.y).cpu().numpy()
                bench.run.add_accuracy(
                    "table1", "adversarial_accuracy", correct, keep=True, **keys(victim.spec), setting=setting, **about
                )


def _attacked(bench: Bench, parameters: Parameters, one: Trained) -> Iterator[tuple[dict[str, Any], Tensor]]:
    unit = torch.ones(1, device=bench.device)
    if parameters.unit == "normalized":
        unit = torch.tensor(bench.dataset.std, device=bench.device).view(-1, 1, 1)
    for eps in parameters.eps:
        for steps in parameters.steps:
            x_adv = attacks.pgd(
                one.model,
                bench.x,
                bench.y,
                eps=radius(eps) * unit,
                step_size=radius(parameters.step_size) * unit,
                steps=steps,
                random_start=parameters.random_start,
                generator=bench.generator(one.spec.seed, 1),
            )
            yield {"attack": "pgd", "eps": eps, "steps": steps}, x_adv


def _deepfool(bench: Bench, parameters: Parameters, one: Trained) -> None:
    x, y = bench.test_images(parameters.deepfool_examples)
    x_adv = attacks.deepfool(one.model, x)
    clean, fooled = metrics.predictions(one.model, x), metrics.predictions(one.model, x_adv)
    about = {**keys(one.spec), "setting": "white_box", "attack": "deepfool"}
    bench.run.add("table3", "rho", metrics.rho(x, x_adv).item(), n=len(x), **about)
    success = (clean != fooled).cpu().numpy()
    bench.run.add_accuracy("table3", "success_rate", success, **about)
    if one.spec.seed != parameters.seeds[0]:
        return
    sizes = metrics.dissimilarity(x, x_adv)
    for i in range(min(parameters.gallery, len(x))):
        images = {"image": pack_image(x[i]), "image_adv": pack_image(x_adv[i])}
        labels = {"label": int(y[i]), "predicted": int(clean[i]), "predicted_adv": int(fooled[i])}
        bench.run.add("figure10", "rho", sizes[i].item(), n=1, **about, example=i, **labels, **images)
