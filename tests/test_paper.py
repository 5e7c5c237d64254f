import pytest

from lrlib import paper

GRID = 4 * 2  # radii times steps of a PGD row
ROWS = {
    "table1": 10 * (GRID + 1) + 6 * GRID + 5,  # one of the six black-box rows lost its clean accuracy
    "table2": 5 * GRID,
    "table3": 5 * 3,
    "table4": (2 + 3) * 4,
    "table5a": 3 * 2,
    "table5b": 3 * 2,
    "table6": 5 * 3,
    "table7a": 2,
    "table7b": 4 + 2,
    "table7c": 3 * 2,
    "table8": 3 * 2,
    "table9": 2 * (GRID + 1) + GRID,
    "table10": 5 * 2,
    "post_table1": 4 * GRID,
    "post_table2": 2 * 4,
}
WORDS = {
    "dataset": {"cifar10", "cifar100-coarse", "cifar100-fine", "svhn", "mnist", "fashion-mnist", "digits"},
    "arch": {"resnet18", "resnet50", "vgg19"},
    "variant": {"N-LR", "1-LR", "2-LR", "Bottle-1LR", "Bottle-2LR", "SNIP", "SRN", "SN"},
    "setting": {"white_box", "black_box"},
    "attack": {"pgd", "iterative_least_likely", "deepfool", "fgsm", ""},
    "eps": {"8/255", "10/255", "16/255", "20/255", ""},
    "steps": {7, 20},
    "probability": {0.4, 0.6, 0.8, 1.0},
    "dim": {5, 10, 20, 512, 2048, 16384},
    "metric": {"accuracy", "adversarial_accuracy", "rho", "eps_min", "noise_accuracy", "max_margin_accuracy"}
    | {"max_margin_adversarial_accuracy"},
}
PGD = ["dataset", "arch", "variant", "eps", "steps"]
EVERY = pytest.mark.parametrize("artefact", sorted(ROWS))


def values(artefact, keys, **where):
    """Printed values of the cells that match, by their keys."""
    cells = paper.table(artefact)
    for column, wanted in where.items():
        cells = cells[cells[column] == wanted]
    assert not cells.duplicated(keys).any()
    return dict(zip(cells[keys].itertuples(index=False, name=None), cells["printed"].astype(float), strict=True))


def test_every_table_on_disk_is_listed_and_no_other():
    on_disk = {path.stem for path in (paper.DATA / "paper").glob("*.csv")}
    assert set(paper.tables()) == set(ROWS) == on_disk - {"artefacts", "report_findings"}


@EVERY
def test_every_printed_cell_has_one_row(artefact):
    cells = paper.table(artefact)
    assert len(cells) == ROWS[artefact]
    assert not cells.duplicated([key for key in paper.KEYS if key in cells]).any()
    assert set(cells["artefact"]) == {artefact}


@EVERY
def test_keys_keep_one_order_and_the_vocabulary(artefact):
    cells = paper.table(artefact)
    keys = [key for key in paper.KEYS if key in cells]
    assert list(cells) == [*keys, "value", "unit", "printed", "printed_unit", "bold", "suspicious"]
    for key in set(keys) - {"artefact"}:
        assert set(cells[key].dropna()) <= WORDS[key]
    attacked = cells["metric"] == "adversarial_accuracy"
    assert not {"eps", "steps"} & set(keys) or ((cells["eps"] != "") == attacked).all()
    assert not {"eps", "steps"} & set(keys) or (cells["steps"].notna() == attacked).all()


@EVERY
def test_values_are_the_printed_numbers_and_accuracies_are_fractions(artefact):
    cells = paper.table(artefact)
    scale = cells["printed_unit"].map({"percent": 100, "fraction": 1, "": 1})
    assert (cells["value"] * scale - cells["printed"].astype(float)).abs().max() < 1e-9
    accuracies = cells["metric"].str.endswith("accuracy")
    assert ((cells["unit"] == "fraction") == accuracies).all()
    assert cells["value"].between(0, 1, inclusive="neither").all()
    assert (cells["value"][cells["metric"] == "accuracy"] > 0.75).all()


@EVERY
def test_bold_cells_are_the_best_of_their_group(artefact):
    cells = paper.table(artefact)
    if "setting" in cells and artefact in ("table1", "table9"):
        assert not cells["bold"][cells["setting"] == "black_box"].any()
        cells = cells[cells["setting"] == "white_box"]
    others = [key for key in paper.KEYS if key in cells and key != "variant"]
    best = cells["value"] == cells.groupby(others, dropna=False)["value"].transform("max")
    assert (cells["bold"] == (best & (artefact not in ("table3", "table10")))).all()


def test_table2_repeats_the_resnet50_rows_of_table1():
    table1 = values("table1", PGD, dataset="cifar10", arch="resnet50", setting="white_box", attack="pgd")
    table2 = values("table2", PGD)
    assert {key: value for key, value in table2.items() if key[2] in ("N-LR", "1-LR")} == table1


def test_the_post_repeats_table2_without_sn_and_table4_without_resnet18():
    assert values("post_table1", PGD) == {k: v for k, v in values("table2", PGD).items() if k[2] != "SN"}
    noise = ["dataset", "arch", "variant", "probability"]
    assert values("post_table2", noise) == values("table4", noise, arch="resnet50")


def test_table7c_repeats_the_uncompressed_embeddings_of_table5a():
    full = values("table5a", ["arch", "variant"], dim=2048)
    coarse = values("table7c", ["arch", "variant"], dataset="cifar100-coarse")
    assert {**coarse, **full} == coarse and len(full) == 2


def test_tables_3_6_and_10_are_about_the_same_models_and_attacks():
    keys = ["dataset", "arch", "setting", "variant", "attack"]
    table3 = set(values("table3", keys))
    assert set(values("table6", keys)) == table3
    assert set(values("table10", keys)) == {key for key in table3 if key[-1] != "deepfool"}


def test_black_box_rows_repeat_the_clean_accuracy_of_their_model_and_one_is_lost():
    model = ["dataset", "arch", "variant"]
    clean = values("table1", model, metric="accuracy", setting="white_box")
    transferred = values("table1", model, metric="accuracy", setting="black_box")
    assert {**clean, **transferred} == clean
    assert set(clean) - set(transferred) == {
        *((dataset, arch, "N-LR") for dataset in ("cifar10", "cifar100-coarse") for arch in ("resnet18", "resnet50")),
        ("cifar100-coarse", "resnet50", "1-LR"),
    }
