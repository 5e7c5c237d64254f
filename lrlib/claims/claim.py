"""A claim: a sentence of the paper, its post or the report, where it stands, and what decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrlib import paper
from lrlib.claims.predicates import Cell, Predicate, cell
from lrlib.sections.audit import WORST

R18 = {"arch": "resnet18", "dataset": "cifar10"}
DRAWN = "drawn, not printed"
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
        strong: What decides it under the audit's attacks, if it is about an attack.
        stand_in: What our number is of where it isn't of what the claim is about, at every preset but ``paper``.
    """

    id: str
    sentence: str
    where: str
    printed: str
    page: str
    heading: str
    published: Predicate
    strong: Predicate | None = None
    stand_in: str = ""


def in_the_paper(artefact: str, **where: object) -> tuple[float, str]:
    """A number of the paper, and as it is printed."""
    cells = paper.table(artefact)
    for key, value in where.items():
        cells = cells[cells[key] == value]
    (value,) = cells.value
    return float(value), paper.printed(artefact, **where)


def larger(
    artefact: str,
    page: str,
    metric: str,
    variant: str,
    network: Mapping[str, str],
    *,
    against: str = "N-LR",
    **keys: Any,
) -> tuple[str, Predicate]:
    """The paper's number of one variant beside another's, and the predicate that ours differ by at least half as much.

    Args:
        artefact: The paper's table, and the artefact of our rows.
        page: The page of our record.
        metric: What is compared.
        variant: Whose number is larger.
        network: The keys that say which network the paper's cells are about; ours are about the preset's own.
        against: Than whose.
        **keys: Further keys of the paper's cells and our rows.
    """
    (high, first), (low, second) = (
        in_the_paper(artefact, metric=metric, variant=name, **network, **keys) for name in (variant, against)
    )
    left, right = (cell(page, artefact, metric, variant=name, **keys) for name in (variant, against))
    return f"{first} against {second}", Predicate(left, right, margin=HALF * (high - low))


def worst_case(variant: str, against: str = "N-LR") -> Predicate:
    """That a variant is better than another in the audit's worst case over all attacks."""

    def audited(name: str) -> Cell:
        return cell("audit", "audit", "adversarial_accuracy", variant=name, attack=WORST)

    return Predicate(audited(variant), audited(against))
