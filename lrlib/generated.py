"""What the book includes that is computed anew at each build: the scoreboard, the first page's summary, and so on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrlib import claims, execution, firstpage, plots, presets, scoreboard
from lrlib.files import replacing


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
    }


def write(folder: Path, book: Path) -> None:
    """Write those that are not there as they are now.

    Args:
        folder: Where the book's pages look for them.
        book: The folder of the executed notebooks.
    """
    for name, text in parts({page: _metadata(book / f"{page}.ipynb") for page in scoreboard.TITLES}).items():
        file = folder / name
        if not file.exists() or file.read_text() != text:
            with replacing(file) as temporary:
                temporary.write_text(text)


def _metadata(notebook: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(notebook.read_text())["metadata"]
    except (OSError, ValueError, KeyError):
        return None
    return found
