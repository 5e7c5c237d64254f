"""One module a page: its parameters, the models it needs and the measurement of its rows.

Each module has ``Parameters``, ``specs(parameters)`` and ``measure(parameters, ...)``. The pages of the book and the
commands call these and nothing else, so that a number is the same wherever it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from lrlib import results
from lrlib.results import Record
from lrlib.sections.parameters import Parameters

# The sections of the paper and of the report; the method before them, and after them what the companion adds.
PAPER = ("effective_rank", "adversarial", "noise_stability", "compression", "svd_truncation", "latent_space")
PAGES = ("lr_layer", *PAPER, "controls")
# Pages that show their committed records: measuring takes long, or is worth something on a quiet machine only.
STANDING = ("calibration", "audit", "training", "benchmarks")
# What is measured network by network, seed by seed; the calibration first, for the attacks of others come from it.
REPRODUCED = ("calibration", *PAGES, "audit")


def get(page: str) -> ModuleType:
    """The section's module.

    Raises:
        ValueError: If there is no such page.
    """
    if page not in (*PAGES, *STANDING):
        raise ValueError(f"expected a page among {', '.join((*PAGES, *STANDING))}, got {page!r}")
    return import_module(f"lrlib.sections.{page}")


def keep(record: Record, parameters: Parameters, destination: str | None = None) -> Path | None:
    """Write a record where it belongs.

    Args:
        record: What was measured.
        parameters: With what; only a preset's defaults make the preset's record, in which rows about other networks
            stay.
        destination: A file to write instead.

    Returns:
        The file, or None if the parameters are not the preset's and no file was named: then nothing is written.
    """
    if destination:
        return results.save(record, Path(destination))
    if parameters.at_defaults():
        file = results.path(record.page, record.preset)
        before = results.committed(record.page).get(record.preset)
        return results.save(record if before is None else results.merged(before, record), file)
    return None


def standing(page: str, parameters: Parameters, destination: str | None = None) -> dict[str, Record]:
    """The records of a page that shows them, by preset; the parameters' own is measured first if they say so.

    Args:
        page: One of :data:`STANDING`.
        parameters: Whether to measure, and with what.
        destination: As for :func:`keep`.

    Raises:
        ValueError: If nothing is to be measured, but with parameters of one's own.
    """
    found: dict[str, Record] = {}
    if not parameters.content()["measure"] and not parameters.at_defaults():
        raise ValueError(
            f"expected measure to be true with parameters other than those of {parameters.preset}'s record"
        )
    if parameters.content()["measure"]:
        found[parameters.preset] = get(page).measure(parameters)
        keep(found[parameters.preset], parameters, destination)
    kept = results.committed(page)
    return kept | found if destination or not parameters.at_defaults() else kept
