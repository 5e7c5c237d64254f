"""The page on calibration: its settings, units, fit and verdict."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import _shrink

from lrlib import attacks, data, metrics, paper, plots, results, sections, zoo
from lrlib.prose import calibration as prose
from lrlib.sections import calibrated, calibration
from lrlib.sections.measuring import Bench
from lrlib.sections.protocol import Attack, Fast, Protocol, in_pixels, is_step, step
from lrlib.tables import own as own_tables

SMALL = {"seeds": [0], "examples": 20, "screened": 4, "finalists": 2, "compared": 8, "measure": True}


@pytest.fixture(scope="module")
def record(tiny_models):
    with pytest.MonkeyPatch.context() as monkeypatch:
        _shrink(monkeypatch, tiny_models)
        monkeypatch.setattr(calibration, "settings", lambda: FEW)
        parameters = calibration.Parameters.of("quick", **SMALL)
        return calibration.measure(parameters, device="cpu", progress=False)


FEW = [
    Protocol(unit, "4/255", random_start=start, until_fooled=frozen, clip=True)
    for unit in ("pixel", "normalized")
    for start in (True, False)
    for frozen in (True, False)
]


# Settings


def test_every_combination_is_tried_once():
    tried = calibration.settings()
    assert len(set(tried)) == len(tried) == 3 * 4 * 2 * 2 * 2
    assert calibrated.stated("small") in tried and calibrated.stated("quick") in tried


@pytest.mark.parametrize(
    ("text", "eps", "expected"), [("1/255", 0.1, 1 / 255), ("0.01", 0.1, 0.01), ("eps/4", 0.1, 0.025)]
)
def test_a_step_is_a_number_or_a_part_of_the_radius(text, eps, expected):
    assert is_step(text) and step(text, eps) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["eps", "eps/0", "eps/x", "4/eps", "2", "-1/255", ""])
def test_what_is_no_step(text):
    assert not is_step(text)


def test_units_are_the_deviations_over_all_pixels_and_within_an_image():
    digits = data.load("digits")
    pixels = digits.x_train.double().numpy() / 255
    assert in_pixels(digits, "pixel").item() == 1
    assert in_pixels(digits, "normalized").item() == pytest.approx(pixels.std(), rel=1e-3)
    within = pixels.reshape(len(pixels), -1).std(axis=1, ddof=1).mean()
    assert in_pixels(digits, "normalized by image").item() == pytest.approx(within, rel=1e-5)


def test_an_attack_in_normalized_units_is_the_attack_on_normalized_images():
    """Radius and step of the protocol, applied to what the network sees behind its first layer."""
    std = torch.tensor([0.25, 0.5, 0.2]).view(-1, 1, 1)
    weights = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))

    def behind(z):
        return z.flatten(1) @ weights.T

    x = 0.3 + 0.4 * torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([0, 1, 2, 0, 1])
    protocol = Protocol("normalized", "0.02", random_start=False, until_fooled=False, clip=False)
    attack = Attack(lambda z: behind(z / std), protocol, std)
    x_adv = attack.after(x, y, torch.Generator(), eps=0.05, steps=4)
    z = x / std
    lower, upper = z - 0.05, z + 0.05
    moved = z.clone()
    for _ in range(4):
        moved = (moved + 0.02 * attacks.gradient(behind, moved, y).sign()).clamp(lower, upper)
    torch.testing.assert_close(x_adv / std, moved)


def test_fast_networks_answer_in_fp32_and_nearly_the_same(measured, tiny):
    one = zoo.find(sections.get("adversarial").Parameters.of("quick").spec("N-LR", 0))
    x = data.as_float(data.load("digits").x_test[:50])
    with torch.no_grad():
        exact, fast = one.model(x), Fast(one.model)(x)
    assert fast.dtype == torch.float32 and (fast - exact).norm() < 0.05 * exact.norm()


# The fit


def test_the_target_is_the_papers_row_of_n_lr():
    wanted = calibrated.target()
    assert len(wanted) == len(calibration.EPS) * len(calibration.STEPS)
    for (eps, steps), value in wanted.items():
        where = {"arch": "resnet18", "dataset": "cifar10", "variant": "N-LR", "setting": "white_box"}
        assert value == pytest.approx(float(paper.printed("table1", eps=eps, steps=steps, **where)) / 100)


def made_up(row, record_of, offsets):
    """A record in which each setting is off the target by a number of its own at each stage."""
    rows = [
        row("calibration", "adversarial_accuracy", value + off, stage=stage, eps=eps, steps=steps, **asdict(protocol))
        for stage, offs in offsets.items()
        for protocol, off in offs.items()
        for (eps, steps), value in calibrated.target().items()
    ]
    return record_of(rows, page="calibration")


A, B = FEW[0], FEW[5]


def test_the_residual_is_the_root_mean_square_difference(row, record_of):
    record = made_up(row, record_of, {"fitted": {A: 0.3, B: -0.1}})
    record.rows[0]["value"] += 0.1  # one of A's eight cells is off by 0.4
    table = calibrated.residuals(record, "fitted")
    assert [calibrated.protocol_of(one) for _, one in table.iterrows()] == [B, A]
    assert table.residual.tolist() == pytest.approx([0.1, np.sqrt((7 * 0.3**2 + 0.4**2) / 8)])


def test_a_row_of_residuals_gives_back_its_setting(row, record_of):
    table = calibrated.residuals(
        made_up(row, record_of, {"fitted": dict.fromkeys(calibration.settings(), 0.1)}), "fitted"
    )
    assert {calibrated.protocol_of(one) for _, one in table.iterrows()} == set(calibration.settings())


@pytest.mark.parametrize(("off", "identified"), [(0.049, True), (0.051, False)])
def test_a_fit_counts_if_it_also_holds_on_other_images(row, record_of, off, identified):
    record = made_up(
        row, record_of, {"screened": {A: 0.0, B: 0.2}, "fitted": {A: 0.01, B: 0.2}, "tested": {A: off, B: 0}}
    )
    assert calibrated.chosen(record) == (A if identified else None)
    said = " ".join(prose.findings(record))
    assert ("not identified" in said) != identified
    used = A if identified else calibrated.stated("quick")
    assert said.endswith(f"**Used on the page on attacks** at `quick`: {prose.words(used)}.")


def test_the_pages_on_attacks_use_what_was_identified(row, record_of, monkeypatch):
    good = made_up(row, record_of, {stage: {A: 0.0} for stage in ("screened", "fitted", "tested")})
    bad = made_up(row, record_of, {stage: {A: 0.1} for stage in ("screened", "fitted", "tested")})
    for record, used in ((good, A), (bad, calibrated.stated("quick"))):
        monkeypatch.setattr(results, "committed", lambda page, record=record: {"quick": record})
        for page in ("adversarial", "audit"):
            assert sections.get(page).Parameters.of("quick").protocol() == used
    monkeypatch.setattr(results, "committed", lambda page: {})
    assert sections.get("adversarial").Parameters.of("small").protocol() == calibrated.stated("small")


# What is measured


def test_every_setting_is_screened_and_the_closest_are_fitted(record):
    counts = {stage: len(calibrated.residuals(record, stage)) for stage in ("screened", "fitted", "tested")}
    assert counts["screened"] == len(FEW) and counts["fitted"] in (2, 3) and counts["tested"] in (1, 2)
    closest = calibrated.residuals(record, "screened")[calibrated.SETTING].head(2).to_numpy().tolist()
    fitted = calibrated.residuals(record, "fitted")[calibrated.SETTING].to_numpy().tolist()
    assert all(one in fitted for one in closest)
    assert set(record.frame("calibration").groupby("stage").n.first().items()) == {
        ("screened", 4),
        ("fitted", 20),
        ("tested", 20),
    }


def test_each_stage_is_measured_on_its_own_images(tiny, monkeypatch):
    """The stages share names of attacks and numbers of images, and must not share results."""
    monkeypatch.setattr(calibration, "settings", lambda: FEW)
    seen, correct = [], metrics.correct

    def watched(model, x_adv, y):
        seen.append(tuple(y.tolist()))
        return correct(model, x_adv, y)

    monkeypatch.setattr(metrics, "correct", watched)
    calibration.measure(calibration.Parameters.of("quick", **SMALL), device="cpu", progress=False)
    labels = tuple(data.load("digits").y_test.tolist())
    assert {labels[:4], labels[:20], labels[20:40]} <= set(seen)


def test_an_accuracy_is_that_of_the_attack_it_names(record, tiny):
    frame = record.frame("calibration")
    frame = frame[frame.stage == "screened"]
    one = zoo.find(calibration.Parameters.of("quick").spec("N-LR", 0))
    digits = data.load("digits")
    x, y = data.as_float(digits.x_test[:4]), digits.y_test[:4]
    for frozen in (True, False):
        chosen = replace(FEW[0], random_start=False, until_fooled=frozen)
        own = frame[(frame[calibrated.SETTING] == list(asdict(chosen).values())).all(axis=1)]
        x_adv = attacks.pgd(
            one.model, x, y, eps=20 / 255, step_size=4 / 255, steps=7, random_start=False, until_fooled=frozen
        )
        value = own[(own.eps == "20/255") & (own.steps == 7)].value.item()
        assert value == pytest.approx(metrics.accuracy(one.model, x_adv, y))


def test_the_difference_is_how_much_less_the_bf16_attack_leaves(row, record_of):
    rows = [
        row("precision", "adversarial_accuracy", value, variant=variant, eps="8/255", precision=precision)
        for variant, values in {"N-LR": (0.30, 0.29), "1-LR": (0.40, 0.405)}.items()
        for precision, value in zip(("fp32", "bf16"), values, strict=True)
    ]
    gaps = calibrated.differences(record_of(rows, page="calibration"))
    assert gaps.to_dict() == {("1-LR", "8/255"): pytest.approx(-0.005), ("N-LR", "8/255"): pytest.approx(0.01)}
    (said,) = prose.precision(record_of(rows, page="calibration"))
    assert "N-LR +1.00" in said and "1-LR −0.50" in said and "bf16 may not stand in" in said


@pytest.mark.parametrize(("gap", "used"), [(0.0, "bf16"), (0.003, "bf16"), (-0.0031, "fp32")])
def test_the_pages_on_attacks_use_bf16_only_where_the_record_shows_that_it_may(row, record_of, monkeypatch, gap, used):
    rows = [
        row("precision", "adversarial_accuracy", value, eps="8/255", precision=precision)
        for precision, value in (("fp32", 0.5), ("bf16", 0.5 - gap))
    ]
    fitted = made_up(row, record_of, {stage: {A: 0.0} for stage in ("screened", "fitted", "tested")}).rows
    record = record_of([*fitted, *rows], page="calibration", preset="small")
    monkeypatch.setattr(results, "committed", lambda page: {"small": record})
    for page in ("adversarial", "audit"):
        assert sections.get(page).Parameters.of("small").precision == used
        assert sections.get(page).Parameters.of("paper").precision == "fp32"  # not compared there


def test_more_images_than_half_of_the_test_set_leave_none_to_test_the_fit_on(tiny):
    half = len(data.load("digits").x_test) // 2
    with pytest.raises(ValueError, match=f"^expected examples to be at most {half}, half of the test images, got "):
        calibration.measure(calibration.Parameters.of("quick", **SMALL | {"examples": half + 1}), progress=False)


def test_both_arithmetics_start_from_the_same_draw(tiny, monkeypatch):
    parameters = calibration.Parameters.of("quick", **SMALL)
    bench = Bench("calibration", parameters, device="cpu", dataset="digits", progress=False)
    one, states, after = bench.trained(parameters.spec("N-LR", 0)), [], Attack.after

    def watched(attack, x, y, generator, **more):
        states.append(generator.get_state())
        return after(attack, x, y, generator, **more)

    monkeypatch.setattr(Attack, "after", watched)
    calibration._compare(bench, parameters, one, bench.x[:8], bench.y[:8])
    bench.record()  # ends the journal
    assert len(states) == 2 and torch.equal(*states)


def test_where_bf16_is_not_compared_the_page_says_so(row, record_of):
    record = made_up(row, record_of, {stage: {A: 0.0} for stage in ("screened", "fitted", "tested")})
    assert prose.precision(record) == ["Not compared: the machine of this record has no bf16 of its own."]


def test_table_and_figure_show_the_fit(row, record_of):
    offsets = {"screened": {A: 0.1, B: 0.2}, "fitted": {A: 0.1, B: 0.2}, "tested": {A: 0.15}}
    record = made_up(row, record_of, offsets)
    table = own_tables.calibration(record)
    assert table["distance, images of the fit"].tolist() == ["10.0", "20.0"]
    assert table["distance, other images"].tolist() == ["15.0", ""]
    axes = plots.calibration(record).axes
    for ax, steps in zip(axes, calibration.STEPS, strict=True):
        lines = {line.get_label(): line for line in ax.get_lines()}
        wanted = [calibrated.target()[eps, steps] for eps in calibration.EPS]
        assert lines["paper"].get_ydata().tolist() == wanted
        shown = lines["closest in pixel"].get_ydata()
        assert shown.tolist() == pytest.approx([value + 0.1 for value in wanted])
