"""The book's page on its own execution: status, duration, device and versions of every page, and of every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lrlib import provenance
from lrlib.results import Record
from lrlib.scoreboard import TITLES

Metadata = Mapping[str, Any]


def pages(executed: Mapping[str, Metadata | None]) -> str:
    """A table of the pages, as HTML.

    Args:
        executed: The metadata of each page's executed notebook: papermill's, and what ``lrlib`` has added; None for a
            page that is not there.
    """
    rows = [[_link(page), *_execution(metadata)] for page, metadata in executed.items()]
    return _table(("page", "status", "preset", "seconds", "ended", "device", "versions"), rows)


def _execution(metadata: Metadata | None) -> list[str]:
    found = (metadata or {}).get("papermill")
    if metadata is None or found is None:
        return ["not executed", *[""] * 5]
    own = metadata.get("lrlib", {})
    machine = own.get("machine", {})
    return [
        "failed" if found.get("exception") else "executed",
        own.get("preset", ""),
        f"{found['duration']:.0f}" if found.get("duration") is not None else "",
        _moment(found.get("end_time") or ""),
        machine.get("device", ""),
        _versions([machine]) if machine else "",
    ]


def records(by_preset: Mapping[str, Mapping[str, Record]]) -> str:
    """A table of the committed records, as HTML: how long, when and on what each was measured, and by which code.

    Args:
        by_preset: Records by preset and page.
    """
    rows = [
        [_link(page), preset, *_measurement(page, own[page])]
        for page in TITLES
        for preset, own in by_preset.items()
        if page in own
    ]
    return _table(("page", "preset", "rows", "runs", "seconds", "begun", "device", "versions", "code"), rows)


def _measurement(page: str, record: Record) -> list[str]:
    runs = record.runs
    today = provenance.sources(f"lrlib.sections.{page}")
    same = sum(run["sources"] == today for run in runs)
    return [
        str(len(record.rows)),
        str(len(runs)),
        f"{sum(run['seconds'] for run in runs):.0f}",
        _moment(max(run["started"] for run in runs)),
        ", ".join(dict.fromkeys(run["device"] for run in runs)),
        _versions(runs),
        "today's" if same == len(runs) else "older" if not same else f"today's in {same} of {len(runs)} runs",
    ]


def _versions(machines: Sequence[Metadata]) -> str:
    found = dict.fromkeys(f"torch {one['packages']['torch']}" for one in machines)
    pythons = dict.fromkeys(f"Python {one['python']}" for one in machines if "python" in one)
    return ", ".join([*pythons, *found])


def _moment(text: str) -> str:
    """A time to the minute."""
    return text[:16].replace("T", " ")


def _link(page: str) -> str:
    return f"<a href='{page}.html'>{escape(TITLES[page])}</a>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose rows have their first cell as HTML and the others as text."""
    head = "".join(f"<th scope='col'>{escape(one)}</th>" for one in heads)
    lines = [
        f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{escape(one)}</td>' for one in others)}</tr>"
        for first, *others in rows
    ]
    body = "\n".join(lines)
    return f"<table class='dataframe'>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
