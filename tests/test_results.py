"""Records and intervals."""

import json
import math
import os
import stat

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrlib import provenance, results
from lrlib.intervals import over_seeds, wilson
from lrlib.packing import pack_bits, pack_image, survived, unpack_image
from lrlib.results import Record, RecordError
from lrlib.runs import Run


@pytest.fixture
def run():
    return Run("adversarial", "quick", {"seeds": [0]}, "cpu")


@pytest.fixture
def file(run, tmp_path):
    """A record's file with two rows."""
    run.add("table1", "rho", 0.5, variant="N-LR", seed=0)
    run.add_accuracy("table1", "accuracy", np.array([True, False]), variant="N-LR", seed=0)
    return results.save(run.record(), tmp_path / "folder" / "adversarial.json")


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_is_where_the_score_test_just_rejects(counts):
    """Its ends solve (share - p)^2 = z^2 p (1 - p) / n, a quadratic equation in p."""
    right, n = counts
    z, share = 1.959963984540054, right / n
    centre, root = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    expected = ((centre - root) / (1 + z**2 / n), (centre + root) / (1 + z**2 / n))
    assert wilson(right, n) == pytest.approx(expected, abs=1e-9)
    assert 0 <= wilson(right, n)[0] <= share <= wilson(right, n)[1] <= 1


def test_there_is_no_share_of_nothing(run):
    with pytest.raises(ValueError, match=r"^expected at least one example, got 0$"):
        wilson(0, 0)
    with pytest.raises(ValueError, match=r"^expected at least one example, got 0$"):
        run.add_accuracy("table1", "accuracy", np.array([], dtype=bool))
    assert run.rows == []


def students_quantile(degrees):
    """At 0.975, in closed form for 1, 2 and 4 degrees of freedom (Shaw, 2006)."""
    p = 0.975
    a = 4 * p * (1 - p)
    return {
        1: math.tan(math.pi * (p - 0.5)),
        2: (2 * p - 1) * math.sqrt(2 / a),
        4: 2 * math.sqrt(math.cos(math.acos(math.sqrt(a)) / 3) / math.sqrt(a) - 1),
    }[degrees]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_over_seeds_is_students(seeds):
    values = [0.1 * seed**1.5 for seed in range(seeds)]
    frame = pd.DataFrame({"variant": "N-LR", "seed": range(seeds), "value": values})
    (row,) = over_seeds(frame, ["variant"]).itertuples()
    mean = sum(values) / seeds
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (seeds - 1))
    half = students_quantile(seeds - 1) * spread / math.sqrt(seeds)
    assert (row.value, row.seeds) == (pytest.approx(mean), seeds)
    assert (row.low, row.high) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_one_seed_has_a_mean_and_no_interval():
    table = over_seeds(pd.DataFrame({"variant": ["N-LR"], "seed": [3], "value": [0.25]}), ["variant"])
    assert table.value[0] == 0.25 and table.seeds[0] == 1 and table[["low", "high"]].isna().all(axis=None)


def test_means_are_taken_of_each_combination_and_in_their_order():
    frame = pd.DataFrame({"v": list("baba"), "k": [1, 1, 1, 1], "seed": [0, 0, 1, 1], "value": [1.0, 10.0, 3.0, 30.0]})
    table = over_seeds(frame, ["v", "k"])
    assert table[["v", "k", "value"]].values.tolist() == [["b", 1, 2.0], ["a", 1, 20.0]]


def test_a_missing_key_is_a_key_of_its_own():
    frame = pd.DataFrame({"steps": [7, None, 7, None], "seed": [0, 0, 1, 1], "value": [1.0, 2.0, 3.0, 4.0]})
    assert sorted(over_seeds(frame, ["steps"]).value) == [2.0, 3.0]


def test_keys_that_dont_tell_rows_apart_are_refused():
    frame = pd.DataFrame({"variant": "N-LR", "eps": ["8/255", "10/255"], "seed": 0, "value": [0.1, 0.2]})
    assert len(over_seeds(frame, ["variant", "eps"])) == 2
    with pytest.raises(ValueError, match=r"^expected one row for each seed and variant, got several$"):
        over_seeds(frame, ["variant"])


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_survivors_come_back_as_they_went_in(bits):
    assert survived({"survived": pack_bits(np.array(bits)), "n": len(bits)}).tolist() == bits


def test_a_row_without_survivors_is_named():
    with pytest.raises(ValueError, match=r"^expected a row that keeps its surviving examples, got one of rho$"):
        survived({"metric": "rho", "n": 3, "survived": float("nan")})


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_bytes_comes_back_channels_last(channels):
    pixels = torch.randint(256, (channels, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    unpacked = unpack_image(json.loads(json.dumps(pack_image(pixels / 255))))
    assert unpacked.shape == (4, 6, channels)
    assert (torch.from_numpy(unpacked.copy()).permute(2, 0, 1) == pixels).all()


def test_the_ends_of_the_range_and_its_middle_are_rounded():
    assert unpack_image(pack_image(torch.tensor([[[0.0, 0.499, 0.501, 1.0]]]))).ravel().tolist() == [0, 127, 128, 255]


def test_values_have_six_digits(run):
    run.add("table3", "rho", 0.123456789)
    run.add("table3", "rho", 123456789.0)
    run.add("table3", "rho", torch.tensor(1 / 3).item())
    assert [row["value"] for row in run.rows] == [0.123457, 123457000.0, 0.333333]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_isnt_finite_is_refused(run, value):
    with pytest.raises(ValueError, match=rf"^expected a finite rho for table3, got {value}$"):
        run.add("table3", "rho", value)
    assert run.rows == []


def test_an_accuracy_comes_with_its_interval_and_number_of_examples(run):
    run.add_accuracy("table1", "accuracy", np.array([True] * 9 + [False]), variant="1-LR")
    (row,) = run.rows
    low, high = (round(end, 6) for end in wilson(9, 10))
    assert row == {
        "artefact": "table1",
        "variant": "1-LR",
        "metric": "accuracy",
        "value": 0.9,
        "n": 10,
        "low": low,
        "high": high,
    }


def test_only_rows_that_keep_their_survivors_have_them(run):
    correct = np.array([True, False, True])
    run.add_accuracy("table1", "accuracy", correct)
    run.add_accuracy("table1", "adversarial_accuracy", correct, keep=True)
    assert "survived" not in run.rows[0]
    assert survived(run.rows[1]).tolist() == correct.tolist()


def test_a_record_knows_where_its_rows_come_from(run):
    run.add("table3", "rho", 1.0)
    record = run.record()
    (about,) = record.runs
    assert about["sources"] == provenance.sources("lrlib.sections.adversarial")
    assert about["parameters"] == {"seeds": [0]}
    assert {"commit", "device", "packages", "started", "seconds", "datasets", "models"} <= set(about)
    assert record.rows == [{"artefact": "table3", "metric": "rho", "value": 1.0, "n": None, "run": about["id"]}]


def test_the_rows_of_an_artefact_that_isnt_there_are_refused(file):
    assert len(results.load(file).frame("table1")) == len(results.load(file).frame()) == 2
    with pytest.raises(RecordError, match=r"^expected rows of table9 in the quick record of adversarial, found none$"):
        results.load(file).frame("table9")


def test_a_record_has_a_row_on_a_line_and_can_be_read_by_others(file):
    lines = file.read_text().splitlines()
    assert sum(line.startswith('{"artefact"') for line in lines) == 2
    assert set(json.loads(file.read_text())) == {"page", "preset", "runs", "rows"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in file.parent.iterdir()] == ["adversarial.json"]


def renewed(file, change):
    """The record of a file, measured again by a later run and then changed."""
    record = json.loads(file.read_text().replace(results.load(file).runs[0]["id"], "later"))
    record["runs"][0] |= {"started": "2030-01-01T00:00:00+00:00", "seconds": 99.0, "commit": "other", "device": "other"}
    change(record)
    return Record(**record)


def test_the_same_numbers_leave_the_file_alone(file):
    before = file.stat().st_mtime_ns, file.read_bytes()
    results.save(renewed(file, lambda record: None), file)
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["rows"][0].update(value=0.25),
        lambda record: record["rows"].pop(),
        lambda record: record["runs"][0].update(sources="other"),
        lambda record: record["runs"][0].update(parameters={"seeds": [1]}),
        lambda record: record["runs"][0].update(datasets={"digits": "other"}),
        lambda record: record["runs"][0].update(models={"other": {}}),
    ],
    ids=["a value", "a row", "sources", "parameters", "dataset", "model"],
)
def test_whatever_the_numbers_rest_on_makes_a_new_file(file, change):
    record = renewed(file, change)
    results.save(record, file)
    assert results.load(file) == record


def test_a_broken_file_is_replaced(file):
    record = results.load(file)
    file.write_text("{")
    assert results.load(results.save(record, file)) == record


def test_a_write_that_fails_leaves_the_old_record(file):
    before = file.read_bytes()
    record = results.load(file)
    broken = Record(record.page, record.preset, record.runs, [*record.rows, {"value": object()}])
    with pytest.raises(TypeError):
        broken.save(file)
    assert file.read_bytes() == before and len(list(file.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda record: [], "it is no mapping"),
        (lambda record: record | {"rows": []}, "it has no list of rows"),
        (lambda record: record | {"rows": {}}, "it has no list of rows"),
        (lambda record: record | {"runs": "one"}, "it has no list of runs"),
        (lambda record: {key: value for key, value in record.items() if key != "page"}, "it has no page"),
        (lambda record: record | {"rows": [1]}, "row 0 is no mapping"),
        (lambda record: record | {"rows": [{"artefact": "table1", "run": "r"}]}, "row 0 has no metric, value, n"),
        (lambda record: record | {"runs": [{"id": "r"}]}, "run 0 has no parameters, shortened, sources, .*"),
        (
            lambda record: record | {"rows": [record["rows"][0] | {"run": "nobody"}]},
            "row 0 is of run nobody, which is not there",
        ),
        (lambda record: record | {"rows": [record["rows"][0] | {"value": "x"}]}, "the value of row 0 is no number"),
        (lambda record: record | {"rows": [record["rows"][0] | {"run": []}]}, r"row 0 is of run \[\], .*"),
    ],
)
def test_a_broken_record_is_named_with_its_fault_in_a_sentence(file, change, fault):
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(RecordError, match=rf"^expected a record at {file}, found a broken one: {fault}$"):
        results.load(file)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"not JSON"])
def test_a_file_that_isnt_json_is_named(file, content):
    file.write_bytes(content)
    with pytest.raises(RecordError, match=rf"^expected a record at {file}, found a broken one: it is not JSON \(.+\)$"):
        results.load(file)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for place, fault in ((tmp_path / "none.json", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(RecordError, match=rf"^expected a record at {place}, can't read it: {fault}$"):
            results.load(place)


# The part about the preset's own network

OWN = {"arch": "resnet18", "dataset": "digits"}


@pytest.fixture
def of_networks(row, record_of):
    """A record with a run for each of these parameters, each with a row."""

    def make(*parameters):
        record = record_of([row("table1", "accuracy", 0.1 * i) | {"run": str(i)} for i in range(len(parameters))])
        about = record.runs[0]["parameters"]
        record.runs[:] = [
            record.runs[0] | {"id": str(i), "parameters": about | one} for i, one in enumerate(parameters)
        ]
        return record

    return make


@pytest.mark.parametrize(
    ("parameters", "own"),
    [
        ([OWN, OWN | {"arch": "resnet50"}, OWN | {"dataset": "svhn"}, OWN | {"epochs": 3}], ["0", "3"]),
        ([{}, {"parts": ["search"]}], ["0", "1"]),
        ([OWN | {"arch": "vgg19"}, {"arch": "resnet18"}, {"dataset": "mnist"}], ["1"]),
        ([OWN | {"arch": "vgg19"}, OWN | {"dataset": "svhn"}], ["0", "1"]),
    ],
    ids=["own beside others", "no network asked for", "half of it asked for", "no own"],
)
def test_the_main_part_of_a_record_is_about_the_presets_own_network(of_networks, parameters, own):
    record = of_networks(*parameters)
    main = record.main()
    assert (main.page, main.preset) == (record.page, record.preset)
    assert [run["id"] for run in main.runs] == own and [row["run"] for row in main.rows] == own
    assert len(record.runs) == len(parameters)


def test_a_record_of_one_network_is_its_own_main_part(file):
    assert results.load(file).main() == results.load(file)


def test_a_run_says_by_how_much_its_schedules_were_shortened(tmp_path):
    for shortened in (None, {"epochs": 3, "of": 20}):
        run = Run("adversarial", "quick", {"seeds": [0]}, "cpu", shortened)
        run.add("table3", "rho", 1.0)
        saved = results.save(run.record(), tmp_path / f"{shortened is None}.json")
        assert results.load(saved).runs[0]["shortened"] == shortened


@pytest.mark.parametrize("key", ["artefact", "dataset", "arch", "seed", "device"])
def test_rows_about_something_else_are_kept_when_a_record_is_added(record_of, row, key):
    first = row("table1", "rho", 0.1, device="cpu")
    other = first | {key: 7 if key == "seed" else "other", "run": "s"}
    before, later = record_of([first]), record_of([other | {"value": 0.3}])
    later.runs[0]["id"] = "s"
    assert [one["value"] for one in results.merged(before, later).rows] == [0.1, 0.3]
    again = record_of([first | {"value": 0.2, "variant": "1-LR", "run": "s"}])
    again.runs[0]["id"] = "s"
    assert [one["value"] for one in results.merged(before, again).rows] == [0.2]


def test_committed_records_stand_from_the_smallest_preset_up(file, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert results.committed("adversarial") == {}
    for preset in ("paper", "quick"):
        results.path("adversarial", preset).parent.mkdir()
        os.link(file, results.path("adversarial", preset))
    assert list(results.committed("adversarial")) == ["quick", "paper"]
