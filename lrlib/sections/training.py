"""How the networks are trained: what was chosen on held-out images, which settings diverge, whether bf16 matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import pandas as pd
import torch

from lrlib import data, engine, linalg, metrics, models, presets, zoo
from lrlib.results import Record
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import SeededParameters as Base
from lrlib.sections.parameters import anew, parameter
from lrlib.specs import Regularizer, Spec
from lrlib.train import TrainingDiverged

ARTEFACTS = ("search", "stability", "parity")
DIRECTIONS = 10
SETTINGS = ["lambda_c", "lambda_n", "step_size", "start"]
TOLERATED = 0.01  # held-out accuracy that an LR layer may cost


@dataclass(frozen=True)
class Parameters(Base):
    """Parameters of the page."""

    parts: list[str] = parameter(
        "what to measure",
        expected=f"some of {', '.join(ARTEFACTS)}",
        check=ARTEFACTS.__contains__,
        defines=False,
    )
    search_epochs: int = parameter(
        "epochs of each candidate of the search", expected="a whole number from 2 on", check=lambda v: v >= 2
    )
    stability_epochs: int = parameter(
        "epochs of each training of the stability table", expected="a whole number from 2 on", check=lambda v: v >= 2
    )
    parity_epochs: int = parameter(
        "epochs of each training in fp32 and bf16", expected="a whole number from 1 on", check=lambda v: v >= 1
    )
    measure: bool = anew()

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Short schedules, one seed for the search and the stability table; all seeds for the parity."""
        epochs = {"quick": (20, 6, 5), "small": (5, 2, 5), "paper": (30, 5, 5)}[preset]
        rest = dict(zip(("search_epochs", "stability_epochs", "parity_epochs"), epochs, strict=True))
        return rest | {"seeds": [0, 1, 2], "parts": list(ARTEFACTS), "measure": False}


@dataclass(frozen=True)
class Trial:
    """A training of one of the tables, with the key columns that tell it from the others."""

    artefact: str
    spec: Spec
    about: dict[str, Any]


def specs(parameters: Parameters) -> list[Spec]:
    """The models that a new measurement needs, but for those of the stability table, of which some diverge."""
    if not parameters.measure:
        return []
    return [trial.spec for trial in trials(parameters) if trial.artefact != "stability"]


def trials(parameters: Parameters) -> Iterator[Trial]:
    """All trainings of the page."""
    makers = {"search": _search, "stability": _stability, "parity": _parity}
    for part in parameters.parts:
        yield from makers[part](parameters)


def candidates(preset: str, variant: str) -> list[Regularizer]:
    """The settings of the LR layer that the search compares: both losses' weights, in 1-LR also the step and start."""
    own = replace(_settings(preset, variant), step_size=0.1, start="leading")
    others = [replace(own, start="random"), replace(own, step_size=0.5)] if variant == "1-LR" else []
    if preset == "quick":
        weights = list(product((0.3, 1.0, 3.0, 10.0), (0.03, 0.1, 1.0)))
        others += [replace(own, step_size=0.01)] if variant == "1-LR" else []
    elif variant == "1-LR":
        weights = [*product((1.0, 5.0), (0.03, 0.1)), (1.0, 1.0)]
    else:
        weights = [
            *product((0.03, 0.1, 1.0, 5.0), (0.03,)),
            *product((0.1, 1.0), (0.003,)),
            *product((0.01, 0.03, 0.1, 0.3), (0.0003,)),
        ]
    return [*(replace(own, lambda_c=c, lambda_n=n) for c, n in weights), *others]


def _settings(preset: str, variant: str) -> Regularizer:
    own = presets.get(preset).settings(variant)
    if own is None:
        raise ValueError(f"expected a variant with LR layers, got {variant!r}")
    return own


def _search(parameters: Parameters) -> Iterator[Trial]:
    network = presets.get(parameters.preset).network
    network = replace(network, dataset=data.HOLDOUT + network.dataset, seed=parameters.seeds[0])
    yield Trial("search", presets.shortened(network, parameters.search_epochs), {})
    for variant in models.REGULARIZED:
        for lr in candidates(parameters.preset, variant):
            spec = presets.shortened(replace(network, variant=variant, lr=lr), parameters.search_epochs)
            about = {name: getattr(lr, name) for name in SETTINGS}
            yield Trial("search", spec, about)


def _stability(parameters: Parameters) -> Iterator[Trial]:
    chosen = presets.get(parameters.preset)
    rates, weights, bounds = [0.01, 0.2], [0.1, 10.0], [True]
    if chosen.name == "quick":
        rates, weights, bounds = [0.01, 0.05, 0.2], [0.1, 1.0, 10.0], [True, False]
    for variant, bounded, epoch, rate, weight in product(models.REGULARIZED, bounds, (0, 1), rates, weights):
        own = _settings(chosen.name, variant)
        lr = replace(own, lambda_c=weight, lambda_n=weight, from_epoch=epoch, bounded=bounded)
        network = replace(presets.shortened(chosen.network, parameters.stability_epochs), seed=parameters.seeds[0])
        spec = replace(network, variant=variant, learning_rate=rate, lr=lr)
        about = {"learning_rate": rate, "weight": weight, "from_epoch": epoch, "bounded": bounded}
        yield Trial("stability", spec, about)


def _parity(parameters: Parameters) -> Iterator[Trial]:
    network = presets.shortened(presets.get(parameters.preset).network, parameters.parity_epochs)
    for seed in parameters.seeds:
        yield Trial("parity", replace(network, seed=seed, precision="fp32"), {"precision": "fp32"})
        yield Trial("parity", replace(network, seed=seed, precision="bf16"), {"precision": "bf16"})


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Train everything and keep accuracies, variance ratios and divergences.

    Rows of ``search`` are measured on held-out training images, never on test images.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a model is trained.

    Returns:
        The record, with rows of the artefacts ``search``, ``stability`` and ``parity``.

    Raises:
        ValueError: If bf16 is to be compared where there is none.
    """
    network = presets.get(parameters.preset).network
    device = str(zoo.pick_device(device))
    if "parity" in parameters.parts and not engine.has_bf16(torch.device(device)):
        raise ValueError(f"expected a processor with bf16 for the part parity, got {device} without")
    bench = Bench("training", parameters, device=device, dataset=network.dataset, progress=progress)
    for trial in trials(parameters):
        about = {**keys(trial.spec), **trial.about, "epochs": trial.spec.epochs}
        try:
            trained = bench.trained(trial.spec)
        except TrainingDiverged:
            bench.run.add(trial.artefact, "diverged", 1, **about)
            continue
        if trial.artefact == "stability":
            bench.run.add(trial.artefact, "diverged", 0, **about)
        _measured(bench, trial, trained, about)
    return bench.run.record()


def _measured(bench: Bench, trial: Trial, trained: zoo.Trained, about: dict[str, Any]) -> None:
    dataset = data.load(trial.spec.dataset)
    x, y = data.as_float(dataset.x_test.to(bench.device)), dataset.y_test.to(bench.device)
    correct = metrics.correct(trained.model, x, y).cpu().numpy()
    bench.run.add_accuracy(trial.artefact, "accuracy", correct, **about, tap="")
    if trial.artefact != "search":
        return
    for tap in models.places(trial.spec.arch):
        features = metrics.features(trained.model, x, tap)
        for metric, centred in (("variance_ratio", False), ("centred_variance_ratio", True)):
            ratio = linalg.variance_ratio(features, DIRECTIONS, centred=centred).item()
            bench.run.add(trial.artefact, metric, ratio, n=len(x), **about, tap=tap, k=DIRECTIONS)


def accuracies(record: Record) -> pd.DataFrame:
    """Accuracy of the parity's trainings, a row a seed with columns ``fp32`` and ``bf16``, where neither diverged."""
    frame = record.frame("parity")
    table = frame[frame.metric == "accuracy"].pivot(index="seed", columns="precision", values="value")
    return table.reindex(columns=["fp32", "bf16"]).dropna()


def judged(record: Record) -> pd.DataFrame:
    """The search's rows as a table: a row for each variant and setting, N-LR's first, a column a metric and tap."""
    frame = record.frame("search")
    frame[SETTINGS] = frame[SETTINGS].astype(object).fillna("")
    frame = frame.assign(tap=frame.tap.fillna("") if "tap" in frame else "")
    frame = frame.assign(column=[f"{row.metric} {row.tap}".strip() for row in frame.itertuples()])
    table = frame.pivot(index=["variant", *SETTINGS], columns="column", values="value")
    return table.loc[list(dict.fromkeys(frame[["variant", *SETTINGS]].itertuples(index=False, name=None)))]


class Choice(NamedTuple):
    """What the search picks for a variant."""

    setting: tuple[float, float, float, str]  # λ1, λ2, step and start
    lost: float  # held-out accuracy, against N-LR


def chosen(record: Record) -> dict[str, Choice | None]:
    """The setting that the search picks for each variant.

    A setting counts if it lowers the rank: its variance ratio, centred, is above N-LR's at every place of the variant's
    LR layers. Of those that lose no more than a point of held-out accuracy against N-LR it is the one with the highest
    ratio, averaged over the places; if all lose more, the most accurate one; None if none counts.
    """
    table, arch = judged(record), record.frame("search").arch.iloc[0]
    of = table.index.get_level_values("variant")
    plain = table[of == "N-LR"].iloc[0]
    picked: dict[str, Choice | None] = {}
    for variant in models.REGULARIZED:
        ratios = [f"centred_variance_ratio {tap}" for tap in models.taps(arch, variant)]
        own = table[(of == variant) & (table[ratios] > plain[ratios]).all(axis=1)]
        lost = (plain.accuracy - own.accuracy).round(9)  # counts of images, whose difference may be off by rounding
        scores = own[ratios].mean(axis=1)[lost <= TOLERATED]
        best = None if own.empty else lost.idxmin() if scores.empty else scores.idxmax()
        picked[variant] = None if best is None else Choice(best[1:], lost[best])
    return picked
