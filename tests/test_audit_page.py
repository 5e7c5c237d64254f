"""The audit: its attacks stay in their ball, its verdicts follow from the rows, its controls are told apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import _shrink
from scipy import stats

from lrlib import attacks, data, plots, presets, results, zoo
from lrlib.packing import pack_bits, survived
from lrlib.prose import audit as prose
from lrlib.sections import audit, auditing, verdicts
from lrlib.sections.auditing import Audited, Ball
from lrlib.tables import own as own_tables

TINY = {
    "seeds": [0, 1],
    "examples": 30,
    "costly": 6,
    "steps": [3, 4, 5],
    "restarts": 3,
    "patience": 2,
    "radii": ["8/255", "64/255", "1"],
    "measure": True,
}


@pytest.fixture(scope="module")
def record(tiny_models):
    with pytest.MonkeyPatch.context() as monkeypatch:
        _shrink(monkeypatch, tiny_models)
        return audit.measure(audit.Parameters.of("quick", **TINY), device="cpu", progress=False)


@pytest.fixture
def network(tiny):
    """A stored network of width 4, and some digits that it gets right."""
    one = zoo.find_or_train(presets.spec("quick", "N-LR", 0), progress=False)
    digits = data.load("digits")
    x, y = data.as_float(digits.x_test), digits.y_test
    with torch.no_grad():
        right = one.model(x).argmax(dim=1) == y
    return one, x[right][:20], y[right][:20]


# The attacks


def strong(audited, ball):
    found = dict(auditing.gradient_attacks(audited, ball, precision="fp32", steps=5))
    found["float64"] = auditing.precise(audited, ball, steps=5)
    found["AutoAttack"] = auditing.ensemble(audited, ball)
    found["restarts"] = auditing.restarted(audited, ball, steps=3, restarts=3, patience=2, precision="fp32")
    found["long"] = auditing.long(audited, ball, steps=6, precision="fp32")
    found["transfer"] = auditing.transferred(audited.trained.model, audited, ball, steps=5, precision="fp32")
    return found


def test_every_attack_stays_in_the_ball_and_in_the_box(network):
    one, x, y = network
    ball = Ball(torch.full((1, 1, 1), 0.1))
    tried = strong(Audited.of(one), ball)
    assert len(tried) == 10
    for name, attack in tried.items():
        x_adv = attack(x, y, torch.Generator().manual_seed(0))
        assert x_adv.shape == x.shape and x_adv.dtype == torch.float32, name
        assert (x_adv - x).abs().max() <= 0.1 + 1e-6 and x_adv.min() >= 0 and x_adv.max() <= 1, name
        assert (x_adv != x).any(), name


def test_the_ball_of_pixels_inside_a_ball_with_a_radius_for_each_channel_is_the_smallest_of_them():
    assert Ball(torch.tensor([0.3, 0.1, 0.2]).view(-1, 1, 1)).inner == pytest.approx(0.1)


def test_the_planted_network_answers_the_same_and_has_no_gradient(network):
    one, x, y = network
    planted = Audited.planted(one)
    with torch.no_grad():
        assert torch.equal(planted.network(x).argmax(dim=1), one.model(x).argmax(dim=1))
    assert auditing.without_gradient(planted.network, x, y).float().mean() > 0.8
    assert not auditing.without_gradient(one.model, x, y).any()


@pytest.mark.parametrize("name", ["margin", "difference of logits ratio"])
def test_no_scale_of_the_logits_hides_the_gradient_of_a_margin(network, name):
    one, x, y = network
    slopes = [
        attacks.gradient(model, x, y, auditing.LOSSES[name]).sign()
        for model in (one.model, Audited.planted(one).network)
    ]
    assert (slopes[0] == slopes[1]).float().mean() > 0.99


def test_rescaled_logits_undo_the_planted_mask(network):
    one, x, y = network
    ball = Ball(torch.full((1, 1, 1), 0.2))
    left = {}
    for name in ("PGD-20, cross-entropy", "PGD-20, rescaled logits"):
        attack = dict(auditing.gradient_attacks(Audited.planted(one), ball, precision="fp32", steps=20))[name]
        with torch.no_grad():
            left[name] = (one.model(attack(x, y, torch.Generator().manual_seed(0))).argmax(dim=1) == y).sum()
    assert left["PGD-20, rescaled logits"] < left["PGD-20, cross-entropy"]


# What is measured


def test_the_worst_case_is_what_survives_every_attack(record):
    frame = record.frame("audit")
    for _, group in frame[frame.metric == "adversarial_accuracy"].groupby(["variant", "seed"]):
        standing = np.ones(TINY["examples"], dtype=bool)
        for _, one in group[group.attack != audit.WORST].iterrows():
            bits = survived(one)
            standing[: len(bits)] &= bits
        worst = group[group.attack == audit.WORST].iloc[0]
        assert (survived(worst) == standing).all() and worst.value == pytest.approx(standing.mean(), abs=1e-6)


def test_costly_attacks_see_the_first_images_and_the_last_ones_the_survivors_alone(record):
    frame = record.frame("audit")
    sizes = frame.groupby("attack").n.first()
    assert sizes["PGD-20, float64"] == sizes["AutoAttack"] == TINY["costly"] and sizes["PGD-3"] == TINY["examples"]
    assert set(frame[frame["on"] == "survivors"].attack) == {"up to 3 restarts", "PGD-5"}


def test_every_network_is_audited_and_the_controls_with_the_first_seed(record):
    frame = record.frame("audit")
    found = frame.groupby("variant").seed.agg(set).to_dict()
    assert found == {**{name: {0, 1} for name in ("N-LR", "1-LR", "2-LR")}, audit.ROBUST: {0}, audit.PLANTED: {0}}
    others = frame[frame.attack == "transfer from N-LR"]
    assert set(others.variant) == {"1-LR", "2-LR", audit.ROBUST, audit.PLANTED}


def test_a_larger_ball_never_leaves_more_and_the_ladder_ends_at_nothing(record):
    for _, rows in record.frame("audit_radii").groupby(["variant", "group", "seed"]):
        assert (np.diff(rows.value) <= 0).all() and (rows.value[:-1] > 0).all()
        assert rows.eps.tolist() == TINY["radii"][: len(rows)]


# Verdicts


def rows_of(row, variant, seed, paper, worst, *, zero=0.0, ends=("1", "1")):
    """The rows of a network that is right on the given share of 100 images, the first ones."""
    shares = {("PGD-20", "paper"): paper, (audit.WORST, "strong"): worst}
    about = {"variant": variant, "seed": seed}
    rows = [
        row("audit", "adversarial_accuracy", value, attack=attack, group=group, on="all", **about)
        | {"survived": pack_bits(np.arange(100) < round(100 * value))}
        for (attack, group), value in shares.items()
    ]
    rows.append(row("audit", "zero_gradient", zero, attack="", group="", **about))
    for group, end in zip(("paper", "strong"), ends, strict=True):
        for eps in ("8/255", "1"):
            value = 0.0 if eps == end else 0.3
            rows.append(row("audit_radii", "adversarial_accuracy", value, eps=eps, group=group, **about))
    return rows


def judge(row, record_of, paper, worst, *, plain=(0.2, 0.1), **about):
    """The verdict on 1-LR with these accuracies in three seeds."""
    rows = []
    for seed in range(3):
        rows += rows_of(row, "N-LR", seed, *plain)
        rows += rows_of(row, "1-LR", seed, paper[seed], worst[seed], **about)
    record = record_of(rows, page="audit", eps="8/255", unit="pixel", steps=[20, 200, 1000])
    return record, verdicts.verdicts(record).set_index("variant").loc["1-LR"]


@pytest.mark.parametrize(
    ("paper", "worst", "expected"),
    [
        ([0.7] * 3, [0.55, 0.6, 0.65], "survives"),
        ([0.7] * 3, [0.24, 0.25, 0.26], "in part"),
        ([0.7] * 3, [0.10, 0.15, 0.12], "not shown"),
        ([0.7] * 3, [0.60, 0.60, 0.12], "not shown"),
        ([0.7] * 3, [0.05, 0.10, 0.08], "gone"),
        ([0.2] * 3, [0.60, 0.60, 0.60], "no gain under the paper's protocol"),
    ],
)
def test_the_verdict_flips_with_the_rows(row, record_of, paper, worst, expected):
    record, verdict = judge(row, record_of, paper, worst)
    assert verdict.verdict == expected
    assert f"Verdict: **{expected}**." in " ".join(prose.findings(record))


def test_gains_are_differences_to_n_lr_of_the_same_seed(row, record_of):
    _, verdict = judge(row, record_of, [0.7, 0.8, 0.9], [0.4, 0.5, 0.6])
    assert verdict.paper_gain == pytest.approx(0.6) and verdict.strong_gain == pytest.approx(0.4)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert (verdict.low, verdict.high) == (pytest.approx(0.4 - half), pytest.approx(0.4 + half))
    assert verdict.share == pytest.approx(0.4 / 0.6)
    # 30 images that 1-LR alone gets right, in the seed with the fewest: two-sided, all on one side.
    assert verdict.p == pytest.approx(2 * 0.5**30)


@pytest.mark.parametrize(("alone", "other"), [(0, 0), (5, 0), (7, 3), (10, 10)])
def test_mcnemars_test_is_the_exact_binomial_of_the_pairs_that_differ(alone, other):
    first = np.repeat([True, False, True], [alone, other, 9])
    second = np.repeat([False, True, True], [alone, other, 9])
    n, least = alone + other, min(alone, other)
    tail = sum(stats.binom.pmf(k, n, 0.5) for k in range(least + 1))
    assert verdicts.mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail) if n else 1.0)


@pytest.mark.parametrize(
    ("about", "masked"),
    [({}, False), ({"ends": ("", "1")}, True), ({"zero": 0.9}, True), ({"zero": 0.4}, False)],
)
def test_a_network_without_gradients_or_that_no_radius_breaks_is_flagged(row, record_of, about, masked):
    record, verdict = judge(row, record_of, [0.7] * 3, [0.6] * 3, **about)
    assert verdict.masked == masked
    assert ("flags it as masked" in " ".join(prose.findings(record))) == masked


def test_the_committed_audit_finds_the_robust_control_robust_and_fails_the_planted_one():
    for preset, record in results.committed("audit").items():
        table = verdicts.verdicts(record.main()).set_index("variant")
        assert table.loc[audit.ROBUST, "verdict"] == "survives", preset
        planted = table.loc[audit.PLANTED]
        assert planted.paper_gain > 0.1 > abs(planted.strong_gain), preset  # looks robust, and isn't
        assert planted.masked and planted.verdict in ("gone", "not shown"), preset
        assert not table.drop(audit.PLANTED).masked.any(), preset


# What is shown


def test_tables_and_figure_show_every_network(record, row, record_of):
    shown = own_tables.audit(record)
    assert shown.index[-1] == ("strong", audit.WORST) and set(shown.columns) >= {"N-LR", audit.PLANTED}
    assert ("strong", "AutoAttack (first 6)") in shown.index and ("strong", "PGD-5 (survivors)") in shown.index
    table = own_tables.verdicts(record)
    assert set(table.index) == set(record.frame("audit").variant)
    axes = plots.radii(record).axes
    assert {line.get_label() for line in axes[0].get_lines()} == set(table.index)
    made, _ = judge(row, record_of, [0.7] * 3, [0.4] * 3)
    own = own_tables.verdicts(made).loc["1-LR"]
    assert own["gain, paper"] == "+50.0" and own["gain, strong"] == "+30.0 ± 0.0" and own.verdict == "survives"


def test_a_page_without_measuring_needs_no_model():
    assert audit.specs(audit.Parameters.of("quick")) == []
    needed = audit.specs(audit.Parameters.of("small", seeds=[1], measure=True))
    assert [spec.variant for spec in needed] == ["N-LR", "1-LR", "2-LR"]
    assert replace(needed[0], seed=0) == presets.spec("small", "N-LR", 0)
