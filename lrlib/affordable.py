"""What of a preset can be executed within a budget of time: pages whose networks are trained, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lrlib import presets, results, sections, side_by_side, zoo
from lrlib.data import DatasetError
from lrlib.presets import PRESETS
from lrlib.results import Record
from lrlib.sections.parameters import Parameters
from lrlib.specs import Spec

FALLBACK = next(iter(PRESETS))


def pages(preset: str, *, minutes: float) -> dict[str, Parameters]:
    """With what each page is executed.

    A page that measures is executed at the preset, with as many of its seeds as there is time for, if its networks are
    stored; the first seed of every page comes before the second of any, and how long one takes is what it took when the
    preset's record was measured. A page that shows records always is. Pages executed at the same time share the budget.

    Args:
        preset: The preset that is wanted.
        minutes: The budget of all pages together.

    Returns:
        Page to parameters, at the wanted preset or at the first, in the order of the pages.

    Raises:
        ValueError: If the preset is unknown, or the budget is not positive.
    """
    if not 0 < minutes < math.inf:
        raise ValueError(f"expected a budget of more than 0 minutes, got {minutes}")
    presets.get(preset)
    at_once, _ = side_by_side.shares()
    left = 60 * minutes * at_once
    needed = {page: _seconds(page, preset) for page in sections.PAGES}
    seeds = {page: sections.get(page).Parameters.of(preset).seeds for page in sections.PAGES}
    count = dict.fromkeys(sections.PAGES, 0)
    for more in range(max(map(len, seeds.values()))):
        for page in sections.PAGES:
            if count[page] == more < len(seeds[page]) and needed[page] <= left:
                count[page] += 1
                left -= needed[page]
    found = {
        page: sections.get(page).Parameters.of(preset, seeds=seeds[page][:many])
        if (many := count[page])
        else sections.get(page).Parameters.of(FALLBACK)
        for page in sections.PAGES
    }
    return found | {page: sections.get(page).Parameters.of(preset) for page in sections.STANDING}


def longest_first(pages: Mapping[str, Parameters]) -> list[str]:
    """Pages in an order in which they are done soon side by side: the longest first, by what their records took.

    Args:
        pages: Page to what it is executed with.
    """

    def seconds(page: str) -> float:
        record = results.committed(page).get(pages[page].preset)
        if page in sections.STANDING or record is None:
            return 0.0
        return of_a_seed(record) * len(pages[page].content()["seeds"])

    return sorted(pages, key=seconds, reverse=True)


def of_a_seed(record: Record) -> float:
    """Seconds that a measurement of one seed took, the longest of the record's runs."""
    return max(float(run["seconds"]) / len(run["parameters"]["seeds"]) for run in record.runs)


def _seconds(page: str, preset: str) -> float:
    """Seconds that one seed takes at a preset; infinite if that is not known, or something has to be trained first."""
    if preset == FALLBACK:
        return 0.0
    section = sections.get(page)
    record = results.committed(page).get(preset)
    if record is None or not all(_is_trained(spec) for spec in section.specs(section.Parameters.of(preset))):
        return math.inf
    return of_a_seed(record)


def _is_trained(spec: Spec) -> bool:
    """Whether a network is stored, or is wanted as it is before training, which takes no time."""
    try:
        return spec.epochs == 0 or zoo.find(spec) is not None
    except DatasetError:
        return False
