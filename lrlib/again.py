"""How a page is run again: the command that repeats this very run, and what can be taken along."""

from __future__ import annotations

import json
import shlex
from typing import Any

from lrlib import results
from lrlib.sections.parameters import Parameters
from lrlib.tables import origins


def command(page: str, parameters: Parameters) -> str:
    """The command that runs the page with these parameters.

    Args:
        page: Which page.
        parameters: All of them; those at the preset's default are left out.

    Returns:
        A line for a shell, in a checkout of the repository.
    """
    words = [".venv/bin/lrlib", "run", page, "-p", "preset", parameters.preset]
    for name, value in changed(parameters).items():
        words += ["-p", name, _text(value)]
    return shlex.join(words)


def changed(parameters: Parameters) -> dict[str, Any]:
    """The parameters that are not at their preset's default."""
    default = type(parameters).of(parameters.preset).content()
    return {name: value for name, value in parameters.content().items() if value != default[name]}


def this_page(page: str, parameters: Parameters) -> str:
    """The end of a page, as Markdown: the command of this run, how to change it, and the files behind the page."""
    return (
        "In a checkout of the repository, after `make book`, this repeats this very run:\n\n"
        f"```console\n$ {command(page, parameters)}\n```\n\n"
        "With `-p NAME VALUE` it takes other parameters, and with `-o FOLDER` the executed notebook and its record go "
        f"there instead of into the book; `.venv/bin/lrlib run {page} --list` shows every parameter with its value and "
        "meaning.\n\n"
        f"Behind this page: {', '.join(_files(page))}."
    )


def _files(page: str) -> list[str]:
    """Links to the executed notebook and the committed records, from where the built book has the page."""
    found = {"the executed notebook": f"_sources/book/{page}.ipynb"}
    found |= {f"the numbers at {preset}": f"{origins.file(preset, page)}.csv" for preset in results.committed(page)}
    return [f'<a href="../{file}">{name}</a>' for name, file in found.items()]


def _text(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, list):
        parts = [_text(one) for one in value]
        return json.dumps(value) if any("," in part for part in parts) else ",".join(parts)
    return value if isinstance(value, str) else json.dumps(value)
