"""The ``lrlib`` command. Bad input ends it with one sentence and exit code 2, a failed page or training with 1."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import click

from lrlib import presets, provenance, results, sections, zoo
from lrlib.data import DatasetError
from lrlib.sections.parameters import Parameters
from lrlib.train import Spec, TrainingDiverged

_PRESET = click.option("--preset", default="quick", show_default=True, help="quick, small or paper")
_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """The executable companion to "Robustness via Deep Low-Rank Representations"."""


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
    _prepare(sections.get(page).specs(parameters))
    _execute(page, parameters, output)


@cli.command()
@_PRESET
@click.option("--execute-only", is_flag=True, help="stop before the HTML is built")
def book(preset: str, execute_only: bool) -> None:
    """Train what is missing, execute the pages that something has changed for, and build the book."""
    from lrlib import pages

    todo = {}
    for page in sections.PAGES:
        parameters = sections.get(page).Parameters.of(preset)
        if pages.is_current(page, parameters, _executed(page)):
            click.echo(f"{page}: up to date")
        else:
            todo[page] = parameters
    _prepare([spec for page, parameters in todo.items() for spec in sections.get(page).specs(parameters)])
    for page, parameters in todo.items():
        _execute(page, parameters, None)
    if not execute_only:
        _build()


@cli.command()
@_PRESET
@click.option("--model", "variants", multiple=True, help="a variant, such as 1-LR; all three unless given")
@click.option("--seeds", default=None, help="training seeds as 0,1,2; the preset's unless given")
@click.option("--download", is_flag=True, help="download the dataset if it is missing")
@_DEVICE
def train(preset: str, variants: tuple[str, ...], seeds: str | None, download: bool, device: str) -> None:
    """Train a preset's models, those that are not there yet."""
    chosen = presets.get(preset)
    numbers = [int(part) for part in _whole_numbers(seeds)] if seeds else chosen.seeds
    specs = [
        presets.spec(preset, variant, seed) for seed in numbers for variant in variants or ("N-LR", "1-LR", "2-LR")
    ]
    _prepare(specs, device=device, download=download)
    for spec in specs:
        found = zoo.find(spec)
        if found is not None:
            click.echo(f"{spec.name}: test accuracy {100 * found.history['test_accuracy']:.2f} %")


@cli.command("results")
@click.argument("page", required=False)
@_PRESET
@click.option("--csv", is_flag=True, help="print the rows as comma-separated values")
def show_results(page: str | None, preset: str, csv: bool) -> None:
    """Show the committed records, or the rows of one PAGE."""
    presets.get(preset)
    if page is None:
        for name in sections.PAGES:
            for found, record in results.committed(name).items():
                click.echo(f"{name} at {found}: {len(record.rows)} rows, started {record.runs[0]['started']}")
        return
    sections.get(page)
    record = results.load(results.path(page, preset))
    frame = record.frame().drop(columns=["survived", "image", "image_adv"], errors="ignore")
    click.echo(frame.to_csv(index=False) if csv else frame.to_string(index=False))


def _unique(given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    values = dict(given)
    if len(values) < len(given):
        raise ValueError(f"expected each parameter once, got {', '.join(name for name, _ in given)}")
    return values


def _whole_numbers(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"expected seeds to be whole numbers such as 0,1,2, got {text!r}")
    return parts


def _prepare(specs: list[Spec], *, device: str = "auto", download: bool = False) -> None:
    """Train the missing models here, where a progress bar can be seen, instead of inside a kernel."""
    chosen = zoo.pick_device(device)
    for spec in dict.fromkeys(specs):
        zoo.find_or_train(spec, device=chosen, download=download)


def _executed(page: str) -> Path:
    return provenance.ROOT / "book" / f"{page}.ipynb"


def _execute(page: str, parameters: Parameters, folder: Path | None) -> None:
    from lrlib import pages

    start = time.perf_counter()
    notebook = _executed(page) if folder is None else folder / f"{page}.ipynb"
    record = None if folder is None else folder / f"{page}.json"
    pages.execute(page, parameters, notebook, record=record, progress=sys.stderr.isatty())
    where = "" if folder is None else f", {notebook} and {record}"
    click.echo(f"{page}: executed in {time.perf_counter() - start:.0f} s{where}")


def _build() -> None:
    """Build the HTML, with every warning an error."""
    command = Path(sys.executable).with_name("jupyter-book")
    if not command.exists():
        raise ValueError(f"expected jupyter-book at {command}; install the package with its extra 'book'")
    arguments = [str(command), "build", str(provenance.ROOT), "-W", "-n", "--keep-going", "-q"]
    built = subprocess.run(arguments, capture_output=True, text=True)
    if built.returncode:
        shutil.rmtree(provenance.ROOT / "_build" / ".doctrees", ignore_errors=True)
        raise click.ClickException(f"the book did not build:\n{built.stdout}\n{built.stderr}")
    click.echo(provenance.ROOT / "_build" / "html" / "index.html")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; errors end it with one sentence."""
    warnings.simplefilter("default", zoo.DamagedModel)
    try:
        return cli.main(arguments, prog_name="lrlib", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 1
    except click.Abort:
        click.echo("stopped", err=True)
        return 130
    except (ValueError, DatasetError, OSError, json.JSONDecodeError) as error:
        click.echo(f"lrlib: {error}", err=True)
        return 2
    except (TrainingDiverged, RuntimeError) as error:
        click.echo(f"lrlib: {error}", err=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
