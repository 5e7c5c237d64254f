"""Pages: what they declare, and how they are executed."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from lrlib import pages, plots, provenance, results, sections

BIN = Path(sys.executable).parent
BOOK = (*sections.PAGES, *sections.STANDING)
TINY = {"seeds": [0], "examples": 100, "fraction": [0.0, 1.0], "adversaries": 5, "compared": False}
SVD = sections.get("svd_truncation").Parameters

# A page that takes a moment: the header and the parameters of svd_truncation, and a cell or two.
STUB = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
preset: str = "quick"  # a preset
seeds: list[int] = None  # seeds
adversaries: int = None  # adversaries
record: str = None  # the record

# %%
from pathlib import Path

print("seeds", seeds, "adversaries", adversaries)
{body}
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Puts a stub in the place of the page svd_truncation, whose last cell ends with the body."""
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.setattr(pages, "BOOK", folder)

    def put(body):
        (folder / "svd_truncation.py").write_text(STUB.format(body=body))
        return folder / "svd_truncation.py"

    return put


def execute(output, **given):
    pages.execute("svd_truncation", SVD.of("quick", **given), output, progress=False)
    return nbformat.read(output, as_version=4)


def outputs(notebook):
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


# What pages declare


@pytest.mark.parametrize("page", BOOK)
def test_a_page_declares_its_sections_parameters_and_where_its_record_goes(page):
    cls, declared = sections.get(page).Parameters, pages.declared(page)
    assert list(declared) == [*(one.name for one in fields(cls)), "record"]
    for one in fields(cls):
        assert declared[one.name]["help"] == one.metadata["help"]
        kind = cls.types()[one.name]
        assert declared[one.name]["inferred_type_name"] == (kind.__name__ if isinstance(kind, type) else str(kind))
        assert declared[one.name]["default"] == ('"quick"' if one.name == "preset" else "None")
    assert declared["record"]["inferred_type_name"] == "str" and declared["record"]["default"] == "None"


@pytest.mark.parametrize("page", BOOK)
def test_a_page_hands_every_declared_parameter_to_its_section(page):
    given = re.search(r"Parameters\.of\((.*?)\n?\)\n", pages.source(page).read_text(), re.DOTALL)[1]
    handed = [part.strip() for part in given.split(",") if part.strip()]
    names = [one.name for one in fields(sections.get(page).Parameters)]
    assert handed == ["preset", *(f"{name}={name}" for name in names[1:])]


@pytest.mark.parametrize("page", BOOK)
def test_a_page_names_its_kernel_and_is_about_its_own_section(page):
    notebook = pages.notebook(page)
    assert notebook.metadata.kernelspec.name == "python3"
    assert f"from lrlib.sections import {page} as section" in pages.source(page).read_text()
    assert f'again.this_page("{page}", parameters)' in notebook.cells[-1].source
    assert notebook.cells[0].source.startswith("# ")


def test_the_pages_are_those_of_the_sections_and_of_the_table_of_contents():
    assert {path.stem for path in pages.BOOK.glob("*.py")} == set(BOOK)
    toc = yaml.safe_load((provenance.ROOT / "_toc.yml").read_text())
    listed = [chapter["file"].removeprefix("book/") for chapter in toc["chapters"]]
    notebooks = [name for name in listed if not (pages.BOOK / f"{name}.md").exists()]
    assert sorted(notebooks) == sorted(BOOK)
    of_the_paper = [name for name in notebooks if name in sections.PAPER]
    assert of_the_paper == list(sections.PAPER)
    for name in BOOK:
        assert not (pages.BOOK / f"{name}.md").exists()


@pytest.fixture
def executed(monkeypatch):
    """Executes a page's cells here, without a kernel and without its style."""
    monkeypatch.setattr(plots, "use_style", lambda: None)

    def run(page):
        names = {}
        for cell in pages.notebook(page).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{page}.py", "exec"), names)
        return names

    return run


@pytest.mark.parametrize("page", sections.PAGES)
def test_every_cell_of_a_page_takes_what_its_section_measures(page, executed, measured, monkeypatch):
    kept = []
    monkeypatch.setattr(sections.get(page), "measure", lambda parameters: measured[page])
    monkeypatch.setattr(sections, "keep", lambda *given: kept.append(given))
    names = executed(page)
    assert kept == [(measured[page], sections.get(page).Parameters.of("quick"), None)]
    assert names["measured"] is measured[page]


@pytest.mark.parametrize("page", sections.STANDING)
def test_every_cell_of_a_page_that_shows_records_does_without_any(page, executed, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert executed(page)["records"] == {}


@pytest.mark.parametrize("page", sections.STANDING)
def test_every_cell_of_a_page_that_shows_records_takes_the_committed_ones(page, executed):
    assert executed(page)["records"] == results.committed(page)


def test_an_unknown_page_has_no_source():
    with pytest.raises(ValueError, match=r"^expected a page among .*, got 'nope'$"):
        pages.source("nope")


# Execution


def test_a_page_is_executed_with_other_parameters_and_writes_notebook_and_record(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "models"))
    committed = results.path("svd_truncation", "quick").read_bytes()
    parameters = SVD.of("quick", **TINY)
    output, record = tmp_path / "out" / "svd_truncation.ipynb", tmp_path / "out" / "svd_truncation.json"
    pages.execute("svd_truncation", parameters, output, record=record, progress=False)

    assert {path.name for path in output.parent.iterdir()} == {output.name, record.name}
    assert results.path("svd_truncation", "quick").read_bytes() == committed
    written = results.load(record)
    assert written.runs[0]["parameters"] == parameters.content()
    accuracies = [row for row in written.rows if "accuracy" in row["metric"]]
    assert len(accuracies) == 3 * 2 * 2 * (2 + 4)  # classifiers, scales, fractions; two attacks, made once and again

    notebook = nbformat.read(output, as_version=4)
    nbformat.validate(notebook)
    assert "jupytext" not in notebook.metadata
    assert notebook.metadata.lrlib.preset == "quick"
    assert notebook.metadata.lrlib.machine == provenance.machine("cpu")
    tagged = [cell for cell in notebook.cells if {"parameters", "injected-parameters"} & set(cell.metadata.tags)]
    assert len(tagged) == 2 and all("remove-cell" in cell.metadata.tags for cell in tagged)
    kinds = {kind for cell in notebook.cells for out in cell.get("outputs", []) for kind in out.get("data", {})}
    assert {"image/svg+xml", "text/html", "text/markdown"} <= kinds
    assert not [out for cell in notebook.cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_only_parameters_off_the_defaults_are_injected(stub, tmp_path):
    stub("")
    notebook = execute(tmp_path / "out.ipynb", adversaries=7, seeds=[0, 1, 2])
    (injected,) = (cell for cell in notebook.cells if "injected-parameters" in cell.metadata.tags)
    assert injected.source.splitlines()[1:] == ['preset = "quick"', "adversaries = 7"]
    assert "seeds None adversaries 7" in outputs(notebook)


def test_two_executions_differ_in_their_times_alone(stub, tmp_path):
    stub("")
    first, second = (execute(tmp_path / f"{name}.ipynb", adversaries=7) for name in "ab")
    for notebook in (first, second):
        about = notebook.metadata.pop("papermill")
        assert {"start_time", "end_time", "duration"} <= set(about) and about["exception"] is None
    assert first == second


def test_a_bad_cell_fails_with_its_error_and_leaves_nothing_behind(stub, tmp_path):
    stub("Path.no_such_attribute")
    with pytest.raises(pages.PageFailed, match=r"^svd_truncation stopped at cell \d: AttributeError: .*no_such_attr"):
        execute(tmp_path / "out" / "svd_truncation.ipynb", adversaries=7)
    assert not (tmp_path / "out").exists()


def test_a_bad_cell_leaves_the_last_good_page_alone(stub, tmp_path):
    output = tmp_path / "out" / "svd_truncation.ipynb"
    output.parent.mkdir()
    output.write_text("the last good page")
    stub("raise ValueError('expected better')")
    with pytest.raises(pages.PageFailed, match=r"ValueError: expected better$"):
        execute(output)
    assert output.read_text() == "the last good page" and list(output.parent.iterdir()) == [output]


def test_a_page_is_current_until_something_it_rests_on_changes(stub, tmp_path, monkeypatch):
    source = stub("")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    record = results.path("svd_truncation", "small")
    record.parent.mkdir(parents=True)
    record.write_text("a record")
    output, parameters = tmp_path / "out.ipynb", SVD.of("quick")
    assert not pages.is_current("svd_truncation", parameters, output)

    execute(output)
    assert pages.is_current("svd_truncation", parameters, output)
    assert not pages.is_current("svd_truncation", SVD.of("quick", seeds=[7]), output)

    record.write_text("another record")
    assert not pages.is_current("svd_truncation", parameters, output)
    record.write_text("a record")
    assert pages.is_current("svd_truncation", parameters, output)

    before = source.read_text()
    source.write_text(before + "# more\n")
    assert not pages.is_current("svd_truncation", parameters, output)
    source.write_text(before)
    assert pages.is_current("svd_truncation", parameters, output)

    known = provenance.sources
    tabled = [f"lrlib.tables.{path.stem}" for path in (provenance.ROOT / "lrlib/tables").glob("[a-z]*.py")]
    shown = ("lrlib.prose.svd_truncation", "lrlib.plots", *tabled)
    for module in (*shown, "lrlib.sections.svd_truncation"):
        monkeypatch.setattr(provenance, "sources", lambda name, m=module: "new" if name == m else known(name))
        assert not pages.is_current("svd_truncation", parameters, output), module
        monkeypatch.setattr(provenance, "sources", known)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"nbformat": 4}', "\xff"])
def test_what_is_no_executed_notebook_is_not_current(content, tmp_path):
    output = tmp_path / "out.ipynb"
    output.write_text(content, encoding="latin-1")
    assert not pages.is_current("svd_truncation", SVD.of("quick"), output)
    assert not pages.is_current("svd_truncation", SVD.of("quick"), tmp_path)


def test_a_notebook_that_was_never_stamped_is_not_current(tmp_path):
    jupytext.write(pages.notebook("svd_truncation"), tmp_path / "out.ipynb")
    assert not pages.is_current("svd_truncation", SVD.of("quick"), tmp_path / "out.ipynb")


# The plain way


def plainly(folder, *arguments):
    """``jupytext --to ipynb -o - PAGE | papermill - out.ipynb``, in some other folder."""
    jupytext_command = [BIN / "jupytext", "--to", "ipynb", "-o", "-", pages.source("svd_truncation")]
    converted = subprocess.run(jupytext_command, capture_output=True, check=True, cwd=folder)
    command = [BIN / "papermill", "-", "out.ipynb", "--no-progress-bar", *arguments]
    environment = os.environ | {"LRLIB_MODELS": str(folder / "models"), "JUPYTER_PLATFORM_DIRS": "1"}
    return subprocess.run(command, input=converted.stdout, capture_output=True, cwd=folder, env=environment)


def test_papermill_alone_executes_a_page(tmp_path):
    yaml_parameters = "{seeds: [0], examples: 100, fraction: [0.0, 1.0], compared: false}"
    done = plainly(tmp_path, "-y", yaml_parameters, "-p", "adversaries", "5", "-p", "record", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr.decode()
    assert results.load(tmp_path / "r.json").runs[0]["parameters"] == SVD.of("quick", **TINY).content()


def test_papermill_alone_stops_at_a_parameter_of_the_wrong_type(tmp_path):
    done = plainly(tmp_path, "-p", "adversaries", "many")
    assert done.returncode == 1
    assert b'ValueError: expected adversaries to be a whole number, got "many"' in done.stderr
    assert not (tmp_path / "models").exists()
