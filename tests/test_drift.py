"""Drift: rows from older sources are labelled, and a record measured anew has to agree with the one before."""

import dataclasses

import pytest
import torch

from lrlib import cli, data, drift, plots, provenance, results, scoreboard, sections, side_by_side, tables, zoo
from lrlib.claims.predicates import Predicate, cell, judge
from lrlib.data import DatasetError
from lrlib.sections import adversarial
from lrlib.sections.measuring import VARIANTS, Bench
from lrlib.tables import origins

DIFFERENT = 8  # of 256 answers under attack: gradients in bf16 are rounded otherwise on other processors


def aged(record, *, runs=(0,)):
    """The record with some runs by other sources."""
    changed = [run | {"sources": "0" * 12} if i in runs else run for i, run in enumerate(record.runs)]
    return dataclasses.replace(record, runs=changed)


@pytest.fixture
def noisy(row, record_of):
    """Accuracies by seed, and the network of each run."""

    def make(*accuracies, sha256="a", n=300, metric="noise_accuracy", artefact="table4", points=12):
        rows = [
            row(artefact, metric, value, seed=seed, probability=p / points) | {"n": n}
            for seed, value in enumerate(accuracies)
            for p in range(points)
        ]
        record = record_of(rows, page="noise_stability")
        record.runs[0]["models"] = {"one": {"seconds": 1.0, "sha256": sha256}}
        return record

    return make


# Older sources


def test_a_run_is_older_if_its_sources_are_not_todays(noisy):
    record = noisy(0.5)
    assert drift.older_runs(record) == set() and drift.remark(record) == ""
    assert drift.older_runs(aged(record)) == {"r"} and drift.remark(aged(record)) == "older sources"
    two = dataclasses.replace(record, runs=[*record.runs, record.runs[0] | {"id": "other"}])
    assert drift.remark(aged(two, runs=[1])) == "in part older sources"


def test_a_page_that_is_no_more_has_older_sources_alone(noisy):
    assert drift.remark(dataclasses.replace(noisy(0.5), page="nope")) == "older sources"


def test_whatever_says_where_numbers_come_from_labels_older_sources(noisy, tmp_path, monkeypatch):
    record = noisy(0.5)
    for one, label in ((record, False), (aged(record), True)):
        said = [
            origins.told({"quick": one}),
            tables.by_heading({"quick": one}, lambda _: ["a finding"]),
            *tables.beside_this_run(one),
            plots.noise(one)._supxlabel.get_text(),
        ]
        assert all(("older sources" in text) == label for text in said if "this run" in text or "record" not in text)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    aged(dataclasses.replace(record, preset="small")).save(results.path("noise_stability", "small"))
    assert list(tables.beside_this_run(record)) == ["small record, older sources", "this run (quick)"]


def test_a_verdict_on_older_rows_says_so_on_the_scoreboard(noisy):
    predicate = Predicate(cell("noise_stability", "table4", "noise_accuracy", probability=0.0))
    today, older = noisy(0.5, 0.5, 0.5, points=1), aged(noisy(0.5, 0.5, 0.5, points=1))
    for record, label in ((today, False), (older, True)):
        assert judge(predicate, {"noise_stability": record}, "quick").older is label
    assert not judge(predicate, {}, "quick").older
    committed = results.load(results.path("noise_stability", "quick"))
    now = {"sources": provenance.sources("lrlib.sections.noise_stability")}
    committed = dataclasses.replace(committed, runs=[run | now for run in committed.runs])
    for record, count in ((committed, 0), (aged(committed), 1)):
        shown = scoreboard.html({"quick": {"noise_stability": record}}, ["quick"])
        assert (shown.count("older sources") > 0) == bool(count)
        column = scoreboard.table({"quick": {"noise_stability": record}})["quick, sources"]
        assert (column == "older sources").any() == bool(count)


def test_the_command_results_labels_them(noisy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    aged(noisy(0.5)).save(results.path("noise_stability", "quick"))
    assert not cli.main(["results"])
    assert capsys.readouterr().out.startswith(
        "noise_stability at quick: 12 rows, started 2026-11-21T08:45:20+00:00, older"
    )


# Measured anew


def test_a_record_agrees_with_itself(measured):
    for record in measured.values():
        assert drift.differences(record, record) == []


def test_what_is_drawn_tells_no_rows_apart():
    record = results.committed("compression")["quick"]
    drawn = [row for row in record.rows if row.get("points")]
    moved = [row | {"points": {}} if row.get("points") else row for row in record.rows]
    assert drawn and drift.differences(record, dataclasses.replace(record, rows=moved)) == []


COMMITTED = [page for page in (*sections.PAGES, *sections.STANDING) if "quick" in results.committed(page)]


@pytest.mark.parametrize("page", COMMITTED)
def test_a_committed_record_agrees_with_itself_row_by_row(page):
    """So its rows have keys that tell them apart."""
    record = results.committed(page)["quick"]
    keys = drift._keyed(record).key
    assert keys.is_unique and drift.differences(record, record) == []


def test_other_sources_parameters_and_machines_alone_are_no_difference(noisy):
    assert drift.differences(noisy(0.5, 0.6), aged(noisy(0.5, 0.6))) == []


@pytest.mark.parametrize(("off", "agree"), [(0.0, True), (3 / 300, True), (4 / 300, False), (-4 / 300, False)])
def test_accuracies_of_one_network_may_differ_by_one_example_of_a_hundred(noisy, off, agree):
    assert (drift.differences(noisy(0.5), noisy(0.5 + off)) == []) is agree


@pytest.mark.parametrize(("off", "agree"), [(2 / 40, True), (3 / 40, False)])
def test_accuracies_of_few_examples_may_differ_by_two_of_them(noisy, off, agree):
    assert (drift.differences(noisy(0.5, n=40), noisy(0.5 + off, n=40)) == []) is agree


@pytest.mark.parametrize(("factor", "agree"), [(1.019, True), (0.99, True), (1.03, False)])
def test_other_numbers_of_one_network_may_differ_by_two_percent(noisy, factor, agree):
    about = {"metric": "representation_ratio", "artefact": "figure4b"}
    assert (drift.differences(noisy(0.2, **about), noisy(0.2 * factor, **about)) == []) is agree


def test_one_number_of_an_artefact_may_lie_apart_and_two_of_twelve_may_not(noisy):
    before, now = noisy(0.5), noisy(0.5)
    now.rows[0]["value"] = 0.9
    assert drift.differences(before, now) == []
    now.rows[1]["value"] = 0.1
    (fault,) = drift.differences(before, now)
    assert fault.startswith("table4: 2 of 12 numbers lie apart, the most noise_accuracy, 0.5 then and 0.")


@pytest.mark.parametrize(
    ("before", "now", "agree"),
    [
        ((0.4, 0.5, 0.6), (0.55, 0.65, 0.75), True),  # Student's intervals of 0.25 either way meet
        ((0.50, 0.51, 0.52), (0.53, 0.54, 0.55), True),  # they don't, but the means are at most 3 points apart
        ((0.50, 0.51, 0.52), (0.70, 0.71, 0.72), False),
        ((0.5,), (0.9,), True),  # a single seed says nothing about networks that were trained again
    ],
)
def test_of_networks_that_were_trained_again_means_over_seeds_are_compared(noisy, before, now, agree):
    found = drift.differences(noisy(*before), noisy(*now, sha256="b"))
    assert (found == []) is agree
    if not agree:
        assert found[0].startswith("table4: 12 of 12 means over seeds of what was trained anew lie apart")


def test_classifiers_that_are_fitted_anew_are_compared_as_means_also_on_the_same_networks(noisy):
    """In a plane of two components SGD ends elsewhere if the last digits differ; the means lie closer together."""
    about = {"metric": "max_margin_accuracy", "artefact": "figure8"}
    before = noisy(0.50, 0.57, 0.66, **about)
    assert drift.differences(before, noisy(0.49, 0.39, 0.58, **about)) == []
    (said,) = drift.differences(before, noisy(0.19, 0.20, 0.21, **about))
    assert "means over seeds of what was trained anew lie apart" in said
    assert drift.differences(noisy(0.50, 0.57, 0.66), noisy(0.49, 0.39, 0.58))  # others one by one


def test_rows_that_only_one_of_them_has_are_a_difference_whatever_their_values(noisy):
    (fault,) = drift.differences(noisy(0.5), noisy(0.5, 0.5, sha256="b"))
    assert fault == "table4 has 12 rows that only one of them has"


def test_a_search_that_finds_nothing_once_is_no_difference(noisy):
    about = {"artefact": "table3", "metric": "rho"}
    before, now = noisy(0.5, **about), noisy(0.5, **about)
    del now.rows[0]
    assert drift.differences(before, now) == []


def test_what_differs_is_refused_in_a_sentence(noisy):
    drift.check({"noise_stability": noisy(0.5)}, {"noise_stability": noisy(0.5)})
    with pytest.raises(
        RuntimeError,
        match=r"^expected noise_stability at quick, measured anew, to agree with its record, got table4: 12 of 12 ",
    ):
        drift.check({"noise_stability": noisy(0.5)}, {"noise_stability": noisy(0.6)})


@pytest.fixture
def book(noisy, tmp_path, monkeypatch):
    """The command ``book`` with one page, whose execution writes the record that it is given."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(sections, "PAGES", ("noise_stability",))
    monkeypatch.setattr(sections, "STANDING", ())
    pages = cli._pages()
    monkeypatch.setattr(pages, "build", lambda builder, *, fresh: "built")
    monkeypatch.setattr(pages, "builder", lambda: "a builder")
    monkeypatch.setattr(pages, "is_current", lambda *_: False)
    monkeypatch.setattr(cli, "_prepare", lambda todo: None)
    monkeypatch.setattr(side_by_side, "shares", lambda: (1, 1))  # in this process
    file = results.path("noise_stability", "quick")

    def run(before, now, *options):
        if before:
            before.save(file)
        monkeypatch.setattr(pages, "execute", lambda *_, **__: now.save(file))
        return cli.main(["book", *options])

    return run


def test_a_fresh_book_fails_if_its_numbers_are_no_longer_those_of_the_records(book, noisy, capsys):
    assert not book(noisy(0.5), noisy(0.5), "--fresh")
    assert book(noisy(0.5), noisy(0.7), "--fresh") == 1
    said = capsys.readouterr().err
    assert said.startswith("lrlib: expected noise_stability at quick, measured anew, to agree with its record, got ")
    assert not book(noisy(0.5), noisy(0.7))  # without --fresh new numbers are what a change is meant to bring
    results.path("noise_stability", "quick").unlink()
    assert not book(None, noisy(0.7), "--fresh")


# Real images: what a record of small says is what its networks answer


@pytest.fixture
def of_small(tmp_path, monkeypatch):
    """The small record of the page on attacks, a run with today's sources, and the page's bench on 256 images."""
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path))
    record = results.load(results.path("adversarial", "small"))
    runs = [run for run in record.runs if run["id"] not in drift.older_runs(record)]
    if not runs:
        pytest.skip("every run of the record comes from older sources, as its pages say")
    about = {name: value for name, value in runs[0]["parameters"].items() if name != "preset"}
    about["seeds"] = about["seeds"][:1]
    parameters = adversarial.Parameters.of("small", **about | {"examples": 256})
    try:
        data.load(parameters.dataset)
    except DatasetError as error:
        pytest.skip(f"the images are not here: {error}")
    bench = Bench("adversarial", parameters, device="cpu", dataset=parameters.dataset, progress=False)
    rows = [row for row in record.rows if (row["run"], row["seed"]) == (runs[0]["id"], about["seeds"][0])]
    return parameters, bench, runs[0], rows


def committed(bench, run, spec):
    """A network of the zoo, which has to be the one that the rows were measured on."""
    found = zoo.find_or_train(spec, device=bench.device)
    assert found.sha256 == run["models"][spec.name]["sha256"]
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_committed_network_answers_the_images_as_the_small_record_says(of_small, variant):
    """All images of the row, for clean rows keep no bits; equal but for images between two classes."""
    parameters, bench, run, rows = of_small
    (row,) = (
        one
        for one in rows
        if (one["artefact"], one["metric"], one["variant"], one["setting"])
        == ("table1", "accuracy", variant, "white_box")
    )
    x, y = bench.test_images(row["n"])
    model = committed(bench, run, parameters.spec(variant, row["seed"])).model.eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(250)])
    first, second = logits.topk(2).values.unbind(1)
    ties = int((first - second < 1e-3).sum())
    assert abs(int((logits.argmax(1) == y).sum()) - round(row["value"] * row["n"])) <= ties


def test_the_first_images_survive_attacks_as_the_small_record_says(of_small):
    """N-LR's examples at one radius on 256 images, by the page's own function, whose starts a batch does not change."""
    parameters, bench, run, rows = of_small
    (seed,) = parameters.seeds
    eps = parameters.eps[0]
    trained = {name: committed(bench, run, parameters.spec(name, seed)) for name in VARIANTS}
    twins = adversarial._twins(bench, parameters, trained)
    shown = adversarial._shown(trained["N-LR"], trained, twins)
    found = adversarial._attacked(
        bench, parameters, trained["N-LR"], [victim for _, victim in shown], parameters.unit, eps
    )
    for place, (setting, victim) in enumerate(shown):
        for steps in parameters.steps:
            about = {
                "artefact": "table1",
                "setting": setting,
                "variant": victim.spec.variant,
                "eps": eps,
                "steps": steps,
            }
            (row,) = (one for one in rows if about.items() <= one.items())
            now, then = found[f"{place} {steps}"].astype(bool), results.survived(row)[: len(bench.x)]
            assert len(now) == 256 and (now != then).sum() <= DIFFERENT, (about, int((now != then).sum()))
