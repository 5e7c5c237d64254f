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

PAGES = ("effective_rank", "adversarial", "noise_stability", "compression", "svd_truncation")


def get(page: str) -> ModuleType:
    """The section's module.

    Raises:
        ValueError: If there is no such page.
    """
    if page not in PAGES:
        raise ValueError(f"expected a page among {', '.join(PAGES)}, got {page!r}")
    return import_module(f"lrlib.sections.{page}")


def keep(record: Record, parameters: Parameters, destination: str | None = None) -> Path | None:
    """Write a record where it belongs.

    Args:
        record: What was measured.
        parameters: With what; only a preset's defaults make the preset's record.
        destination: A file to write instead.

    Returns:
        The file, or None if the parameters are not the preset's and no file was named: then nothing is written.
    """
    if destination:
        return results.save(record, Path(destination))
    if parameters.at_defaults():
        return results.save(record, results.path(record.page, record.preset))
    return None
