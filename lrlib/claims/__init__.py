"""Claims of the paper, the authors' post and the report that our numbers decide, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from lrlib import results, sections
from lrlib.claims.claim import Claim
from lrlib.claims.of_the_paper import of_the_paper
from lrlib.claims.of_the_report import of_the_report
from lrlib.claims.predicates import Judged, Predicate, judge
from lrlib.results import Record

__all__ = ["Claim", "Judged", "Predicate", "claims", "judge", "records"]


@cache
def claims() -> tuple[Claim, ...]:
    """All claims, in the order in which the paper and the report make them."""
    return (*of_the_paper(), *of_the_report())


def records() -> dict[str, dict[str, Record]]:
    """The committed records by preset and page, of the presets that have some."""
    found: dict[str, dict[str, Record]] = {}
    for page in (*sections.PAGES, *sections.STANDING):
        for preset, record in results.committed(page).items():
            found.setdefault(preset, {})[page] = record
    return found


def judged(by_preset: Mapping[str, Mapping[str, Record]]) -> dict[str, dict[str, tuple[Judged, Judged | None]]]:
    """Both verdicts on every claim, by its name and by preset.

    Args:
        by_preset: Records by preset and page, such as :func:`records` gives.
    """
    return {
        claim.id: {
            preset: (
                judge(claim.published, pages, preset),
                None if claim.strong is None else judge(claim.strong, pages, preset),
            )
            for preset, pages in by_preset.items()
        }
        for claim in claims()
    }
