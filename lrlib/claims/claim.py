"""A claim: a sentence of the paper, its post or the report, where it stands, and what decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrlib import paper
from lrlib.claims.predicates import Predicate, cell
from lrlib.sections.audit import WORST

R18 = {"arch": "resnet18", "dataset": "cifar10"}
R50 = {"arch": "resnet50", "dataset": "cifar10"}
COARSE = {"arch": "resnet50", "dataset": "cifar100-coarse"}
MNIST, FASHION = {"dataset": "mnist"}, {"dataset": "fashion-mnist"}
DRAWN = "drawn, no number printed"
OURS = "ours"
POINT = 0.01  # of accuracy
HALF = 0.5  # share of the paper's own effect that counts as reproducing it


@dataclass(frozen=True)
class Claim:
    """A claim that numbers can decide.

    Attributes:
        id: Its name.
        sentence: What is claimed.
        where: The section, table or figure that says it.
        printed: The number that is printed there, or what is said in its place.
        page: The page of the book that shows our numbers.
        heading: The heading there under which they are.
        published: What decides it under the protocol as published.
        strong: What decides it under the audit's attacks, if that has the same ball.
        instead: What else than in the paper our number is of, beside the network.
    """

    id: str
    sentence: str
    where: str
    printed: str
    page: str
    heading: str
    published: Predicate
    strong: Predicate | None = None
    instead: str = ""


def in_the_paper(artefact: str, **where: object) -> tuple[float, str]:
    """A number of the paper, and as it is printed, with its unit, and ``?`` where the paper contradicts it."""
    cells = paper.table(artefact)
    for key, value in where.items():
        cells = cells[cells[key] == value]
    (row,) = cells.itertuples()
    unit = " %" if row.printed_unit == "percent" else ""
    return float(row.value), f"{row.printed}{unit}{' ?' if row.suspicious else ''}"


def larger(
    artefact: str,
    page: str,
    metric: str,
    variant: str,
    network: Mapping[str, str],
    *,
    against: str = "N-LR",
    times: bool = False,
    ours: str = "",
    alone: bool = False,
    **keys: Any,
) -> tuple[str, Predicate]:
    """The paper's number of one variant beside another's, and the predicate that ours differ at least half as much.

    Args:
        artefact: The paper's table.
        page: The page of our record.
        metric: What is compared.
        variant: Whose number is larger.
        network: The keys that say which network the paper's cells are about.
        against: Than whose.
        times: Compare ratios instead of differences: half of what the paper's ratio is above 1.
        ours: The artefact of our rows, if it has another name.
        alone: Whether no other network may stand in.
        **keys: Further keys of the paper's cells and our rows.
    """
    (high, first), (low, second) = (
        in_the_paper(artefact, metric=metric, variant=name, **network, **keys) for name in (variant, against)
    )
    left, right = (
        cell(page, ours or artefact, metric, network=_foreign(network), alone=alone, variant=name, **keys)
        for name in (variant, against)
    )
    if times:
        return f"{first} against {second}, {high / low:.1f} times", Predicate(
            left, right, factor=1 + HALF * (high / low - 1)
        )
    return f"{first} against {second}", Predicate(left, right, margin=HALF * (high - low))


def _foreign(network: Mapping[str, str]) -> Mapping[str, str] | None:
    """The network, unless it is the one that every preset has in its own size."""
    return None if network == R18 else network


def worst_case(variant: str, margin: float) -> Predicate:
    """That a variant is better by so much than N-LR in the audit's worst case over all attacks."""
    left, right = (
        cell("audit", "audit", "adversarial_accuracy", variant=name, attack=WORST) for name in (variant, "N-LR")
    )
    return Predicate(left, right, margin=margin)
