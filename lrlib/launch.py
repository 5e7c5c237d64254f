"""Opening the executed notebooks elsewhere: the book's buttons for Colab and Binder, and what a notebook needs there.

Both need to know the repository, which ``LRLIB_REPOSITORY`` in the environment says.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import yaml

from lrlib.files import replacing

VARIABLE = "LRLIB_REPOSITORY"
BRANCH = "notebooks"  # where the workflow publishes the executed notebooks, beside everything else
_ADDRESS = re.compile(r"https://[\w.-]+/[\w.-]+/[\w.-]+")
_SETUP = """\
# Outside of a checkout, as on Colab: fetch one, with the trained networks and the records, and install it.
import importlib.util
import sys

if importlib.util.find_spec("lrlib") is None:
    !git clone --quiet --depth 1 {repository} companion
    %pip install --quiet --editable "companion[book]"
    sys.path.insert(0, "companion")"""


def repository() -> str:
    """The repository's address; empty if nothing says it.

    Raises:
        ValueError: If the environment variable is no such address.
    """
    address = os.environ.get(VARIABLE, "").removesuffix("/").removesuffix(".git")
    if address and not _ADDRESS.fullmatch(address):
        raise ValueError(f"expected {VARIABLE} to be such as https://github.com/owner/name, got {address!r}")
    return address


def configuration(book: Path, destination: Path) -> list[str]:
    """What jupyter-book has to be told so that the book has its buttons: nothing where no repository is known.

    Args:
        book: The book's ``_config.yml``.
        destination: Where to write it with the repository added.

    Returns:
        Options of ``jupyter-book build``.
    """
    address = repository()
    if not address:
        return []
    content: dict[str, Any] = yaml.safe_load(book.read_text())
    content["repository"] = {"url": address, "branch": BRANCH}
    content["launch_buttons"] |= {
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
    }
    content["html"] |= {"use_repository_button": True}
    with replacing(destination) as temporary:
        temporary.write_text(yaml.safe_dump(content, allow_unicode=True))
    return ["--config", str(destination)]


def prepared(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with a first cell that sets it up elsewhere, hidden in the book, where the repository is known."""
    address = repository()
    if address:
        cell = nbformat.v4.new_code_cell(_SETUP.format(repository=address), metadata={"tags": ["remove-cell"]})
        cell.id = "set-up"
        notebook.cells.insert(0, cell)
    return notebook
