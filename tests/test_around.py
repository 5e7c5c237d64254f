"""The pages around the sections: first page, symbols, API, execution, bibliography, and what they include."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib import import_module
from io import StringIO
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

from lrlib import claims, execution, firstpage, generated, presets, provenance, results, scoreboard, sections

BOOK = provenance.ROOT / "book"
ORDER = [*presets.PRESETS][::-1]
RECORDS = claims.records()
# What users import (the names that are fixed), by the module that the API page has them in.
PUBLIC = {
    "lrlib.lowrank": ["LowRank"],
    "lrlib.attachment": ["attach"],
    "lrlib.nystrom": ["exact", "nystrom", "ensemble"],
    "lrlib.attacks": ["fgsm", "pgd", "iterative_least_likely", "deepfool"],
    "lrlib.metrics": ["variance_ratio", "rho", "layer_cushion"],
    "lrlib.models": ["build"],
    "lrlib.svd": ["truncate"],
}


def text(page):
    return (BOOK / f"{page}.md").read_text()


def resolved(name):
    """The object of a dotted name, or the annotation or documented attribute of a class."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            described = f"\n    Attributes:\n        {part}: " in (getattr(found, "__doc__", "") or "")
            found = found.__annotations__[part] if described and not hasattr(found, part) else getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def roles(source):
    for target in re.findall(r"\{py:\w+\}`([^`]+)`", source):
        yield (re.search(r"<(.+)>", target)[1] if "<" in target else target).removeprefix("~")


# Links and names


@pytest.mark.parametrize("source", [*BOOK.glob("*.md"), *BOOK.glob("*.py")], ids=lambda path: path.name)
def test_every_function_that_a_page_links_to_exists(source):
    for name in roles(source.read_text()):
        assert resolved(name) is not None, name


def test_the_symbols_page_says_of_each_symbol_where_it_is_defined():
    lines = [line for line in text("symbols").splitlines() if line.startswith("| $") or line.startswith("| N-LR")]
    assert len(lines) > 30
    for line in lines:
        assert line.count("|") == 5 and (list(roles(line)) or "own parameters" in line), line


@pytest.mark.parametrize(
    "symbol",
    [
        r"\mathbf W",
        r"\mathbf b",
        r"\mathcal L_c",
        r"\mathcal L_n",
        r"\lambda_1",
        r"\lambda_2",
        r"\Pi_r",
        "sigma_i",
        "rho",
    ],
)
def test_the_papers_symbols_are_there(symbol):
    assert symbol in text("symbols")


def test_the_api_page_has_every_public_name():
    source = text("api")
    for module, names in PUBLIC.items():
        block = re.search(rf"automodule:: {re.escape(module)}\n((?:   .*\n)+)", source)[1]
        members = re.search(r":members:(.*)", block)[1].replace(",", " ").split()
        offered = getattr(import_module(module), "__all__", None) if ":imported-members:" in block else None
        for name in names:
            assert hasattr(import_module(module), name)
            assert name in members or (not members and (offered is None or name in offered))


def test_all_of_the_table_of_contents_is_there_and_the_method_comes_first():
    chapters = [one["file"] for one in yaml.safe_load((provenance.ROOT / "_toc.yml").read_text())["chapters"]]
    assert chapters[0] == "book/lr_layer"
    for name in chapters:
        assert any((provenance.ROOT / f"{name}{suffix}").exists() for suffix in (".md", ".py"))


def test_every_citation_is_in_the_bibliography():
    entries = set(re.findall(r"@\w+\{(\w+),", (BOOK / "references.bib").read_text()))
    cited = {
        key.strip()
        for source in (*BOOK.glob("*.md"), *BOOK.glob("*.py"))
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", source.read_text())
        for key in keys.split(",")
    }
    assert cited and cited <= entries
    assert ":all:" in text("bibliography")


@pytest.mark.parametrize("page", ["intro", "execution"])
def test_what_a_page_includes_is_generated(page):
    included = re.findall(r"_build/([\w.]+)", text(page))
    assert included and set(included) <= set(generated.parts({}))


# The first page


def test_the_summary_counts_every_claim_once():
    said = firstpage.state(RECORDS, ORDER)
    preset = firstpage.deciding(RECORDS, ORDER)
    verdicts = Counter(one[preset][0].verdict for one in claims.judged(RECORDS).values())
    counts = [int(number) for number in re.findall(r"\*\*(\d+) ", said)]
    assert sum(counts) == len(claims.claims()) and sorted(counts) == sorted(verdicts.values())
    assert f"**{verdicts['reproduced']} reproduced**" in said
    for line in said.splitlines():
        if found := re.search(r"\*\*(\d+) [^*]+\*\*: (.*)", line):
            assert sum(map(int, re.findall(r"(\d+) in \[", found[2]))) == int(found[1])


def test_every_thesis_has_its_claims_with_the_verdicts_and_numbers_of_the_scoreboard():
    said = firstpage.state(RECORDS, ORDER)
    preset = firstpage.deciding(RECORDS, ORDER)
    board = scoreboard.table(RECORDS)
    lines = re.findall(
        r"^  - <span class='verdict [\w-]+'>. ([^<]+)</span> (.+) \(<a href='(\w+).html#", said, re.MULTILINE
    )
    assert len(re.findall(r"^- \*\*[A-Z]", said, re.MULTILINE)) == 5 and len(lines) >= 10
    for verdict, sentence, page in lines:
        (row,) = board[board.claim == sentence].to_dict("records")
        assert verdict == row[f"{preset}, as published"] and f"; ours: {row[preset]}</a>" in said
        assert page in scoreboard.TITLES


def test_without_records_of_a_deciding_preset_nothing_is_said_to_hold():
    only_quick = {"quick": RECORDS["quick"]}
    assert firstpage.deciding(only_quick, ORDER) is None
    assert firstpage.state(only_quick, ORDER).startswith("No claim has a verdict yet")
    assert firstpage.ways(only_quick, ORDER).count("which gives no verdict") >= 5
    assert firstpage.ways({}, ORDER).count("Nothing is measured yet.") >= 3


def test_there_is_a_way_into_every_page_of_numbers():
    ways = firstpage.ways(RECORDS, ORDER)
    linked = re.findall(r"^- \*\*\[(.+?)\]\((\w+)\)\*\*: .+\. .+\.$", ways, re.MULTILINE)
    assert {page for _, page in linked} == {*sections.PAGES, *sections.STANDING}
    assert len(linked) == len(ways.splitlines()) and "nan" not in ways


def test_titles_are_the_pages_own_headings():
    assert set(scoreboard.TITLES) == {*sections.PAGES, *sections.STANDING}
    for page, title in scoreboard.TITLES.items():
        assert f"\n# # {title}\n" in (BOOK / f"{page}.py").read_text()


# The scoreboard


class Board(HTMLParser):
    """The rows of the scoreboard's table, with their attributes."""

    def __init__(self):
        super().__init__()
        self.opened, self.rows, self.cells = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag != "br":
            self.opened.append(tag)
        if tag == "tr":
            self.rows.append(dict(attributes))
        if tag == "td":
            self.cells.append(dict(attributes))

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag


@pytest.fixture(scope="module")
def board():
    parser = Board()
    parser.feed(scoreboard.html(RECORDS, ORDER))
    assert parser.opened == []
    return parser


def test_the_scoreboard_has_a_group_for_each_page_with_claims(board):
    groups = [row for row in board.rows if row.get("class") == "group"]
    assert len(groups) == len({claim.page for claim in claims.claims()})


def test_a_row_says_its_verdict_and_a_cell_its_column_for_the_script_and_narrow_screens(board):
    rows = [row for row in board.rows if "data-verdict" in row]
    assert [row["id"] for row in rows if row["id"]] != [] and len(rows) == len(claims.claims())
    preset = firstpage.deciding(RECORDS, ORDER)
    found = claims.judged(RECORDS)
    assert all(row["data-verdict"] == found[row["id"]][preset][0].verdict for row in rows)
    assert all(cell["data-label"] for cell in board.cells)


def test_a_verdict_is_told_by_words_and_a_mark_and_not_by_colour_alone():
    shown = scoreboard.html(RECORDS, ORDER)
    for kind, inside in re.findall(r"<span class='verdict ([\w-]+)'>([^<]*)</span>", shown):
        mark, words = inside.split(" ", 1)
        assert words.replace(" ", "-") == kind and mark in (*scoreboard.MARKS.values(), "·")


def test_the_style_has_a_colour_for_each_deciding_verdict():
    style = (BOOK / "_static" / "companion.css").read_text()
    for verdict in scoreboard.MARKS:
        assert f".verdict.{verdict.replace(' ', '-')} " in style


# Execution


def metadata(**own):
    machine = {"device": "a <processor>", "python": "3.11.7", "packages": {"torch": "2.11.0"}}
    times = {"duration": 12.4, "end_time": "2026-11-25T10:34:12.123456", "exception": None}
    return {"papermill": times | own, "lrlib": {"preset": "quick", "machine": machine}}


def test_the_table_says_how_each_page_was_executed():
    table = execution.pages({"lr_layer": metadata(), "audit": metadata(exception=True), "controls": None})
    first, second, third = re.findall(r"<tr><th scope='row'>.*</tr>", table)
    for part in ("executed", "quick", ">12<", "2026-11-25 10:34", "a &lt;processor&gt;", "Python 3.11.7, torch 2.11.0"):
        assert part in first
    assert "failed" in second and "not executed" in third
    ElementTree.fromstring(table)


def test_the_table_of_records_has_each_with_its_code_of_today_or_older(monkeypatch):
    record = results.load(results.path("svd_truncation", "quick"))
    today = record.runs[0]["sources"]
    for source, said in ((today, "today's"), ("0" * 12, "older")):
        monkeypatch.setattr(provenance, "sources", lambda module, source=source: source)
        table = execution.records({"quick": {"svd_truncation": record}})
        rows = [[cell.text for cell in row] for row in ElementTree.fromstring(table).find("tbody")]
        assert [row[-1] for row in rows] == [said] and rows[0][1:4] == ["quick", str(len(record.rows)), "1"]


def test_every_committed_record_is_in_the_table():
    table = ElementTree.fromstring(execution.records(RECORDS))
    assert len(table.find("tbody")) == sum(len(pages) for pages in RECORDS.values())


def test_parts_are_written_where_the_book_looks_for_them_and_only_when_they_change(tmp_path):
    generated.write(tmp_path, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert {path.relative_to(tmp_path).as_posix() for path in written} == set(generated.parts({}))
    (tmp_path / "state.md").write_text("old")
    stale = tmp_path / "along/records/quick/nope.csv"
    stale.write_text("of a page that is no more")
    generated.write(tmp_path, tmp_path)
    changed = {path.name for path in tmp_path.rglob("*.*") if path.stat().st_mtime_ns != written[path]}
    assert changed == {"state.md"} and "claims" in (tmp_path / "state.md").read_text()
    assert not stale.exists()


def test_the_book_takes_the_rows_of_every_record_along_and_what_measured_them():
    found = generated.parts({})
    for preset, pages in RECORDS.items():
        for page in pages:
            record = results.load(results.path(page, preset))
            table = pd.read_csv(StringIO(found[f"along/records/{preset}/{page}.csv"]))
            assert table.value.tolist() == pytest.approx([row["value"] for row in record.rows], nan_ok=True)
            assert table.metric.tolist() == [row["metric"] for row in record.rows]
            assert json.loads(found[f"along/records/{preset}/{page}.json"]) == record.runs
