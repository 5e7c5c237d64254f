"""The matrix of artefacts against presets, and the findings of the report."""

import re

import pytest

from lrlib import paper, sections

PRESETS = ("quick", "small", "paper")


def test_the_matrix_has_every_table_and_every_figure_once():
    listed = paper.artefacts()["artefact"].tolist()
    figures = {int(match[1]) for name in listed if (match := re.fullmatch(r"figure(\d+)[a-c]?", name))}
    assert len(listed) == len(set(listed))
    assert figures == set(range(1, 21))
    assert {name for name in listed if "table" in name} == set(paper.tables())
    assert {name for name in listed if name.startswith("report")} == {f"report_figure{n}" for n in (4, 5, 6, 7)}


def test_figures_with_panels_are_listed_by_panel():
    panels = {"2": "ab", "4": "abc", "6": "ab", "7": "ab", "9": "ab", "11": "ab"}
    listed = set(paper.artefacts()["artefact"])
    assert {name for name in listed if re.fullmatch(r"figure\d+[a-z]", name)} == {
        f"figure{number}{panel}" for number, letters in panels.items() for panel in letters
    }
    assert not {f"figure{number}" for number in panels} & listed


@pytest.mark.parametrize("preset", PRESETS)
def test_every_status_is_known_and_whatever_is_not_measured_says_why(preset):
    matrix = paper.artefacts()
    assert set(matrix[preset]) <= {"measured", "stand-in", "not measured"}
    assert (matrix[f"{preset}_note"][matrix[preset] != "measured"] != "").all()


def test_the_quick_preset_measures_nothing_of_the_paper_itself():
    assert "measured" not in set(paper.artefacts()["quick"])


def test_every_page_has_artefacts_and_only_the_drawing_is_on_the_page_of_the_layer():
    matrix = paper.artefacts()
    assert set(matrix["page"]) == {*sections.PAPER, "lr_layer"}
    assert matrix["artefact"][matrix["page"] == "lr_layer"].tolist() == ["figure1"]
    assert (matrix[matrix["artefact"] == "figure1"][list(PRESETS)] == "not measured").all(axis=None)


def test_every_finding_states_a_number_or_a_comparison():
    found = paper.findings()
    assert found["id"].is_unique and (found[["where", "sentence", "metric"]] != "").all(axis=None)
    assert set(found["relation"]) == {">", "=", ""}
    assert ((found["relation"] != "") | found["low"].notna()).all()
    for side in ("left", "right"):
        assert ((found[side] != "") == (found["relation"] != "")).all()
    assert not any(
        set(left.split()) & set(right.split())
        for left, right in zip(found["left"], found["right"], strict=True)
        if left
    )


def test_findings_point_at_figures_of_the_matrix():
    found = paper.findings()
    assert set(found["artefact"]) - {""} == {f"report_figure{n}" for n in (4, 5, 6, 7)}
    assert set(found["artefact"]) - {""} <= set(paper.artefacts()["artefact"])
    figures = found[found["artefact"] != ""]
    assert all(where.endswith(name[-1]) for name, where in zip(figures["artefact"], figures["where"], strict=True))


def test_the_shares_of_figure_7_are_fractions_and_iterations_are_counts():
    found = paper.findings().set_index("id")
    shares = found[found["unit"] == "fraction"][["low", "high"]]
    assert shares.to_dict("index") == {
        "report-confidence": {"low": 0.95, "high": 0.95},
        "report-forty-percent-boost": {"low": 0.4, "high": 0.4},
        "report-forty-percent-cost": {"low": 0.4, "high": 0.4},
        "report-few-percent-gain": {"low": 0.05, "high": 0.15},
    }
    assert found.loc["report-projection-iterations", "low"] == 500
