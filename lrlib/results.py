"""Records: what was measured, by which run, as one JSON file for each page and preset.

A record holds ``runs``, each with where its numbers come from, and tidy ``rows``: the artefact (a table or figure of
the paper), its key columns, the metric, the value, the number of examples, the interval and the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lrlib import presets, provenance
from lrlib.files import replacing
from lrlib.intervals import over_seeds as over_seeds
from lrlib.intervals import wilson as wilson
from lrlib.packing import pack_image as pack_image
from lrlib.packing import survived as survived
from lrlib.packing import unpack_image as unpack_image

RESULTS = provenance.ROOT / "data" / "results"
_OF_RECORD = ("page", "preset", "runs", "rows")
_OF_ROW = ("artefact", "metric", "value", "n", "run")
_OF_RUN = (
    "id",
    "parameters",
    "shortened",
    "sources",
    "commit",
    "device",
    "packages",
    "started",
    "seconds",
    "datasets",
    "models",
)


class RecordError(ValueError):
    """A record's file is not a record."""


@dataclass(frozen=True)
class Record:
    """What is in a record's file.

    Attributes:
        page: The page that measured it.
        preset: The preset of its numbers.
        runs: Where the rows come from, a mapping for each run.
        rows: The tidy rows.
    """

    page: str
    preset: str
    runs: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    def frame(self, artefact: str | None = None) -> pd.DataFrame:
        """The rows, of one artefact or all, with the columns that they use."""
        rows = [row for row in self.rows if artefact in (None, row["artefact"])]
        if not rows:
            raise RecordError(f"expected rows of {artefact} in the {self.preset} record of {self.page}, found none")
        return pd.DataFrame(rows)

    def main(self) -> Record:
        """The part about the preset's own network, of a page that measures several; the whole if there is no such."""
        network = presets.get(self.preset).network
        own = {"arch": network.arch, "dataset": network.dataset}
        runs = [run for run in self.runs if own.items() <= (own | run["parameters"]).items()] or self.runs
        of = {run["id"] for run in runs}
        return Record(self.page, self.preset, runs, [row for row in self.rows if row["run"] in of])

    def same_numbers(self, other: Record) -> bool:
        """Whether the other record has the same rows, of the same parameters, sources and models."""
        return self._content() == other._content()

    def _content(self) -> tuple[Any, ...]:
        runs = [(run["parameters"], run["sources"], run["datasets"], sorted(run["models"])) for run in self.runs]
        return runs, [{**row, "run": None} for row in self.rows]

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all, with a row on a line."""
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in self.rows)
        runs = json.dumps(self.runs, indent=1, ensure_ascii=False)
        head = f'{{"page": {json.dumps(self.page)}, "preset": {json.dumps(self.preset)},\n'
        with replacing(path) as temporary:
            temporary.write_text(f'{head}"runs": {runs},\n"rows": [\n{rows}\n]}}\n')


def path(page: str, preset: str) -> Path:
    """Where a page's committed record at a preset is."""
    return RESULTS / preset / f"{page}.json"


def load(file: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: If the file is missing or is no record; the message says what is wrong with it.
    """
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise RecordError(f"expected a record at {file}, can't read it: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"expected a record at {file}, found a broken one: it is not JSON ({error})") from error
    for fault in _faults(content):
        raise RecordError(f"expected a record at {file}, found a broken one: {fault}")
    return Record(*(content[key] for key in _OF_RECORD))


def _faults(content: Any) -> Iterator[str]:
    """What keeps the content of a file from being a record."""
    yield from _lacking("it", content, _OF_RECORD)
    for kind, needed in (("run", _OF_RUN), ("row", _OF_ROW)):
        things = content[f"{kind}s"]
        if not isinstance(things, list) or not things:
            yield f"it has no list of {kind}s"
        for i, thing in enumerate(things):
            yield from _lacking(f"{kind} {i}", thing, needed)
    known = {str(run["id"]) for run in content["runs"]}
    for i, row in enumerate(content["rows"]):
        if str(row["run"]) not in known:
            yield f"row {i} is of run {row['run']}, which is not there"
        if not isinstance(row["value"], int | float):
            yield f"the value of row {i} is no number"


def _lacking(name: str, thing: Any, needed: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(thing, dict):
        yield f"{name} is no mapping"
    elif missing := [key for key in needed if key not in thing]:
        yield f"{name} has no {', '.join(missing)}"


def merged(record: Record, other: Record) -> Record:
    """The record with the artefacts, networks and seeds of the other one added, or put in their place.

    Args:
        record: A page's record at a preset.
        other: More of the same page and preset, for some artefacts, networks and seeds.

    Returns:
        All rows of ``other``, those of ``record`` for the rest, and the runs that the rows come from.
    """
    if (record.page, record.preset) != (other.page, other.preset):
        raise ValueError(f"expected a record of {record.page} at {record.preset}, got {other.page} at {other.preset}")
    measured = {_about(row) for row in other.rows}
    kept = [row for row in record.rows if _about(row) not in measured]
    sources = {row["run"] for row in kept}
    runs = [run for run in record.runs if run["id"] in sources]
    return Record(record.page, record.preset, [*runs, *other.runs], [*kept, *other.rows])


def _about(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in ("artefact", "dataset", "arch", "seed", "device"))


def committed(page: str) -> dict[str, Record]:
    """The committed records of a page by preset, from the smallest preset to the paper's."""
    files = {preset: path(page, preset) for preset in presets.PRESETS}
    return {preset: load(file) for preset, file in files.items() if file.exists()}


def largest_first(records: Mapping[str, Record]) -> dict[str, Record]:
    """The records, under their headings, in the order of their presets, the largest first."""
    order = list(presets.PRESETS)
    return dict(sorted(records.items(), key=lambda item: -order.index(item[1].preset)))


def save(record: Record, destination: Path) -> Path:
    """Write a record, unless the file has the same numbers already: a repeated measurement changes nothing.

    Args:
        record: What to write.
        destination: Where; see :func:`path`.

    Returns:
        The file.
    """
    try:
        unchanged = load(destination).same_numbers(record)
    except RecordError:
        unchanged = False
    if not unchanged:
        record.save(destination)
    return destination
