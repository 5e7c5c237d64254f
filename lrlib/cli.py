"""The ``lrlib`` command. Bad input ends it with one sentence and exit code 2, a failed page or training with 1."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from click.core import ParameterSource

from lrlib import affordable, data, drift, presets, provenance, reproduce, results, sections, show, side_by_side, zoo
from lrlib.data import DatasetError
from lrlib.sections.measuring import VARIANTS
from lrlib.sections.parameters import Parameters, SeededParameters
from lrlib.specs import Spec
from lrlib.zoo import Trained

_EPOCHS = click.option("--epochs", type=click.IntRange(1), help="shorten the preset's schedule to so many epochs")
_DOWNLOAD = click.option("--download", is_flag=True, help="download datasets that are missing")
_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.pass_context
def cli(context: click.Context) -> None:
    """The executable companion to "Robustness via Deep Low-Rank Representations"."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@click.argument("page")
@click.option(
    "-p", "--parameter", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a parameter; lists as 0,1,2"
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="folder for the notebook and the record"
)
@click.option("--list", "listing", is_flag=True, help="show the page's parameters and stop")
def run(page: str, given: tuple[tuple[str, str], ...], output: Path | None, listing: bool) -> None:
    """Execute one PAGE of the book with papermill.

    Names, types and ranges of the parameters are checked before a kernel starts. Without -o, a run at a preset's
    defaults updates the book's page and the preset's record; any other run goes to _build/runs/PAGE.
    """
    parameters: Parameters = sections.get(page).Parameters.parse(_unique(given))
    if listing:
        for row in parameters.table():
            click.echo("  ".join(f"{key}: {value}" for key, value in row.items()))
        return
    if output is None and not parameters.at_defaults():
        output = provenance.ROOT / "_build" / "runs" / page
    pages = _pages()
    for folder in [pages.BOOK, results.path(page, parameters.preset).parent] if output is None else [output]:
        _check_writable(folder)
    _prepare([(parameters, sections.get(page).specs(parameters))])
    notebook = _executed(page) if output is None else output / f"{page}.ipynb"
    record = None if output is None else output / f"{page}.json"
    start = time.perf_counter()
    pages.execute(page, parameters, notebook, record=record, progress=sys.stderr.isatty())
    where = "" if record is None else "".join(f", {file}" for file in (notebook, record) if file.exists())
    click.echo(f"{page}: executed in {time.perf_counter() - start:.0f} s{where}")


@cli.command()
@show.PRESET
@click.option("--fresh", is_flag=True, help="execute and build everything, changed or not")
@click.option(
    "--budget",
    type=float,
    metavar="MINUTES",
    help="execute at the preset what is trained, with the seeds that fit, at quick the rest",
)
def book(preset: str, fresh: bool, budget: float | None) -> None:
    """Train what is missing, execute the pages that something has changed for, on a CPU two at a time, and build.

    With --fresh, numbers that are measured anew have to agree with the records that were there.
    """
    pages = _pages()
    builder = pages.builder()
    todo = {}
    every = {page: sections.get(page).Parameters.of(preset) for page in (*sections.PAGES, *sections.STANDING)}
    for page, parameters in (every if budget is None else affordable.pages(preset, minutes=budget)).items():
        if not fresh and pages.is_current(page, parameters, _executed(page)):
            click.echo(f"{page}: up to date")
        else:
            todo[page] = parameters
    _prepare([(parameters, sections.get(page).specs(parameters)) for page, parameters in todo.items()])
    before = {page: one for page in todo if fresh and (one := results.committed(page).get(preset))}
    for page, parameters in todo.items():
        if parameters.preset != preset:
            click.echo(f"{page}: at {parameters.preset}, for it is not trained at {preset} or takes too long")
        elif parameters != every[page]:
            click.echo(f"{page}: seeds {parameters.content()['seeds']} alone, for all of them take too long")
    at_once, threads = side_by_side.shares()
    bars = at_once == 1 and sys.stderr.isatty()
    order = todo if at_once == 1 else affordable.longest_first(todo)
    work = {page: partial(pages.execute, page, todo[page], _executed(page), progress=bars) for page in order}
    for page, seconds in side_by_side.run(work, at_once=at_once, threads=threads):
        click.echo(f"{page}: executed in {seconds:.0f} s")
    drift.check(before, {page: results.committed(page)[preset] for page in before})
    click.echo(pages.build(builder, fresh=fresh))


@cli.command()
@click.argument("spec", required=False, type=click.Path(path_type=Path, dir_okay=False))
@show.PRESET
@click.option("--model", "variants", multiple=True, help="a variant, such as 1-LR; all three unless given")
@click.option("--seeds", default=None, help="training seeds as 0,1,2; the preset's unless given")
@_EPOCHS
@_DOWNLOAD
@_DEVICE
def train(
    spec: Path | None,
    preset: str,
    variants: tuple[str, ...],
    seeds: str | None,
    epochs: int | None,
    download: bool,
    device: str,
) -> None:
    """Train a preset's models, those that are not there yet, or the one that the file SPEC describes.

    SPEC is JSON with a specification's fields, or what lies beside a stored model. A training that is stopped or killed
    goes on from its last finished epoch.
    """
    if spec is not None and (other := _given("preset", "variants", "seeds", "epochs")):
        raise ValueError(f"expected a specification or the options {', '.join(other)}, got both")
    chosen = presets.get(preset)
    numbers = chosen.seeds if seeds is None else SeededParameters.one("seeds", seeds)
    if spec is not None:
        specs = [zoo.read_spec(spec)]
    else:
        if download:  # the SVD page's, which its own measurement looks for
            data.load(chosen.report_dataset, download=True)
        specs = [
            presets.spec(preset, variant, seed, epochs=epochs) for seed in numbers for variant in variants or VARIANTS
        ]
    for one in _train(specs, device=device, download=download):
        click.echo(f"{one.spec.name}: test accuracy {100 * one.history['test_accuracy']:.2f} %")


@cli.command("reproduce")
@show.PRESET
@click.option("--budget", type=float, required=True, metavar="MINUTES", help="when to stop, cleanly")
@click.option("--only", multiple=True, metavar="PAGE", help="a page; all of them unless given")
@_EPOCHS
@_DOWNLOAD
@_DEVICE
def reproduce_records(
    preset: str, budget: float, only: tuple[str, ...], epochs: int | None, download: bool, device: str
) -> None:
    """Train and measure what a preset's records lack, most wanted first, within a budget of time.

    A training that has to stop goes on from its last epoch next time. Needs no Jupyter.
    """
    for task in reproduce.reproduce(
        preset, minutes=budget, only=only, epochs=epochs, device=device, download=download, say=click.echo
    ):
        click.echo(f"left: {task}")


cli.add_command(show.results)
cli.add_command(show.claims)


def _given(*names: str) -> list[str]:
    """Those of the command's options that are on its line, by what they are called there."""
    context = click.get_current_context()
    called = {one.name: one.opts[0] for one in context.command.params}
    return [called[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def _unique(given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    values = dict(given)
    if len(values) < len(given):
        raise ValueError(f"expected each parameter once, got {', '.join(name for name, _ in given)}")
    return values


def _pages() -> ModuleType:
    """The module that needs Jupyter, which the other commands do without."""
    try:
        from lrlib import pages
    except ModuleNotFoundError as error:
        raise ValueError(f"expected the package {error.name}, which lrlib's extra 'book' installs") from error
    return pages


def _check_writable(folder: Path) -> None:
    """Find out before the work that the folder, or the one that it will be made in, can't be written."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(f"expected a folder that can be written, got {folder}: {error.strerror}") from error


def _prepare(todo: list[tuple[Parameters, list[Spec]]]) -> None:
    """Hold the pages' parameters to their datasets and train the missing models.

    That happens here, where a progress bar can be seen and a mistake costs nothing, instead of inside a kernel.
    """
    for parameters, specs in todo:
        if specs:
            parameters.fit(data.load(specs[0].dataset, size=specs[0].size))
    _train([spec for _, specs in todo for spec in specs])


def _train(specs: list[Spec], *, device: str = "auto", download: bool = False) -> list[Trained]:
    chosen = zoo.pick_device(device)
    return [zoo.find_or_train(spec, device=chosen, download=download) for spec in dict.fromkeys(specs)]


def _executed(page: str) -> Path:
    executed: Path = _pages().BOOK / f"{page}.ipynb"
    return executed


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; errors end it with one sentence."""
    warnings.simplefilter("default", zoo.DamagedModel)
    try:
        return cli.main(arguments, prog_name="lrlib", standalone_mode=False)
    except click.Abort:
        return _ended("stopped", 130)
    except click.UsageError as error:
        return _ended(error.format_message(), 2)
    except (ValueError, DatasetError, OSError) as error:
        return _ended(str(error), 2)
    except click.ClickException as error:
        return _ended(error.format_message(), 1)
    except RuntimeError as error:  # a page that failed, a training that diverged
        return _ended(str(error), 1)


def _ended(message: str, code: int) -> int:
    click.echo(f"lrlib: {message}", err=True)
    return code
