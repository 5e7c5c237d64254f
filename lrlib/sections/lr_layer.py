"""The LR layer (section 2, algorithm 1 and appendix B): what it does to a small network, step by step.

A network of one hidden layer is trained plainly for a while, then with an LR layer on its hidden activations, and as
long without; beside that, each projection cuts a matrix of the size that the paper's layer has before the FC layer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from lrlib import data, linalg, metrics, presets, zoo
from lrlib.lowrank import LowRank
from lrlib.results import Record
from lrlib.runs import Run
from lrlib.sections.benchmarks import STEPS
from lrlib.sections.layer_costs import cuts, matrix
from lrlib.sections.layer_experiment import ARCH, TAP, Settings, effective_rank, watched
from lrlib.sections.measuring import Bench
from lrlib.sections.parameters import PageParameters, parameter
from lrlib.sections.timing import timed
from lrlib.specs import Spec

VARIANTS = ("N-LR", "1-LR")
WINDOW = 2 * STEPS  # the first steps, after each of which W is looked at
ROUNDS = 3


def _count(help: str, least: int = 1) -> Any:
    return parameter(help, expected=f"a whole number from {least} on", check=lambda v: v >= least)


def _positive(help: str) -> Any:
    return parameter(help, expected="a number above 0", check=lambda v: v > 0)


@dataclass(frozen=True)
class Parameters(PageParameters):
    """Parameters of the page."""

    dataset: str = parameter(
        "dataset of the small training",
        expected=f"one of {', '.join(data.names())} or {data.FOLDER}/path/to/tree",
        check=data.is_known,
    )
    features: int = _count("hidden units, the width m of the activations", 2)
    rank: int = _count("target rank r of the LR layer")
    before: int = _count("plain steps before the layer is put on", 0)
    steps: int = _count("steps with the layer", WINDOW)
    shown: list[int] = parameter(
        "steps at which the spectrum is taken", expected="whole numbers from 0 on", check=lambda v: v >= 0
    )
    directions: int = _count("leading directions of the spectrum to keep", 2)
    lambda_c: float = _positive("weight of the projection loss, the paper's λ1")
    lambda_n: float = _positive("weight of the norm loss, the paper's λ2")
    learning_rate: float = _positive("learning rate of the network's own SGD")
    batch_size: int = _count("images in a batch", 2)
    size: int = _count("width m of the matrix that the projections cut", 8)

    def __post_init__(self) -> None:
        for name, limit, what in (
            ("rank", self.features - 1, "one less than features"),
            ("directions", min(self.features, self.examples), "features and examples"),
            ("shown", self.steps, "steps"),
        ):
            value = max(self.shown) if name == "shown" else getattr(self, name)
            if value > limit:
                raise ValueError(f"expected {name} to be at most {limit}, because of {what}, got {value}")
        if self.directions <= self.rank + 1:
            raise ValueError(f"expected directions to be above {self.rank + 1}, rank + 1, got {self.directions}")

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The losses' weights are the ones of the preset ``quick``; the network grows with the images, steps shrink."""
        lr = presets.get("quick").lr
        quick, others = (600, 64, 0.05), (10_000, 256, 0.01)
        examples, features, learning_rate = quick if preset == "quick" else others
        size = {"examples": examples, "features": features, "learning_rate": learning_rate}
        return size | {
            "seeds": [0, 1, 2],
            "dataset": presets.get(preset).report_dataset,
            "rank": 4,
            "before": 100,
            "steps": 300,
            "shown": [0, 1, 3, 10, 30, 100, 300],
            "directions": 16,
            "lambda_c": lr.lambda_c,
            "lambda_n": lr.lambda_n,
            "batch_size": 64,
            "size": 512,
        }

    def settings(self) -> Settings:
        """The part that the small training needs."""
        return Settings(**{one.name: getattr(self, one.name) for one in fields(Settings)})


def specs(parameters: Parameters) -> list[Spec]:
    """None: what this page trains takes seconds and is thrown away."""
    return []


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """The spectrum step by step with the layer and without, W between the first cuts, and the projections' errors.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Of no effect.

    Returns:
        The record, with rows of the artefacts ``spectrum``, ``course``, ``window`` and ``projection``.
    """
    bench = Bench("lr_layer", parameters, device=device, dataset=parameters.dataset, progress=progress)
    bench.run.datasets[bench.dataset.name] = bench.dataset.fingerprint
    for seed in parameters.seeds:
        for variant in VARIANTS:
            about = _keys(parameters, variant, seed)
            training = watched(
                bench.dataset, parameters.settings(), with_layer=variant == "1-LR", seed=seed, device=bench.device
            )
            for step, network, layer in training:
                if step in parameters.shown:
                    _spectrum(bench, parameters, network, layer, about | {"step": step})
                if layer is not None and step <= WINDOW:
                    _window(bench.run, layer.W, parameters.rank, about | {"step": step})
        _projections(bench.run, parameters, seed, bench.device)
    return bench.record()


def seconds(parameters: Parameters, *, device: str = "auto") -> dict[str, float]:
    """Median seconds of each projection, on this machine and now: no record keeps them."""
    where = zoo.pick_device(device)
    W, rank = matrix(parameters.size, parameters.batch_size, parameters.seeds[0], where)
    return timed(cuts(W, rank, parameters.seeds[0]), ROUNDS, where)


def _keys(parameters: Parameters, variant: str, seed: int) -> dict[str, Any]:
    network = {"dataset": parameters.dataset, "arch": ARCH, "width": parameters.features}
    return network | {"variant": variant, "seed": seed}


def _spectrum(
    bench: Bench, parameters: Parameters, network: nn.Module, layer: LowRank | None, about: dict[str, Any]
) -> None:
    """The spectrum of the test images' activations, the network's accuracy, and both losses if there is a layer."""
    n, features = len(bench.x), metrics.features(network, bench.x, TAP)
    values = linalg.singular_values(features)
    energy = values.square() / values.square().sum()
    for k, share in enumerate(energy[: parameters.directions].tolist(), start=1):
        bench.run.add("spectrum", "energy", share, n=n, **about, k=k)
    ratio = linalg.variance_ratios(values)[parameters.rank].item()
    bench.run.add("course", "variance_ratio", ratio, n=n, **about, k=parameters.rank + 1)
    correct = metrics.correct(network, bench.x, bench.y).cpu().numpy()
    bench.run.add_accuracy("course", "accuracy", correct, **about, k=0)
    if layer is not None:
        losses = layer.eval()(features)
        layer.train()
        bench.run.add("course", "projection_loss", losses.projection.item(), n=n, **about, k=0)
        bench.run.add("course", "norm_loss", losses.norm.item(), n=n, **about, k=0)


def _window(run: Run, W: Tensor, rank: int, about: dict[str, Any]) -> None:
    """The rank of W, and the share of its Frobenius norm that is not in its leading directions."""
    size = torch.linalg.eigvalsh(W.double()).abs().sort(descending=True).values
    tail = torch.linalg.vector_norm(size[rank:]) / torch.linalg.vector_norm(size)
    run.add("window", "rank_of_W", effective_rank(W), n=1, **about)
    run.add("window", "tail", tail.item(), n=1, **about)


def _projections(run: Run, parameters: Parameters, seed: int, device: torch.device) -> None:
    """Error and rank of each projection of a W just before a cut."""
    W, rank = matrix(parameters.size, parameters.batch_size, seed, device)
    for name, cut in cuts(W, rank, seed).items():
        found = cut().dense()
        error = torch.linalg.matrix_norm(W - found) / torch.linalg.matrix_norm(W)
        about = _keys(parameters, "1-LR", seed) | {"m": len(W), "rank": rank, "alternative": name}
        run.add("projection", "error", error.item(), n=1, **about)
        run.add("projection", "rank_of_result", effective_rank(found), n=1, **about)
