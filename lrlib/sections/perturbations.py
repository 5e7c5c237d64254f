"""Perturbations of the adversarial page: their smallest size, accuracy against it, and what happens step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrlib import attacks, metrics
from lrlib.packing import pack_image
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import radius
from lrlib.sections.protocol import Attack, Protocol, ProtocolParameters, in_pixels
from lrlib.zoo import Trained

ATTACKS: dict[str, attacks.Loss] = {
    "pgd": attacks.cross_entropy_per_example,
    "iterative_least_likely": attacks.likelihood_of_the_least_likely,
}
ENOUGH = 0.99  # share of the images that the smallest radius fools
MOST = 128  # largest multiple of its resolution that the search for it tries
SOME = 64  # images that are looked at first, for a radius that is too small shows on few
# Figure 11: the paper's step and radius.
PATH_STEPS, PATH_STEP, PATH_EPS = 40, "0.01", 0.1
LADDER_STEPS = 20
LONGEST_FGSM = "64/255"
RHOS = ("rho", "rho_normalized")
Sizes = dict[str, NDArray[Any]]


def ladder(bench: Bench, parameters: ProtocolParameters, radii: Sequence[str], trained: Mapping[str, Trained]) -> None:
    """Figure 4a (and 9): accuracy against the size of the perturbation, after a fixed number of steps."""
    x, y = _images(bench, parameters)
    for one, (name, loss), eps in product(trained.values(), ATTACKS.items(), radii):
        protocol = parameters.protocol(until_fooled=False)
        attack = Attack.on(bench, one.model, protocol, parameters.precision, loss=loss)
        about = {**keys(one.spec), "setting": "white_box", "attack": name, "eps": eps, "steps": LADDER_STEPS}
        called = f"{one.spec.variant}, {name} at {eps}, {LADDER_STEPS} steps"
        found = bench.in_batches(called, [one], x, y, partial(_after, attack, one, radius(eps)))
        bench.run.add_accuracy("figure4a", "adversarial_accuracy", found["right"].astype(bool), **about)
        bench.run.add("figure4a", "rho", found["size"].mean(), n=len(x), **about)


def _after(
    attack: Attack, one: Trained, eps: float, x: Tensor, y: Tensor, generator: torch.Generator
) -> dict[str, list[Any]]:
    x_adv = attack.after(x, y, generator, eps=eps, steps=LADDER_STEPS)
    return {"right": metrics.correct(one.model, x_adv, y).tolist(), "size": metrics.dissimilarity(x, x_adv).tolist()}


def smallest(
    bench: Bench, parameters: ProtocolParameters, trained: Mapping[str, Trained], *, step_size: str, steps: int
) -> None:
    """Tables 3 and 10: radius, steps and size of the iterative attacks with which 99 % of the answers are wrong.

    They start at the image, stop when it is fooled, and have the smallest radius that is enough (appendix D.3).
    """
    x, y = _images(bench, parameters)
    protocol = Protocol(parameters.unit, step_size, random_start=False, until_fooled=True, clip=parameters.clip)
    resolution = round(radius(step_size) / 4, 3)
    for (source, victim, setting), (name, loss) in product(_pairs(trained), ATTACKS.items()):
        about = {**keys(victim.spec), "setting": setting, "attack": name}
        attack = Attack.on(bench, source.model, protocol, parameters.precision, loss=loss, victim=victim.model)
        called = f"{source.spec.variant} against {victim.spec.variant}, {name}"
        stopped = partial(_until_fooled, bench, attack, steps, called, [source, victim], x, y)
        wrong = attacks.smallest_radius(
            stopped, lambda of: torch.from_numpy(of["fooled"]), resolution=resolution, most=MOST, rate=ENOUGH
        )
        bench.run.add("table10", "found", float(wrong is not None), n=len(x), **about)
        if wrong is not None:
            eps, of = wrong
            bench.run.add("table10", "eps_min", eps, n=len(x), **about)
            bench.run.add("table10", "steps_min", _enough(of["taken"], of["fooled"]), n=len(x), **about)
            for metric in RHOS:
                bench.run.add("table3", metric, of[metric].mean(), n=len(x), **about)


def _pairs(trained: Mapping[str, Trained]) -> Iterator[tuple[Trained, Trained, str]]:
    """Whose gradients are followed, who is to be fooled, and the setting: each network itself, and N-LR the others."""
    for name, victim in trained.items():
        yield victim, victim, "white_box"
        if name != "N-LR":
            yield trained["N-LR"], victim, "black_box"


def _until_fooled(
    bench: Bench, attack: Attack, steps: int, name: str, pair: list[Trained], x: Tensor, y: Tensor, eps: float
) -> Sizes:
    """What a radius comes to on all images; on some, if these alone show that it is too small."""
    stopped = partial(_stopped, bench, attack, eps, steps)
    name = f"{name} at {eps:.3f}"
    some = bench.in_batches(f"{name}, first {SOME}", pair, x[:SOME], y[:SOME], stopped)
    if (some["fooled"] == 0).sum() > (1 - ENOUGH) * len(x):
        return some
    return bench.in_batches(name, pair, x, y, stopped)


def _stopped(
    bench: Bench, attack: Attack, eps: float, steps: int, x: Tensor, y: Tensor, generator: torch.Generator
) -> dict[str, list[Any]]:
    """Of each image whether it is fooled, after how many steps, and how far it was moved."""
    taken, x_adv = torch.zeros(len(x), dtype=torch.long, device=x.device), x
    for moved in attack.iterates(x, y, generator, eps=eps, steps=steps):
        taken += (moved != x_adv).flatten(1).any(dim=1)
        x_adv = moved
    fooled = ~metrics.correct(attack.victim or attack.network, x_adv, y)
    return {"fooled": fooled.tolist(), "taken": taken.tolist(), **_sizes(bench, x, x_adv)}


def deepfool(bench: Bench, parameters: ProtocolParameters, trained: Mapping[str, Trained], *, gallery: int) -> None:
    """Table 3's DeepFool, white box and stopped by the victim, the smallest FGSM step, and figure 10's images."""
    x, y = _images(bench, parameters)
    for source, victim, setting in _pairs(trained):
        called = f"{source.spec.variant} against {victim.spec.variant}, DeepFool"
        found = bench.in_batches(
            called, [source, victim], x, y, partial(_deepfool, bench, source, victim), batch_size=50
        )
        _add_sizes(bench, found, {**keys(victim.spec), "setting": setting, "attack": "deepfool"})
    for one in trained.values():
        found = bench.in_batches(f"{one.spec.variant}, smallest FGSM step", [one], x, y, partial(_fgsm, bench, one))
        _add_sizes(bench, found, {**keys(one.spec), "setting": "white_box", "attack": "smallest_fgsm"})
        if gallery:
            _gallery(bench, one, x[:gallery], y[:gallery])


def _deepfool(
    bench: Bench, source: Trained, victim: Trained, x: Tensor, y: Tensor, generator: torch.Generator
) -> dict[str, list[Any]]:
    x_adv = attacks.deepfool(source.model, x, victim=victim.model)
    changed = metrics.predictions(victim.model, x) != metrics.predictions(victim.model, x_adv)
    return {"fooled": changed.tolist(), **_sizes(bench, x, x_adv)}


def _fgsm(bench: Bench, one: Trained, x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
    x_adv = attacks.smallest_fgsm(one.model, x, y, eps=radius(LONGEST_FGSM))
    return {"fooled": (~metrics.correct(one.model, x_adv, y)).tolist(), **_sizes(bench, x, x_adv)}


def _add_sizes(bench: Bench, found: Sizes, about: dict[str, Any]) -> None:
    """How many images are fooled and how far these, or all for DeepFool as in the paper, were moved."""
    fooled = found["fooled"].astype(bool)
    bench.run.add_accuracy("table3", "success_rate", fooled, **about)
    counted = np.ones_like(fooled) if about["attack"] == "deepfool" else fooled
    if counted.any():
        for metric in RHOS:
            bench.run.add("table3", metric, found[metric][counted].mean(), n=int(counted.sum()), **about)


def path(bench: Bench, parameters: ProtocolParameters, one: Trained) -> None:
    """Figure 11: accuracy of 1-LR after each step, and at none of the steps so far (appendix D.4)."""
    x, y = _images(bench, parameters)
    protocol = Protocol(parameters.unit, PATH_STEP, random_start=False, until_fooled=False, clip=parameters.clip)
    for figure, name in (("figure11a", "iterative_least_likely"), ("figure11b", "pgd")):
        attack = Attack.on(bench, one.model, protocol, parameters.precision, loss=ATTACKS[name])
        found = bench.in_batches(f"{one.spec.variant}, {name}, by step", [one], x, y, partial(_answers, attack, one))
        answers = torch.from_numpy(found["answers"])
        about = {**keys(one.spec), "setting": "white_box", "attack": name, "eps": f"{PATH_EPS}"}
        curves = {
            "instantaneous_accuracy": metrics.instantaneous_accuracy(answers),
            "cumulative_accuracy": metrics.cumulative_accuracy(answers),
        }
        for metric, curve in curves.items():
            for step, value in enumerate(curve.tolist()):
                bench.run.add(figure, metric, value, n=len(x), **about, step=step)


def _answers(attack: Attack, one: Trained, x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, list[Any]]:
    way = attack.iterates(x, y, generator, eps=PATH_EPS, steps=PATH_STEPS)
    return {"answers": torch.stack([metrics.predictions(one.model, x_adv) for x_adv in way], dim=1).tolist()}


def _gallery(bench: Bench, one: Trained, x: Tensor, y: Tensor) -> None:
    x_adv = attacks.deepfool(one.model, x)
    clean, fooled = metrics.predictions(one.model, x), metrics.predictions(one.model, x_adv)
    about = {**keys(one.spec), "setting": "white_box", "attack": "deepfool"}
    for i, size in enumerate(metrics.dissimilarity(x, x_adv).tolist()):
        images = {"image": pack_image(x[i]), "image_adv": pack_image(x_adv[i])}
        labels = {"label": int(y[i]), "predicted": int(clean[i]), "predicted_adv": int(fooled[i])}
        bench.run.add("figure10", "rho", size, n=1, **about, example=i, **labels, **images)


def _sizes(bench: Bench, x: Tensor, x_adv: Tensor) -> dict[str, list[float]]:
    """Relative size of each perturbation, of pixels in [0, 1] and of normalised ones."""
    mean = torch.tensor(bench.dataset.mean, device=x.device).view(-1, 1, 1)
    std = in_pixels(bench.dataset, "normalized").to(x.device)
    normalized = metrics.dissimilarity((x - mean) / std, (x_adv - mean) / std)
    return {"rho": metrics.dissimilarity(x, x_adv).tolist(), "rho_normalized": normalized.tolist()}


def _enough(taken: NDArray[np.int_], fooled: NDArray[np.bool_]) -> float:
    """The number of steps after which 99 % of the images are fooled."""
    return float(np.sort(taken[fooled.astype(bool)])[math.ceil(ENOUGH * len(taken)) - 1])


def _images(bench: Bench, parameters: Any) -> tuple[Tensor, Tensor]:
    return bench.test_images(parameters.searched)
