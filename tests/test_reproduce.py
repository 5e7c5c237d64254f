"""Missing rows are trained for and measured in order, within a budget, and added to what is there."""

import itertools
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY

from lrlib import provenance, reproduce, results, sections, zoo
from lrlib.cli import main
from lrlib.sections import svd_truncation

ROOT = Path(__file__).resolve().parent.parent
PAGE = "svd_truncation"


@pytest.fixture
def small_page(tiny, tmp_path, monkeypatch):
    """The page of the SVD report at a tiny size, with its records in a folder of their own."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(svd_truncation.Parameters, "defaults", classmethod(lambda cls, preset: dict(TINY[PAGE])))
    return results.path(PAGE, "quick")


def test_what_is_missing_is_measured_seed_by_seed_into_one_record(small_page):
    said = []
    assert reproduce.missing("quick", [PAGE]) == [reproduce.Task(PAGE, "quick", 0), reproduce.Task(PAGE, "quick", 1)]
    assert reproduce.reproduce("quick", minutes=10, only=[PAGE], say=said.append) == []
    record = results.load(small_page)
    assert [run["parameters"]["seeds"] for run in record.runs] == [[0], [1]]
    assert reproduce.missing("quick", [PAGE]) == [] and len(said) == 2


def test_the_rows_are_those_of_the_page(small_page):
    reproduce.reproduce("quick", minutes=10, only=[PAGE], say=lambda line: None)
    section = sections.get(PAGE)
    whole = section.measure(section.Parameters.of("quick"), progress=False)
    ours = results.load(small_page).rows

    def without_run(rows):
        return sorted(str({**row, "run": None}) for row in rows)

    assert without_run(ours) == without_run(whole.rows)


def test_rows_of_other_sources_are_measured_again_and_the_rest_is_kept(small_page, monkeypatch):
    reproduce.reproduce("quick", minutes=10, only=[PAGE], say=lambda line: None)
    record = results.load(small_page)
    record.runs[1]["sources"] = "0" * 12
    record.save(small_page)
    assert [task.seed for task in reproduce.missing("quick", [PAGE])] == [1]
    reproduce.reproduce("quick", minutes=10, only=[PAGE], say=lambda line: None)
    again = results.load(small_page)
    assert again.runs[0] == record.runs[0]
    assert again.runs[1]["sources"] == provenance.sources(f"lrlib.sections.{PAGE}")


def test_the_first_seed_of_every_page_comes_before_the_second_of_any():
    pages = ("adversarial", "compression")
    tasks = reproduce.missing("paper", pages)
    assert [(task.seed, task.page) for task in tasks] == [(seed, page) for seed in range(3) for page in pages]


def test_a_budget_that_ends_within_a_training_leaves_it_to_go_on_from(small_page, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "models"))
    said, clock = [], itertools.count()
    with monkeypatch.context() as patched:  # a clock that is a second further at each look
        patched.setattr(time, "monotonic", lambda: next(clock))
        left = reproduce.reproduce("quick", minutes=0.2, only=[PAGE], say=said.append)
    assert [task.seed for task in left] == [0, 1] and not small_page.exists()
    assert len(said) == 1 and "stopped after" in said[0]
    assert list((tmp_path / "models").glob("*.checkpoint"))
    assert reproduce.reproduce("quick", minutes=10, only=[PAGE], say=said.append) == []
    assert not list((tmp_path / "models").glob("*.checkpoint"))


def test_a_measurement_that_would_not_fit_is_left(small_page, monkeypatch):
    reproduce.reproduce("quick", minutes=10, only=[PAGE], say=lambda line: None)
    record = results.load(small_page)
    for run in record.runs:
        run["sources"], run["seconds"] = "0" * 12, 3600.0
    record.save(small_page)
    assert [task.seed for task in reproduce.reproduce("quick", minutes=10, only=[PAGE])] == [0, 1]


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.inf, math.nan])
def test_a_budget_is_a_positive_number_of_minutes(minutes):
    with pytest.raises(ValueError, match="expected a budget of more than 0 minutes"):
        reproduce.reproduce("quick", minutes=minutes)


def test_the_command_says_what_is_left_and_refuses_what_it_does_not_know(small_page, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "models"))
    assert not main(["reproduce", "--budget", "0.000001", "--only", PAGE])
    assert "left: svd_truncation at quick, seed 1" in capsys.readouterr().out
    assert main(["reproduce", "--budget", "1", "--only", "nothing"]) == 2
    assert main(["reproduce", "--preset", "large", "--budget", "1"]) == 2
    assert main(["reproduce", "--budget", "soon"]) == 2


def test_it_runs_from_a_bare_checkout_without_jupyter(tmp_path):
    """With Jupyter and drawing blocked, and from another folder, as on a machine that has PyTorch alone."""
    blocked = ("papermill", "jupytext", "nbformat", "matplotlib", "seaborn", "IPython", "traitlets")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); from lrlib.cli import main\n"
        "sys.exit(main(['reproduce', '--preset', 'quick', '--budget', '0.000001', '--only', 'svd_truncation']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LRLIB_MODELS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_merging_replaces_the_seeds_measured_again(record_of, row):
    before = record_of([row("table1", "rho", 0.1, seed=0), row("table1", "rho", 0.2, seed=1)])
    later = record_of([row("table1", "rho", 0.3, seed=1) | {"run": "s"}])
    later.runs[0]["id"] = "s"
    merged = results.merged(before, later)
    assert [(r["seed"], r["value"], r["run"]) for r in merged.rows] == [(0, 0.1, "r"), (1, 0.3, "s")]
    assert [run["id"] for run in merged.runs] == ["r", "s"]
    with pytest.raises(ValueError, match="expected a record of adversarial at quick, got adversarial at small"):
        results.merged(before, record_of([row("table1", "rho", 0.1)], preset="small"))


def test_models_are_found_where_they_were_trained(small_page):
    task = reproduce.Task(PAGE, "quick", 0)
    reproduce.reproduce("quick", minutes=10, only=[PAGE], say=lambda line: None)
    assert all(zoo.find(spec) is not None for spec in task.specs())
