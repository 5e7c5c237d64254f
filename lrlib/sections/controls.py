"""Controls: which part of the method does what, on one seed (sections 2 and 3.1, and what the paper leaves out)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lrlib import attacks, linalg, metrics, models
from lrlib.data import Dataset
from lrlib.results import Record
from lrlib.sections.measuring import Bench, NetworkParameters, keys, widths
from lrlib.sections.parameters import is_radius, parameter, radius
from lrlib.specs import Spec

PCA_CONTROL = "N-LR, then PCA"
DIRECTIONS = 10


@dataclass(frozen=True)
class Parameters(NetworkParameters):
    """Parameters of the page."""

    rank: list[int] = parameter(
        "ranks of 1-LR beside its own", expected="whole numbers from 1 on", check=lambda v: v >= 1
    )
    eps: list[str] = parameter("radii of PGD in pixels", expected="radii in (0, 1] such as 8/255", check=is_radius)
    steps: int = parameter("steps of PGD", expected="a whole number from 1 on", check=lambda v: v >= 1)
    probability: list[float] = parameter(
        "probabilities with which a pixel is perturbed", expected="numbers in [0, 1]", check=lambda v: 0 <= v <= 1
    )
    attacked: int = parameter(
        "test images for the attacks, the first ones",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )

    @classmethod
    def networks(cls, preset: str) -> list[dict[str, str]]:
        """The preset's own network alone."""
        return super().networks(preset)[:1]

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Ranks 5, 10 and 50 of 128 features, or 20, 40 and 200 of 512, beside the target rank of 1-LR itself."""
        ranks = [20, 40, 200] if preset == "paper" else [5, 10, 50]
        eps = ["8/255", "16/255", "32/255"] if preset == "quick" else ["1/255", "2/255", "4/255"]
        examples, attacked = {"quick": (600, 300), "small": (10_000, 500), "paper": (10_000, 1_000)}[preset]
        shared = {"seeds": [0], "rank": ranks, "eps": eps, "steps": 20, "probability": [0.4, 1.0]}
        return shared | {"examples": examples, "attacked": attacked}

    def fit(self, dataset: Dataset) -> None:
        """Also hold the ranks to the features before the last FC layer."""
        super().fit(dataset)
        width = widths(self, dataset)[models.places(self.arch)[0]]
        if max(self.rank) > width:
            raise ValueError(f"expected rank to be at most {width}, the features there, got {max(self.rank)}")


def controls(parameters: Parameters, seed: int) -> dict[str, Spec]:
    """The trainings of a seed by what they are called on the page."""
    plain, one = parameters.spec("N-LR", seed), parameters.spec("1-LR", seed)
    named = {
        "N-LR": plain,
        "1-LR": one,
        "2-LR": parameters.spec("2-LR", seed),
        "Bottle-1LR": parameters.spec("Bottle-1LR", seed),
        "norm loss only": _with(one, lambda_c=0.0),
        "projection loss only": _with(one, lambda_n=0.0),
    }
    return named | {f"1-LR, rank {rank}": _with(one, ranks=(rank,)) for rank in parameters.rank}


def _with(spec: Spec, **changed: Any) -> Spec:
    if spec.lr is None:
        raise ValueError(f"expected a specification with LR layers, got {spec.name}")
    return replace(spec, lr=replace(spec.lr, **changed))


def specs(parameters: Parameters) -> list[Spec]:
    """The models that the measurement needs."""
    return [spec for seed in parameters.seeds for spec in controls(parameters, seed).values()]


class Projection(nn.Module):
    """The projection of representations ``(n, ...)`` onto an affine subspace of directions ``(k, m)``."""

    mean: Tensor
    directions: Tensor

    def __init__(self, mean: Tensor, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("directions", directions)

    def forward(self, a: Tensor) -> Tensor:
        """``(n, ...)`` to the same shape."""
        centred = a.flatten(1) - self.mean
        return (centred @ self.directions.T @ self.directions + self.mean).view_as(a)


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy, variance ratio, PGD, DeepFool and noise for each control.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of the artefact ``controls``, whose key ``control`` says which.
    """
    bench = Bench("controls", parameters, device=device, dataset=parameters.dataset, progress=progress)
    tap = models.places(parameters.arch)[0]
    target = models.target_rank(parameters.arch, tap, widths(parameters, bench.dataset)[tap])
    for seed in parameters.seeds:
        for control, spec in controls(parameters, seed).items():
            model = bench.trained(spec).model
            rank = spec.lr.ranks[0] if spec.lr and spec.lr.ranks else target
            about = {**keys(spec), "rank": rank if control != "N-LR" else None}
            _measured(bench, parameters, model, {"control": control, **about})
            if control == "N-LR":
                model = projected(model, tap, target, bench.train_images()[0])
                _measured(bench, parameters, model, {"control": PCA_CONTROL, **about, "rank": target})
    return bench.run.record()


def projected(model: nn.Module, tap: str, rank: int, x: Tensor) -> nn.Module:
    """A copy of the network that projects its representations on the leading principal components of those of ``x``."""
    features = torch.cat([part.cpu() for part in metrics.feature_batches(model, x, tap)])
    found = PCA(rank, svd_solver="full").fit(features.double().numpy())
    mean, directions = (torch.from_numpy(part).float().to(x.device) for part in (found.mean_, found.components_))
    copied = copy.deepcopy(model)
    models.append(copied, tap, Projection(mean, directions))
    return copied.eval()


def _measured(bench: Bench, parameters: Parameters, model: nn.Module, about: dict[str, Any]) -> None:
    def accuracy(metric: str, x: Tensor, y: Tensor, **more: Any) -> None:
        keep = metric == "adversarial_accuracy"
        correct = metrics.correct(model, x, y).cpu().numpy()
        bench.run.add_accuracy("controls", metric, correct, keep=keep, **about, **more)

    accuracy("accuracy", bench.x, bench.y)
    tap = models.places(parameters.arch)[0]
    ratios = linalg.variance_ratios(linalg.singular_values(metrics.feature_batches(model, bench.x, tap)))
    directions = min(DIRECTIONS, len(ratios))
    ratio = ratios[directions - 1].item()
    bench.run.add("controls", "variance_ratio", ratio, n=len(bench.x), **about, k=directions)
    x, y = bench.test_images(parameters.attacked)
    for eps in parameters.eps:
        x_adv = attacks.pgd(
            model,
            x,
            y,
            eps=radius(eps),
            step_size=radius(eps) / 4,
            steps=parameters.steps,
            random_start=True,
            generator=bench.generator(about["seed"], 3),
        )
        accuracy("adversarial_accuracy", x_adv, y, attack="pgd", eps=eps)
    rho = metrics.rho(x, attacks.deepfool(model, x)).item()
    bench.run.add("controls", "rho", rho, n=len(x), **about, attack="deepfool")
    for probability in parameters.probability:
        generator = bench.generator(about["seed"], round(1000 * probability))
        noisy = metrics.random_pixel_noise(x, probability, std=128 / 255, generator=generator)
        accuracy("noise_accuracy", noisy, y, probability=probability)
