"""Imports point down, rooms keep to themselves, files stay small: read from the sources."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lrlib import provenance

ROOT = provenance.ROOT
# From the bottom up; a room imports only from the layers below its own.
LAYERS = (
    {"linalg", "svd", "files", "lighter", "journal", "sources", "intervals", "packing", "typed"},
    {"provenance", "paper"},
    {"factors", "spectra"},
    {"nystrom", "dense"},
    {"factored"},
    {"lowrank"},
    {"attachment", "models", "attacks", "metrics", "data"},
    {"specs", "baselines"},
    {"presets", "engine"},
    {"train"},
    {"zoo", "results"},
    {"runs", "latent", "drift", "side_by_side"},
    {"sections"},
    {"prose", "plots", "tables", "affordable", "claims"},
    {"scoreboard", "again", "reproduce"},
    {"launch", "firstpage", "execution"},
    {"generated"},
    {"pages", "show"},
    {"cli"},
    {"__init__", "__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
SOURCES = sorted((ROOT / "lrlib").rglob("*.py"))
# Who may read or write files: the style sheet of the plots aside.
AT_THE_DISK = {
    "data",
    "train",
    "zoo",
    "latent",
    "results",
    "paper",
    "files",
    "lighter",
    "journal",
    "sources",
    "provenance",
    "launch",
    "generated",
    "pages",
    "side_by_side",  # processes and their environment
    "cli",
}
DISK = {
    *("open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "touch", "exists"),
    *("glob", "rglob", "iterdir", "mkstemp", "TemporaryFile", "TemporaryDirectory", "rmtree", "save_file"),
}
JUPYTER = {"papermill", "jupytext", "nbformat", "nbclient", "jupyter_client", "ipykernel", "IPython", "traitlets"}
DRAWING = {"matplotlib", "matplotlib_inline", "seaborn"}


def room(path):
    return path.relative_to(ROOT / "lrlib").parts[0].removesuffix(".py")


def imported(path):
    """Dotted names of all that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path):
    return {name.split(".")[0] for name in imported(path)}


def rooms_imported(path):
    return {name.split(".")[1] for name in imported(path) if name.startswith("lrlib.")}


def named(path):
    return path.relative_to(ROOT).as_posix()


def test_every_room_has_a_layer():
    assert {room(path) for path in SOURCES} == set(LEVEL)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_imports_point_down(path):
    own = room(path)
    if own != "__init__":  # what the package itself offers, such as lrlib.attach, is for its users
        assert all(LEVEL[other] < LEVEL[own] for other in rooms_imported(path) - {own})


def test_attacks_and_metrics_know_tensors_and_callables_alone():
    for path in SOURCES:
        if room(path) in ("attacks", "metrics", "linalg", "factors", "svd"):
            assert rooms_imported(path) <= {room(path), "linalg"}
            assert not packages(path) & {"os", "pathlib", "io", "json", "pandas", "tempfile", "shutil"}


def test_baselines_know_tensors_and_modules_alone():
    for path in SOURCES:
        if room(path) == "baselines":
            assert rooms_imported(path) <= {"baselines", "attacks"} and not packages(path) & {"os", "pathlib"}


def test_networks_and_layers_know_no_dataset_and_no_file():
    for name in ("models.py", "lowrank.py", "attachment.py", "specs.py"):
        path = ROOT / "lrlib" / name
        assert not rooms_imported(path) & {"data", "files"} and not packages(path) & {"os", "pathlib"}


@pytest.mark.parametrize("path", [path for path in SOURCES if room(path) not in AT_THE_DISK], ids=named)
def test_only_a_few_rooms_touch_the_disk(path):
    tree = ast.walk(ast.parse(path.read_text()))
    called = [node.func for node in tree if isinstance(node, ast.Call)]
    names = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in called}
    assert not names & DISK and not packages(path) & {"os", "shutil", "tempfile", "subprocess"}


def test_plots_and_tables_know_no_torch():
    for name in (
        *(f"plots/{p.name}" for p in (ROOT / "lrlib" / "plots").glob("*.py")),
        *(f"tables/{p.name}" for p in (ROOT / "lrlib" / "tables").glob("*.py")),
        "intervals.py",
        "paper.py",
        *(f"prose/{p.name}" for p in prose()),
    ):
        assert not packages(ROOT / "lrlib" / name) & {"torch", "torchvision"}


def prose():
    return (ROOT / "lrlib" / "prose").glob("*.py")


def test_only_plots_draws_and_only_pages_and_its_launch_know_jupyter():
    assert {room(path) for path in SOURCES if packages(path) & DRAWING} == {"plots"}
    assert {room(path) for path in SOURCES if packages(path) & JUPYTER} == {"launch", "pages"}


def test_pages_compute_nothing_themselves():
    for path in (ROOT / "book").glob("*.py"):
        body = ast.walk(ast.parse(path.read_text()))
        assert not [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While)]
        assert packages(path) <= {"IPython", "lrlib"}


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_source_is_longer_than_250_lines(path):
    assert len(path.read_text().splitlines()) <= 250


@pytest.mark.parametrize("path", [path for path in SOURCES if room(path) != "__main__"], ids=named)
def test_every_source_says_what_it_is_and_has_nothing_left_to_do(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text())


def texts():
    for pattern in ("lrlib/**/*", "book/*.py", "book/*.md", "tests/*.py", "data/**/*.csv", "data/results/**/*", "*.*"):
        for path in ROOT.glob(pattern):
            if path.is_file() and path.suffix not in (".pyc", ".png", ".safetensors"):
                yield path, path.read_text()
    yield from ((path, path.read_text()) for path in (ROOT / "Makefile", ROOT / ".ci" / "run") if path.exists())


def test_no_file_names_a_place_on_somebodys_machine():
    somewhere = re.compile(r"(?<![\w.:/])/(home|root|Users|mnt|opt)/\w")
    for path, text in texts():
        assert str(ROOT) not in text and str(Path.home()) + "/" not in text, path
        assert path == Path(__file__) or not somewhere.search(text), path


BLOCKED = "import sys; sys.modules.update(dict.fromkeys({names!r}))\n"


def without(names, code, **environment):
    """What a fresh interpreter does in which these packages are not installed."""
    command = [sys.executable, "-c", BLOCKED.format(names=sorted(names)) + code]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_without_jupyter_and_matplotlib_models_are_trained_and_records_shown(tmp_path):
    modules = [
        named(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in SOURCES
        if room(path) not in ("launch", "generated", "pages", "plots", "__main__")
    ]
    code = f"""
import importlib
from dataclasses import replace
for name in {modules!r}:
    importlib.import_module(name)
from lrlib import cli, presets
quick = presets.PRESETS["quick"]
presets.PRESETS["quick"] = replace(quick, network=replace(quick.network, width=2, epochs=0))
assert not cli.main(["train", "--model", "N-LR", "--seeds", "0"])
assert not cli.main(["results"])
assert cli.main(["run", "svd_truncation", "-p", "seeds", "0"]) == 2
"""
    done = without(JUPYTER | DRAWING, code, LRLIB_MODELS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "digits_resnet18-2_N-LR_s0" in done.stdout and "effective_rank at quick" in done.stdout
    assert re.fullmatch(r"lrlib: expected the package \w+, which lrlib's extra 'book' installs\n", done.stderr)
