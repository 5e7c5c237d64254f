"""Readings of table 4's noise: what each means in pixels, which is identified, and what the page then uses."""

import math

import pytest
import torch
from conftest import TINY

from lrlib import data, paper, results, sections
from lrlib.prose import noise_stability as prose
from lrlib.sections import noise_readings
from lrlib.sections.noise_readings import MOMENTS, Reading, readings
from lrlib.sections.protocol import UNITS
from lrlib.tables import own as own_tables

USED = Reading("std", "pixel", True)
PRINTED = [0.577, 0.273, 0.13, 0.072]


@pytest.fixture
def calibrated(row, record_of):
    """A record in which each reading is so far from the paper's row, by the place in :func:`readings`."""

    def make(distances, used=USED):
        rows = [row("table4", "noise_accuracy", 0.5, probability=1.0)]
        for reading, distance in zip(readings(), distances, strict=True):
            about = {"moment": reading.moment, "unit": reading.unit, "clip": reading.clip}
            rows += [
                row("table4_calibration", "noise_accuracy", printed + distance, probability=p, **about)
                for p, printed in zip((0.4, 0.6, 0.8, 1.0), PRINTED, strict=True)
            ]
        about = {"moment": used.moment, "unit": used.unit, "clip": used.clip}
        return record_of(rows, page="noise_stability", **about)

    return make


def test_there_is_a_reading_for_every_moment_unit_and_box():
    assert {(one.moment, one.unit, one.clip) for one in readings()} == {
        (moment, unit, clip) for moment in MOMENTS for unit in UNITS for clip in (True, False)
    }


def test_the_paper_row_is_that_of_its_resnet_18():
    assert list(noise_readings.target().values()) == PRINTED
    assert list(noise_readings.target()) == sorted(set(paper.table("table4").probability))


def test_a_variance_is_the_square_of_a_deviation_and_normalised_units_are_smaller_by_the_deviation():
    digits = data.load("digits")
    for unit in UNITS:
        std, variance = (Reading(moment, unit, True).std("1/4", digits) for moment in ("std", "variance"))
        torch.testing.assert_close(variance / std, torch.full((1, 1, 1), 2.0))
    assert Reading("std", "pixel", True).std("128/255", digits).item() == pytest.approx(128 / 255)
    normalized = Reading("variance", "normalized", False).std("128/255", digits).item()
    assert normalized == pytest.approx(math.sqrt(128 / 255) * digits.std[0], rel=1e-6)


@pytest.mark.parametrize("place", range(12))
def test_the_reading_closest_to_the_papers_row_is_chosen_if_it_is_within_five_points(calibrated, place):
    for distance, fits in ((0.04, True), (-0.0499, True), (0.051, False)):
        record = calibrated([distance if i == place else 0.2 for i in range(12)])
        table = noise_readings.residuals(record)
        assert table.residual.tolist() == pytest.approx([abs(distance), *[0.2] * 11])
        assert noise_readings.reading_of(table.iloc[0]) == readings()[place]
        assert noise_readings.chosen(record) == (readings()[place] if fits else None)


def test_a_record_without_the_first_seed_identifies_nothing(row, record_of):
    assert noise_readings.chosen(record_of([row("table4", "noise_accuracy", 0.5, seed=1, probability=1.0)])) is None


@pytest.mark.parametrize(("distance", "expected"), [(0.01, readings()[9]), (0.09, noise_readings.stated("quick"))])
def test_the_page_uses_the_identified_reading_and_otherwise_the_stated_one(
    calibrated, distance, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    calibrated([distance if i == 9 else 0.2 for i in range(12)]).save(results.path("noise_stability", "quick"))
    assert sections.get("noise_stability").Parameters.of("quick").reading() == expected


def test_without_a_record_the_stated_reading_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    for preset in ("quick", "small", "paper"):
        assert sections.get("noise_stability").Parameters.of(preset).reading() == noise_readings.stated(preset)


def test_n_lr_of_the_presets_first_seed_alone_is_measured_under_every_reading(measured):
    frame = measured["noise_stability"].frame("table4_calibration")
    assert set(frame.variant) == {"N-LR"} and set(frame.seed) == {0} and len(frame) == 12 * 4
    used = frame[(frame.moment == "std") & (frame.unit == "pixel") & frame["clip"]].set_index("probability").value
    other = frame[(frame.moment == "variance") & (frame.unit == "pixel") & frame["clip"]].set_index("probability").value
    for artefact, values in (("table4", used), ("table4_other_reading", other)):
        rows = measured["noise_stability"].frame(artefact)
        rows = rows[(rows.variant == "N-LR") & (rows.seed == 0) & rows.probability.isin(values.index)]
        assert len(rows) and rows.set_index("probability").value.to_dict() == values[rows.probability].to_dict()


def test_another_seed_or_another_network_is_not_calibrated(tiny):
    section = sections.get("noise_stability")
    record = section.measure(section.Parameters.of("quick", **TINY["noise_stability"] | {"seeds": [1]}), progress=False)
    assert not noise_readings.is_calibrated(record)
    assert prose.reading(record)[0].startswith("Not compared in this run. Used here: a standard deviation in pixels")


def test_what_is_said_and_shown_follows_the_rows(calibrated):
    fits = calibrated([0.01 if i == 0 else 0.2 for i in range(12)])
    (said,) = prose.reading(fits)
    assert "row of 57.7, 27.3, 13.0, 7.2 % is a standard deviation in pixels in [0, 1], images kept in [0, 1]" in said
    assert "with 58.7, 28.3, 14.0, 8.2 %. That differs by 1.0 points (root mean square): **identified**." in said
    (misses,) = prose.reading(calibrated([0.3] * 11 + [0.2], used=Reading("variance", "normalized", False)))
    assert (
        "**not identified, for that is more than 5 points**. Used here: a variance in pixels divided by the" in misses
    )
    assert misses.endswith("images not kept in [0, 1].")
    table = own_tables.noise_readings_of(fits)
    assert table.index[0] == ("std", "pixel", True) and table.iloc[0].tolist() == ["58.7", "28.3", "14.0", "8.2", "1.0"]
    assert table.columns[0] == "p = 0.4 (paper 57.7)"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"moment": "deviation"}, 'expected moment to be one of std, variance, got "deviation"'),
        ({"unit": "grey"}, 'expected unit to be one of pixel, normalized, normalized by image, got "grey"'),
        ({"clip": 1}, "expected clip to be true or false, got 1"),
        ({"level": "0"}, r'expected level to be a number in \(0, 1\] such as 128/255, got "0"'),
        ({"attacked": 0}, "expected attacked to be a whole number from 1 on, got 0"),
        ({"precision": "fp16"}, 'expected precision to be one of fp32, bf16, got "fp16"'),
    ],
)
def test_a_reading_that_makes_no_sense_is_refused(given, fault):
    with pytest.raises(ValueError, match=f"^{fault}$"):
        sections.get("noise_stability").Parameters.of("quick", **given)
