"""The page on the LR layer: what it measures, counts, draws and says."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lrlib import data, metrics, plots, results, sections
from lrlib.dense import Dense
from lrlib.factored import Factored
from lrlib.lowrank import LowRank
from lrlib.prose import excerpts
from lrlib.prose import lr_layer as prose
from lrlib.sections import layer_costs, layer_experiment
from lrlib.sections import lr_layer as section

CPU = torch.device("cpu")
COMMITTED = results.load(results.path("lr_layer", "quick"))
WITH, WITHOUT = "1-LR", "N-LR"


def rows(record, artefact, metric, **where):
    frame = record.frame(artefact)
    frame = frame[frame.metric == metric]
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame


# The small training


def test_the_tail_of_the_spectrum_falls_with_the_layer_and_not_without():
    rank = COMMITTED.runs[0]["parameters"]["rank"]
    frame = rows(COMMITTED, "spectrum", "energy")
    tail = frame[frame.k > rank + 1].groupby(["variant", "seed", "step"]).value.sum()
    for seed in COMMITTED.runs[0]["parameters"]["seeds"]:
        own = tail[WITH, seed]
        assert own[300] < own[10] < own[0] and own[300] < 0.1 * own[0]
        assert tail[WITHOUT, seed][300] > 0.5 * tail[WITHOUT, seed][0]


def test_both_networks_of_a_seed_are_the_same_at_step_0(measured):
    for artefact, metric in (("spectrum", "energy"), ("course", "variance_ratio"), ("course", "accuracy")):
        both = [rows(measured["lr_layer"], artefact, metric, variant=v, step=0).value.tolist() for v in (WITH, WITHOUT)]
        assert both[0] == both[1]


def test_the_twin_without_the_layer_is_trained_plainly():
    settings = section.Parameters.of(
        "quick", features=8, rank=2, before=3, steps=20, shown=[0], directions=6
    ).settings()
    dataset = data.load("digits")
    *_, (step, network, layer) = layer_experiment.watched(dataset, settings, with_layer=False, seed=3, device=CPU)
    assert (step, layer) == (20, None)
    torch.manual_seed(3)
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 10))
    optimizer = torch.optim.SGD(own.parameters(), lr=settings.learning_rate, momentum=0.9)
    generator = torch.Generator().manual_seed(3)
    for _ in range(3 + 20):
        index = torch.randint(len(dataset.x_train), (settings.batch_size,), generator=generator)
        loss = torch.nn.functional.cross_entropy(own(dataset.x_train[index] / 255), dataset.y_train[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for ours, theirs in zip(network.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_energies_are_shares_and_their_sum_is_the_variance_ratio(measured):
    record = measured["lr_layer"]
    ratio = rows(record, "course", "variance_ratio").set_index(["variant", "seed", "step"]).value
    energy = rows(record, "spectrum", "energy")
    leading = energy[energy.k <= 2 + 1].groupby(["variant", "seed", "step"]).value.sum()
    assert (leading - ratio).abs().max() < 1e-5
    for _, own in energy.groupby(["variant", "seed", "step"]):
        assert own.sort_values("k").value.is_monotonic_decreasing and own.value.between(0, 1).all()


@pytest.mark.parametrize("record", [COMMITTED], ids=["committed"])
def test_w_is_of_rank_r_at_most_after_each_cut_and_above_it_between(record):
    rank = record.runs[0]["parameters"]["rank"]
    ranks = rows(record, "window", "rank_of_W")
    assert sorted(set(ranks.step)) == list(range(21))
    assert (ranks[ranks.step % 10 == 0].value <= rank).all()
    assert (ranks[ranks.step % 10 != 0].value > rank).all()
    assert (rows(record, "window", "tail", step=20).value < 1e-5).all()


def test_the_projection_loss_falls():
    loss = rows(COMMITTED, "course", "projection_loss").groupby("step").value.mean()
    assert loss[300] < 0.1 * loss[0]


# Projections and costs


def test_no_projection_has_a_smaller_error_than_the_exact_one(measured):
    for record in (COMMITTED, measured["lr_layer"]):
        error = rows(record, "projection", "error").set_index(["seed", "alternative"]).value
        of_rank = rows(record, "projection", "rank_of_result").set_index(["seed", "alternative"]).value
        for (seed, name), value in error.items():
            if name != "ensemble as written":  # whose rank may be larger
                assert value >= error[seed, "exact"] * (1 - 1e-5)
                assert of_rank[seed, name] <= of_rank[seed, "exact"]


def test_the_exact_error_is_that_of_the_discarded_eigenvalues():
    W, rank = layer_costs.matrix(40, 16, 0, CPU)
    d = np.sort(np.abs(np.linalg.eigvalsh(W.double().numpy())))[::-1]
    found = layer_costs.cuts(W, rank, 0)["exact"]().dense()
    assert rank == round(100 / 512 * 40)
    assert torch.linalg.matrix_norm(W - found).item() == pytest.approx(np.sqrt((d[rank:] ** 2).sum()), rel=1e-3)


def content(matrix):
    return sum(value.numel() for value in matrix.content().values())


@pytest.mark.parametrize("form", ["dense", "factored"])
def test_the_counted_numbers_are_those_that_a_layer_keeps(form):
    m, rank, batch, cut_every = 30, 3, 4, 5
    layer = LowRank(m, rank, form=form, cut_every=cut_every + 1)
    for _ in range(cut_every):
        layer(torch.randn(batch, m))
        layer.step()
    assert isinstance(layer.matrix, Dense if form == "dense" else Factored)
    assert content(layer.matrix) == layer_costs.costs(m, rank, batch, cut_every)[form].floats


@pytest.mark.parametrize("form", ["dense", "factored"])
def test_the_counted_multiplications_are_those_that_torch_counts(form):
    m, rank, batch, cut_every = 64, 3, 8, 4
    matrix = Factored.projector(torch.linalg.qr(torch.randn(m, rank))[0].T)
    if form == "dense":
        matrix = Dense(matrix.dense())
    counted = 0
    for _ in range(cut_every):
        a = torch.randn(batch, m, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            loss, seen = matrix.loss(a)
            loss.backward()
            matrix.descend_(seen, torch.tensor(0.01))
        counted += counter.get_total_flops() // 2
    assert layer_costs.costs(m, rank, batch, cut_every)[form].multiplications == counted // cut_every


def test_times_are_of_every_projection_and_in_no_record():
    small = section.Parameters.of("quick", size=32)
    seconds = section.seconds(small)
    table = prose.timed(COMMITTED, seconds)
    assert list(table.index) == list(seconds) and min(seconds.values()) > 0
    assert table.loc["exact", "over the exact one's"] == "1.00"
    assert not any("second" in row["metric"] for row in COMMITTED.rows)


# Parameters


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rank": 64}, "expected rank to be at most 63, because of one less than features, got 64"),
        ({"directions": 65}, "expected directions to be at most 64, because of features and examples, got 65"),
        ({"shown": [301]}, "expected shown to be at most 300, because of steps, got 301"),
        ({"directions": 5}, "expected directions to be above 5, rank + 1, got 5"),
        ({"steps": 19}, "expected steps to be a whole number from 20 on, got 19"),
        ({"lambda_c": 0.0}, "expected lambda_c to be a number above 0, got 0.0"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(ValueError) as error:
        section.Parameters.of("quick", **given)
    assert str(error.value) == message


def test_the_shift_is_a_direction_of_its_own():
    """Points of an affine plane span its directions and the shift: why the page looks behind direction r + 1."""
    a = torch.randn(50, 2) @ torch.randn(2, 8) + torch.randn(8)
    assert metrics.variance_ratio(a, 3).item() == pytest.approx(1)
    assert metrics.variance_ratio(a, 2).item() < 1 - 1e-4


# Excerpts


@pytest.mark.parametrize("name", prose._LINES)
def test_every_excerpt_consists_of_lines_of_the_sources(name):
    text = prose.code(name)
    _, block, place = text.split("```")
    file = place.strip().split("`")[1]
    source = [line.strip() for line in (results.provenance.ROOT / file).read_text().splitlines()]
    for line in block.removeprefix("python\n").splitlines():
        assert line.strip() in ("...", "") or any(one.startswith(line.strip()) for one in source), line


def stepping(value):
    """A function to take lines from."""
    if value > 1:
        value = 2
        kept = value
    else:
        kept = value + 1
    value = kept
    return value


def test_an_excerpt_shows_the_heads_of_the_blocks_and_what_is_left_out():
    code = excerpts.excerpt(stepping, "kept = value + 1", "return")
    assert code.split("```")[1] == "python\nif value > 1:\n    ...\nelse:\n    kept = value + 1\n...\nreturn value\n"
    assert code.endswith("`tests/test_lr_layer_page.py`, `stepping`")


@pytest.mark.parametrize(("fragment", "count"), [("nope", 0), ("kept = value", 2)])
def test_a_fragment_that_does_not_single_out_a_statement_is_refused(fragment, count):
    with pytest.raises(ValueError, match=rf"^expected one statement with '{fragment}', got {count}$"):
        excerpts.excerpt(stepping, fragment)


def test_an_unknown_step_has_no_code():
    with pytest.raises(ValueError, match=r"^expected one of activations, .*, got 'nope'$"):
        prose.code("nope")


# Figures and words


def test_a_line_for_each_step_without_the_layer_and_with_it(measured):
    left, right = plots.collapse(measured["lr_layer"]).axes
    assert [line.get_label() for line in right.get_lines()][:2] == ["step 0", "step 20"]
    energy = rows(measured["lr_layer"], "spectrum", "energy", variant=WITH, step=20).groupby("k").value.mean()
    assert right.get_lines()[1].get_ydata() == pytest.approx(energy.to_numpy())
    assert left.get_ylim() == right.get_ylim()


def test_the_course_and_the_window_have_a_panel_for_each_number(measured):
    titles = [ax.get_title() for ax in plots.course(measured["lr_layer"]).axes]
    assert titles == ["variance ratio at 3", "accuracy", "losses of the layer"]
    assert [ax.get_title() for ax in plots.window(measured["lr_layer"]).axes] == [
        "rank of W",
        "share of |W| beyond rank r",
    ]


def test_the_picture_of_the_idea_names_its_parts_and_has_no_ground():
    figure = plots.idea()
    said = " ".join(text.get_text() for text in figure.axes[0].texts)
    for part in ("x", "activations", "LR layer", "W, b", "ℒc", "ℒn", "rank r", "gradients"):
        assert part in said
    assert figure.patch.get_alpha() == 0
    assert plots.idea_svg() == plots.idea_svg() and plots.idea_svg().startswith("<?xml")


def test_what_is_counted_says_which_form_is_smaller_at_which_size():
    said = prose.counted(COMMITTED)
    own, paper = said.removeprefix("Counted: ").split("; ")
    assert "64 activations" in own and "16,384 activations" in paper
    wide = layer_costs.costs(16_384, 500, 128)
    assert f"{wide['factored'].floats / wide['dense'].floats:.3g} times the numbers" in paper
    assert wide["factored"].floats < wide["dense"].floats


def test_the_page_is_the_first_after_the_first_one():
    assert sections.PAGES[0] == "lr_layer"
