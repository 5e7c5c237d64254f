"""Noise stability: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib import paper
from lrlib.prose.format import compare, spread
from lrlib.results import Record, over_seeds
from lrlib.sections.measuring import VARIANTS


def claim() -> str:
    """What the paper says, with its own numbers."""
    where = {"arch": "resnet18", "probability": 0.6}
    cells = ", ".join(f"{v} {paper.printed('table4', variant=v, **where)} %" for v in VARIANTS)
    return (
        "Section 3.2: LR models are stable. With Gaussian noise at each pixel with probability 0.6, accuracy is "
        f"{cells} (table 4, ResNet-18 on CIFAR-10); adversarial perturbations reach less far into the representation "
        "before the FC layer (figure 4b); and the layer cushion is larger, in the third block for 2-LR alone (4c)."
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    table = record.frame("table4")
    most = table[table.probability == table.probability.max()]
    probability = most.probability.iloc[0]
    figure = record.frame("figure4b")
    reach = figure[(figure.metric == "representation_ratio") & (figure.eps == figure.eps.iloc[-1])]
    into = figure[(figure.metric == "input_ratio") & (figure.eps == figure.eps.iloc[-1])]
    slope = reach.assign(value=reach.value.to_numpy() / into.value.to_numpy())
    cushion = record.frame("figure4c")
    median = cushion[cushion["quantile"] == 0.5]
    layers = [
        f"{tap}: "
        + ", ".join(f"{name} {value:.3f}" for name, value in group.groupby("variant", sort=False).value.mean().items())
        for tap, group in median.groupby("tap", sort=False)
    ]
    return [
        f"**Pixel noise** at every position drawn with p = {probability:g}: {spread(most, 'N-LR')} for N-LR, "
        f"{spread(most, '1-LR')} for 1-LR, {spread(most, '2-LR')} for 2-LR. " + compare(most, "The accuracy"),
        f"**Propagation** at {figure.eps.iloc[-1]}: the squared relative change of the representation is "
        + ", ".join(f"{_ratio(slope, name)} times that of the input in {name}" for name in ("N-LR", "1-LR", "2-LR"))
        + ". "
        + compare(slope, "The factor", below=True),
        f"**Layer cushion**, medians over images, averaged over seeds: {'; '.join(layers)}. {_cushions(median)}",
    ]


def _ratio(rows: pd.DataFrame, variant: str) -> str:
    return f"{over_seeds(rows[rows.variant == variant], ['variant']).value.iloc[0]:.2f}"


def _cushions(median: pd.DataFrame) -> str:
    """In how many seeds the cushion is larger than N-LR's, layer by layer."""
    trained = median[median.variant.isin(VARIANTS)]
    return " ".join(compare(group, f"At {tap} the median") for tap, group in trained.groupby("tap", sort=False))
