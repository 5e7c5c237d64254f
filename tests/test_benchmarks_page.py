"""The page about costs: which rows come out, how they are timed, its tables and sentences."""

import itertools
import math
from concurrent.futures import Future

import pytest
import torch

from lrlib import engine, factors, models, results
from lrlib.prose import benchmarks as prose
from lrlib.results import Record
from lrlib.runs import Run
from lrlib.sections import attack_costs, benchmarks, spectrum_costs, timing
from lrlib.spectra import Sketch
from lrlib.tables import own as own_tables

CPU = torch.device("cpu")
ARTEFACTS = ("layer", "step", "projection", "precision", "spectrum", "streamed_spectrum", "pgd", "deepfool")
ATTACKED = ("seconds", "success_rate", "rho")
PROJECTIONS = ("exact", "randomized", "nystrom", "ensemble")
BOTH = ("seconds", "error")


class InThisProcess:
    """Stands in for the pool of processes, which take seconds to start."""

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


@pytest.fixture(scope="module")
def record():
    """What the page measures at toy sizes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(benchmarks, "ProcessPoolExecutor", InThisProcess)
        patched.setattr(spectrum_costs, "ProcessPoolExecutor", InThisProcess)
        peaks = itertools.accumulate(itertools.count(1))  # this process's own may not rise any more
        patched.setattr(benchmarks.provenance, "peak_memory", lambda: next(peaks))
        parameters = benchmarks.Parameters.of(
            "quick", rounds=2, sizes=[64, 96], widths=[1, 2], batch_size=4, attacked=6
        )
        return benchmarks.measure(parameters, device="cpu", progress=False)


# What is measured


def test_every_alternative_has_its_rows_at_every_size(record):
    found = [
        (row["artefact"], row.get("m"), row.get("width"), row["alternative"], row["metric"]) for row in record.rows
    ]
    fast = "bf16" if engine.has_bf16(CPU) else "fp32"
    layer = [("layer", 512, 2, form, metric) for form in ("factored", "dense") for metric in ("bytes", "seconds")]
    step = [("step", None, 2, variant, "seconds") for variant in ("N-LR", "2-LR")]
    cuts = [("projection", m, None, name, metric) for m in (64, 96) for name in PROJECTIONS for metric in BOTH]
    cuts += [("projection", m, None, "eigh", "seconds") for m in (64, 96)]
    precision = [("precision", None, width, name, "seconds") for width in (1, 2) for name in (fast, "plain fp32")]
    ways = {"pgd": dict.fromkeys(("fp32", fast, "foolbox")), "deepfool": ("ours", "foolbox")}
    attacks = [(name, None, 2, way, metric) for name, own in ways.items() for way in own for metric in ATTACKED]
    spectra = [("spectrum", 96, None, way, metric) for way in ("gram", "sketch") for metric in ("bytes", *BOTH)]
    spectra += [("spectrum", 96, None, "svdvals", metric) for metric in ("bytes", "seconds")]
    spectra += [("streamed_spectrum", 4 * 96, None, "sketch", metric) for metric in ("bytes", *BOTH)]
    expected = [*layer, *step, *cuts, *precision, *spectra, *attacks]
    assert sorted(map(str, found)) == sorted(map(str, expected))


def test_every_row_says_where_and_at_which_size_it_was_measured(record):
    for row in record.rows:
        assert row["device"] == "cpu" and row["run"] == record.runs[0]["id"]
        complete = (row["artefact"], row["metric"]) == ("streamed_spectrum", "error")  # as many columns as activations
        assert row["value"] > 0 or row["metric"] == "success_rate" or complete
        if "rank" in row:
            assert row["rank"] == models.target_rank("resnet18", "layer3", row["m"])
        if row["artefact"] not in ("projection", "spectrum", "streamed_spectrum"):
            assert row["batch"] == (6 if row["artefact"] in ("pgd", "deepfool") else 4)
    (run,) = record.runs
    assert run["models"] == {} and run["datasets"] == {} and run["parameters"]["sizes"] == [64, 96]


def test_the_layer_measured_is_the_one_before_the_fourth_block(record):
    model = models.build("resnet18", classes=10, width=2, size=32)
    widths = models.widths(model, ["layer3"], channels=3, size=32)
    assert set(record.frame("layer").m) == set(widths.values())


def test_no_projection_to_a_rank_has_a_smaller_error_than_the_exact_one(record):
    frame = record.frame("projection")
    errors = frame[frame.metric == "error"].set_index(["m", "alternative"]).value
    for m in (64, 96):
        for name in PROJECTIONS:
            assert errors[m, "exact"] <= errors[m, name] * (1 + 1e-5) and errors[m, name] < 1


def test_the_exact_error_is_the_share_of_the_spectrum_that_is_cut_off(monkeypatch):
    """By Eckart and Young, of the very W that is projected."""
    seen, exact = [], factors.exact
    monkeypatch.setattr(factors, "exact", lambda W, rank, *more: seen.append((W, rank)) or exact(W, rank, *more))
    run = Run("benchmarks", "quick", {}, "cpu")
    benchmarks._projections(run, benchmarks.Parameters.of("quick", rounds=1, batch_size=4), 64, CPU)
    W, rank = next((W, rank) for W, rank in seen if W.shape == (64, 64))
    assert torch.linalg.matrix_rank(W) > rank
    energy = torch.linalg.svdvals(W.double()) ** 2
    error = next(row["value"] for row in run.rows if (row["alternative"], row["metric"]) == ("exact", "error"))
    assert error == pytest.approx(math.sqrt(energy[rank:].sum() / energy.sum()), rel=1e-4)


def test_memory_is_the_rise_of_the_peak(record):
    assert record.frame("layer").set_index(["metric", "alternative"]).value["bytes"].to_dict() == {
        "factored": 2,  # the peaks are 1 and 3, then 6 and 10
        "dense": 4,
    }


def test_the_factored_layer_never_holds_the_matrix_that_the_dense_one_does():
    """In processes of their own, at a width where the matrix has 16 MiB."""
    run = Run("benchmarks", "quick", {}, "cpu")
    benchmarks._layer(run, benchmarks.Parameters.of("quick", width=8, rounds=1, batch_size=4), CPU)
    peak = {row["alternative"]: row["value"] for row in run.rows if row["metric"] == "bytes"}
    matrix = 4 * 2048**2
    assert peak["factored"] < matrix <= peak["dense"]


def test_made_up_activations_have_a_norm_near_one_and_a_falling_spectrum():
    a = benchmarks.activations(256, 128, CPU)
    assert a.shape == (256, 128) and torch.equal(a, benchmarks.activations(256, 128, CPU))
    assert torch.linalg.vector_norm(a, dim=1).square().mean().item() == pytest.approx(1, abs=0.2)
    values = torch.linalg.svdvals(a)
    assert values[0] > 3 * values[64]


def test_attacks_do_what_foolboxs_do(record):
    for artefact, own in (("pgd", "fp32"), ("deepfool", "ours")):
        table = record.frame(artefact).pivot(index="alternative", columns="metric", values="value")
        assert table.success_rate[own] == table.success_rate["foolbox"]
        assert table.rho[own] == pytest.approx(table.rho["foolbox"], rel=0.02)


def test_streamed_values_are_those_of_the_dense_decomposition(record):
    """To 1e-4 down to a thousandth of the largest; of the sketch the leading ones, to the error that it states."""
    frame = record.frame("spectrum")
    error = frame[frame.metric == "error"].set_index("alternative").value
    assert error["gram"] <= 1e-4 and error["sketch"] <= 1e-4
    assert set(frame.batch) == {20_000 * 96 // 4096}


def test_made_up_activations_of_a_spectrum_are_positive_and_fall():
    A = spectrum_costs.activations(300, 64, CPU)
    assert A.min() == 0 and torch.equal(A, spectrum_costs.activations(300, 64, CPU))
    s = torch.linalg.svdvals(A)
    assert s[0] > 3 * s[5] > 0


def test_what_spectra_cost_is_told_as_ratios_of_the_rows():
    values = {
        "seconds": {"gram": 0.2, "sketch": 0.05, "svdvals": 1.0},
        "bytes": {"gram": 2**20, "sketch": 2**18, "svdvals": 2**22},
        "error": {"gram": 1e-5, "sketch": 2e-3},
    }
    rows = rows_of("spectrum", values, m=64, batch=300)
    assert prose._spectra(made_up(rows)) == [
        "cpu: of 300 x 64 activations by way of the Gram matrix all singular values are 5.0 times as fast as "
        "torch.linalg.svdvals with 0.25 times its memory, at most 1e-05 off; the leading ones of a sketch are 20.0 "
        "times as fast as torch.linalg.svdvals with 0.06 times its memory, at most 0.002 off."
    ]


def test_what_is_streamed_is_told_with_its_memory_and_bound():
    rows = rows_of(
        "streamed_spectrum",
        {"seconds": {"sketch": 160.0}, "bytes": {"sketch": 2 * 2**30}, "error": {"sketch": 5e-4}},
        m=16_384,
        batch=50_000,
    )
    assert prose._spectra(made_up(rows)) == [
        "cpu: the spectrum of 50000 x 16384 activations, which are never all in memory, is sketched in 160 s and "
        "2.0 GiB, the variance ratio at ten directions at most 0.0005 too small."
    ]


def test_what_is_streamed_are_the_rows_of_the_whole():
    whole, parts = spectrum_costs.activations(700, 64, CPU), list(spectrum_costs._batches(700, 64, CPU))
    assert max(map(len, parts)) < 300 and torch.equal(torch.cat(parts), whole)
    seen = Sketch(64)
    for part in parts:
        seen.add(part)
    expected = torch.linalg.svdvals(whole.double())
    torch.testing.assert_close(seen.spectrum().values[:10], expected[:10], rtol=1e-4, atol=0)
    assert 0 <= spectrum_costs._streamed(700, 64, "cpu")["error"] < 1e-6  # as many random directions as activations


def test_the_committed_spectra_are_exact_within_half_of_the_memory_and_wide_ones_within_four_gigabytes():
    """At the sizes of the issue: 20,000 x 4,096 by way of the Gram matrix, 50,000 x 16,384 sketched."""
    frame = results.committed("benchmarks")["paper"].frame()
    frame = frame[frame.device == "cpu"]
    own = frame[(frame.artefact == "spectrum") & (frame.m == 4_096) & (frame.batch == 20_000)]
    table = own.pivot(index="alternative", columns="metric", values="value")
    assert table.error["gram"] <= 1e-4
    assert 8 * 4_096**2 < table.bytes["gram"] <= table.bytes["svdvals"] / 2  # the matrix is in double precision
    wide = frame[(frame.artefact == "streamed_spectrum") & (frame.m == 16_384) & (frame.batch == 50_000)]
    assert wide.set_index("metric").value["bytes"] < 4e9


def test_a_part_is_measured_alone():
    parameters = benchmarks.Parameters.of("quick", parts=["precision"], rounds=1)
    assert {row["artefact"] for row in benchmarks.measure(parameters, device="cpu").rows} == {"precision"}
    assert benchmarks.Parameters.of("quick", parts=["attacks"], measure=True).at_defaults()


def test_without_foolbox_there_is_no_comparison_with_it(monkeypatch):
    monkeypatch.setattr(attack_costs, "find_spec", lambda name: None)
    monkeypatch.setattr(attack_costs, "measure", None)
    run = benchmarks.measure(benchmarks.Parameters.of("quick", parts=["precision", "attacks"], rounds=1), device="cpu")
    assert {row["artefact"] for row in run.rows} == {"precision"}


# Times


@pytest.fixture
def clock(monkeypatch):
    """Works that take as long as listed, on a clock that stands still otherwise, and the order they were called in."""
    now, order = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def takes(name, *durations):
        left = itertools.chain(durations)

        def work():
            order.append(name)
            now[0] += next(left)

        return work

    return takes, order


def test_alternatives_are_timed_in_turn_and_the_first_round_does_not_count(clock):
    takes, order = clock
    works = {"a": takes("a", 100, 1, 2, 9), "b": takes("b", 0, 30, 10, 20)}
    assert timing.timed(works, 3, CPU) == {"a": 2, "b": 20}
    assert order == ["a", "b"] * 4


def test_one_slow_moment_does_not_move_the_median(clock):
    takes, _ = clock
    assert timing.timed({"a": takes("a", 5, 1, 1, 1000, 1, 1)}, 5, CPU) == {"a": 1}


def test_times_are_those_of_a_step(monkeypatch):
    """Ten steps are timed at once in the layer and the network, one of a projection and a precision."""
    monkeypatch.setattr(benchmarks, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(benchmarks, "timed", lambda works, rounds, device: dict.fromkeys(works, float(rounds)))
    parameters = benchmarks.Parameters.of("quick", rounds=2, parts=["layer", "step", "projection", "precision"])
    rows = benchmarks.measure(parameters, device="cpu").rows
    seconds = {(row["artefact"], row["value"] / row["n"]) for row in rows if row["metric"] == "seconds"}
    assert seconds == {("layer", 0.1), ("step", 0.1), ("projection", 1.0), ("precision", 1.0)}


def test_two_lr_layers_are_on_the_network_that_is_timed_with_them():
    parameters = benchmarks.Parameters.of("quick")
    plain, both = (benchmarks._training(parameters, 2, variant, CPU) for variant in ("N-LR", "2-LR"))
    assert plain.regularizer is None and tuple(both.regularizer.layers) == ("avgpool", "layer3")
    both.step(*benchmarks._batch(both))
    assert [layer.steps for layer in both.regularizer.layers.values()] == [1, 1]
    assert both.spec.width == 2 and len(benchmarks._batch(both)[0]) == parameters.batch_size


# Tables and sentences of made-up records


def rows_of(artefact, values, **about):
    return [
        {"artefact": artefact, "device": "cpu", **about, "alternative": name, "metric": metric, "value": value}
        | {"n": 1, "run": "r"}
        for metric, those in values.items()
        for name, value in those.items()
    ]


def made_up(rows, preset="quick"):
    run = {"id": "r", "parameters": {"preset": preset}, "shortened": None, "device": "a processor", "seconds": 1.0}
    run |= {"commit": None, "started": "2026-11-21T08:45:20+00:00", "packages": {"torch": "2.11.0"}}
    return Record("benchmarks", preset, [run], rows)


LAYER = {"bytes": {"factored": 2**20, "dense": 8 * 2**20}, "seconds": {"factored": 0.003, "dense": 0.012}}
CUTS = {
    "seconds": {"exact": 0.02, "randomized": 0.002, "nystrom": 0.001, "ensemble": 0.004, "eigh": 0.016},
    "error": {"exact": 0.5, "randomized": 0.52, "nystrom": 0.75, "ensemble": 0.6},
}


@pytest.fixture
def whole():
    def make(cuts=CUTS, preset="quick", device="cpu"):
        rows = [
            *rows_of("layer", LAYER, width=2, m=512, rank=16, batch=8),
            *rows_of("step", {"seconds": {"2-LR": 0.06, "N-LR": 0.04}}, width=2, batch=8),
            *rows_of("projection", cuts, m=64, rank=2),
            *rows_of("precision", {"seconds": {"bf16": 0.02, "plain fp32": 0.05}}, width=2, batch=8),
        ]
        return made_up([{**row, "device": device} for row in rows], preset)

    return make


def test_costs_are_told_as_ratios_of_the_rows(whole):
    assert prose.findings({"quick": whole(), "paper": whole(preset="paper", device="cuda")})[:5] == [
        "`quick`, cpu: with 512 activations the factored layer takes 0.250 of the dense one's time and 0.125 of its "
        "memory.",
        "`quick`, cpu: at width 2 the LR layers of 2-LR add 50 % to a training step.",
        "`quick`, cpu: at m = 64 the fastest projection within 5 % of the least error is randomized, 8.0 times as fast "
        "as eigh; nystrom is 16.0 times as fast, with 1.50 times that error, ensemble is 4.0 times as fast, with 1.20 "
        "times that error.",
        "`quick`, cpu: at width 2 a training step in bf16 is 2.5 times as fast as in plain fp32.",
        "`paper`, cuda: with 512 activations the factored layer takes 0.250 of the dense one's time and 0.125 of its "
        "memory.",
    ]


@pytest.mark.parametrize(
    ("error", "seconds", "fastest"),
    [
        ({"ensemble": 0.525}, {"ensemble": 0.0019}, "ensemble, 8.4 times"),
        ({"ensemble": 0.526}, {"ensemble": 0.0019}, "randomized, 8.0 times"),
        ({"randomized": 0.526}, {}, "exact, 0.8 times"),
        ({}, {"randomized": 0.03}, "exact, 0.8 times"),
    ],
)
def test_the_fastest_projection_is_chosen_among_the_accurate_ones(whole, error, seconds, fastest):
    cuts = {"seconds": CUTS["seconds"] | seconds, "error": CUTS["error"] | error}
    line = prose.findings({"quick": whole(cuts)})[2]
    assert f"within 5 % of the least error is {fastest} as fast as eigh" in line


def test_two_devices_and_sizes_are_told_apart(whole):
    rows = [*whole().rows, *whole(device="cuda").rows]
    rows += [{**row, "m": 128} for row in rows if row["artefact"] == "projection"]
    lines = prose.findings({"quick": made_up(rows)})
    assert len(lines) == 2 * 4 + 2 and len(set(lines)) == len(lines)


def test_every_cost_stands_beside_its_ratio_to_the_last_alternative(whole):
    records = {"quick": whole(), "paper": whole(preset="paper")}
    layer = own_tables.costs(records, "layer")
    assert list(layer.index.get_level_values("preset")) == ["quick"] * 2 + ["paper"] * 2
    assert layer.loc["quick"].droplevel(["device", "width", "m", "rank", "batch"]).to_dict("index") == {
        "factored": {"time": "3 ms", "time, ratio": "0.25", "memory": "1 MiB", "memory, ratio": "0.125"},
        "dense": {"time": "12 ms", "time, ratio": "1", "memory": "8 MiB", "memory, ratio": "1"},
    }
    step = own_tables.costs(records, "step").loc["quick"].droplevel(["device", "width", "batch"])
    assert step.to_dict("index") == {
        "2-LR": {"time": "60 ms", "time, ratio": "1.5"},
        "N-LR": {"time": "40 ms", "time, ratio": "1"},
    }
    cuts = own_tables.costs(records, "projection").loc["quick"].droplevel(["device", "m", "rank"])
    assert list(cuts.index) == [*PROJECTIONS, "eigh"]
    assert cuts.loc["nystrom"].tolist() == ["1 ms", "0.0625", "0.75"]
    assert cuts.loc["eigh"].tolist() == ["16 ms", "1", ""]


def test_sizes_are_compared_within_themselves(whole):
    """Twice the size takes thrice as long, so that the ratios are the same at both."""
    rows = [row for row in whole().rows if row["artefact"] == "projection"]
    rows += [{**row, "m": 128, "value": 3 * row["value"]} for row in rows if row["metric"] == "seconds"]
    rows += [{**row, "m": 128} for row in rows if row["metric"] == "error"]
    table = own_tables.costs({"quick": made_up(rows)}, "projection")
    small, large = (table.xs(m, level="m")["time, ratio"].tolist() for m in (64, 128))
    assert small == large == ["1.25", "0.125", "0.0625", "0.25", "1"]


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_without_a_record_there_is_an_empty_table(artefact):
    assert own_tables.costs({}, artefact).empty and prose.findings({}) == []


def test_what_was_measured_makes_tables_and_sentences_without_a_gap(record):
    for artefact in ARTEFACTS:
        table = own_tables.costs({"quick": record}, artefact)
        assert len(table) and not table.isna().any(axis=None) and not table.isin(["nan"]).any(axis=None)
    lines = prose.findings({"quick": record})
    assert len(lines) == 1 + 1 + 2 + 2 + 2 + 2 and not any("nan" in line or "inf" in line for line in lines)
