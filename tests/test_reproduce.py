"""Missing rows are trained for and measured in order, within a budget, and added to what is there."""

import itertools
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY

from lrlib import data, presets, provenance, reproduce, results, sections, zoo
from lrlib.cli import main
from lrlib.sections import svd_truncation
from lrlib.train import TrainingDiverged

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


def test_the_first_seed_comes_first_and_within_it_the_presets_own_network(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    pages, paper = ("adversarial", "controls", "svd_truncation"), presets.get("paper")
    tasks = reproduce.missing("paper", pages)
    networks = [("resnet18", "cifar10"), *paper.others]
    expected = []
    for seed in range(3):
        own = [("adversarial", networks[0]), ("controls", networks[0]), ("svd_truncation", None)]
        if seed:  # the controls are about one seed
            del own[1]
        expected += [(seed, page, network) for page, network in own]
        expected += [(seed, "adversarial", network) for network in networks[1:]]
    assert [(task.seed, task.page, tuple(dict(task.network).values()) or None) for task in tasks] == expected
    assert all(dict(task.network).keys() == {"arch", "dataset"} for task in tasks if task.network)


def test_a_task_asks_the_page_for_its_network_seed_and_epochs():
    network = (("arch", "resnet50"), ("dataset", "svhn"))
    task = reproduce.Task("compression", "small", 4, network, 3)
    expected = sections.get("compression").Parameters.of("small", seeds=[4], arch="resnet50", dataset="svhn", epochs=3)
    assert task.parameters() == expected and task.specs() == sections.get("compression").specs(expected)
    assert str(task) == "compression at small, resnet50, svhn, seed 4"
    other = reproduce.Task("svd_truncation", "small", 4)
    assert other.parameters() == sections.get("svd_truncation").Parameters.of("small", seeds=[4])


# Several networks and shortened schedules


@pytest.fixture
def ranks(tiny, tmp_path, monkeypatch):
    """Reproduces the page about effective ranks: networks of width 4 and seed 0, two epochs, records of its own."""
    quick = presets.get("quick")
    network = replace(quick.network, epochs=2, batch_size=600)
    monkeypatch.setitem(presets.PRESETS, "quick", replace(quick, network=network))
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    defaults = {"seeds": [0], "examples": 40, "directions": 10, "part": "test", "rank": 4}
    section = sections.get("effective_rank")
    monkeypatch.setattr(section.Parameters, "defaults", classmethod(lambda cls, preset: dict(defaults)))

    def go(**given):
        said = []
        left = reproduce.reproduce("quick", minutes=10, only=["effective_rank"], say=said.append, **given)
        file = results.path("effective_rank", "quick")
        return (results.load(file) if file.exists() else None), left, said

    return go


def other_networks(monkeypatch, *others):
    monkeypatch.setitem(presets.PRESETS, "quick", replace(presets.get("quick"), others=others))


def networks_of(record):
    return list(dict.fromkeys((row["arch"], row["dataset"]) for row in record.rows))


def test_other_networks_are_measured_into_the_same_record(ranks, monkeypatch):
    other_networks(monkeypatch, ("resnet50", "digits"))
    record, left, said = ranks()
    assert left == [] and len(said) == 2
    assert networks_of(record) == [("resnet18", "digits"), ("resnet50", "digits")]
    own, other = record.runs
    assert (own["parameters"]["arch"], other["parameters"]["arch"]) == ("resnet18", "resnet50")
    assert {row["run"] for row in record.rows if row["arch"] == "resnet50"} == {other["id"]}
    assert networks_of(record.main()) == [("resnet18", "digits")]
    assert reproduce.missing("quick", ["effective_rank"]) == []


def test_a_network_that_is_there_is_not_measured_for_another(ranks, monkeypatch):
    before, *_ = ranks()
    other_networks(monkeypatch, ("resnet50", "digits"))
    (task,) = reproduce.missing("quick", ["effective_rank"])
    assert dict(task.network) == {"arch": "resnet50", "dataset": "digits"}
    after, left, _ = ranks()
    assert left == [] and after.runs[0] == before.runs[0]
    assert [row for row in after.rows if row["arch"] == "resnet18"] == before.rows


def test_rows_of_shortened_schedules_are_replaced_by_those_of_longer_ones_and_not_the_other_way_round(ranks):
    short, _, said = ranks(epochs=1)
    assert [run["shortened"] for run in short.runs] == [{"epochs": 1, "of": 2}] and len(said) == 1
    assert reproduce.missing("quick", ["effective_rank"], 1) == []
    assert ranks(epochs=1)[0] == short

    whole, left, said = ranks()
    assert left == [] and len(said) == 1
    assert [run["shortened"] for run in whole.runs] == [None] and len(whole.rows) == len(short.rows)
    assert set(whole.runs[0]["models"]).isdisjoint(short.runs[0]["models"])

    for epochs in (1, 2, 3, None):
        again, left, said = ranks(epochs=epochs)
        assert again == whole and left == [] and said == []


@pytest.mark.parametrize(
    ("shortened", "epochs", "there"),
    [
        (None, None, True),
        (None, 1, True),
        (None, 9, True),
        (5, None, False),
        (5, 4, True),
        (5, 5, True),
        (5, 6, False),
    ],
)
def test_rows_are_there_if_their_networks_were_trained_for_long_enough(
    record_of, row, ranks, shortened, epochs, there, monkeypatch
):
    quick = presets.get("quick")
    monkeypatch.setitem(presets.PRESETS, "quick", replace(quick, network=replace(quick.network, epochs=20)))
    record = record_of([row("figure2a", "accuracy", 0.5)], page="effective_rank")
    record.runs[0]["shortened"] = shortened and {"epochs": shortened, "of": 20}
    record.runs[0]["sources"] = provenance.sources("lrlib.sections.effective_rank")
    (task,) = reproduce.missing("quick", ["effective_rank"])
    record.runs[0]["parameters"] = task.parameters().content()
    record.save(results.path("effective_rank", "quick"))
    assert (reproduce.missing("quick", ["effective_rank"], epochs) == []) is there


def test_rows_measured_with_other_parameters_do_not_count(small_page):
    """As when a default that comes from another record has changed since."""
    reproduce.reproduce("quick", minutes=10, only=[PAGE], say=lambda line: None)
    record = results.load(small_page)
    record.runs[0]["parameters"]["adversaries"] += 1
    record.save(small_page)
    assert [task.seed for task in reproduce.missing("quick", [PAGE])] == [0]


def test_a_missing_dataset_is_said_and_left_while_the_rest_goes_on(ranks, monkeypatch, tmp_path):
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path / "no data"))
    other_networks(monkeypatch, ("resnet18", "cifar10"), ("resnet50", "digits"))
    record, left, said = ranks()
    assert [dict(task.network)["dataset"] for task in left] == ["cifar10"]
    assert networks_of(record) == [("resnet18", "digits"), ("resnet50", "digits")]
    assert [f"cifar10 is not in {tmp_path}" in line for line in said] == [False, True, False]


def test_a_training_that_diverges_is_said_and_left_while_the_rest_goes_on(ranks, monkeypatch):
    other_networks(monkeypatch, ("resnet50", "digits"))
    train, tried = zoo.train.train, []

    def diverging(spec, *arguments, **options):
        tried.append(spec)
        if spec == presets.spec("quick", "1-LR", 0):
            raise TrainingDiverged(f"expected a finite loss, got nan, training {spec.name}")
        return train(spec, *arguments, **options)

    monkeypatch.setattr(zoo.train, "train", diverging)
    monkeypatch.setenv("LRLIB_MODELS", str(results.RESULTS.parent / "models"))
    record, left, said = ranks()
    assert [dict(task.network)["arch"] for task in left] == ["resnet18"]
    assert networks_of(record) == [("resnet50", "digits")]
    name = presets.spec("quick", "1-LR", 0).name
    assert (
        said[0]
        == f"effective_rank at quick, resnet18, digits, seed 0: expected a finite loss, got nan, training {name}"
    )
    assert len(said) == 2 and presets.spec("quick", "2-LR", 0) not in tried


def test_a_measurement_that_runs_out_of_memory_is_said_and_left_while_the_rest_goes_on(ranks, monkeypatch):
    other_networks(monkeypatch, ("resnet50", "digits"))
    section = sections.get("effective_rank")
    measure = section.measure

    def full(parameters, **options):
        if parameters.arch == "resnet18":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return measure(parameters, **options)

    monkeypatch.setattr(section, "measure", full)
    record, left, said = ranks()
    assert [dict(task.network)["arch"] for task in left] == ["resnet18"] and networks_of(record) == [
        ("resnet50", "digits")
    ]
    assert said[0] == "effective_rank at quick, resnet18, digits, seed 0: CUDA out of memory" and len(said) == 2


def test_longer_schedules_of_other_sources_are_not_replaced_by_shortened_ones(ranks):
    whole, *_ = ranks()
    whole.runs[0]["sources"] = "0" * 12
    whole.save(results.path("effective_rank", "quick"))
    assert ranks(epochs=1)[0] == whole
    assert ranks(epochs=2)[0].runs[0]["sources"] == ranks()[0].runs[0]["sources"] != "0" * 12


def test_the_length_of_a_schedule_is_asked_of_the_pages_that_have_one():
    tasks = reproduce.missing("small", ["svd_truncation", "compression"], 3)
    assert {task.epochs for task in tasks if task.page == "svd_truncation"} <= {None}
    assert {task.epochs for task in tasks if task.page == "compression"} <= {3}


@pytest.mark.parametrize("page", ["benchmarks", "training", "nothing"])
def test_a_page_that_is_not_measured_network_by_network_is_refused(page):
    with pytest.raises(ValueError, match=f"expected pages among calibration, lr_layer, .*, got {page}"):
        reproduce.missing("quick", [page])


def test_what_is_left_for_want_of_a_dataset_is_left_too_when_time_runs_out(ranks, monkeypatch, tmp_path):
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path / "no data"))
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "models"))
    other_networks(monkeypatch, ("resnet18", "cifar10"), ("resnet50", "digits"))
    measured, _, _ = ranks()
    assert networks_of(measured) == [("resnet18", "digits"), ("resnet50", "digits")]
    other_networks(monkeypatch, ("resnet18", "cifar10"), ("resnet50", "digits"), ("vgg19", "digits"))
    measured.runs[-1]["seconds"] = 3600.0
    measured.save(results.path("effective_rank", "quick"))
    monkeypatch.setattr(zoo, "find_or_train", lambda spec, **options: data.load(spec.dataset))
    _, left, said = ranks()
    assert [tuple(dict(task.network).values()) for task in left] == [("resnet18", "cifar10"), ("vgg19", "digits")]
    assert len(said) == 1


# Budgets


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
