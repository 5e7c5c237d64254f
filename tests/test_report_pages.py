"""The pages about the report: what they measure on tiny networks, and how it is drawn, tabulated and told."""

import numpy as np
import pytest
import torch
from conftest import TINY

from lrlib import attacks, data, metrics, paper, plots, presets, results, sections, zoo
from lrlib.prose import latent_space, svd_truncation
from lrlib.sections import adversaries
from lrlib.sections import latent_space as latent_section
from lrlib.sections import svd_truncation as svd_section
from lrlib.sections.codes import APPROACHES
from lrlib.sections.measuring import VARIANTS
from lrlib.sections.truncated_networks import strongest
from lrlib.tables import latent as latent_tables
from lrlib.tables import own as own_tables
from lrlib.tables import report as report_tables


def tiny_parameters(page, **other):
    return sections.get(page).Parameters.of("quick", **TINY[page] | other)


# Adversaries as the report makes them


def test_180_adversaries_are_two_images_of_each_class_with_each_other_class_as_goal():
    y = torch.arange(10).repeat(5)
    index, goal = adversaries.pairs(y, torch.ones(50, dtype=torch.bool), 10, 180)
    found = list(zip(index.tolist(), goal.tolist(), strict=True))
    assert len(set(found)) == 180 and (goal != y[index]).all()
    assert torch.equal(index.bincount(), torch.tensor([9] * 20))
    assert torch.equal(y[adversaries.pairs(y, y >= 0, 10, 10)[0]].sort().values, torch.arange(10))


def test_only_images_that_are_right_are_taken_and_where_there_are_none_it_is_said():
    y, right = torch.tensor([0, 0, 1, 1]), torch.tensor([False, True, False, False])
    assert [one.tolist() for one in adversaries.pairs(y, right, 2, 10)] == [[1], [1]]
    with pytest.raises(ValueError, match=r"^expected it to have some of 4 test images right, got none$"):
        adversaries.start(lambda x: torch.eye(2)[1 - y[: len(x)]], torch.rand(4, 2), y, 3, classes=2, name="it")


def test_codes_are_attacked_beyond_the_range_of_pixels():
    z, goal = torch.tensor([[3.0, -2.0]]), torch.tensor([1])
    found = attacks.targeted(lambda one: one, z, goal, weight=0.0, clip=False)
    assert attacks.reached(lambda one: one, found, goal, confidence=0.95) and found.max() > 1
    with pytest.raises(ValueError, match=r"^expected x in \[0, 1\]"):
        attacks.targeted(lambda one: one, z, goal)
    with pytest.raises(ValueError, match=r"^expected finite numbers, got 1 that are not$"):
        attacks.targeted(lambda one: one, torch.tensor([[0.0, torch.inf]]), goal, clip=False)


# SVD truncation


@pytest.fixture
def truncated(measured):
    return measured["svd_truncation"].frame("report_figure7")


def test_nothing_scaled_is_the_classifier_itself_and_no_adversary_of_it_is_right(truncated):
    nothing = truncated[truncated.fraction == 0].fillna({"attack": "", "made": ""})
    assert (nothing[nothing.metric == "adversarial_accuracy"].value == 0).all()
    for _, group in nothing.groupby(["arch", "seed", "metric", "attack", "made"]):
        assert group.value.nunique() == 1


def test_nothing_is_left_of_a_classifier_with_all_singular_values_zeroed(truncated):
    """Then its logits are its biases: one class for all images, and so for at most a share of them right."""
    zeroed = truncated[(truncated.fraction == 1) & (truncated.scale == 0)]
    shares = np.bincount(data.load("digits").y_train) / len(data.load("digits").y_train)
    train = zeroed[zeroed.metric == "train_accuracy"]
    assert all(np.isclose(shares, value, atol=1e-6).any() for value in train.value)
    assert "rho" not in set(zeroed[zeroed.attack == "targeted"].metric)  # nothing moves a constant


def test_a_classifier_without_a_right_answer_is_refused_in_a_sentence(tiny, monkeypatch):
    right = metrics.correct
    monkeypatch.setattr(metrics, "correct", lambda model, x, y: right(model, x, y) & False)
    with pytest.raises(ValueError, match=r"^expected digits_1L-100_N-LR_s0_\w+ to have some of 60 test images right"):
        svd_section.measure(tiny_parameters("svd_truncation", seeds=[0], compared=False), progress=False)


@pytest.mark.parametrize(
    ("page", "given", "said"),
    [
        ("svd_truncation", {"fraction": [0.5, 1.1]}, r"expected fraction to be numbers in \[0, 1\], got \[0.5, 1.1\]"),
        ("svd_truncation", {"network_fraction": [-0.1]}, r"expected network_fraction to be numbers in \[0, 1\], .*"),
        ("svd_truncation", {"datasets": ["minst"]}, r"expected datasets to be one of digits, .*, got \[.minst.\]"),
        ("svd_truncation", {"eps": "2"}, r"expected eps to be a radius in \(0, 1\] such as 8/255, got .2."),
        ("latent_space", {"latent": 0}, "expected latent to be a whole number from 1 on, got 0"),
        ("latent_space", {"iterations": 0}, "expected iterations to be a whole number from 1 on, got 0"),
    ],
)
def test_a_bad_parameter_is_refused_in_a_sentence(page, given, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        sections.get(page).Parameters.of("quick", **given)


def test_untouched_networks_are_the_stored_ones_and_the_attack_made_again_is_the_one_made_once(measured, tiny):
    frame = measured["svd_truncation"].frame("truncated_networks")
    whole = frame[frame.fraction == 0]
    images = data.load("digits")
    x, y = data.as_float(images.x_test[:40]), images.y_test[:40]
    for variant in VARIANTS:
        own = whole[(whole.variant == variant) & (whole.seed == 0)]
        model = zoo.find(presets.spec("quick", variant, 0)).model
        expected = metrics.correct(model, x, y).float().mean().item()
        assert own[own.metric == "accuracy"].value.item() == pytest.approx(expected, abs=1e-6)
        assert own[own.made == "again"].value.item() == own[own.made == "once"].value.item()
    assert set(frame[frame.made == "on N-LR"].variant) == {"1-LR", "2-LR"}


def test_the_strongest_of_two_attacks_stays_in_the_ball_and_is_no_weaker_than_either():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.ReLU(), torch.nn.Linear(12, 4))
    x = 0.2 + 0.6 * torch.rand(300, 6, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(dim=1)
    settings = {"eps": 0.1, "steps": 5}
    x_adv = strongest(model, x, y, **settings, generator=torch.Generator().manual_seed(0))
    assert (x_adv - x).abs().max() <= 0.1 + 1e-6 and x_adv.min() >= 0 and x_adv.max() <= 1
    generator = torch.Generator().manual_seed(0)
    alone = attacks.pgd(model, x, y, **settings, step_size=0.025, generator=generator)
    assert not (metrics.correct(model, x_adv, y) & ~metrics.correct(model, alone, y)).any()


def test_the_papers_networks_can_be_left_out(measured):
    assert len(svd_section.specs(tiny_parameters("svd_truncation", compared=False))) == 2 * 3
    record = measured["svd_truncation"]
    rows = [row for row in record.rows if row["artefact"] == "report_figure7"]
    alone = type(record)(record.page, record.preset, record.runs, rows)
    assert own_tables.by_preset({"quick": alone}, "truncated_networks", report_tables.truncated_networks).empty
    for shown in (plots.truncated_networks, report_tables.truncated_networks):
        with pytest.raises(results.RecordError, match="expected rows of truncated_networks in the quick record"):
            shown(alone)
    assert svd_truncation.networks(alone) == [] and len(svd_truncation.networks(record)) == 4


# Latent space


NUMBERS = ("latent-dimensions", "variational-nodes", "code-epochs", "projection-iterations")
NUMBERS += ("adversaries", "confidence", "batch-size", "image-plateau")


def test_the_defaults_are_the_numbers_that_the_report_states():
    stated = paper.findings().set_index("id").low
    parameters = latent_section.Parameters.of("paper")
    classifier = presets.classifier("paper", "LRL", 0, dataset="fashion-mnist")
    assert {
        "latent-dimensions": parameters.latent,
        "variational-nodes": latent_section.autoencoder(parameters, "VAE", 0, "mnist").hidden,
        "code-epochs": parameters.code_epochs,
        "projection-iterations": parameters.iterations,
        "adversaries": parameters.adversaries,
        "confidence": adversaries.CONFIDENCE,
        "batch-size": classifier.batch_size,
        "image-plateau": classifier.epochs,
    } == {name: stated[f"report-{name}"] for name in NUMBERS}
    assert sections.get("svd_truncation").Parameters.of("paper").adversaries == stated["report-adversaries"]


def test_a_classifier_keeps_its_name_and_another_dataset_has_its_learning_rate():
    assert presets.classifier("small", "2L", 1) == presets.classifier("small", "2L", 1, dataset="mnist")
    assert presets.classifier("small", "1L", 0, dataset="digits").learning_rate == 0.01
    assert presets.classifier("small", "1L", 0, dataset="fashion-mnist").learning_rate == 0.001


def test_every_classifier_has_its_rows_in_each_figure(measured):
    record = measured["latent_space"]
    four, five, six = (record.frame(f"report_figure{n}") for n in (4, 5, 6))
    pairs = {(code, arch) for code in APPROACHES for arch in latent_section.CLASSIFIERS}
    on_images = {("image", arch) for arch in latent_section.CLASSIFIERS}
    twins = {(latent_section.TWIN, arch) for arch in latent_section.CLASSIFIERS}

    def of(frame):
        return set(zip(frame.code, frame.arch, strict=True))

    assert of(four[four.metric == "accuracy"]) == pairs | on_images
    errors = four[four.metric == "reconstruction_error"]
    assert set(errors.code) == set(APPROACHES) and set(errors.arch) == {"AE", "VAE"}
    rates = five[five.metric == "success_rate"]
    assert of(rates[rates.space == "code"]) == pairs and of(rates[rates.space == "image"]) == pairs | on_images
    assert of(six) == pairs | twins  # not the attacked classifiers: none of their adversaries is right


def test_the_accuracy_on_images_is_that_of_the_stored_classifier(measured, tiny):
    frame = measured["latent_space"].frame("report_figure4")
    images = data.load("digits")
    model = zoo.find(presets.classifier("quick", "LRL", 0)).model
    expected = metrics.correct(model, data.as_float(images.x_test[:60]), images.y_test[:60]).float().mean().item()
    row = frame[(frame.code == "image") & (frame.arch == "LRL") & (frame.seed == 0)]
    assert row.value.item() == pytest.approx(expected, abs=1e-6)


def test_what_is_projected_is_nearer_to_its_image_than_what_the_plain_encoder_gives(measured):
    """Only nearly: the projection at this size takes 20 steps; so it holds for the variational decoder's means."""
    frame = measured["latent_space"].frame("report_figure4")
    errors = frame[frame.metric == "reconstruction_error"].groupby("code").value.mean()
    assert errors["VAE mean"] < errors["VAE encoding"] and (errors < 1).all()


@pytest.mark.parametrize("page", ["svd_truncation", "latent_space"])
def test_a_seed_alone_needs_its_own_classifiers_and_the_next_seeds(page):
    parameters = sections.get(page).Parameters.of("small", seeds=[2])
    found = {(spec.seed, spec.dataset) for spec in sections.get(page).specs(parameters) if spec.arch == "LRL"}
    seeds = {2, 0} if page == "latent_space" else {2}
    assert found == {(seed, dataset) for seed in seeds for dataset in ("mnist", "fashion-mnist")}


# Figures, tables and sentences


@pytest.fixture
def curves(row, record_of):
    """Rows of 2L and LRL on two datasets that say which they are."""

    def make(values, archs=("2L",), datasets=("digits",), scales=(0.1,)):
        rows = []
        for name, curve in values.items():
            metric, *about = name.split(" ")
            made = dict(zip(("attack", "made"), about, strict=True)) if about else {}
            rows += [
                row("report_figure7", metric, value, scale=scale, fraction=fraction, **made)
                | {"arch": arch, "dataset": dataset}
                for dataset in datasets
                for arch in archs
                for scale in scales
                for fraction, value in (curve if scale else dict.fromkeys(curve, 0.33)).items()
            ]
        return record_of(rows, page="svd_truncation")

    return make


ONCE, AGAIN = "adversarial_accuracy targeted once", "adversarial_accuracy targeted again"
DEEPFOOL = "adversarial_accuracy deepfool once"
RHO, WHOLE = "rho targeted again", "rho_whole targeted again"


def test_truncation_draws_one_scale_with_a_panel_for_each_dataset_and_classifier(curves):
    values = {"train_accuracy": {0.0: 0.9, 1.0: 0.4}, ONCE: {0.0: 0.0, 1.0: 0.5}, RHO: {0.0: 0.2, 1.0: 0.3}}
    values["rho deepfool again"] = {0.0: 0.1, 1.0: 0.15}
    record = curves(values, archs=("1L", "LRL"), datasets=("mnist", "fashion-mnist"), scales=(0.1, 0.0))
    axes = plots.truncation(record, scale=0.1).axes
    assert [ax.get_title() for ax in axes] == [f"{a}, {d}" for d in ("mnist", "fashion-mnist") for a in ("1L", "LRL")]
    drawn = {line.get_label(): line for line in axes[3].lines}
    assert set(drawn) == {"train", "made once"}
    assert drawn["made once"].get_xydata().tolist() == [[0, 0], [1, 0.5]]
    sizes = plots.perturbation(record, scale=0.1).axes
    assert [line.get_label() for line in sizes[0].lines] == ["the report's attack", "DeepFool"]
    assert "mnist, fashion-mnist" in sizes[0].figure.get_supxlabel()


def test_truncations_are_percentages_at_those_fractions_that_were_measured(curves):
    values = {
        "train_accuracy": {0.0: 0.9, 0.25: 0.8, 0.5: 0.7},
        ONCE: {0.0: 0.0, 0.25: 0.1, 0.5: 0.256},
        AGAIN: {0.0: 0.0, 0.25: 0.0, 0.5: 0.02},
        RHO: {0.0: 0.2, 0.5: 0.25},
        WHOLE: {0.0: 0.2, 0.5: 0.2},
        DEEPFOOL: {0.0: 0.0, 0.25: 0.5, 0.5: 0.6},
    }
    table = report_tables.truncations(curves(values), fractions=[0.0, 0.5, 0.75])
    assert list(table.columns) == ["train", "made once", "made again", "ρ", "DeepFool's, made once"]
    assert table.loc[("digits", "2L", 0.1, 0.5)].tolist() == ["70.0", "25.6", "2.0", "0.250", "60.0"]
    assert table.index.get_level_values("fraction").tolist() == [0.0, 0.5]
    whole = report_tables.truncations(curves(values), fractions=[0.123])
    assert whole.index.get_level_values("fraction").tolist() == [0.0, 0.25, 0.5]
    assert whole.loc[("digits", "2L", 0.1, 0.25), "ρ"] == ""


def test_truncation_is_told_at_the_best_fraction_of_the_first_scale(curves):
    values = {
        "test_accuracy": {0.0: 0.95, 0.5: 0.9, 1.0: 0.1},
        "train_accuracy": {0.0: 0.95, 0.5: 0.9, 1.0: 0.1},
        ONCE: {0.0: 0.0, 0.5: 0.7, 1.0: 0.2},
        RHO: {0.0: 0.2, 0.5: 0.25},
        WHOLE: {0.0: 0.2, 0.5: 0.21},
    }
    (sentence,) = svd_truncation.findings(curves(values, archs=("1L",), scales=(0.1, 0.0)))
    assert sentence == (
        "**1L on digits**, lowest singular values times 0.1: with 0 % of them scaled the accuracy on the adversaries "
        "made once is 0.0 %; it is highest, 70.0 %, with 50 % scaled, where the test accuracy has gone from 95.0 % to "
        "90.0 %. Adversaries made again for that classifier, at the same confidence, have ρ = 0.250 "
        "against 0.210 for the whole one on the same images."
    )
    values[RHO] = {0.0: 0.2}
    (sentence,) = svd_truncation.findings(curves(values, archs=("1L",)))
    assert sentence.endswith("No adversary made again for that classifier has that confidence.")


def test_the_reports_claims_about_2l_are_answered_at_the_fractions_they_name(curves):
    fractions = (0.0, 0.05, 0.1, 0.15, 0.4)
    values = {
        "train_accuracy": dict(zip(fractions, (0.99, 0.99, 0.98, 0.97, 0.91), strict=True)),
        "test_accuracy": dict(zip(fractions, (0.95, 0.96, 0.94, 0.93, 0.9), strict=True)),
        ONCE: dict(zip(fractions, (0.0, 0.1, 0.2, 0.3, 0.25), strict=True)),
        RHO: dict.fromkeys(fractions, 0.2),
        WHOLE: dict.fromkeys(fractions, 0.2),
    }
    *_, answer = svd_truncation.findings(curves(values))
    assert "adversarial accuracy goes from 0.0 % to 25.0 %, test accuracy from 95.0 % to 90.0 %" in answer
    assert "train accuracy from 99.0 % to 91.0 %" in answer
    assert answer.endswith("test accuracy is 96.0 %, 94.0 %, 93.0 %.")


@pytest.fixture
def networks(row, record_of):
    rows = []
    for variant, attacked in (("N-LR", 0.1), ("1-LR", 0.2), ("2-LR", 0.3)):
        for fraction in (0.0, 0.5):
            about = {"variant": variant, "fraction": fraction, "scale": 0.0}
            rows.append(row("truncated_networks", "accuracy", 0.9 - fraction, **about))
            rows.append(row("truncated_networks", "variance_ratio", 0.95, **about, k=10))
            rows += [
                row("truncated_networks", "adversarial_accuracy", attacked + shift, **about, made=made, eps="1/255")
                for made, shift in (("again", fraction / 10), ("once", fraction))
            ]
    return record_of(rows, page="svd_truncation")


def test_weights_of_low_rank_are_told_beside_representations_of_low_rank(networks):
    first, *_, last = svd_truncation.networks(networks)
    assert first.startswith(
        "**N-LR**, 50 % of the singular values of every weight zeroed: accuracy goes from 90.0 % to"
    )
    assert "under PGD at 1/255 made again for the truncated network from 10.0 % to 15.0 %" in first
    assert "made once for the whole one from 10.0 % to 60.0 %" in first
    assert last.endswith("it is 1-LR 20.0 % at an accuracy of 90.0 %, 2-LR 30.0 % at an accuracy of 90.0 %.")
    table = report_tables.truncated_networks(networks)
    assert table.loc[("1-LR", 0.5)].tolist() == ["40.0", "25.0", "70.0", "0.950"]
    titles = [ax.get_title() for ax in plots.truncated_networks(networks).axes]
    assert titles == ["clean", "PGD, made again", "PGD, made once", "variance ratio"]


@pytest.fixture
def codes(row, record_of):
    """Rows in which the variational encoder's codes are the hardest to fool and the least accurate."""

    def make(dataset="digits"):
        values = {"image": 0.9, "AE encoding": 0.8, "AE projection": 0.7, "VAE encoding": 0.5, "VAE projection": 0.6}
        values["VAE mean"] = 0.95
        rows = []
        for code, value in values.items():
            for arch, less in (("1L", 0.02), ("2L", 0.01), ("LRL", 0.0)):
                about = {"code": code, "variant": "N-LR"}
                spaces = ("image",) if code == "image" else ("code", "image")
                found = [row("report_figure4", "accuracy", value - less, **about)]
                found += [row("report_figure5", "rho", 1 - value, space=space, **about) for space in spaces]
                six = about | ({"code": "image, another seed"} if code == "image" else {})
                found += [row("report_figure6", "adversarial_accuracy", value / 2, **six)]
                rows += [one | {"arch": arch, "dataset": dataset} for one in found]
        return record_of(rows, page="latent_space")

    return make


def by_id(table):
    names = paper.findings().set_index("sentence").id.str.removeprefix("report-")
    return table.set_axis(names[table.index].array)


def test_the_reports_orderings_are_held_against_the_rows(codes):
    stated = paper.findings()
    stated = stated[stated.artefact.isin(latent_tables.FIGURES) & (stated.dataset == "")]
    table = by_id(latent_tables.orderings(codes()))
    assert len(table) == len(stated)
    cells = table["digits"]
    assert cells["image-most-accurate"] == "89.0 against 79.0: holds"
    assert cells["ae-lrl-best-latent"] == "80.0 against 79.0: holds"
    assert cells["vae-encoding-on-par"] == "50.0 against 90.0: does not hold"
    assert cells["vae-encoding-most-robust"] == "0.500 against 0.400: holds"
    assert cells["ae-encoding-least-robust"] == "0.300 against 0.200: holds"
    assert cells["vae-encoding-best-transfer"] == "25.0 against 40.0: does not hold"
    assert table["datasets"]["mnist-easier"] == "not measured"
    assert table["datasets"]["image-most-accurate"] == "" == cells["mnist-easier"]


def test_orderings_of_datasets_are_held_against_both(codes):
    record = codes("mnist")
    record.rows.extend(row | {"dataset": "fashion-mnist", "value": row["value"] - 0.1} for row in codes().rows)
    table = by_id(latent_tables.orderings(record))
    assert table["datasets"]["mnist-easier"] == "69.0 against 59.0: holds"
    assert {"mnist", "fashion-mnist"} <= set(table.columns)


def test_every_classifier_of_codes_is_in_the_table_and_in_the_figures(codes):
    record = codes()
    table = latent_tables.classified(record)
    assert table.loc[("digits", "AE encoding", "LRL")].tolist() == ["80.0", "0.200", "0.200", "40.0"]
    for draw, panels in ((plots.latent_accuracy, 1), (plots.latent_sizes, 2), (plots.latent_transfer, 1)):
        axes = draw(record).axes
        assert len(axes) == panels
        assert axes[0].get_legend_handles_labels()[1] == ["1L", "2L", "LRL"]


def test_codes_are_told_with_the_rows_numbers(codes):
    accuracy, size, transfer, drawn = latent_space.findings(codes())
    assert "90.0 % on images; of codes 80.0 % (AE encoding), 70.0 % (AE projection)" in accuracy
    assert "0.200 (AE encoding), 0.300 (AE projection), 0.500 (VAE encoding)" in size
    assert "against 0.100 for the classifier of images" in size
    assert transfer.endswith("; of the same classifier of images from another seed 45.0 %.")
    assert "accuracy 50.0 % against 95.0 %, ρ of codes 0.500 against 0.050" in drawn
