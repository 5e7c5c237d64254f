"""What the pages measure, on tiny networks."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import TINY
from PIL import Image
from torch import nn

from lrlib import attacks, data, latent, metrics, models, paper, presets, results, sections, train, zoo
from lrlib.sections import adversarial, cushions, measuring, perturbations
from lrlib.sections.measuring import VARIANTS, Bench
from lrlib.sections.parameters import radius

PAGES = sections.PAGES
OF_NETWORKS = [page for page in sections.PAPER if page not in ("svd_truncation", "latent_space")]


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


@pytest.mark.parametrize("page", sections.PAPER)
def test_a_page_measures_what_the_matrix_says_and_nothing_else(page, measured):
    found = {paper.of_artefact(row["artefact"]) for row in measured[page].rows}
    assert found == expected_artefacts(page, "quick")


@pytest.mark.parametrize("page", PAGES)
def test_a_second_measurement_gives_the_same_rows(page, measured, tiny):
    again = sections.get(page).measure(tiny_parameters(page), progress=False)
    assert again.same_numbers(measured[page])
    assert [row | {"run": ""} for row in again.rows] == [row | {"run": ""} for row in measured[page].rows]


def test_the_number_of_rows_follows_from_the_parameters(measured):
    of_the_report = ("svd_truncation", "latent_space")
    counts = {page: len(one.rows) for page, one in measured.items() if page not in ("adversarial", *of_the_report)}
    seeds, variants = 2, 3
    narrow, wide = 32, 64  # width 4: 8 * 4 channels before the FC layer, 4 * 4 channels of 2 x 2 pixels before layer4
    dims = sum(1 + sum(dim < m for dim in (20, 5)) for m in (narrow, wide))
    ranks = 3  # singular values 1, 5 and 40 behind the ReLU, of 40 images
    sizes = 2 * 2 * 4  # at the width and the paper's, at both taps: replaced, linear, and on two numbers of components
    table6 = measured["compression"].frame("table6")
    of_table_6 = (table6.metric == "success_rate").sum() + 3 * (table6.metric == "rho").sum()
    assert counts == {
        # Accuracies and figure 2, some of them again for SVHN; figure 7 of ten classes and their mean; sparsity, also
        # of SNIP with one seed, and pre-activations of N-LR.
        "effective_rank": seeds * variants * (2 * 1 + 2 * (10 + 4) + 2 * 11 + 5) + 5 + seeds * (3 * 2 + ranks),
        # Propagation has three numbers: white box, black box and a twin of N-LR.
        "noise_stability": seeds
        * (variants * (1 + 2 + 2) + (variants + 2 + 1) * 3 + (variants + 1) * (3 * 21 + 4 * 29))
        + 12 * 4,  # a block's four layers have seven quantiles each, and one of their mean; readings, of one seed alone
        # Table 5 and figure 8; through the hybrids three clean answers, three more and two each; sizes at two widths;
        # and of table 6 three rows wherever an image was fooled.
        "compression": seeds * (variants * (dims + 1 + 3 + 3 + 2 * 2) + sizes) + of_table_6,
        "lr_layer": seeds * (2 * 2 * (6 + 2) + 2 * 2 + 21 * 2 + 5 * 2),  # N-LR has no losses of a layer, and no W
        "controls": (6 + 1 + 1) * (3 + 1 + 1),  # another rank and PCA beside six; a radius and a probability
    }


def test_the_number_of_rows_under_attack_follows_from_the_parameters(measured):
    seeds, variants, radii = 2, 3, 2
    methods, pairs, steps = 5, 5, 5  # table 2 with N-LR and 1-LR; N-LR's gradients against the others beside one's own
    counts = measured["adversarial"].frame().artefact.value_counts().to_dict()
    found = measured["adversarial"].frame("table10").query("metric == 'found'").value.sum()
    fooled = measured["adversarial"].frame("table3").query("metric == 'rho' and attack == 'smallest_fgsm'")
    assert counts == {
        "table1": seeds * (variants + radii * (2 * variants + 2)),  # the network, its twin of another seed, N-LR's two
        "table1_other_unit": seeds * radii * (2 * variants + 2),
        "table2": methods + radii * methods,
        "table2_other_unit": radii * methods,
        "figure4a": (seeds * variants + 1) * 2 * 2,
        "table10": seeds * pairs * 2 + 2 * found,
        "table3": 2 * found + seeds * (pairs * 3 + variants) + 2 * len(fooled),
        "figure10": variants * 2,
        "figure11a": seeds * 2 * (steps + 1),
        "figure11b": seeds * 2 * (steps + 1),
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_row_says_which_network_it_is_about(page, measured):
    for row in measured[page].rows:
        assert row["dataset"] == "digits" and row["seed"] in (0, 1)
        assert row["variant"] in (*models.VARIANTS, "random") and row["arch"] in (*models.ARCHS, *latent.KINDS)


@pytest.mark.parametrize("page", PAGES)
def test_a_run_names_its_models_and_the_images_they_saw(page, measured, tiny):
    (run,) = measured[page].runs
    assert set(run["models"]) == {spec.name for spec in sections.get(page).specs(tiny_parameters(page))}
    assert run["datasets"] == {"digits": data.load("digits").fingerprint}
    assert run["parameters"] == tiny_parameters(page).content() and run["shortened"] is None


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_a_page_needs_each_model_once_for_every_seed(page, preset):
    parameters = sections.get(page).Parameters.of(preset)
    specs = sections.get(page).specs(parameters)
    assert len(set(specs)) == len(specs)
    assert {spec.seed for spec in specs} == (set() if page == "lr_layer" else set(parameters.seeds))


def test_transferred_examples_are_shown_to_the_lr_variants_alone(measured):
    table = measured["adversarial"].frame("table1")
    attacked = table[table.metric == "adversarial_accuracy"]
    assert set(attacked[attacked.setting == "black_box"].variant) == {"1-LR", "2-LR"}
    assert set(attacked[attacked.setting == "white_box"].variant) == set(VARIANTS)


def test_rows_under_attack_keep_their_survivors(measured):
    for row in measured["adversarial"].rows:
        if row["metric"] == "adversarial_accuracy" and row["artefact"] != "figure4a":
            kept = results.survived(row)
            assert len(kept) == row["n"] == 40
            assert kept.mean() == pytest.approx(row["value"], abs=1e-6)


def test_no_noise_is_the_clean_accuracy(measured):
    noise = measured["noise_stability"].frame("table4").set_index(["variant", "seed", "probability"]).value
    clean = measured["adversarial"].frame("table1")
    clean = clean[clean.metric == "accuracy"].set_index(["variant", "seed"]).value
    for (variant, seed), value in clean.items():
        assert noise[variant, seed, 0.0] == value


def test_examples_are_also_shown_to_the_same_network_of_another_seed(measured, tiny):
    """Rows of the network that they were made on; the other one is that of the preset's next seed."""
    frame = measured["adversarial"].frame("table1")
    twins = frame[frame.setting == "another_seed"]
    assert set(twins.groupby(["variant", "seed"]).groups) == {(name, seed) for name in VARIANTS for seed in (0, 1)}
    kind = sections.get("adversarial").Parameters
    assert [kind.of("quick").following(seed) for seed in (0, 1, 2, 7)] == [1, 2, 0, None]
    needed = {(spec.variant, spec.seed) for spec in adversarial.specs(kind.of("small", seeds=[2]))}
    assert needed == {(name, seed) for name in VARIANTS for seed in (2, 0)}


def test_table_2_repeats_the_rows_of_table_1(measured):
    """One network under one attack has one number, wherever it is shown."""
    keys = ["variant", "seed", "metric", "eps", "steps"]
    for suffix in ("", "_other_unit"):
        first, second = (measured["adversarial"].frame(f"table{i}{suffix}").fillna({"steps": 0}) for i in (1, 2))
        own = first[(first.setting == "white_box") & (first.seed == 0)].set_index(keys).value
        both = second[second.variant.isin(["N-LR", "1-LR"])].set_index(keys).value
        assert len(both) and both.to_dict() == own[own.index.get_level_values("variant") != "2-LR"].to_dict()


def test_looking_at_some_images_first_finds_the_same_smallest_radius(measured, tiny, monkeypatch):
    found = {}
    for some in (3, 1000):
        monkeypatch.setattr(perturbations, "SOME", some)
        parameters = adversarial.Parameters.of("quick", **TINY["adversarial"] | {"searched": 30, "search_step": "1/10"})
        bench = Bench("adversarial", parameters, device="cpu", dataset="digits", progress=False)
        trained = {name: bench.trained(parameters.spec(name, 0)) for name in VARIANTS}
        perturbations.smallest(bench, parameters, trained, step_size="1/10", steps=4)
        found[some] = bench.run.rows
        bench.record()  # ends the journal, which the next measurement would read
    assert found[3] == found[1000] and any(row["metric"] == "eps_min" for row in found[3])


def test_the_variance_ratio_rises_to_at_most_one(measured):
    frame = measured["effective_rank"].frame()
    curves = frame[(frame.metric == "variance_ratio") & frame.artefact.str.fullmatch("figure[26][ab]")]
    for (artefact, *_), group in curves.groupby(["artefact", "variant", "seed"]):
        # Figure 6's stand-in repeats figure 2 at some numbers of directions.
        assert group.k.tolist() == (list(range(1, 11)) if artefact.startswith("figure2") else [1, 2, 5, 10])
        assert (np.diff(group.value) >= 0).all() and group.value.between(0, 1 + 1e-6).all()


def test_quantiles_of_the_cushion_rise_for_the_trained_and_the_random_networks(measured):
    frame = measured["noise_stability"].frame("figure4c")
    assert set(frame.variant) == {*VARIANTS, "random"}
    for _, group in frame.groupby(["variant", "seed", "tap"]):
        assert (np.diff(group.value) >= 0).all()


def test_the_cushions_are_those_of_what_enters_each_layer(measured, tiny):
    """Layer by layer, from inputs alone; the whole map's norm over the square root of the input's positions."""
    parameters = tiny_parameters("noise_stability")
    x = data.as_float(data.load("digits").x_train[: parameters.cushion_examples])
    model = zoo.find_or_train(parameters.spec("2-LR", 1)).model
    frame = measured["noise_stability"].frame()
    frame = frame[(frame.variant == "2-LR") & (frame.seed == 1)]
    found = {}
    for tap in frame.tap[frame.metric == "layer_cushion"].unique():
        inputs = torch.cat(list(metrics.layer_inputs(model, tap, x)))
        positions = 1 if tap == "fc" else inputs[0, 0].numel()
        layer = metrics.layer_cushion(model.get_submodule(tap), inputs, norm="operator") * positions**0.5
        found[tap] = layer.numpy()
        for row in frame[(frame.tap == tap) & (frame.metric == "layer_cushion")].itertuples():
            assert row.value == pytest.approx(np.quantile(found[tap], row.quantile), rel=1e-5)
    assert len(found) == 17
    for block in ("layer1", "layer2", "layer3", "layer4"):
        mean = np.mean([values for tap, values in found.items() if tap.startswith(block)], axis=0)
        (value,) = frame[(frame.tap == block) & (frame.metric == "block_cushion")].value
        assert value == pytest.approx(np.median(mean), rel=1e-5)


def test_a_networks_way_is_drawn_beside_that_of_the_examples_made_on_n_lr(measured):
    """White box for all, and N-LR's examples, with N-LR's changes of the input, for the LR variants alone."""
    frame = measured["noise_stability"].frame("figure4b")
    assert set(frame[frame.setting == "white_box"].variant) == set(VARIANTS)
    assert set(frame[frame.setting == "black_box"].variant) == {"1-LR", "2-LR"}
    into = frame[frame.metric == "input_ratio"].set_index(["setting", "variant", "eps", "seed"]).value
    for (setting, _, eps, seed), value in into.items():
        if setting == "black_box":
            assert value == into["white_box", "N-LR", eps, seed]


def test_examples_of_ones_own_reach_as_far_as_the_attack_says(tiny):
    """White box with a single batch: the same attack by hand, from the same start."""
    parameters = tiny_parameters("noise_stability", seeds=[0], eps=["16/255"])
    record = sections.get("noise_stability").measure(parameters, progress=False)
    frame = record.frame("figure4b").set_index(["setting", "variant", "metric"]).value
    x, y = (part[: parameters.attacked] for part in (data.load("digits").x_test, data.load("digits").y_test))
    x = data.as_float(x)
    model = zoo.find_or_train(parameters.spec("1-LR", 0)).model
    name = json.dumps(["1-LR, propagated", 2 * [parameters.spec("1-LR", 0).name]])  # the network, and who is shown it
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]))
    x_adv = attacks.pgd(model, x, y, eps=16 / 255, step_size=1.6 / 255, steps=2, generator=generator)
    for metric, values in (("input_ratio", (x, x_adv)), ("representation_ratio", None)):
        before, after = values or (metrics.features(model, one, "avgpool") for one in (x, x_adv))
        change = (after - before).flatten(1).double().norm(dim=1) / before.flatten(1).double().norm(dim=1)
        assert frame["white_box", "1-LR", metric] == pytest.approx(change.square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("artefact", ["table1", "table3", "table4", "table5a", "table5b", "table6", "table7b"])
def test_key_columns_are_spelled_as_in_the_paper(artefact, measured):
    printed = paper.table(artefact)
    rows = next(record.frame(artefact) for record in measured.values() if artefact in record.frame().artefact.array)
    keys = [key for key in paper.KEYS if key in printed]
    assert set(keys) <= set(rows.columns)
    for key in {"setting", "attack"} & set(keys):
        own = {"smallest_fgsm", "another_seed", "own_stop"}  # the companion's
        assert set(rows[key]) <= {*printed[key], *own}
    assert set(printed.variant) <= {*VARIANTS, "Bottle-1LR", "Bottle-2LR"}
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
        ("adversarial", {"searched": 601}, "expected searched to be at most 600, .*, got 601"),
        ("compression", {"train_examples": 1198}, "expected train_examples to be at most 1197, the train images .*"),
        ("noise_stability", {"cushion_examples": 1198}, "expected cushion_examples to be at most 1197, .*"),
        ("effective_rank", {"directions": 33}, "expected directions to be at most 32, the narrowest tap, got 33"),
        ("compression", {"dim": [5, 150]}, "expected dim to be at most 64, the widest tap, got 150"),
        ("effective_rank", {"rank": 33}, "expected rank to be at most 32, the narrowest tap, got 33"),
        ("effective_rank", {"examples": 10}, "expected an example of each class of digits .*, got none of '.'"),
        ("compression", {"train_examples": 20}, "expected an example of each class .* first 20 train images, .*"),
        ("compression", {"attacked": 601}, "expected attacked to be at most 600, the test images of digits, got 601"),
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
    given = {"seeds": [1], "eps": ["32/255"], "steps": [7], "step_size": "8/255", "searched": 2}
    accuracy = {}
    for unit in ("pixel", "normalized"):
        parameters = tiny_parameters("adversarial", unit=unit, **given)
        frame = sections.get("adversarial").measure(parameters, progress=False).frame("table1")
        accuracy[unit] = frame[frame.metric == "adversarial_accuracy"].value.sum()
    assert data.load("digits").std[0] < 1
    assert accuracy["pixel"] < accuracy["normalized"]


# Records that are kept and shown


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


def test_a_presets_record_keeps_what_is_about_other_networks(record_of, row, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    other = row("table5a", "max_margin_accuracy", 0.1) | {"arch": "resnet50", "run": "old"}
    before = record_of([row("table5a", "max_margin_accuracy", 0.2) | {"run": "old"}, other], page="compression")
    before.runs[0]["id"] = "old"
    before.save(results.path("compression", "quick"))
    again = record_of([row("table5a", "max_margin_accuracy", 0.3)], page="compression")
    kept = results.load(sections.keep(again, sections.get("compression").Parameters.of("quick")))
    assert kept.rows == [other, *again.rows] and [run["id"] for run in kept.runs] == ["old", "r"]


@pytest.fixture
def shown(record_of, row, tmp_path, monkeypatch):
    """What the page training shows, where a measurement gives the value 0.9 and the committed records have 0.5."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    for preset in ("small", "quick"):
        rows = [row(artefact, "accuracy", 0.5) | {"run": "old"} for artefact in ("parity", "stability")]
        record = record_of(rows, page="training", preset=preset)
        record.runs[0]["id"] = "old"
        record.save(results.path("training", preset))
    section, measured = sections.get("training"), []

    def measure(parameters):
        measured.append(parameters)
        return record_of([row("parity", "accuracy", 0.9)], page="training")

    monkeypatch.setattr(section, "measure", measure)

    def show(destination=None, **given):
        found = sections.standing("training", section.Parameters.of("quick", **given), destination)
        values = {preset: [one["value"] for one in record.rows] for preset, record in found.items()}
        return values, len(measured)

    return show


def committed_values():
    return {preset: [one["value"] for one in record.rows] for preset, record in results.committed("training").items()}


def test_a_standing_page_shows_its_committed_records_and_measures_nothing(shown):
    assert shown() == ({"quick": [0.5, 0.5], "small": [0.5, 0.5]}, 0)
    assert list(shown()[0]) == ["quick", "small"]


def test_a_standing_page_that_is_told_to_measure_shows_and_keeps_that(shown):
    values, measured = shown(measure=True)
    assert measured == 1 and 0.9 in values["quick"] and values["small"] == [0.5, 0.5]
    assert committed_values() == {"quick": [0.5, 0.9], "small": [0.5, 0.5]}


@pytest.mark.parametrize("destination, given", [("mine.json", {}), (None, {"seeds": [0]})])
def test_a_standing_page_keeps_no_other_measurement_as_the_presets(shown, destination, given, tmp_path):
    where = destination and str(tmp_path / destination)
    values, _ = shown(where, measure=True, **given)
    assert values["quick"] == [0.9]
    assert committed_values() == {"quick": [0.5, 0.5], "small": [0.5, 0.5]}
    assert (tmp_path / "mine.json").exists() == (destination is not None)


def test_a_standing_page_refuses_parameters_that_nothing_is_measured_with(shown):
    with pytest.raises(ValueError, match="expected measure to be true with parameters other than those of quick's"):
        shown(search_epochs=3)
    assert shown(parts=["search"])[1] == 0


def test_a_run_whose_schedules_are_shortened_says_by_how_much(tiny, monkeypatch):
    quick = presets.get("quick")
    monkeypatch.setitem(presets.PRESETS, "quick", replace(quick, network=replace(quick.network, epochs=2)))
    parameters = tiny_parameters("effective_rank", seeds=[0], epochs=1)
    (run,) = sections.get("effective_rank").measure(parameters, progress=False).runs
    assert run["shortened"] == {"epochs": 1, "of": 2}
    assert set(run["models"]) == {presets.spec("quick", variant, 0, epochs=1).name for variant in (*VARIANTS, "SNIP")}


def test_the_networks_of_a_seed_stand_together():
    parameters = sections.get("compression").Parameters.of("quick", seeds=[3, 1])
    listed = [(spec.seed, spec.variant) for spec in measuring.variants(parameters)]
    assert listed == [(seed, variant) for seed in (3, 1) for variant in VARIANTS]
    some = measuring.variants(parameters, ("2-LR", "N-LR"))
    assert [spec.variant for spec in some] == ["2-LR", "N-LR"] * 2


# Other architectures and images


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two classes of images of 32 x 32 pixels, large enough for VGG19's five poolings."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part, n in (("train", 24), ("test", 12)):
        for label in ("dark", "light"):
            (root / part / label).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 156, (32, 32, 3), dtype=np.uint8) + np.uint8(100 * (label == "light"))
                Image.fromarray(pixels).save(root / part / label / f"{i}.png")
    return root


@pytest.fixture(params=["resnet50", "vgg19"])
def other(request, tree):
    """Another architecture and its images."""
    return request.param, "digits" if request.param == "resnet50" else f"folder:{tree}"


# What the paper calls the numbers of other networks, whose tables and figures are not those of the preset's own.
APPENDIX = {"appendix_sparsity", "appendix_preactivations"}
OF_OTHERS = {
    ("effective_rank", "resnet50"): {"figure2a", "figure2b", "figure7a", "figure7b", *APPENDIX},
    ("effective_rank", "vgg19"): {"table7a", "figure5", "figure7a", "figure7b", *APPENDIX},
    ("compression", "resnet50"): {"table5a", "figure8", "model_size"},
    ("compression", "vgg19"): {"table8", "figure8", "model_size"},
}
SMALLER = {
    "effective_rank": {"directions": 10},
    "adversarial": {
        "eps": ["8/255"],
        "steps": [1],
        "searched": 2,
        "ladder": ["8/255"],
        "search_step": "16/255",
        "gallery": 1,
    },
    "noise_stability": {"cushion_examples": 48},
    "compression": {"train_examples": 48, "attacked": 24},
}


# As many of the digits as have each of the ten classes among them.
OF_EACH_CLASS = {"effective_rank": {"examples": 40}, "compression": {"train_examples": 100}}


@pytest.mark.parametrize("page", OF_NETWORKS)
def test_a_page_measures_other_architectures_on_other_images(page, other, tiny):
    arch, dataset = other
    given = {"seeds": [0], "examples": 24, "arch": arch, "dataset": dataset, **SMALLER[page]}
    given |= OF_EACH_CLASS.get(page, {}) if dataset == "digits" else {}
    parameters = tiny_parameters(page, **given)
    record = sections.get(page).measure(parameters, progress=False)
    frame = record.frame()
    assert set(frame.arch) == {arch} and set(frame.dataset) == {dataset}
    named = OF_OTHERS.get((page, arch), expected_artefacts(page, "quick"))
    blocks = {f"figure{i}" for i in range(12, 16)}  # of ResNet-18 alone
    assert {paper.of_artefact(name.removesuffix("_other_unit")) for name in frame.artefact} == named - blocks
    (run,) = record.runs
    assert set(run["models"]) == {spec.name for spec in sections.get(page).specs(parameters)}
    assert run["datasets"] == {dataset: data.load(dataset).fingerprint}
    last, early = models.places(arch)
    taps = {"figure2a": {last}, "figure2b": {early}, "table5a": {last}, "table5b": {early}, "figure4b": {last}}
    taps |= {"figure5": {last, early}, "figure7a": {last}, "figure7b": {early}, "table8": {early}, "figure8": {last}}
    for artefact in taps.keys() & set(frame.artefact):
        rows = frame[(frame.artefact == artefact) & (frame.metric != "accuracy")]
        assert set(rows.tap) == taps[artefact]


@pytest.mark.parametrize("arch", models.PLACED)
def test_the_cushion_is_that_of_the_last_convolutions_of_two_blocks_and_of_the_last_fc_layer(arch):
    model = models.build(arch, classes=3, width=4)
    layers = {name: module for name, module in model.named_modules() if not list(module.children())}
    names = list(layers)
    if arch == "vgg19":
        convolutions = [name for name in names if isinstance(layers[name], nn.Conv2d)]
        pools = [names.index(name) for name in names if isinstance(layers[name], nn.MaxPool2d)][-2:]
        blocks = [[name for name in convolutions if names.index(name) < pool] for pool in pools]
    else:
        blocks = [[n for n in names if n.startswith(f"layer{i}.") and isinstance(layers[n], nn.Conv2d)] for i in (3, 4)]
    last = [name for name in names if isinstance(layers[name], nn.Linear)][-1]
    assert cushions.CUSHIONED[arch] == (blocks[0][-1], blocks[1][-1], last)


@pytest.mark.parametrize(("dataset", "first"), [("cifar10", 12), ("svhn", 17)])
def test_a_blocks_figure_is_about_all_convolutions_of_its_sub_blocks(dataset, first):
    model = models.build("resnet18", classes=3, width=4)
    own = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and "conv" in name]
    blocks = {f"figure{first + i}": [name for name in own if name.startswith(f"layer{i + 1}.")] for i in range(4)}
    assert cushions.of_blocks("resnet18", dataset) == blocks and {len(taps) for taps in blocks.values()} == {4}
    assert cushions.figure("figure4b", dataset) == ("figure16" if dataset == "svhn" else "figure4b")


@pytest.mark.parametrize("arch, dataset", [("resnet18", "digits"), ("resnet50", "digits"), ("vgg19", "tree")])
def test_the_widths_are_those_of_the_features(arch, dataset, tiny, tree):
    parameters = tiny_parameters(
        "effective_rank", arch=arch, dataset=f"folder:{tree}" if dataset == "tree" else dataset
    )
    images = data.load(parameters.dataset)
    before = torch.get_rng_state()
    found = measuring.widths(parameters, images)
    assert torch.equal(torch.get_rng_state(), before)
    model, x = train.build(parameters.spec("N-LR", 0), images), data.as_float(images.x_test[:2])
    assert found == {tap: metrics.features(model, x, tap).flatten(1).shape[1] for tap in models.places(arch)}


def test_an_unknown_page_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"^expected a page among lr_layer, .*, benchmarks, got 'nope'$"):
        sections.get("nope")


def test_radii_are_fractions_or_numbers():
    assert radius("8/255") == 8 / 255 and radius(" 8 / 255 ") == 8 / 255 and radius("0.25") == 0.25
