"""The page about how the networks are trained: its trainings, the rule of the search, its tables and sentences."""

import re
from dataclasses import fields, replace

import pandas as pd
import pytest
import torch

from lrlib import data, engine, metrics, models, presets, zoo
from lrlib.prose import training as prose
from lrlib.sections import training
from lrlib.specs import Regularizer
from lrlib.tables import own as own_tables


@pytest.fixture
def little(monkeypatch, tmp_path):
    """The preset small with untrained networks of width 2 on the digits, unless something else is asked for."""
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path))

    def make(**network):
        quick = presets.get("quick").network
        network = replace(quick, **{"width": 2, "epochs": 0, "batch_size": 128} | network)
        small = presets.get("small")
        lr = replace(small.lr, from_epoch=0)
        monkeypatch.setitem(presets.PRESETS, "small", replace(small, network=network, lr=lr, lr_of={}))

    make()
    return make


def measured(**given):
    return training.measure(training.Parameters.of("small", seeds=[0], **given), progress=False)


@pytest.fixture
def other_test_images(monkeypatch):
    """Shows blank test images with other labels instead of the digits' own."""
    read = data.digits.read

    def show():
        train, (x, y), classes = read()
        monkeypatch.setattr(data.digits, "read", lambda: (train, (x * 0, (y + 1) % 10), classes))
        data._load.cache_clear()

    yield show
    data._load.cache_clear()


# What is trained


@pytest.mark.parametrize("preset", list(presets.PRESETS))
@pytest.mark.parametrize("variant", models.REGULARIZED)
def test_the_candidates_are_the_presets_settings_but_for_those_that_are_searched(preset, variant):
    own, found = presets.spec(preset, variant, 0).lr, training.candidates(preset, variant)
    fixed = [one.name for one in fields(Regularizer) if one.name not in training.SETTINGS]
    assert len(set(found)) == len(found)
    assert all(getattr(lr, name) == getattr(own, name) for lr in found for name in fixed)


@pytest.mark.parametrize("preset", list(presets.PRESETS))
@pytest.mark.parametrize("variant", models.REGULARIZED)
def test_what_a_preset_trains_with_is_a_candidate_and_step_and_start_vary_from_there_in_1_lr(preset, variant):
    own, found = presets.spec(preset, variant, 0).lr, training.candidates(preset, variant)
    assert own in found
    usual = Regularizer(1.0, 1.0, 0)
    varied = {
        name: [lr for lr in found if getattr(lr, name) != getattr(usual, name)] for name in ("step_size", "start")
    }
    for name, others in varied.items():
        assert bool(others) == (variant == "1-LR")
        assert all((lr.lambda_c, lr.lambda_n) == (own.lambda_c, own.lambda_n) for lr in others)
        assert not any(lr in varied[other] for other in varied.keys() - {name} for lr in others)


def test_plain_training_has_no_candidates():
    with pytest.raises(ValueError, match=r"^expected a variant with LR layers, got 'N-LR'$"):
        training.candidates("quick", "N-LR")


@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_each_table_has_the_trainings_that_it_names(preset):
    parameters = training.Parameters.of(preset, seeds=[4, 6])
    network, trials = presets.get(preset).network, list(training.trials(parameters))
    assert len({trial.spec for trial in trials}) == len(trials)
    of = {part: [trial.spec for trial in trials if trial.artefact == part] for part in training.ARTEFACTS}
    epochs = {"search": parameters.search_epochs, "stability": parameters.stability_epochs}
    for part, seeds in (("search", {4}), ("stability", {4}), ("parity", {4, 6})):
        assert {spec.seed for spec in of[part]} == seeds
        assert {spec.epochs for spec in of[part]} == {epochs.get(part, parameters.parity_epochs)}
        assert {spec.dataset.removeprefix("holdout:") for spec in of[part]} == {network.dataset}
    assert {spec.variant for spec in of["parity"]} == {"N-LR"}
    assert sorted((spec.seed, spec.precision) for spec in of["parity"]) == [
        (seed, precision) for seed in (4, 6) for precision in ("bf16", "fp32")
    ]
    assert {(spec.variant, spec.lr.from_epoch) for spec in of["stability"]} == {
        (variant, epoch) for variant in models.REGULARIZED for epoch in (0, 1)
    }
    assert [spec.variant for spec in of["search"]].count("N-LR") == 1


def test_only_the_parts_asked_for_are_trained_and_nothing_unless_told_to_measure():
    for part in training.ARTEFACTS:
        trials = training.trials(training.Parameters.of("quick", parts=[part]))
        assert {trial.artefact for trial in trials} == {part}
    assert training.specs(training.Parameters.of("quick")) == []
    told = training.specs(training.Parameters.of("quick", measure=True))
    trials = training.trials(training.Parameters.of("quick"))
    assert told == [trial.spec for trial in trials if trial.artefact != "stability"]


# What is measured


def without_run(record):
    return [{**row, "run": None} for row in record.rows]


def test_the_search_never_sees_a_test_image(little, other_test_images):
    little(epochs=1, batch_size=1000)
    record = measured(parts=["search"])
    held = data.load("holdout:digits")
    assert {row["dataset"] for row in record.rows} == {"holdout:digits"}
    assert {row["n"] for row in record.rows} == {len(held.x_test)}
    assert record.runs[0]["datasets"] == {"holdout:digits": held.fingerprint}

    before = data.load("digits").fingerprint
    other_test_images()
    assert data.load("digits").fingerprint != before
    assert without_run(measured(parts=["search"])) == without_run(record)


def test_the_searchs_rows_are_those_of_each_setting_on_the_held_out_images(little):
    record = measured(parts=["search"])
    frame, held = record.frame("search"), data.load("holdout:digits")
    assert len(frame) == 5 * (1 + len(training.candidates("small", "1-LR")) + len(training.candidates("small", "2-LR")))
    spec = next(training.trials(training.Parameters.of("small", parts=["search"], seeds=[0]))).spec
    model, x = zoo.find(spec).model, data.as_float(held.x_test)
    plain = frame[frame.variant == "N-LR"].set_index(["metric", "tap"]).value
    assert plain["accuracy", ""] == pytest.approx(metrics.accuracy(model, x, held.y_test), abs=1e-6)
    for tap in ("avgpool", "layer3"):
        features = metrics.features(model, x, tap).flatten(1).double()
        for metric, a in (("variance_ratio", features), ("centred_variance_ratio", features - features.mean(0))):
            energy = torch.linalg.svdvals(a) ** 2
            assert plain[metric, tap] == pytest.approx((energy[:10].sum() / energy.sum()).item(), rel=1e-5)


def test_a_training_that_diverges_becomes_a_row(little):
    """At a constant rate SGD multiplies a weight by about 1 - rate * weight_decay a step, which is -59 at 0.2."""
    little(epochs=3, batch_size=256, milestones=(), weight_decay=300.0, learning_rate=0.01)
    record = measured(parts=["stability", "parity"], stability_epochs=3)
    frame = record.frame("stability")
    diverged = frame[frame.metric == "diverged"]
    assert len(diverged) == 16 and set(diverged.learning_rate) == {0.01, 0.2}
    assert (diverged.value == (diverged.learning_rate == 0.2)).all()
    keys = ["variant", "learning_rate", "weight", "from_epoch"]
    accurate = frame[frame.metric == "accuracy"]
    assert set(accurate[keys].itertuples(index=False)) == set(
        diverged[diverged.value == 0][keys].itertuples(index=False)
    )
    assert set(record.frame("parity").metric) == {"accuracy"}
    table = own_tables.stability(record)
    assert (table[0.2] == "diverged").all() and not (table[0.01] == "diverged").any()


def test_parity_has_the_accuracy_of_each_seed_in_each_precision(little):
    parameters = training.Parameters.of("small", seeds=[3, 5], parts=["parity"])
    record = training.measure(parameters, progress=False)
    digits = data.load("digits")
    x, y = data.as_float(digits.x_test), digits.y_test
    expected = {
        (seed, precision): metrics.accuracy(
            zoo.find(replace(presets.get("small").network, seed=seed, precision=precision)).model, x, y
        )
        for seed in (3, 5)
        for precision in ("fp32", "bf16")
    }
    rows = {(row["seed"], row["precision"]): row for row in record.rows}
    assert rows.keys() == expected.keys() and {row["metric"] for row in record.rows} == {"accuracy"}
    for key, row in rows.items():
        assert row["value"] == pytest.approx(expected[key], abs=1e-6) and row["n"] == len(y)


def test_parity_is_refused_where_there_is_no_bf16(little, monkeypatch):
    monkeypatch.setattr(engine, "has_bf16", lambda device: False)
    with pytest.raises(ValueError, match="expected a processor with bf16 for the part parity, got cpu without"):
        training.measure(training.Parameters.of("small", parts=["parity"]), device="cpu")
    assert measured(parts=["search"]).rows


@pytest.mark.parametrize("lost", ["fp32", "bf16"])
def test_parity_of_a_precision_that_always_diverged_has_no_pairs_and_says_so(row, record_of, lost):
    rows = [row("parity", "diverged", 1, seed=seed, precision=lost) for seed in (3, 5)]
    other = "bf16" if lost == "fp32" else "fp32"
    rows += [row("parity", "accuracy", 0.9, seed=seed, precision=other) for seed in (3, 5)]
    record = record_of(rows, page="training")
    assert own_tables.parity(record).empty
    assert prose.parity({"quick": record}) == ["`quick`: of every seed one precision diverged."]


# The rule of the search

A, B, C = (1.0, 0.1, 0.1, "leading"), (3.0, 0.03, 0.1, "leading"), (3.0, 0.03, 0.5, "leading")
BASE = {  # accuracy, centred variance ratio before the FC layer and before the fourth block
    ("N-LR", None): (0.95, 0.5, 0.1),
    ("1-LR", A): (0.95, 0.9, 0.2),
    ("1-LR", B): (0.95, 0.8, 0.9),
    ("2-LR", A): (0.95, 0.9, 0.2),
    ("2-LR", B): (0.95, 0.8, 0.6),
}


@pytest.fixture
def search(row, record_of):
    """A record of the search, whose ratios that are not centred have the opposite order; None diverged."""

    def make(changed=None, preset="quick"):
        rows = []
        for (variant, setting), (accuracy, *centred) in (BASE | (changed or {})).items():
            about = dict(zip(training.SETTINGS, setting, strict=True)) if setting else {}
            about |= {"variant": variant, "epochs": 5}
            if accuracy is None:
                rows.append(row("search", "diverged", 1, **about))
                continue
            rows.append(row("search", "accuracy", accuracy, **about, tap=""))
            for tap, value in zip(("avgpool", "layer3"), centred, strict=True):
                rows.append(row("search", "variance_ratio", 1 - value, **about, tap=tap, k=10))
                rows.append(row("search", "centred_variance_ratio", value, **about, tap=tap, k=10))
        return record_of(rows, page="training", preset=preset)

    return make


@pytest.mark.parametrize(
    ("changed", "one", "two"),
    [
        ({}, A, B),
        ({("1-LR", A): (0.95, 0.79, 0.99)}, B, B),
        ({("1-LR", A): (0.939, 0.9, 0.2)}, B, B),
        ({("1-LR", A): (0.94, 0.9, 0.2)}, A, B),
        ({("2-LR", B): (0.939, 0.8, 0.6)}, A, A),
        ({("2-LR", B): (0.94, 0.8, 0.6)}, A, B),
        ({("2-LR", A): (0.95, 0.9, 0.51)}, A, A),
        ({("2-LR", A): (0.95, 0.99, 0.4)}, A, B),
        ({("1-LR", C): (0.94, 0.91, 0.1)}, C, B),
        ({("1-LR", C): (0.939, 0.91, 0.1)}, A, B),
        ({("1-LR", B): (0.99, 0.8, 0.99)}, A, B),
        ({("N-LR", None): (0.961, 0.5, 0.1)}, A, A),
        ({("N-LR", None): (0.961, 0.5, 0.1), ("1-LR", B): (0.951, 0.6, 0.9)}, B, A),
        ({("N-LR", None): (0.1, 0.5, 0.1)}, A, B),
        ({("2-LR", A): (0.5, 0.9, 0.9), ("2-LR", B): (0.51, 0.8, 0.6)}, A, B),
        ({("N-LR", None): (0.95, 0.85, 0.1)}, A, A),
        ({("N-LR", None): (0.95, 0.5, 0.4)}, A, B),
        ({("N-LR", None): (0.95, 0.9, 0.7)}, None, None),
        ({("N-LR", None): (0.95, 0.89, 0.3)}, A, None),
        ({("1-LR", A): (None, None, None)}, B, B),
        ({("2-LR", B): (None, None, None)}, A, A),
    ],
    ids=[
        *("the base", "1-LR has a lower ratio", "1-LR loses more than a point", "1-LR loses a point"),
        *("2-LR loses more than a point", "2-LR loses a point", "2-LR has a higher mean", "2-LR has a lower mean"),
        *("a third setting", "a third setting that loses", "what does not count is higher", "all lose as much"),
        *("all lose, B least", "all gain", "2-LR loses, B less", "N-LR is between A and B at the last place"),
        *("N-LR is between A and B at the other place", "N-LR has the lowest rank", "N-LR at the other place only"),
        *("1-LR diverged", "2-LR diverged"),
    ],
)
def test_the_rule_picks_what_it_says(search, changed, one, two):
    picked = training.chosen(search(changed))
    assert {variant: best and best.setting for variant, best in picked.items()} == {"1-LR": one, "2-LR": two}
    accuracy = {key: values[0] for key, values in (BASE | changed).items()}
    for variant, best in picked.items():
        if best:
            lost = accuracy["N-LR", None] - accuracy[variant, best.setting]
            assert best.lost == pytest.approx(lost)


def test_the_judged_rows_stand_in_their_order_with_a_column_for_each_metric_and_place(search):
    table = training.judged(search())
    assert list(table.index) == [(variant, *(setting or ("",) * 4)) for variant, setting in BASE]
    for (accuracy, last, early), (_, line) in zip(BASE.values(), table.iterrows(), strict=True):
        assert line.to_dict() == {
            "accuracy": accuracy,
            "centred_variance_ratio avgpool": last,
            "centred_variance_ratio layer3": early,
            "variance_ratio avgpool": pytest.approx(1 - last),
            "variance_ratio layer3": pytest.approx(1 - early),
        }


def test_the_table_of_the_search_marks_what_the_rule_picks_of_each_variant(search):
    table = own_tables.search(search())
    assert [key for key in table.index if table.rule[key] == "chosen"] == [("1-LR", *A), ("2-LR", *B)]
    assert table.loc[("2-LR", *A)].to_dict() == {
        "accuracy": "95.00",
        "avgpool, centred": "0.9000",
        "layer3, centred": "0.2000",
        "avgpool, variance ratio": "0.1000",
        "layer3, variance ratio": "0.8000",
        "rule": "",
    }
    assert set(own_tables.search(search({("N-LR", None): (0.95, 0.9, 0.7)})).rule) == {""}


def test_a_candidate_that_diverged_adds_no_column_to_the_table(search):
    plain, table = own_tables.search(search()), own_tables.search(search({("2-LR", B): (None, None, None)}))
    assert list(table.columns) == list(plain.columns) and not table.isin(["nan"]).any(axis=None)
    others = [key for key in plain.index if key[0] == "1-LR"]
    pd.testing.assert_frame_equal(table.loc[others], plain.loc[others])


def test_the_sentences_about_the_search_name_the_pick_of_each_variant_and_what_the_preset_trains_with(search):
    def told(lr):
        return (
            f"the preset trains with λ1 = {lr.lambda_c:g}, λ2 = {lr.lambda_n:g}, step {lr.step_size:g}, start leading"
        )

    nothing = search({("N-LR", None): (0.97, 0.89, 0.3)}, preset="small")
    lines = prose.search({"quick": search(), "small": nothing})
    one, two = (presets.spec("quick", variant, 0).lr for variant in models.REGULARIZED)
    assert lines[:2] == [
        f"`quick`, 1-LR: the rule picks λ1 = 1, λ2 = 0.1, step 0.1, start leading; {told(one)}.",
        f"`quick`, 2-LR: the rule picks λ1 = 3, λ2 = 0.03, step 0.1, start leading; {told(two)}.",
    ]
    assert [line[: line.index(";")] for line in lines[2:]] == [
        "`small`, 1-LR: whatever lowers the rank loses more than 1 point of accuracy, least with λ1 = 1, λ2 = 0.1, "
        "step 0.1, start leading, which loses 2.0",
        "`small`, 2-LR: no setting lowers the rank",
    ]


# Stability and parity on made-up records


def stability_row(row, variant, bounded, rate, accuracy):
    about = {"variant": variant, "learning_rate": rate, "weight": 10.0, "from_epoch": 1, "bounded": bounded}
    rows = [row("stability", "diverged", int(accuracy is None), **about)]
    return rows if accuracy is None else [*rows, row("stability", "accuracy", accuracy, **about, tap="")]


@pytest.fixture
def stability(row, record_of):
    values = {
        ("1-LR", True, 0.01): 0.9,
        ("1-LR", True, 0.2): 0.199,
        ("1-LR", False, 0.01): 0.7,
        ("1-LR", False, 0.2): None,
        ("2-LR", False, 0.01): None,
        ("2-LR", False, 0.2): None,
        ("2-LR", True, 0.2): None,
    }
    rows = [one for key, accuracy in values.items() for one in stability_row(row, *key, accuracy)]
    return record_of(rows, page="training")


def test_the_stability_table_has_an_accuracy_or_that_it_diverged_in_the_cell_of_its_setting(stability):
    table = own_tables.stability(stability)
    assert table.index.names == ["variant", "projection loss", "from epoch", "λ1 = λ2"]
    cells = {(*key[:2], rate): table.loc[key, rate] for key in table.index for rate in table.columns}
    assert cells == {
        ("1-LR", "bounded", 0.01): "90.0",
        ("1-LR", "bounded", 0.2): "19.9",
        ("1-LR", "as written", 0.01): "70.0",
        ("1-LR", "as written", 0.2): "diverged",
        ("2-LR", "bounded", 0.01): "",
        ("2-LR", "bounded", 0.2): "diverged",
        ("2-LR", "as written", 0.01): "diverged",
        ("2-LR", "as written", 0.2): "diverged",
    }


def test_divergences_and_collapses_are_counted_for_each_projection_loss_that_was_tried(stability, row, record_of):
    alone = record_of(stability_row(row, "1-LR", True, 0.2, 0.2), page="training", preset="small")
    counts = [
        (line[: line.index(" projection")], *map(int, re.findall(r"(\d+) of (\d+) trainings diverged, (\d+)", line)[0]))
        for line in prose.stability({"quick": stability, "small": alone})
    ]
    assert counts == [
        ("`quick`, with the bounded", 1, 3, 1),
        ("`quick`, with the paper's", 3, 4, 0),
        ("`small`, with the bounded", 0, 1, 0),
    ]


@pytest.fixture
def parity(row, record_of):
    def make(fp32, bf16):
        rows = []
        for precision, values in (("fp32", fp32), ("bf16", bf16)):
            for seed, value in values.items():
                metric = "diverged" if value is None else "accuracy"
                about = {"variant": "N-LR", "seed": seed, "precision": precision}
                rows.append(row("parity", metric, 1 if value is None else value, **about))
        return record_of(rows, page="training")

    return make


def test_precisions_are_compared_seed_by_seed(parity):
    record = parity({0: 0.90, 1: 0.92}, {0: 0.91, 1: 0.95})
    # Half of Student's interval of two values, here 1 and 3 points, is tan(0.475 pi) times half their distance.
    assert prose.parity({"quick": record}) == [
        "`quick`: bf16 is +2.00 points from fp32 in the mean over 2 seeds, 95 % interval -10.71 to +14.71, which "
        "contains zero; fp32 alone spreads over 2.00 points between seeds."
    ]
    table = own_tables.parity(record)
    assert table.to_dict("index") == {
        0: {"bf16": "91.00", "fp32": "90.00", "bf16 less fp32": "1.00"},
        1: {"bf16": "95.00", "fp32": "92.00", "bf16 less fp32": "3.00"},
    }


@pytest.mark.parametrize("sign, interval", [(1, "+0.79 to +1.21"), (-1, "-1.21 to -0.79")])
def test_an_interval_on_one_side_of_zero_does_not_contain_it(parity, sign, interval):
    fp32 = dict.fromkeys(range(3), 0.9)
    shifts = (0.01, 0.0100 + 0.00086, 0.0100 - 0.00086)
    record = parity(fp32, {seed: 0.9 + sign * shift for seed, shift in enumerate(shifts)})
    (sentence,) = prose.parity({"quick": record})
    assert f"{sign:+.2f} points from fp32 in the mean over 3 seeds" in sentence
    assert f"95 % interval {interval}, which does not contain zero" in sentence


def test_a_single_seed_has_no_interval(parity):
    (sentence,) = prose.parity({"quick": parity({0: 0.9}, {0: 0.92})})
    assert "+2.00 points" in sentence and "nan" not in sentence and "zero" not in sentence


def test_a_seed_that_diverged_in_one_precision_is_not_compared(parity):
    record = parity({0: 0.90, 1: 0.92, 2: 0.5}, {0: 0.91, 1: 0.95, 2: None})
    (sentence,) = prose.parity({"quick": record})
    assert "+2.00 points from fp32 in the mean over 2 seeds, 95 % interval -10.71 to +14.71" in sentence
    assert not own_tables.parity(record).isin(["nan"]).any(axis=None)


# Several presets


def test_a_part_that_a_record_lacks_is_left_out(search, stability, parity):
    records = {"quick": search(), "small": stability, "paper": parity({0: 0.9, 1: 0.9}, {0: 0.9, 1: 0.9})}
    records = {preset: replace(record, preset=preset) for preset, record in records.items()}
    for part, (tell, make), preset in zip(
        training.ARTEFACTS,
        ((getattr(prose, name), getattr(own_tables, name)) for name in training.ARTEFACTS),
        records,
        strict=True,
    ):
        assert {line.split("`")[1] for line in tell(records)} == {preset}
        table = own_tables.by_preset(records, part, make)
        assert set(table.index.get_level_values("preset")) == {preset}
        assert not tell({}) and own_tables.by_preset({}, part, make).empty


def test_one_table_of_several_presets_has_a_part_for_each(search):
    both = {"quick": search(), "small": replace(search({("1-LR", C): (0.5, 0.5, 0.5)}), preset="small")}
    table = own_tables.by_preset(both, "search", own_tables.search)
    for preset, record in both.items():
        pd.testing.assert_frame_equal(table.loc[preset], own_tables.search(record))


def test_a_record_measured_on_little_networks_makes_every_table_and_sentence(little):
    record = measured()
    assert {row["artefact"] for row in record.rows} == set(training.ARTEFACTS)
    for part in training.ARTEFACTS:
        table = own_tables.by_preset({"small": record}, part, getattr(own_tables, part))
        assert len(table) and not table.isna().any(axis=None)
    assert [len(tell({"small": record})) for tell in (prose.search, prose.stability, prose.parity)] == [2, 1, 1]
