"""Cells that the paper makes one doubt are marked, and no others."""

import pandas as pd
import pytest

from lrlib import paper

MODEL = ["dataset", "arch", "variant"]
CELL = ["setting", *MODEL, "eps", "steps"]
RADII = ["8/255", "10/255", "16/255", "20/255"]
UNDER_PGD = pytest.mark.parametrize("artefact", ["table1", "table2", "table9", "post_table1"])


def attacked(artefact):
    """Accuracies under PGD, one column a radius, one row a model and number of steps."""
    cells = paper.table(artefact).query("attack == 'pgd'")
    return cells.pivot(index=["setting", *MODEL, "steps"], columns="eps", values="value")[RADII]


def marked(artefact, reason, keys):
    """Keys of the cells that carry this reason to doubt them."""
    cells = paper.table(artefact)
    return set(cells[cells["suspicious"] == reason][keys].itertuples(index=False, name=None))


@UNDER_PGD
def test_twenty_steps_always_hurt_more_than_seven(artefact):
    seven, twenty = (attacked(artefact).xs(steps, level="steps") for steps in (7, 20))
    assert (twenty < seven).all(axis=None)


@UNDER_PGD
def test_accuracy_falls_with_the_radius_except_where_a_cell_repeats_the_second(artefact):
    grid = attacked(artefact)
    rising = (grid.diff(axis=1) >= 0).stack()
    repeated = {(*model, eps, steps) for *model, steps, eps in rising[rising].index}
    assert repeated == marked(artefact, "repeats the 10/255 cell", CELL)
    assert all(grid.loc[(*model, steps), eps] == grid.loc[(*model, steps), "10/255"] for *model, eps, steps in repeated)


def test_the_three_repeated_cells_are_the_known_ones():
    coarse, fine = ("cifar100-coarse", "resnet50"), ("cifar100-fine", "resnet50")
    assert marked("table1", "repeats the 10/255 cell", [*CELL, "printed"]) == {
        ("white_box", *coarse, "N-LR", "20/255", 7, "34.1"),
        ("black_box", *coarse, "1-LR", "20/255", 7, "48.1"),
    }
    assert marked("table9", "repeats the 10/255 cell", [*CELL, "printed"]) == {
        ("white_box", *fine, "N-LR", "16/255", 20, "17.7"),
    }


@pytest.mark.parametrize(("artefact", "pairs"), [("table1", 8 + 2), ("table9", 2)])
def test_cells_where_the_attack_that_sees_the_model_does_worse_are_marked_on_both_sides(artefact, pairs):
    white, black = (attacked(artefact).xs(setting).stack() for setting in ("white_box", "black_box"))
    wrong = {(*model, eps, steps) for *model, steps, eps in black.index[white[black.index] > black]}
    assert len(wrong) == pairs
    assert {cell[1:] for cell in marked(artefact, "white box above black box", CELL)} == wrong
    assert {cell[1:] for cell in marked(artefact, "black box below white box", CELL)} == wrong


def test_every_resnet50_1lr_cell_of_cifar10_does_better_in_the_white_box():
    grid = attacked("table1").xs(("cifar10", "resnet50", "1-LR", 20), level=[*MODEL, "steps"])
    assert grid.loc["white_box"].tolist() == [0.785, 0.781, 0.77, 0.766]
    assert grid.loc["black_box"].tolist() == [0.568, 0.475, 0.28, 0.206]


@pytest.mark.parametrize("artefact", ["table2", "post_table1"])
def test_repeated_white_box_rows_keep_their_mark(artefact):
    cells = marked(artefact, "white box above black box", CELL)
    assert cells == {cell for cell in marked("table1", "white box above black box", CELL) if cell[1] == "cifar10"}


def test_deepfool_needs_thrice_the_perturbation_when_it_sees_the_model_and_that_is_marked():
    rho = paper.table("table3").pivot(index=["attack", "variant"], columns="setting", values="value").dropna()
    ratio = rho["white_box"] / rho["black_box"]
    odd = set(ratio[ratio > 3].index)
    assert odd == {("deepfool", "1-LR"), ("deepfool", "2-LR")} and (ratio.drop(list(odd)) < 1.1).all()
    assert marked("table3", "white box needs more than black box", ["setting", "attack", "variant"]) == {
        ("white_box", *pair) for pair in odd
    }
    assert marked("table3", "black box needs less than white box", ["setting", "attack", "variant"]) == {
        ("black_box", *pair) for pair in odd
    }


def test_accuracy_falls_with_the_noise_and_the_one_cell_below_chance_is_marked():
    for artefact in ("table4", "post_table2"):
        grid = paper.table(artefact).pivot(index=["arch", "variant"], columns="probability", values="value")
        assert (grid.diff(axis=1).iloc[:, 1:] < 0).all(axis=None)
    cells = paper.table("table4")
    below = cells[cells["value"] < 1 / 10][["arch", "variant", "probability", "printed"]]
    assert set(below.itertuples(index=False, name=None)) == {("resnet18", "N-LR", 1.0, "7.2")}
    assert marked("table4", "below chance", list(below)) == set(below.itertuples(index=False, name=None))


def test_the_one_noise_accuracy_that_two_networks_share_is_marked():
    keys = ["variant", "probability", "printed"]
    shared = marked("table4", "same value for ResNet-18 and ResNet-50", ["arch", *keys])
    assert shared == {("resnet18", "1-LR", 0.4, "75.1"), ("resnet50", "1-LR", 0.4, "75.1")}
    cells = paper.table("table4")
    assert cells[cells.duplicated(keys, keep=False)].index.size == len(shared)
    assert marked("post_table2", "same value for ResNet-18 and ResNet-50", keys) == {("1-LR", 0.4, "75.1")}


def test_replacing_the_last_block_costs_more_than_the_stated_point():
    whole = paper.table("table1").query("metric == 'accuracy' and arch == 'resnet18' and dataset == 'cifar10'")
    whole = whole.query("variant == '2-LR'")["value"].unique().item()
    reason = "stated drop below 1 point is 3.36 from table1"
    assert marked("table5b", reason, ["variant", "dim", "value"]) == {("2-LR", 16384, 0.9114)}
    assert whole - 0.9114 == pytest.approx(0.0336) and whole - 0.9114 > 0.01


def test_compressed_embeddings_lose_accuracy_in_resnets_but_not_in_vgg19():
    grids = {
        artefact: paper.table(artefact).pivot(index="variant", columns="dim", values="value").diff(axis=1).iloc[:, 1:]
        for artefact in ("table5a", "table5b", "table8")
    }
    assert (grids["table5a"] > 0).all(axis=None) and (grids["table5b"] > 0).all(axis=None)
    assert (grids["table8"][512] < 0).any()


def test_no_other_cell_is_marked():
    cells = pd.concat([paper.table(artefact) for artefact in paper.tables()])
    counts = cells[cells["suspicious"] != ""].groupby("artefact").size().to_dict()
    assert counts == {
        **{"table1": 2 + 2 * 10, "table2": 8, "table3": 2 * 2, "table4": 1 + 2, "table5b": 1, "table9": 1 + 2 * 2},
        **{"post_table1": 8, "post_table2": 1},
    }
