"""What the LR layer, the projections and the precision cost: times and memory of alternatives, within one run.

Alternatives are timed in turn, round by round, and the median of each one's times is kept, so that a slow moment of the
machine hits all of them. Memory is the peak of a process of its own, or of the GPU, above what was there before.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lrlib import data, engine, factors, models, presets, provenance, train, zoo
from lrlib.lowrank import Form, LowRank
from lrlib.results import Record
from lrlib.runs import Run
from lrlib.sections import attack_costs, spectrum_costs
from lrlib.sections.parameters import Parameters as Base
from lrlib.sections.parameters import anew, parameter
from lrlib.sections.timing import timed
from lrlib.specs import Spec

FORMS: tuple[Form, ...] = ("factored", "dense")
PARTS = ("layer", "step", "projection", "precision", "attacks", "spectra")
STEPS = 10  # between two cuts of the rank: what is timed ends with a cut
COLUMNS = 2  # sampled columns, as a multiple of the rank
MEMBERS = 5


@dataclass(frozen=True)
class Parameters(Base):
    """Parameters of the page."""

    parts: list[str] = parameter(
        "what to measure", expected=f"some of {', '.join(PARTS)}", check=PARTS.__contains__, defines=False
    )
    width: int = parameter(
        "width of the ResNet-18 whose LR layer before the fourth block is measured",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
    )
    batch_size: int = parameter("examples in a step", expected="a whole number from 2 on", check=lambda v: v >= 2)
    sizes: list[int] = parameter(
        "widths m of the matrices that are projected", expected="whole numbers from 64 on", check=lambda v: v >= 64
    )
    widths: list[int] = parameter(
        "widths of the ResNet-18 whose precision is compared",
        expected="whole numbers from 1 on",
        check=lambda v: v >= 1,
    )
    attacked: int = parameter("images that are attacked", expected="a whole number from 1 on", check=lambda v: v >= 1)
    rounds: int = parameter("rounds that are timed", expected="a whole number from 1 on", check=lambda v: v >= 1)
    measure: bool = anew()

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The sizes of the preset's networks; at ``quick`` they are toys."""
        return {"parts": list(PARTS), "rounds": 5, "measure": False} | {
            "quick": {"width": 2, "batch_size": 8, "sizes": [64], "widths": [2], "attacked": 4},
            "small": {"width": 16, "batch_size": 128, "sizes": [1_024], "widths": [16], "attacked": 32},
            "paper": {"width": 64, "batch_size": 128, "sizes": [2_048, 4_096], "widths": [16, 64], "attacked": 32},
        }[preset]


def specs(parameters: Parameters) -> list[Spec]:
    """None: what this page trains is thrown away."""
    return []


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Seconds, bytes and errors of everything that is compared.

    Args:
        parameters: At what sizes.
        device: Where.
        progress: Of no effect.

    Returns:
        The record, with rows of the artefacts ``layer``, ``step``, ``projection``, ``precision``, ``spectrum`` and,
        where foolbox is installed, ``pgd`` and ``deepfool``; their key ``alternative`` says what was measured.
    """
    where = zoo.pick_device(device)
    run = Run("benchmarks", parameters.preset, parameters.content(), str(where))
    if "layer" in parameters.parts:
        _layer(run, parameters, where)
    if "step" in parameters.parts:
        _steps(run, parameters, where)
    for m in parameters.sizes if "projection" in parameters.parts else ():
        _projections(run, parameters, m, where)
    for width in parameters.widths if "precision" in parameters.parts else ():
        _precisions(run, parameters, width, where)
    if "attacks" in parameters.parts and attack_costs.possible():
        attack_costs.measure(run, parameters.width, parameters.attacked, parameters.rounds, where)
    if "spectra" in parameters.parts:
        spectrum_costs.measure(run, max(parameters.sizes), parameters.rounds, where)
    return run.record()


def _layer(run: Run, parameters: Parameters, device: torch.device) -> None:
    """The LR layer alone, factored and dense: ten steps and a cut."""
    m = 256 * parameters.width  # four times as many channels, of 8 x 8 pixels
    rank, n = models.target_rank("resnet18", "layer3", m), parameters.batch_size
    about = {"device": device.type, "width": parameters.width, "m": m, "rank": rank, "batch": n}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for form in FORMS:
            peak = pool.submit(_peak, form, m, rank, n, str(device)).result()
            run.add("layer", "bytes", peak, n=1, **about, alternative=form)
    steppers: dict[str, Callable[[], None]] = {form: _stepper(form, m, rank, n, device) for form in FORMS}
    for name, seconds in timed(steppers, parameters.rounds, device).items():
        run.add("layer", "seconds", seconds / STEPS, n=parameters.rounds, **about, alternative=name)


def activations(n: int, m: int, device: torch.device, seed: int = 0) -> Tensor:
    """Made-up activations ``(n, m)`` of norm near one, whose spectrum falls like that of a trained network's."""
    generator = torch.Generator().manual_seed(seed)
    k = min(m, 4 * STEPS * n)
    spectrum = torch.arange(1, k + 1).float().rsqrt()
    basis = torch.randn(k, m, generator=torch.Generator().manual_seed(1)) / m**0.5
    scores = torch.randn(n, k, generator=generator) * spectrum / torch.linalg.vector_norm(spectrum)
    found: Tensor = scores @ basis
    return found.to(device)


def _stepper(form: Form, m: int, rank: int, n: int, device: torch.device) -> Callable[[], None]:
    """Ten steps of a layer, forward, backward and cut, on batches of ``n``."""
    layer = LowRank(m, rank, form=form, columns=COLUMNS * rank, members=MEMBERS, cut_every=STEPS).to(device)
    batches = torch.split(activations(STEPS * n, m, device), n)
    layer.start_(torch.cat(batches)[: 2 * rank])

    def work() -> None:
        for batch in batches:
            losses = layer(batch.requires_grad_())
            (losses.projection + losses.norm).backward()
            layer.step()
            batch.grad = None

    return work


def _peak(form: Form, m: int, rank: int, n: int, device: str) -> int:
    """Peak memory of ten steps in bytes, above that of the process with its batches and the layer's start."""
    where = torch.device(device)
    work = _stepper(form, m, rank, n, where)
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
        before = torch.cuda.memory_allocated(where)
        work()
        return int(torch.cuda.max_memory_allocated(where) - before)
    provenance.forget_peak_memory()
    before = provenance.peak_memory()
    work()
    return provenance.peak_memory() - before


def _steps(run: Run, parameters: Parameters, device: torch.device) -> None:
    """A training step of the ResNet-18 of that width without and with LR layers, cuts included."""
    trainings = {name: _training(parameters, parameters.width, name, device) for name in ("2-LR", "N-LR")}
    images, labels = _batch(trainings["N-LR"])

    def steps(training: engine.Training) -> None:
        for _ in range(STEPS):
            training.step(images, labels)

    works = {name: (lambda one=one: steps(one)) for name, one in trainings.items()}
    about = {"device": device.type, "width": parameters.width, "batch": parameters.batch_size}
    for name, seconds in timed(works, parameters.rounds, device).items():
        run.add("step", "seconds", seconds / STEPS, n=parameters.rounds, **about, alternative=name)


def _training(parameters: Parameters, width: int, variant: str, device: torch.device) -> engine.Training:
    spec = presets.spec("paper", variant, 0)
    spec = replace(spec, width=width, batch_size=parameters.batch_size)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (max(2_000, parameters.batch_size), 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (len(images),), generator=generator)
    dataset = data.describe("random", (images, labels), (images[:1], labels[:1]), classes=[str(i) for i in range(10)])
    training = engine.Training(spec, dataset, train.place(train.build(spec, dataset), device), device)
    if spec.lr is not None:
        training.attach_layers(spec.lr)
    training.model.train()
    return training


def _batch(training: engine.Training) -> tuple[Tensor, Tensor]:
    n = training.spec.batch_size
    return data.as_float(training.x[:n]), training.y[:n]


def _projections(run: Run, parameters: Parameters, m: int, device: torch.device) -> None:
    """Each projection of a layer's W as it is just before a cut, against the eigendecomposition."""
    rank = models.target_rank("resnet18", "layer3", m)
    layer = LowRank(m, rank, form="dense", cut_every=STEPS + 1).to(device)
    for a in torch.split(activations(STEPS * parameters.batch_size, m, device), parameters.batch_size):
        layer(a)
        layer.step()
    W, columns = layer.W, COLUMNS * rank

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    cuts: dict[str, Callable[[], factors.Factors]] = {
        "exact": lambda: factors.exact(W, rank),
        "randomized": lambda: factors.randomized(W.__matmul__, W, rank, columns, generator()),
        "nystrom": lambda: factors.ensemble(W, rank, columns, 1, generator(), 0.01, cut=False),
        "ensemble": lambda: factors.ensemble(W, rank, columns, MEMBERS, generator(), 0.01, cut=True),
    }
    about = {"device": device.type, "m": m, "rank": rank}
    works = {**cuts, "eigh": lambda: torch.linalg.eigh(W)}
    for name, seconds in timed(works, parameters.rounds, device).items():
        run.add("projection", "seconds", seconds, n=parameters.rounds, **about, alternative=name)
    for name, cut in cuts.items():
        error = torch.linalg.matrix_norm(W - cut().dense()) / torch.linalg.matrix_norm(W)
        run.add("projection", "error", error.item(), n=1, **about, alternative=name)


def _precisions(run: Run, parameters: Parameters, width: int, device: torch.device) -> None:
    """A training step as it is done here against the same one in plain fp32."""
    fast = _training(parameters, width, "N-LR", device)
    images, labels = _batch(fast)
    plain = train.build(fast.spec, fast.dataset).to(device)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def plain_step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(plain(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    works = {fast.precision: lambda: fast.step(images, labels), "plain fp32": plain_step}
    about = {"device": device.type, "width": width, "batch": parameters.batch_size}
    for name, seconds in timed(works, 3 * parameters.rounds, device).items():
        run.add("precision", "seconds", seconds, n=3 * parameters.rounds, **about, alternative=name)
