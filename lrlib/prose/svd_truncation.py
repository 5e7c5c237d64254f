"""SVD truncation: what the report claims, and what our rows say, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib import paper
from lrlib.prose.format import percent
from lrlib.results import Record, RecordError, over_seeds
from lrlib.sections.truncated_networks import AGAIN, ONCE

_TWO = {"train_accuracy", "test_accuracy"}
_BOOSTED, _FEW = 0.4, (0.05, 0.1, 0.15)  # the fractions that the report names


def claim() -> str:
    """What the report says, in its findings about figure 7."""
    stated = paper.findings()
    return "The report on singular values says in its section 3.6: " + " ".join(
        stated[stated.artefact == "report_figure7"].sentence
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    rows = record.frame("report_figure7")
    if "rho_whole" not in set(rows.metric):
        raise RecordError(f"expected sizes of adversaries beside the whole network's in the {record.preset} record")
    scale = rows.scale.iloc[0]
    rows = rows[rows.scale == scale]
    parts = {pair: _curves(part) for pair, part in rows.groupby(["dataset", "arch"], sort=False)}
    sentences = [_best(dataset, arch, table, scale) for (dataset, arch), table in parts.items()]
    for (dataset, arch), table in parts.items():
        if arch == "2L" and {0.0, *_FEW, _BOOSTED} <= set(table.index):
            sentences.append(_claimed(dataset, table))
    return [*sentences, *networks(record)]


def networks(record: Record) -> list[str]:
    """What truncation does to the paper's networks; nothing if the record is of classifiers alone."""
    if "truncated_networks" not in set(record.frame().artefact):
        return []
    frame = record.frame("truncated_networks")
    frame = frame.assign(name=frame.metric.mask(frame.metric == "adversarial_accuracy", frame.made))
    table = over_seeds(frame, ["variant", "fraction", "name"]).pivot(
        index=["variant", "fraction"], columns="name", values="value"
    )
    fractions = sorted(set(frame.fraction))
    some = min(fractions, key=lambda fraction: abs(fraction - _BOOSTED))
    return [
        *(_network(name, table.loc[name], frame.eps.dropna().iloc[0], some) for name in dict.fromkeys(frame.variant)),
        _compared(table, fractions[0], some),
    ]


def _curves(part: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds by fraction, a column for each of what is measured: the report's attack and DeepFool's."""
    name = part.metric.where(part.metric.isin(_TWO), part.metric + " " + part.attack + " " + part.made)
    mean = over_seeds(part.assign(name=name), ["fraction", "name"])
    table: pd.DataFrame = mean.pivot(index="fraction", columns="name", values="value")
    names = {
        "adversarial_accuracy targeted once": "once",
        "rho targeted again": "rho",
        "rho_whole targeted again": "whole",
    }
    return table.rename(columns=names)


def _best(dataset: str, arch: str, table: pd.DataFrame, scale: float) -> str:
    least, best = table.index.min(), table.once.idxmax()
    sizes = table.rho.dropna()
    again = (
        f" Adversaries made again for that classifier, at the same confidence, have ρ = {sizes[best]:.3f} against "
        f"{table.whole[best]:.3f} for the whole one on the same images."
        if best in sizes.index
        else " No adversary made again for that classifier has that confidence."
    )
    return (
        f"**{arch} on {dataset}**, lowest singular values times {scale:g}: with {percent(least, 0)} of them scaled the "
        f"accuracy on the adversaries made once is {percent(table.once[least])}; it is highest, "
        f"{percent(table.once[best])}, with {percent(best, 0)} scaled, where the test accuracy has gone from "
        f"{percent(table.test_accuracy[least])} to {percent(table.test_accuracy[best])}.{again}"
    )


def _claimed(dataset: str, table: pd.DataFrame) -> str:
    """What the report's claims about 2L ask for: 40 % scaled, and 5 to 15 %."""
    few = ", ".join(percent(table.test_accuracy[fraction]) for fraction in _FEW)
    return (
        f"**The report's claims about 2L on {dataset}**: with 40 % scaled, adversarial accuracy goes from "
        f"{percent(table.once[0.0])} to {percent(table.once[_BOOSTED])}, test accuracy from "
        f"{percent(table.test_accuracy[0.0])} to {percent(table.test_accuracy[_BOOSTED])} and train accuracy from "
        f"{percent(table.train_accuracy[0.0])} to {percent(table.train_accuracy[_BOOSTED])}. With 5, 10 and 15 % "
        f"scaled, test accuracy is {few}."
    )


def _network(name: str, table: pd.DataFrame, eps: str, some: float) -> str:
    least = table.index.min()
    return (
        f"**{name}**, {percent(some, 0)} of the singular values of every weight zeroed: accuracy goes from "
        f"{percent(table.accuracy[least])} to {percent(table.accuracy[some])}, under PGD at {eps} made again for the "
        f"truncated network from {percent(table[AGAIN][least])} to {percent(table[AGAIN][some])}, under PGD made once "
        f"for the whole one from {percent(table[ONCE][least])} to {percent(table[ONCE][some])}, and the variance ratio "
        f"before the FC layer from {table.variance_ratio[least]:.3f} to {table.variance_ratio[some]:.3f}."
    )


def _compared(table: pd.DataFrame, least: float, some: float) -> str:
    """Weights of low rank beside representations of low rank."""
    weights, plain = table.loc[("N-LR", some)], table.loc[("N-LR", least)]
    layers = ", ".join(
        f"{name} {percent(table.loc[(name, least), AGAIN])} at an accuracy of "
        f"{percent(table.loc[(name, least), 'accuracy'])}"
        for name in ("1-LR", "2-LR")
    )
    return (
        f"**Weights or representations**: under PGD made for the attacked network N-LR keeps {percent(plain[AGAIN])}, "
        f"with {percent(some, 0)} of its weights' singular values zeroed {percent(weights[AGAIN])} at an accuracy of "
        f"{percent(weights.accuracy)}; with representations of low rank instead it is {layers}."
    )
