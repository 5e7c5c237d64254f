"""Where a page's numbers come from, run by run, as Markdown; the figures and tables of the book link to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lrlib import drift, results
from lrlib.results import Record
from lrlib.tables.beside import THIS_RUN, remarks

ANCHOR = "origins"  # what figures and tables link to, see book/_static/tables.js


def file(preset: str, page: str) -> str:
    """Where the built book has a record, without the ending: ``.csv`` has its rows, ``.json`` what measured them."""
    return f"records/{preset}/{page}"


def told(records: Mapping[str, Record]) -> str:
    """A list of the runs behind a page: what, on which networks, when, where, for how long and from which sources.

    Args:
        records: The page's records by heading, of committed ones and of this run.

    Returns:
        Markdown. Runs that differ in nothing but their seeds are one entry.
    """
    lines = []
    for heading, record in results.largest_first(records).items():
        runs = _alike(record)
        for group in runs:
            lines.append(f"- {_entry(record, group, this=heading.startswith(THIS_RUN), several=len(runs) > 1)}")
    if not lines:
        return "There is no record yet: run this page with `measure` true."
    return f'<a id="{ANCHOR}"></a>\n\n' + "\n".join(lines) + "\n\nIntervals are Student's, 95 %, over seeds."


def _alike(record: Record) -> list[list[dict[str, Any]]]:
    """The runs, those together that measured the same of other seeds on the same machine at the same commit."""
    groups: dict[str, list[dict[str, Any]]] = {}
    older = drift.older_runs(record)
    for run in record.runs:
        same = {name: run[name] for name in ("commit", "device", "packages", "shortened")}
        settings = {name: value for name, value in run["parameters"].items() if name != "seeds"}
        key = [same, settings, run["id"] in older, _artefacts(record, [run])]
        groups.setdefault(json.dumps(key), []).append(run)
    return list(groups.values())


def _entry(record: Record, runs: list[dict[str, Any]], *, this: bool, several: bool) -> str:
    one = runs[0]
    of = Record(record.page, record.preset, runs, [row for row in record.rows if row["run"] in {r["id"] for r in runs}])
    seeds = [seed for run in runs for seed in run["parameters"].get("seeds", ())]
    examples = one["parameters"].get("examples")
    said = [
        f"preset **`{record.preset}`**{remarks(of)}{', this run' if this else ''}",
        ", ".join(_artefacts(record, runs)) if several else "",
        ", ".join(dict.fromkeys(row["dataset"] for row in of.rows if row.get("dataset"))),
        f"{_counted(seeds, 'seed')} {', '.join(map(str, seeds))}" if seeds else "",
        f"{examples:,} test images" if examples else "",
        _models({name: model for run in runs for name, model in run["models"].items()}),
        f"measured in {' + '.join(_duration(run['seconds']) for run in runs)} on {one['device']}",
        f"{_when(runs[-1])}, {_commit(one)}, torch {one['packages']['torch']}",
    ]
    if record.preset in results.committed(record.page):
        there = f"../{file(record.preset, record.page)}"
        said.append(f'<a href="{there}.csv">the numbers</a>, <a href="{there}.json">the runs</a>')
    return "; ".join(part for part in said if part) + "."


def _artefacts(record: Record, runs: Iterable[Mapping[str, Any]]) -> list[str]:
    ids = {run["id"] for run in runs}
    return list(dict.fromkeys(row["artefact"] for row in record.rows if row["run"] in ids))


def _models(models: Mapping[str, Mapping[str, Any]]) -> str:
    """How many trained networks were measured, and how long their training took."""
    if not models:
        return ""
    took = _duration(sum(model["seconds"] for model in models.values()))
    return f"{len(models)} {_counted(models, 'network')} trained in {took}"


def _counted(things: Any, name: str) -> str:
    return name if len(things) == 1 else f"{name}s"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _when(run: Mapping[str, Any]) -> str:
    text: str = run["started"]
    return text.replace("T", " ").replace("+00:00", " UTC")


def _commit(run: Mapping[str, Any]) -> str:
    if not run["commit"]:
        return "no commit"
    return f"commit `{run['commit'][:10]}{'+ changes' if run['commit'].endswith('+') else ''}`"
