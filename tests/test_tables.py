"""The book's tables: the paper's printed numbers and ours in the right cells."""

import pandas as pd
import pytest

from lrlib import paper, results, sections, tables
from lrlib.results import RecordError


@pytest.fixture
def table1(row, record_of):
    """Table 1 made by hand: N-LR and 1-LR at one radius of the paper and one of ours, two seeds."""

    def make(first, second, **about):
        rows = []
        for seed, value in ((0, first), (1, second)):
            for variant, shift in (("N-LR", 0.0), ("1-LR", 0.1)):
                for eps in ("8/255", "12/255"):
                    keys = {"setting": "white_box", "attack": "pgd", "eps": eps, "steps": 7}
                    rows.append(
                        row("table1", "adversarial_accuracy", value + shift, variant=variant, seed=seed, **keys)
                    )
                clean = {"setting": "white_box", "attack": "", "eps": "", "steps": None}
                rows.append(row("table1", "accuracy", 0.9 + shift, variant=variant, seed=seed, **clean))
        return record_of(rows, **about)

    return make


WHERE = {"dataset": "cifar10", "arch": "resnet18"}
KEYS = ["setting", "eps", "steps"]


def test_the_papers_number_and_ours_stand_in_the_cell_of_their_keys(table1):
    table = tables.beside_paper("table1", {"ours": table1(0.2, 0.4)}, metric="adversarial_accuracy", rows=KEYS, **WHERE)
    cell = table.loc[("white box", "8/255", 7)]
    for variant in ("N-LR", "1-LR"):
        keys = {"setting": "white_box", "eps": "8/255", "steps": 7}
        assert cell[variant, "paper"].removesuffix(" ?") == paper.printed("table1", variant=variant, **WHERE, **keys)
    # Half of Student's interval over 0.2 and 0.4: 12.706 standard errors of 0.1.
    assert cell["N-LR", "ours"] == "30.0 ± 127.1" and cell["1-LR", "ours"] == "40.0 ± 127.1"


def test_the_difference_is_ours_less_the_papers_where_the_dataset_is_the_same(table1):
    record, digits = table1(0.2, 0.4), table1(0.2, 0.4)
    record.rows[:] = [row | {"dataset": "cifar10"} for row in record.rows]
    digits.rows[:] = [row | {"dataset": "digits"} for row in digits.rows]
    table = tables.beside_paper(
        "table1",
        {"ours": record, "digits": digits},
        metric="adversarial_accuracy",
        rows=KEYS,
        difference=True,
        **WHERE,
    )
    assert table.loc[("white box", "8/255", 7), ("N-LR", "digits")] == "30.0 ± 127.1"
    printed = float(paper.printed("table1", variant="N-LR", setting="white_box", eps="8/255", steps=7, **WHERE))
    sign = "+" if printed < 30 else "−"
    assert table.loc[("white box", "8/255", 7), ("N-LR", "ours")] == f"30.0 ± 127.1 ({sign}{abs(30 - printed):.1f})"
    assert table.loc[("white box", "12/255", 7), ("N-LR", "ours")] == "30.0 ± 127.1"  # no number of the paper


def test_our_rows_may_be_of_another_artefact_and_metric_and_missing_from_some_records(table1):
    plain, other = table1(0.2, 0.4), table1(0.2, 0.4)
    other.rows[:] = [row | {"artefact": "other", "metric": f"my_{row['metric']}"} for row in other.rows]
    table = tables.beside_paper(
        "table1",
        {"plain": plain, "other": other},
        metric="adversarial_accuracy",
        own_metric="my_adversarial_accuracy",
        rows=KEYS,
        ours="other",
        **WHERE,
    )
    assert table.loc[("white box", "8/255", 7), ("N-LR", "other")] == "30.0 ± 127.1"
    assert "plain" not in table.columns.get_level_values(1)


def test_every_cell_of_the_paper_is_shown_and_marked_where_it_is_in_doubt(table1):
    table = tables.beside_paper("table1", {"ours": table1(0.2, 0.4)}, metric="adversarial_accuracy", rows=KEYS, **WHERE)
    cells = paper.table("table1")
    cells = cells[(cells.metric == "adversarial_accuracy") & (cells.dataset == "cifar10") & (cells.arch == "resnet18")]
    cells = cells[cells.variant.isin(["N-LR", "1-LR"])]
    shown = 0
    for cell in cells.itertuples():
        mark = " ?" if cell.suspicious else ""
        assert (
            table.loc[(cell.setting.replace("_", " "), cell.eps, cell.steps), (cell.variant, "paper")]
            == f"{cell.printed}{mark}"
        )
        shown += 1
    assert shown == (table.loc[:, (slice(None), "paper")] != "").sum().sum() > 0
    doubtful = tables.beside_paper("table3", {"ours": table3(table1)}, metric="rho", rows=["attack", "setting"])
    assert doubtful.loc[("deepfool", "white box"), ("1-LR", "paper")] == "0.17 ?"


def table3(table1):
    record = table1(0.2, 0.4)
    rows = [one | {"artefact": "table3", "metric": "rho", "attack": "deepfool"} for one in record.rows if one["steps"]]
    record.rows[:] = [one for one in rows if one["eps"] == "8/255"]
    return record


def test_what_only_one_side_has_is_empty_on_the_other(table1):
    table = tables.beside_paper("table1", {"ours": table1(0.2, 0.4)}, metric="adversarial_accuracy", rows=KEYS, **WHERE)
    assert table.loc[("white box", "12/255", 7), ("N-LR", "paper")] == ""
    assert table.loc[("white box", "12/255", 7), ("N-LR", "ours")] == "30.0 ± 127.1"
    assert table.loc[("white box", "16/255", 20), ("N-LR", "ours")] == ""
    assert not table.isna().any(axis=None)


def test_rows_stand_in_the_papers_order_and_columns_by_variant(table1):
    records = {"a": table1(0.2, 0.4), "b": table1(0.3, 0.3)}
    table = tables.beside_paper("table1", records, metric="adversarial_accuracy", rows=KEYS, **WHERE)
    cells = paper.table("table1")
    cells = cells[(cells.metric == "adversarial_accuracy") & (cells.dataset == "cifar10") & (cells.arch == "resnet18")]
    cells = cells.assign(setting=cells.setting.str.replace("_", " "))
    order = list(dict.fromkeys(cells[KEYS].itertuples(index=False, name=None)))
    assert table.index.to_list() == [*order, ("white box", "12/255", 7)]
    assert table.columns.to_list() == [(variant, who) for variant in ("N-LR", "1-LR") for who in ("paper", "a", "b")]


def test_one_numeric_key_is_sorted_by_its_value(row, record_of):
    rows = [row("table5b", "max_margin_accuracy", 0.5, variant="2-LR", tap="layer3", dim=dim) for dim in (128, 5)]
    table = tables.beside_paper("table5b", {"ours": record_of(rows)}, metric="max_margin_accuracy", rows=["dim"])
    assert table.index.is_monotonic_increasing and {5, 10, 20, 128, 16384} == set(table.index)


def test_accuracies_are_percentages_and_other_numbers_are_not(table1):
    table = tables.beside_paper("table3", {"ours": table3(table1)}, metric="rho", rows=["setting", "attack"])
    assert table.loc[("white box", "deepfool"), ("N-LR", "ours")] == "0.300 ± 1.271"


def test_a_single_seed_has_no_interval(row, record_of):
    record = record_of([row("figure2a", "accuracy", 0.9876), row("figure2a", "accuracy", 0.5, variant="1-LR")])
    table = tables.accuracies({"ours": record}, "figure2a")
    assert table.loc["N-LR", "ours"] == "98.8" and table.loc["1-LR", "ours"] == "50.0"
    own = {"dataset": "cifar10", "arch": "resnet18", "setting": "white_box", "metric": "accuracy"}
    assert table.loc["N-LR", "paper"] == paper.printed("table1", variant="N-LR", **own)
    assert table.loc["2-LR", "ours"] == ""


def test_records_of_other_presets_stand_beside_this_run(table1, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    run = table1(0.2, 0.4)
    about = {"python": "3"}
    for preset in ("quick", "small"):
        other = results.Record("adversarial", preset, [run.runs[0] | about], run.rows)
        other.save(results.path("adversarial", preset))
    assert list(tables.beside_this_run(run)) == ["small record", "this run (quick)"]
    assert tables.beside_this_run(run)["this run (quick)"] is run


def test_a_run_with_parameters_of_its_own_stands_beside_the_record_of_its_preset(table1, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    table1(0.2, 0.4).save(results.path("adversarial", "quick"))
    again, other = table1(0.2, 0.4), table1(0.2, 0.5)
    for run in (again, other):
        run.runs[0]["id"] = "later"
    assert list(tables.beside_this_run(again)) == ["this run (quick)"]  # the same numbers leave the file alone
    assert list(tables.beside_this_run(other)) == ["quick record", "this run (quick)"]


def test_a_heading_says_that_the_schedules_were_shortened(table1, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    other = table1(0.2, 0.4, preset="small")
    other.runs[0]["shortened"] = {"epochs": 6, "of": 24}
    other.runs.append(other.runs[0] | {"id": "s", "shortened": {"epochs": 12, "of": 24}})
    other.save(results.path("adversarial", "small"))
    run = table1(0.2, 0.4)
    headings = ["small record, 6 of 24 epochs and 12 of 24 epochs", "this run (quick)"]
    assert list(tables.beside_this_run(run)) == headings
    run.runs[0]["shortened"] = {"epochs": 1, "of": 20}
    assert list(tables.beside_this_run(run)) == [headings[0], "this run (quick, 1 of 20 epochs)"]


def test_a_committed_record_is_shown_for_the_presets_own_network(table1, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    other = table1(0.2, 0.4, preset="small", arch="resnet18", dataset="cifar10")
    own = list(other.rows)
    for i, parameters in enumerate(({"arch": "resnet50"}, {"dataset": "svhn"})):
        about = {"parameters": other.runs[0]["parameters"] | parameters, "shortened": {"epochs": 6, "of": 24}}
        other.runs.append(other.runs[0] | {"id": str(i), **about})
        other.rows.extend({**row, **parameters, "run": str(i)} for row in own)
    other.save(results.path("adversarial", "small"))
    assert tables.beside_this_run(table1(0.2, 0.4))["small record"].rows == own


def test_a_record_without_the_artefact_is_named(table1):
    with pytest.raises(RecordError, match=r"^expected rows of table4 in the quick record of adversarial, found none$"):
        tables.beside_paper("table4", {"ours": table1(0.2, 0.4)}, metric="noise_accuracy", rows=["probability"])


@pytest.mark.parametrize("page", sections.PAPER)
def test_the_matrix_of_a_page_has_its_artefacts_with_their_notes(page):
    table, whole = tables.matrix(page), paper.artefacts().set_index("artefact")
    assert list(table.index) == whole.index[whole.page == page].tolist()
    for artefact, line in table.iterrows():
        assert line.title == whole.title[artefact]
        for preset in ("quick", "small", "paper"):
            assert line[preset].startswith(whole.loc[artefact, preset])
            assert line[preset].endswith(whole.loc[artefact, f"{preset}_note"])


def test_parameters_stand_with_value_default_and_meaning():
    table = tables.parameters(sections.get("compression").Parameters.of("quick", seeds=[7]))
    assert table.loc["seeds", ["value", "default at quick"]].tolist() == ["[7]", "[0, 1, 2]"]


def test_findings_become_a_list():
    assert tables.sentences(["One.", "Two."]) == "- One.\n- Two."


@pytest.mark.parametrize("page", ["adversarial", "noise_stability", "compression"])
def test_committed_records_make_tables_without_a_gap_on_our_side(page):
    record = results.load(results.path(page, "quick"))
    tasks = {
        "adversarial": ("table1", "adversarial_accuracy", KEYS, WHERE),
        "noise_stability": ("table4", "noise_accuracy", ["probability"], {"arch": "resnet18"}),
        "compression": ("table5b", "max_margin_accuracy", ["dim"], {}),
    }
    artefact, metric, keys, where = tasks[page]
    table = tables.beside_paper(artefact, {"ours": record}, metric=metric, rows=keys, **where)
    ours = record.frame(artefact)
    expected = len(ours[ours.metric == metric].groupby([*keys, "variant"]))
    assert (table.xs("ours", axis=1, level=1) != "").sum().sum() == expected
    assert isinstance(table, pd.DataFrame)


def test_findings_stand_under_their_preset_and_smaller_presets_are_folded_away(table1):
    quick = table1(0.2, 0.4)
    small = results.Record("adversarial", "small", quick.runs, quick.rows)

    def findings(record):
        if record.preset == "small":
            record.frame("figure99")
        return [f"{len(record.rows)} rows"]

    text = tables.by_heading({"this run (quick)": quick, "small record": small}, findings)
    first, second, third, fourth, fifth = text.split("\n\n")
    assert first == "At the preset `small`:" and "before the page had" in second
    assert third == "<details>\n<summary>At the preset <code>quick</code>, this run</summary>"
    assert fourth == f"- {len(quick.rows)} rows" and fifth == "</details>"


def test_a_run_beside_its_own_presets_record_is_not_folded_away(table1):
    quick = table1(0.2, 0.4)
    small = results.Record("adversarial", "small", quick.runs, quick.rows)
    records = {"quick record": quick, "small record": small, "this run (quick)": quick}
    text = tables.by_heading(records, lambda record: ["a finding"])
    assert "At the preset `quick`, this run:" in text
    assert text.count("<details>") == text.count("<code>quick</code></summary>") == 1
