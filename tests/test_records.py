"""The committed records: sound, at their preset's defaults, and what they have to show."""

import pytest

from lrlib import data, paper, presets, results, sections

RECORDS = [
    (page, preset)
    for preset in presets.PRESETS
    for page in sections.PAGES
    if preset == "quick" or results.path(page, preset).exists()
]
OF_THE_PAPER = [(page, preset) for page, preset in RECORDS if page in sections.PAPER]
CHOSEN = ("seeds", "arch", "dataset")  # what may differ between the runs of a record


def parameters_of(record, run):
    """The parameters that a run of the preset's record has to have had."""
    given = {name: run["parameters"][name] for name in CHOSEN if name in run["parameters"]}
    if run["shortened"]:
        given["epochs"] = run["shortened"]["epochs"]
    return sections.get(record.page).Parameters.of(record.preset, **given)


@pytest.fixture(params=RECORDS, ids="-".join)
def record(request):
    return results.load(results.path(*request.param))


def test_a_record_is_about_the_page_and_preset_that_its_place_says(record):
    assert results.load(results.path(record.page, record.preset)) == record


def test_its_runs_had_the_presets_parameters(record):
    for run in record.runs:
        assert run["parameters"] == parameters_of(record, run).content()
        seeds = {row["seed"] for row in record.rows if row["run"] == run["id"]}
        assert seeds == set(run["parameters"]["seeds"])


@pytest.mark.parametrize("page", sections.PAGES)
def test_a_quick_record_is_one_run_at_the_presets_defaults(page):
    (run,) = results.load(results.path(page, "quick")).runs
    assert run["parameters"] == sections.get(page).Parameters.of("quick").content()


@pytest.mark.parametrize("record", OF_THE_PAPER, ids="-".join, indirect=True)
def test_it_holds_what_the_matrix_says_and_nothing_else(record):
    matrix = paper.artefacts()
    own = matrix[matrix["page"] == record.page]
    measured = own["artefact"][own[record.preset].isin(["measured", "stand-in"])]
    assert {paper.of_artefact(row["artefact"]) for row in record.rows} == set(measured)


def test_whatever_the_matrix_calls_measured_has_a_record():
    matrix = paper.artefacts()
    for preset in presets.PRESETS:
        for page in set(matrix["page"][matrix[preset] != "not measured"]):
            assert results.path(page, preset).exists()


def test_its_models_are_those_that_the_page_asks_for_now(record):
    section = sections.get(record.page)
    for run in record.runs:
        assert set(run["models"]) == {spec.name for spec in section.specs(parameters_of(record, run))}


def test_its_images_are_the_datasets(record):
    for run in record.runs:
        for name, fingerprint in run["datasets"].items():
            if name == "digits":
                assert fingerprint == data.load(name).fingerprint
        assert set(run["datasets"]) == {row["dataset"] for row in record.rows if row["run"] == run["id"]}


def test_an_accuracy_lies_in_its_wilson_interval_and_counts_whole_examples(record):
    for row in record.rows:
        if "accuracy" not in row["metric"] and row["metric"] != "success_rate":
            continue
        if row["metric"] in ("instantaneous_accuracy", "cumulative_accuracy"):  # points of a curve
            assert 0 <= row["value"] <= 1
            continue
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        count = row["value"] * row["n"]
        assert count == pytest.approx(round(count), abs=1e-6 * row["n"])
        assert (row["low"], row["high"]) == pytest.approx(results.wilson(round(count), row["n"]), abs=1e-6)


def test_survivors_are_as_many_as_the_accuracy_says(record):
    kept = [row for row in record.rows if row.get("survived")]
    assert bool(kept) == (record.page in ("adversarial", "controls"))
    for row in kept:
        assert results.survived(row).sum() == round(row["value"] * row["n"])


def test_no_two_rows_are_about_the_same_thing(record):
    apart = [
        tuple((key, str(value)) for key, value in row.items() if key not in ("value", "n", "low", "high", "survived"))
        for row in record.rows
    ]
    assert len(set(apart)) == len(apart)


def test_ten_directions_carry_more_of_1_lr_than_of_n_lr_at_no_worse_accuracy():
    """The quick preset has to show the paper's central effect: in at least four of five seeds, within one point."""
    frame = results.load(results.path("effective_rank", "quick")).frame("figure2a")

    def of(metric, k, variant):
        rows = frame[(frame.metric == metric) & (frame.k == k) & (frame.variant == variant)]
        return rows.set_index("seed").value.to_dict()

    ratio, accuracy = (
        {v: of(*what, v) for v in ("N-LR", "1-LR")} for what in (("variance_ratio", 10), ("accuracy", 0))
    )
    seeds = ratio["N-LR"].keys()
    shown = [
        seed
        for seed in seeds
        if ratio["1-LR"][seed] > ratio["N-LR"][seed] and accuracy["1-LR"][seed] >= accuracy["N-LR"][seed] - 0.01
    ]
    assert len(seeds) == 5 and len(shown) >= 4
