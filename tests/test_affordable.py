"""Which pages the GPU's runner executes at the preset that is wanted."""

import math

import pytest

from lrlib import affordable, results, sections, side_by_side, zoo
from lrlib.data import DatasetError


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch):
    monkeypatch.setattr(side_by_side, "shares", lambda: (1, 1))


@pytest.fixture
def recorded(record_of, monkeypatch):
    """Every page's record at small took so many seconds for one seed; all networks are stored."""

    known = results.committed

    def make(seconds, **of_pages):
        def committed(page):
            if page == "calibration":  # defaults of other pages come from it
                return known(page)
            record = record_of([], page=page, preset="small", seeds=[0])
            record.runs[0]["seconds"] = of_pages.get(page, seconds)
            return {"small": record} if record.runs[0]["seconds"] is not None else {}

        monkeypatch.setattr(results, "committed", committed)
        monkeypatch.setattr(zoo, "find", lambda spec: spec)

    return make


def at(preset, found):
    return {page for page, parameters in found.items() if parameters.preset == preset}


def seeds(found):
    """Which seeds each page that measures has at small."""
    return {page: found[page].seeds for page in sections.PAGES if found[page].preset == "small"}


ALL = {page: sections.get(page).Parameters.of("small").seeds for page in sections.PAGES}


def test_every_page_is_executed_in_the_order_of_the_book(recorded):
    recorded(1.0)
    found = affordable.pages("small", minutes=1e6)
    assert list(found) == [*sections.PAGES, *sections.STANDING] and at("small", found) == set(found)
    assert seeds(found) == ALL


def test_the_first_seed_of_every_page_comes_before_the_second_of_any(recorded):
    recorded(60.0)
    pages, first = list(sections.PAGES), {page: all_seeds[:1] for page, all_seeds in ALL.items()}
    found = affordable.pages("small", minutes=2.5)
    assert seeds(found) == {page: first[page] for page in pages[:2]} and found[pages[2]].preset == "quick"
    assert found[pages[2]].at_defaults()
    assert seeds(affordable.pages("small", minutes=len(pages) + 0.5)) == first
    second = next(page for page in pages if len(ALL[page]) > 1)
    assert seeds(affordable.pages("small", minutes=len(pages) + 1.5)) == first | {second: ALL[second][:2]}


def test_pages_that_are_executed_at_the_same_time_share_the_budget(recorded, monkeypatch):
    recorded(60.0)
    alone = seeds(affordable.pages("small", minutes=2 * len(ALL)))
    monkeypatch.setattr(side_by_side, "shares", lambda: (2, 1))
    assert seeds(affordable.pages("small", minutes=len(ALL))) == alone
    assert sum(map(len, alone.values())) == min(2 * len(ALL), sum(map(len, ALL.values())))


def test_the_longest_pages_come_first_and_those_that_show_records_last(recorded):
    recorded(60.0, lr_layer=200.0, controls=None)
    found = affordable.pages("small", minutes=1e6) | {"controls": sections.get("controls").Parameters.of("small")}
    order = affordable.longest_first(found)
    several = [page for page in sections.PAGES if page not in ("lr_layer", "controls")]
    assert order == ["lr_layer", *several, "controls", *sections.STANDING]
    alone = {
        "lr_layer": sections.get("lr_layer").Parameters.of("small", seeds=[0]),
        "compression": found["compression"],
    }
    assert affordable.longest_first(alone) == ["lr_layer", "compression"]


def test_a_page_that_takes_too_long_leaves_the_time_to_the_others(recorded):
    recorded(0.0, adversarial=1e9)
    assert at("quick", affordable.pages("small", minutes=1)) == {"adversarial"}


def test_a_page_that_was_never_measured_there_is_executed_at_quick(recorded):
    recorded(0.0, compression=None)
    assert at("quick", affordable.pages("small", minutes=1)) == {"compression"}


def test_pages_whose_networks_are_not_stored_are_executed_at_quick(recorded, monkeypatch):
    recorded(0.0)
    monkeypatch.setattr(zoo, "find", lambda spec: None)
    assert at("quick", affordable.pages("small", minutes=1)) == set(sections.PAGES) - {"lr_layer"}


def test_the_network_before_training_needs_no_store(recorded, monkeypatch):
    recorded(0.0)
    monkeypatch.setattr(zoo, "find", lambda spec: spec if spec.epochs else None)
    assert at("quick", affordable.pages("small", minutes=1)) == set()


def test_a_dataset_that_is_not_there_is_no_error(recorded, monkeypatch):
    def find(spec):
        raise DatasetError("not there")

    recorded(0.0)
    monkeypatch.setattr(zoo, "find", find)
    assert at("quick", affordable.pages("small", minutes=1)) == set(sections.PAGES) - {"lr_layer"}


def test_at_quick_there_is_nothing_to_choose(recorded, monkeypatch):
    recorded(1e9)
    monkeypatch.setattr(zoo, "find", lambda spec: None)
    assert at("quick", affordable.pages("quick", minutes=1)) == {*sections.PAGES, *sections.STANDING}


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.inf, math.nan])
def test_a_budget_is_a_positive_number_of_minutes(minutes):
    with pytest.raises(ValueError, match=r"^expected a budget of more than 0 minutes, got "):
        affordable.pages("small", minutes=minutes)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match=r"^expected a preset among quick, small, paper, got 'huge'$"):
        affordable.pages("huge", minutes=1)
