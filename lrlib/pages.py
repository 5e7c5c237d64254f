"""Pages as notebooks: executing them with checked parameters, only when something they depend on has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from traitlets.config import Config

from lrlib import again, generated, launch, provenance, results, sections, zoo
from lrlib.files import replacing
from lrlib.lighter import lighten
from lrlib.sections.parameters import Parameters

BOOK = provenance.ROOT / "book"
# What pages import beside their section and prose, and this module: a change there is a change of the page.
_TABLES = [f"lrlib.tables.{name}" for name in ("beside", "own", "sections", "report", "latent", "origins")]
_PAGE_MODULES = ("lrlib.plots", *_TABLES, "lrlib.again", "lrlib.sections", "lrlib.pages")


class PageFailed(RuntimeError):
    """A cell of a page raised an error."""


def source(page: str) -> Path:
    """The page's source, a jupytext percent script.

    Raises:
        ValueError: If there is no such page.
    """
    sections.get(page)
    return BOOK / f"{page}.py"


def notebook(page: str) -> nbformat.NotebookNode:
    """The page's source as a notebook that was not executed."""
    found: nbformat.NotebookNode = jupytext.read(source(page))
    return found


def declared(page: str) -> dict[str, dict[str, Any]]:
    """What the page's parameters cell declares, as papermill reads it: name to type, default and help."""
    with _as_file(page) as file:
        found: dict[str, dict[str, Any]] = papermill.inspect_notebook(str(file))
    return found


def execute(
    page: str, parameters: Parameters, output: Path, *, record: Path | None = None, progress: bool = True
) -> None:
    """Execute a page with papermill.

    Args:
        page: Which page.
        parameters: Its checked parameters.
        output: Where the executed notebook goes, whole or not at all.
        record: Where the page writes its record instead of where it belongs.
        progress: Show papermill's bar of cells, if the standard error is a terminal.

    Raises:
        PageFailed: If a cell raised an error.
    """
    given = {"preset": parameters.preset, **again.changed(parameters)}
    if record is not None:
        given["record"] = str(record.resolve())
    with _as_file(page) as file:
        executed = file.with_name("executed.ipynb")
        try:
            papermill.execute_notebook(
                str(file),
                str(executed),
                given,
                kernel_name="python3",
                cwd=str(BOOK),
                progress_bar=progress,
                config=_reached_by(file.with_name("kernel")),
            )
        except papermill.PapermillExecutionError as error:
            raise PageFailed(f"{page} stopped at cell {error.exec_count}: {error.ename}: {error.evalue}") from error
        finished = _finished(page, nbformat.read(executed, as_version=4), stamp(page, parameters))
        finished.metadata["lrlib"] |= {
            "preset": parameters.preset,
            "machine": provenance.machine(zoo.pick_device("auto")),
        }
    with replacing(output) as temporary:
        nbformat.write(finished, temporary)


def is_current(page: str, parameters: Parameters, output: Path) -> bool:
    """Whether an executed notebook is there that nothing has changed for since."""
    try:
        found = json.loads(output.read_text())["metadata"]["lrlib"]["stamp"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(found == stamp(page, parameters))


def stamp(page: str, parameters: Parameters) -> str:
    """Hash of all that an executed page depends on: its source, the library, its parameters, the records it shows."""
    digest = hashlib.sha256(source(page).read_bytes() + repr(parameters).encode())
    for module in (*_PAGE_MODULES, f"lrlib.sections.{page}", f"lrlib.prose.{page}"):
        digest.update(provenance.sources(module).encode())
    shown = [*(provenance.ROOT / "data" / "paper").glob("*.csv"), *results.RESULTS.glob(f"*/{page}.json")]
    for file in sorted(shown):
        digest.update(file.name.encode() + file.read_bytes())
    digest.update((provenance.ROOT / "lrlib" / "lrlib.mplstyle").read_bytes())
    return digest.hexdigest()


def _reached_by(files: Path) -> Config:
    """Reach a kernel through files of this name that only this user can open, instead of through open ports."""
    return Config({"KernelManager": {"transport": "ipc", "ip": str(files)}})


@contextlib.contextmanager
def _as_file(page: str) -> Iterator[Path]:
    """The page as the file that papermill wants."""
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{page}.ipynb"
        jupytext.write(notebook(page), file)
        yield file


def _finished(page: str, executed: nbformat.NotebookNode, stamped: str) -> nbformat.NotebookNode:
    """The notebook with stable cell ids, without jupytext's pairing, its parameters cells hidden in the book."""
    for i, cell in enumerate(executed.cells):
        cell.id = f"{page.replace('_', '-')}-{i}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        tags = cell.metadata.get("tags", [])
        if {"parameters", "injected-parameters"} & set(tags):
            cell.metadata["tags"] = [*tags, "remove-cell"]
    executed.metadata.pop("jupytext", None)
    executed.metadata["lrlib"] = {"stamp": stamped}
    for key in ("input_path", "output_path"):
        executed.metadata.papermill.pop(key, None)
    return launch.prepared(executed)


def builder() -> Path:
    """The program that builds the book.

    Raises:
        ValueError: If it is not installed.
    """
    command = Path(sys.executable).with_name("jupyter-book")
    if not command.exists():
        raise ValueError(f"expected jupyter-book at {command}, which lrlib's extra 'book' installs")
    return command


def build(command: Path, *, fresh: bool) -> Path:
    """Build the HTML from the executed pages, with every warning an error, and give its first page.

    Args:
        command: What :func:`builder` found.
        fresh: Build everything, changed or not.

    Raises:
        RuntimeError: If there was a warning or an error.
    """
    if fresh:
        _unbuild()
    generated.write(provenance.ROOT / "_build", BOOK)
    arguments = [str(command), "build", str(provenance.ROOT), "-W", "-n", "--keep-going", "-q"]
    arguments += launch.configuration(provenance.ROOT / "_config.yml", provenance.ROOT / "_build" / "config.yml")
    built = subprocess.run(arguments, capture_output=True, text=True)
    if built.returncode:
        _unbuild()  # an incremental build would not show the warnings of the pages it leaves alone
        raise RuntimeError(f"the book did not build:\n{built.stdout}\n{built.stderr}")
    html = provenance.ROOT / "_build" / "html"
    lighten(html)
    return html / "index.html"


def _unbuild() -> None:
    for part in ("html", ".doctrees"):
        shutil.rmtree(provenance.ROOT / "_build" / part, ignore_errors=True)
