"""What the five pages measure, on tiny networks."""

import numpy as np
import pandas as pd
import pytest
from conftest import TINY

from lrlib import data, models, paper, presets, results, sections
from lrlib.sections.measuring import VARIANTS
from lrlib.sections.parameters import radius

PAGES = sections.PAGES


def expected_artefacts(page, preset):
    matrix = paper.artefacts()
    rows = matrix[matrix["page"] == page]
    return set(rows["artefact"][rows[preset].isin(["measured", "stand-in"])])


def tiny_parameters(page, **other):
    return sections.get(page).Parameters.of("quick", **TINY[page] | other)


@pytest.mark.parametrize("page", PAGES)
def test_a_measured_record_is_read_back_as_it_was(page, measured, tmp_path):
    file = results.save(measured[page], tmp_path / "record.json")
    assert results.load(file) == measured[page]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_measures_what_the_matrix_says_and_nothing_else(page, measured):
    assert {row["artefact"] for row in measured[page].rows} == expected_artefacts(page, "quick")


@pytest.mark.parametrize("page", PAGES)
def test_a_second_measurement_gives_the_same_rows(page, measured, tiny):
    again = sections.get(page).measure(tiny_parameters(page), progress=False)
    assert again.same_numbers(measured[page])
    assert [row | {"run": ""} for row in again.rows] == [row | {"run": ""} for row in measured[page].rows]


def test_the_number_of_rows_follows_from_the_parameters(measured):
    counts = {page: len(record.rows) for page, record in measured.items()}
    seeds, variants = 2, 3
    narrow, wide = 32, 256  # width 4: 8 * 4 channels before the FC layer, 4 * 4 channels of 4 x 4 pixels before layer4
    dims = sum(1 + sum(dim < m for dim in (20, 5)) for m in (narrow, wide))
    attacks = 2 * 1
    assert counts == {
        "effective_rank": seeds * variants * (1 + 2 * 10),
        "adversarial": seeds * (variants + attacks * (variants + 2) + 2 * variants) + variants * 2,
        "noise_stability": seeds * (variants * (1 + 2) + variants * 2 + (variants + 1) * 3 * 21),
        "compression": seeds * variants * dims,
        "svd_truncation": seeds * 3 * 2 * 3 * 3,
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_row_says_which_network_it_is_about(page, measured):
    for row in measured[page].rows:
        assert row["dataset"] == "digits" and row["seed"] in (0, 1)
        assert row["variant"] in (*VARIANTS, "random") and row["arch"] in models.ARCHS


@pytest.mark.parametrize("page", PAGES)
def test_a_run_names_its_models_and_the_images_they_saw(page, measured, tiny):
    (run,) = measured[page].runs
    assert set(run["models"]) == {spec.name for spec in sections.get(page).specs(tiny_parameters(page))}
    assert run["datasets"] == {"digits": data.load("digits").fingerprint}
    assert run["parameters"] == tiny_parameters(page).content()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_a_page_needs_each_model_once_for_every_seed(page, preset):
    parameters = sections.get(page).Parameters.of(preset)
    specs = sections.get(page).specs(parameters)
    assert len(set(specs)) == len(specs)
    assert {spec.seed for spec in specs} == set(parameters.seeds)


def test_transferred_examples_are_shown_to_the_lr_variants_alone(measured):
    table = measured["adversarial"].frame("table1")
    attacked = table[table.metric == "adversarial_accuracy"]
    assert set(attacked[attacked.setting == "black_box"].variant) == {"1-LR", "2-LR"}
    assert set(attacked[attacked.setting == "white_box"].variant) == set(VARIANTS)


def test_rows_under_attack_keep_their_survivors(measured):
    for row in measured["adversarial"].rows:
        if row["metric"] == "adversarial_accuracy":
            kept = results.survived(row)
            assert len(kept) == row["n"] == 40
            assert kept.mean() == pytest.approx(row["value"], abs=1e-6)


def test_no_noise_is_the_clean_accuracy(measured):
    noise = measured["noise_stability"].frame("table4").set_index(["variant", "seed", "probability"]).value
    clean = measured["adversarial"].frame("table1")
    clean = clean[clean.metric == "accuracy"].set_index(["variant", "seed"]).value
    for (variant, seed), value in clean.items():
        assert noise[variant, seed, 0.0] == value


def test_the_variance_ratio_rises_to_at_most_one(measured):
    frame = measured["effective_rank"].frame()
    for _, group in frame[frame.metric == "variance_ratio"].groupby(["artefact", "variant", "seed"]):
        assert group.k.tolist() == list(range(1, 11))
        assert (np.diff(group.value) >= 0).all() and group.value.between(0, 1 + 1e-6).all()


def test_quantiles_of_the_cushion_rise_for_the_trained_and_the_random_networks(measured):
    frame = measured["noise_stability"].frame("figure4c")
    assert set(frame.variant) == {*VARIANTS, "random"}
    for _, group in frame.groupby(["variant", "seed", "tap"]):
        assert (np.diff(group.value) >= 0).all()


def test_nothing_scaled_is_the_classifier_itself_and_no_adversary_of_it_is_right(measured):
    frame = measured["svd_truncation"].frame()
    nothing = frame[frame.fraction == 0]
    assert (nothing[nothing.metric == "adversarial_accuracy"].value == 0).all()
    for _, group in nothing.groupby(["arch", "seed", "metric"]):
        assert group.value.nunique() == 1


def test_nothing_is_left_of_a_classifier_with_all_singular_values_zeroed(measured):
    """Then its logits are its biases: one class for all images, and so for at most a share of them right."""
    frame = measured["svd_truncation"].frame()
    zeroed = frame[(frame.fraction == 1) & (frame.scale == 0) & (frame.metric == "train_accuracy")]
    shares = np.bincount(data.load("digits").y_train) / len(data.load("digits").y_train)
    assert all(np.isclose(shares, value, atol=1e-6).any() for value in zeroed.value)


@pytest.mark.parametrize("artefact", ["table1", "table3", "table4", "table5a", "table5b"])
def test_key_columns_are_spelled_as_in_the_paper(artefact, measured):
    printed = paper.table(artefact)
    rows = next(record.frame(artefact) for record in measured.values() if artefact in record.frame().artefact.array)
    keys = [key for key in paper.KEYS if key in printed]
    assert set(keys) <= set(rows.columns)
    for key in {"setting", "attack"} & set(keys):
        assert set(rows[key]) <= set(printed[key])
    assert set(printed.variant) <= {*VARIANTS, "Bottle-1LR"}
    assert set(rows.metric) & set(printed.metric)


def test_the_default_radii_steps_and_probabilities_are_the_papers():
    table1 = paper.table("table1")
    attacked = table1[table1.attack == "pgd"]
    for preset in presets.PRESETS:
        parameters = sections.get("adversarial").Parameters.of(preset)
        assert set(parameters.eps) == set(attacked.eps) and set(parameters.steps) == set(attacked.steps)
        noise = sections.get("noise_stability").Parameters.of(preset)
        assert set(noise.probability) == set(paper.table("table4").probability)
        embeddings = pd.concat([paper.table("table5a"), paper.table("table5b")])
        assert {*sections.get("compression").Parameters.of(preset).dim, 2048, 16384} == set(embeddings.dim)


@pytest.mark.parametrize(
    ("page", "given", "fault"),
    [
        ("adversarial", {"examples": 601}, "expected examples to be at most 600, the test images of digits, got 601"),
        ("adversarial", {"deepfool_examples": 601}, "expected deepfool_examples to be at most 600, .*, got 601"),
        ("compression", {"train_examples": 1198}, "expected train_examples to be at most 1197, the train images .*"),
        ("noise_stability", {"cushion_examples": 1198}, "expected cushion_examples to be at most 1197, .*"),
        ("effective_rank", {"directions": 33}, "expected directions to be at most 32, the narrowest tap, got 33"),
        ("compression", {"dim": [5, 150]}, "expected dim to be at most 64, the widest tap, got 150"),
    ],
)
def test_more_than_the_dataset_has_is_refused_in_a_sentence(page, given, fault, tiny):
    with pytest.raises(ValueError, match=f"^{fault}$"):
        sections.get(page).measure(tiny_parameters(page, **{"examples": 60} | given), progress=False)


def test_a_probability_of_zero_is_measured_once(tiny):
    parameters = tiny_parameters("noise_stability", seeds=[0], probability=[0.0, 1.0])
    record = sections.get("noise_stability").measure(parameters, progress=False)
    assert record.frame("table4").groupby("variant").size().eq(2).all()


def test_a_budget_in_normalized_units_is_smaller_by_the_standard_deviation(tiny):
    """The digits' standard deviation is below one, so the same radius moves fewer answers."""
    given = {"seeds": [0], "eps": ["32/255"], "steps": [7], "step_size": "8/255", "deepfool_examples": 1}
    accuracy = {}
    for unit in ("pixel", "normalized"):
        parameters = tiny_parameters("adversarial", unit=unit, **given)
        frame = sections.get("adversarial").measure(parameters, progress=False).frame("table1")
        accuracy[unit] = frame[frame.metric == "adversarial_accuracy"].value.sum()
    assert data.load("digits").std[0] < 1
    assert accuracy["pixel"] < accuracy["normalized"]


def test_a_classifier_without_a_right_answer_is_refused_in_a_sentence(tiny, monkeypatch):
    section = sections.get("svd_truncation")
    right = section.metrics.correct
    monkeypatch.setattr(section.metrics, "correct", lambda model, x, y: right(model, x, y) & False)
    with pytest.raises(ValueError, match=r"^expected digits_1L-100_N-LR_s0_\w+ to have some of 60 test images right"):
        section.measure(tiny_parameters("svd_truncation", seeds=[0]), progress=False)


def test_only_a_presets_defaults_make_its_record(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    record = measured["compression"]
    defaults = sections.get("compression").Parameters.of("quick")
    assert sections.keep(record, tiny_parameters("compression")) is None
    assert list(tmp_path.iterdir()) == []
    named = sections.keep(record, tiny_parameters("compression"), str(tmp_path / "mine.json"))
    assert named == tmp_path / "mine.json" and results.load(named) == record
    own = sections.keep(record, defaults)
    assert own == tmp_path / "quick" / "compression.json" and results.load(own) == record


def test_an_unknown_page_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"^expected a page among effective_rank, .*, got 'nope'$"):
        sections.get("nope")


def test_radii_are_fractions_or_numbers():
    assert radius("8/255") == 8 / 255 and radius(" 8 / 255 ") == 8 / 255 and radius("0.25") == 0.25
