"""Which pages can be executed at a preset within a budget of time: what is trained and does not take too long."""

from __future__ import annotations

import math

from lrlib import presets, results, sections, zoo
from lrlib.data import DatasetError
from lrlib.presets import PRESETS
from lrlib.sections.parameters import Parameters
from lrlib.specs import Spec

FALLBACK = next(iter(PRESETS))


def pages(preset: str, *, minutes: float) -> dict[str, str]:
    """The preset at which each page is executed.

    A page that measures is executed at the preset if its networks are stored and as much time is left as its last
    measurement there took, for as many seeds; a page that shows records always is.

    Args:
        preset: The preset that is wanted.
        minutes: The budget of all pages together.

    Returns:
        Page to preset, the wanted one or the first, in the order of the pages.

    Raises:
        ValueError: If the preset is unknown, or the budget is not positive.
    """
    if not 0 < minutes < math.inf:
        raise ValueError(f"expected a budget of more than 0 minutes, got {minutes}")
    presets.get(preset)
    left = 60 * minutes
    found = {}
    for page in (*sections.PAGES, *sections.STANDING):
        needed = _seconds(page, preset)
        fits = needed <= left
        found[page] = preset if fits else FALLBACK
        left -= needed if fits else 0.0
    return found


def _seconds(page: str, preset: str) -> float:
    """Seconds that a page takes at a preset; infinite if that is not known, or something has to be trained first."""
    if page in sections.STANDING or preset == FALLBACK:
        return 0.0
    section = sections.get(page)
    parameters: Parameters = section.Parameters.of(preset)
    record = results.committed(page).get(preset)
    if record is None or not all(_is_stored(spec) for spec in section.specs(parameters)):
        return math.inf
    seeds = len(parameters.content()["seeds"])
    return seeds * max(float(run["seconds"]) / len(run["parameters"]["seeds"]) for run in record.runs)


def _is_stored(spec: Spec) -> bool:
    try:
        return zoo.find(spec) is not None
    except DatasetError:
        return False
