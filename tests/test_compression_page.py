"""Table 6, table 7(c), figure 8 and the sizes: what is measured on what, and how it is shown."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lrlib import data, metrics, models, paper, plots, sections
from lrlib.packing import pack_points, unpack_points
from lrlib.prose import compression as prose
from lrlib.runs import Run
from lrlib.sections import compression, hybrids
from lrlib.tables import sections as section_tables

Parameters = compression.Parameters


# Sizes


def test_what_is_replaced_are_the_modules_behind_the_tap():
    model = models.build("resnet18", classes=10, width=4)
    block = sum(p.numel() for part in (model.layer4, model.fc) for p in part.parameters())
    assert hybrids.behind(model, "layer3", channels=3, size=32) == block
    assert hybrids.behind(model, "avgpool", channels=3, size=32) == sum(p.numel() for p in model.fc.parameters())


def test_the_papers_network_has_the_size_that_the_paper_states(measured):
    """8.4 million parameters are replaced by 0.02 times as many (section 3.3)."""
    frame = measured["compression"].frame("model_size")
    full = frame[(frame.width == 64) & (frame.tap == "layer3")].set_index(["counted", "seed"]).value
    assert round(full["replaced", 0] / 1e6, 1) == 8.4
    assert full["linear", 0] == 10 * (16_384 + 1) and round(full["linear", 0] / full["replaced", 0], 2) == 0.02
    assert full["linear on 20 components", 0] == 20 * 16_384 + 16_384 + 10 * (20 + 1)


# Under attack


def test_the_examples_of_table_6_are_those_of_appendix_d5():
    """Each LR model's own and N-LR's stopped by it; N-LR's hybrid is shown N-LR's stopped by 1-LR, and its own."""
    pairs = list(hybrids._pairs())
    white = {shown: (source, victim) for source, victim, shown, setting in pairs if setting == "white_box"}
    black = {shown: (source, victim) for source, victim, shown, setting in pairs if setting == "black_box"}
    assert white == {"2-LR": ("2-LR", "2-LR"), "1-LR": ("1-LR", "1-LR"), "N-LR": ("N-LR", "1-LR")}
    assert black == {"2-LR": ("N-LR", "2-LR"), "1-LR": ("N-LR", "1-LR")}
    assert [pair for pair in pairs if pair[3] == "own_stop"] == [("N-LR", "N-LR", "N-LR", "own_stop")]


def test_only_examples_that_fooled_a_network_that_was_right_are_shown_to_its_hybrid(measured):
    frame = measured["compression"].frame("table6")
    keys = ["variant", "seed", "setting", "attack"]
    success = frame[frame.metric == "success_rate"].set_index(keys)
    shown = frame[frame.metric == "max_margin_adversarial_accuracy"].set_index(keys)
    assert set(shown.tap) == {"avgpool", "layer3"}
    for key, row in shown.iterrows():
        assert row.n == round(success.value[key] * success.n[key])


def test_through_the_hybrid_each_is_shown_the_examples_of_both(measured):
    frame = measured["compression"].frame("hybrid_attack")
    pairs = set(zip(frame[frame.eps != "0"].answers, frame[frame.eps != "0"].gradients, strict=True))
    at = [f"hybrid at {tap}" for tap in ("avgpool", "layer3")]
    own = [(one, one) for one in ("network", *at)]
    assert pairs == {*own, *((one, "network") for one in at), *(("network", one) for one in at)}
    clean = frame[(frame.eps == "0") & (frame.answers == "network")]
    assert (clean.gradients == "network").all() and len(clean) == 2 * 3


def test_clean_hybrids_are_those_of_the_tables(measured, tiny):
    """On the same images both have the same accuracy, as one network and as scikit-learn's pipeline."""
    record = measured["compression"]
    attacked, table = record.frame("hybrid_attack"), record.frame("table5a")
    ours = attacked[(attacked.eps == "0") & (attacked.answers == "hybrid at avgpool")].set_index(["variant", "seed"])
    full = table[table.dim == table.dim.max()].set_index(["variant", "seed"])
    assert (ours.n == full.n).all() and ours.value.to_dict() == full.value.to_dict()


# Coarse to fine


@pytest.fixture
def coarse(monkeypatch):
    """Images of two coarse and four fine classes, told apart by their first two pixels."""
    generator = torch.Generator().manual_seed(0)

    def part(n):
        fine = torch.arange(n) % 4
        x = torch.randint(100, (n, 1, 1, 4), generator=generator, dtype=torch.uint8)
        x[:, 0, 0, 0] += (100 * (fine // 2)).byte()
        x[:, 0, 0, 1] += (100 * (fine % 2)).byte()
        return x, fine

    (x, y), (x_test, y_test) = part(80), part(40)
    fine = data.describe(compression.FINE, (x, y), (x_test, y_test), classes="abcd")
    rough = data.describe(compression.COARSE, (x, y // 2), (x_test, y_test // 2), classes="ab")
    monkeypatch.setattr(compression.data, "load", lambda name: {compression.FINE: fine}[name])
    run = Run("compression", "paper", {"seeds": [0]}, "cpu")
    spec = SimpleNamespace(dataset=compression.COARSE, arch="resnet50", width=64, variant="1-LR", seed=0)
    return SimpleNamespace(run=run, dataset=rough), SimpleNamespace(spec=spec), fine


def as_features(x):
    return data.as_float(x).flatten(1)


def test_the_same_representations_are_classified_by_coarse_and_by_fine_labels(coarse):
    bench, one, fine = coarse
    compression._transfer(bench, one, "avgpool", as_features(fine.x_train), as_features(fine.x_test))
    rows = {row["dataset"]: row for row in bench.run.rows}
    assert set(rows) == {compression.COARSE, compression.FINE}
    for name, labels in ((compression.COARSE, bench.dataset), (compression.FINE, fine)):
        expected = metrics.max_margin_accuracy(
            as_features(fine.x_train), labels.y_train, as_features(fine.x_test), labels.y_test
        )
        assert rows[name]["value"] == pytest.approx(expected, abs=1e-6) and expected > 0.9
        assert rows[name]["artefact"] == "table7c" and rows[name]["n"] == 40
    assert bench.run.datasets == {compression.FINE: fine.fingerprint}


def test_fine_labels_of_other_images_are_refused(coarse):
    bench, one, fine = coarse
    bench.dataset = replace(bench.dataset, x_train=bench.dataset.x_train.flip(0))
    with pytest.raises(ValueError, match="expected cifar100-fine to have the images of cifar100-coarse in their order"):
        compression._transfer(bench, one, "avgpool", as_features(fine.x_train), as_features(fine.x_test))


def test_where_cifar_100_is_missing_the_transfer_is_skipped_with_a_word(measured):
    assert (
        prose.transfer({"this run": measured["compression"]}) == "Skipped: at `quick`, needs CIFAR-100 and ResNet-50."
    )
    printed = section_tables.beside("table7c", {}, keys=["dataset", "variant"], metric="max_margin_accuracy")
    assert len(printed) == 6 and list(printed.columns) == ["paper"]


def test_the_bottleneck_is_needed_for_the_transfer_alone():
    needed = {spec.variant for spec in compression.specs(Parameters.of("paper", dataset=compression.COARSE))}
    assert needed == set(paper.table("table7c").variant) | {"2-LR"}
    assert "Bottle-1LR" not in {spec.variant for spec in compression.specs(Parameters.of("paper"))}


# Figures and tables


def test_points_are_unpacked_to_a_fraction_of_their_range():
    points = np.random.default_rng(0).normal(size=(50, 2)) * [1, 100] + [5, -3]
    labels = np.arange(50) % 20
    found, again = unpack_points(pack_points(points, labels))
    assert np.abs(found - points).max(axis=0) == pytest.approx([0, 0], abs=100 * 8 / 65_535)
    assert (again == labels).all()
    constant, _ = unpack_points(pack_points(np.ones((3, 2)), np.zeros(3, dtype=int)))
    assert (constant == 1).all()


def test_the_plane_shows_the_first_seeds_points_in_the_colours_of_their_classes(measured):
    record = measured["compression"]
    axes = plots.plane(record).axes
    assert [ax.get_title() for ax in axes] == ["N-LR", "1-LR", "2-LR"]
    (cloud,) = axes[0].collections
    row = next(row for row in record.rows if row["artefact"] == "figure8" and row["variant"] == "N-LR")
    points, labels = unpack_points(row["points"])
    np.testing.assert_allclose(cloud.get_offsets(), points)
    assert row["seed"] == 0 and len(points) == 40
    colours = {tuple(colour) for colour in cloud.get_facecolors()}
    assert len(colours) == len(set(labels.tolist()))
    assert not any(row.get("points") for row in record.rows if row["seed"] == 1)


def test_dimensions_make_the_rows_and_variants_the_columns(measured):
    records = {"this run": measured["compression"]}
    table = section_tables.by_dimension("table5b", records)
    assert table.index.tolist() == [5, 10, 20, 64, 16_384]
    assert table.loc[10, ("2-LR", "paper")] == "75.0" and table.loc[10, ("2-LR", "this run")] == ""
    assert "±" in table.loc[5, ("N-LR", "this run")] and table.loc[5, ("1-LR", "this run")]
    assert list(section_tables.by_dimension("table8", records).columns) == [("N-LR", "paper"), ("2-LR", "paper")]


def test_sizes_and_attacks_stand_in_tables(measured):
    records = {"this run": measured["compression"]}
    assert section_tables.sizes(records).loc[("resnet18", 64, "layer3", "linear"), "this run"] == "163,850"
    table = section_tables.end_to_end(records)
    assert table.loc[("0", "network", "network")].notna().all() and len(table) == 3 + 7
    assert section_tables.sizes({}).empty and section_tables.end_to_end({}).empty


def test_table_6_is_told_with_n_lr_of_either_kind(row, record_of):
    shown = {"2-LR": 0.5, "1-LR": 0.4, "N-LR": 0.1}
    rows = [
        row(
            "table6",
            "max_margin_adversarial_accuracy",
            value,
            variant=name,
            setting=setting,
            attack="pgd",
            tap="avgpool",
        )
        for setting, values in (("white_box", shown), ("own_stop", {"N-LR": 0.45}))
        for name, value in values.items()
    ]
    (line,) = prose._fooled(record_of(rows, page="compression").frame())
    assert "50.0 % (one seed) for 2-LR, 40.0 % (one seed) for 1-LR, 10.0 % (one seed) for N-LR right" in line
    assert "its max-margin model has 45.0 % (one seed)." in line
    assert "With the former, the accuracy is above that of N-LR in 1 of 1 seeds for 2-LR and in 1 of 1 seeds" in line
    assert line.endswith("in 1 of 1 seeds for 2-LR and in 0 of 1 seeds for 1-LR.")


def test_a_seed_in_which_nothing_fooled_n_lr_is_not_compared(row, record_of):
    def shown(variant, seed, value, setting="white_box"):
        about = {"setting": setting, "attack": "pgd", "tap": "avgpool"}
        return row("table6", "max_margin_adversarial_accuracy", value, variant=variant, seed=seed, **about)

    rows = [shown(name, seed, value) for seed in (0, 1) for name, value in {"2-LR": 0.5, "1-LR": 0.4}.items()]
    rows += [shown("N-LR", 0, 0.1), shown("N-LR", 1, 0.45, "own_stop")]
    (line,) = prose._fooled(record_of(rows, page="compression").frame())
    former, latter = line.split("With the former")[1].split("With the latter")
    assert former.count("in 1 of 1 seeds") == 2 and latter.count("of 1 seeds") == 2
    assert "in 1 of 1 seeds for 2-LR and in 0 of 1 seeds for 1-LR" in latter


def test_attacks_through_the_hybrid_are_told_in_the_order_of_their_making(measured):
    lines = [line for line in prose.findings(measured["compression"]) if line.startswith("**Through")]
    assert len(lines) == 2 and "**Through the hybrid at avgpool**" in lines[0] and "at 16/255" in lines[0]


@pytest.mark.parametrize("arch", models.PLACED)
def test_the_taps_are_those_of_the_papers_tables(arch):
    """Table 5(b)'s 16,384 and table 5(a)'s 2,048 and table 8's 512 dimensions at full width."""
    model = models.build(arch, classes=10)
    found = {
        table: models.widths(model, [tap], channels=3, size=32)[tap] for table, tap in compression.places(arch).items()
    }
    printed = {table: int(paper.table(table).dim.max()) for table in found}
    assert found == printed | ({"table5a": 512} if arch == "resnet18" else {})


def test_more_components_than_images_are_refused():
    with pytest.raises(ValueError, match="expected dim of at most 15, the number of training images, got 20"):
        Parameters.of("quick", train_examples=15)
    with pytest.raises(ValueError, match=r"expected 1 <= dim <= 3 for features of shape \(3, 5\), got dim=4"):
        metrics.fit_max_margin(torch.eye(3, 5), torch.arange(3), dim=4)


def test_a_class_without_a_training_image_is_named(tiny):
    parameters = Parameters.of("quick", seeds=[0], train_examples=20)
    with pytest.raises(
        ValueError, match=r"^expected an example of each class of digits among the first 20 train images"
    ):
        sections.get("compression").measure(parameters, progress=False)
