"""What pages say of where their numbers come from."""

from dataclasses import replace

import pytest

from lrlib import provenance, results
from lrlib.tables import origins


@pytest.fixture
def record(row, record_of, monkeypatch, tmp_path):
    """Two seeds of a page in one run by today's sources, which is the only committed record."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)

    def make(preset="quick", seeds=(0, 1)):
        rows = [row("table1", "accuracy", 0.5, seed=seed) for seed in seeds]
        made = record_of(rows, page="adversarial", preset=preset, seeds=list(seeds))
        made.runs[0]["sources"] = provenance.sources("lrlib.sections.adversarial")
        return made

    return make


def entries(records):
    return [line for line in origins.told(records).splitlines() if line.startswith("- ")]


def test_an_entry_names_preset_data_seeds_networks_device_time_and_commit(record):
    assert entries({"small record": record("small")}) == [
        "- preset **`small`**; digits; seeds 0, 1; 100 test images; 2 networks trained in 5 min; measured in 12 s on "
        "a processor, 2 threads; 2026-11-21 08:45:20 UTC, commit `0123456789`, torch 2.11.0."
    ]


def test_a_commit_with_changes_and_none_are_said(record):
    changed, without = record(), record()
    changed.runs[0]["commit"] = "0123456789abcdef+"
    without.runs[0]["commit"] = None
    assert ", commit `0123456789+ changes`, " in entries({"this run": changed})[0]
    assert ", no commit, " in entries({"this run": without})[0]


def test_shortened_schedules_and_older_sources_are_said_of_the_runs_that_have_them(record):
    one = record()
    one.runs.append(one.runs[0] | {"id": "s", "sources": "0" * 12, "shortened": {"epochs": 6, "of": 24}})
    one.rows.append(one.rows[0] | {"run": "s", "artefact": "table3"})
    first, second = entries({"this run": one})
    assert first.startswith("- preset **`quick`**, this run; table1; digits;")
    assert second.startswith("- preset **`quick`**, 6 of 24 epochs, older sources, this run; table3; digits;")


def test_runs_of_other_seeds_are_one_entry_if_nothing_else_differs(record):
    one = record(seeds=(0,))
    parameters = one.runs[0]["parameters"]
    later = {"id": "s", "seconds": 300.0, "parameters": parameters | {"seeds": [1]}}
    joined = replace(one, runs=[one.runs[0], one.runs[0] | later], rows=[*one.rows, one.rows[0] | {"run": "s"}])
    (entry,) = entries({"this run": joined})
    assert "; seeds 0, 1; " in entry and "; measured in 12 s + 5 min on " in entry
    joined.runs[1]["device"] = "a GPU"
    assert [line.count("; seed ") for line in entries({"this run": joined})] == [1, 1]


def test_the_largest_preset_comes_first_and_committed_records_are_linked(record):
    small, quick = record("small"), record("quick")
    small.save(results.path("adversarial", "small"))
    first, second = entries({"this run (quick)": quick, "small record": small})
    there = "../records/small/adversarial"
    assert first.endswith(f'; <a href="{there}.csv">the numbers</a>, <a href="{there}.json">the runs</a>.')
    assert "preset **`small`**" in first
    assert "this run" in second and "href" not in second


def test_a_page_without_a_record_says_how_to_make_one():
    assert origins.told({}) == "There is no record yet: run this page with `measure` true."
