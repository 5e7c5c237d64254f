"""What the book includes that is computed anew at each build: the scoreboard, the first page's summary, and so on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrlib import claims, execution, firstpage, plots, presets, results, scoreboard
from lrlib.files import replacing
from lrlib.tables import origins


def parts(notebooks: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """All parts by the names of their files.

    Args:
        notebooks: The metadata of each page's executed notebook, None where there is none.
    """
    by_preset = claims.records()
    order = [*presets.PRESETS][::-1]  # what says most about the paper first
    return {
        "idea.svg": plots.idea_svg(),
        "state.md": firstpage.state(by_preset, order),
        "scoreboard.html": scoreboard.html(by_preset, order),
        "ways.md": firstpage.ways(by_preset, order),
        "executed.html": execution.pages(notebooks),
        "records.html": execution.records(by_preset),
        **_records(),
    }


def write(folder: Path, book: Path) -> None:
    """Write those that are not there as they are now.

    Args:
        folder: Where the book's pages look for them.
        book: The folder of the executed notebooks.
    """
    found = parts({page: _metadata(book / f"{page}.ipynb") for page in scoreboard.TITLES})
    for file in (folder / "along").rglob("*.*"):
        if file.relative_to(folder).as_posix() not in found:
            file.unlink()
    for name, text in found.items():
        file = folder / name
        if not file.exists() or file.read_text() != text:
            with replacing(file) as temporary:
                temporary.write_text(text)


def _records() -> dict[str, str]:
    """The committed records as files that the built book has: the rows for a spreadsheet, and what measured them."""
    found = {}
    for page in scoreboard.TITLES:
        for preset, record in results.committed(page).items():
            name = f"along/{origins.file(preset, page)}"
            rows = record.frame().drop(columns=["survived", "image", "image_adv", "points"], errors="ignore")
            found[f"{name}.csv"] = rows.convert_dtypes().to_csv(index=False)
            found[f"{name}.json"] = json.dumps(record.runs, indent=1)
    return found


def _metadata(notebook: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(notebook.read_text())["metadata"]
    except (OSError, ValueError, KeyError):
        return None
    return found
