"""Which pages the GPU's runner executes at the preset that is wanted."""

import math

import pytest

from lrlib import affordable, results, sections, zoo
from lrlib.data import DatasetError


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
    return {page for page, chosen in found.items() if chosen == preset}


def test_every_page_is_executed_in_the_order_of_the_book(recorded):
    recorded(1.0)
    assert list(affordable.pages("small", minutes=1e6)) == [*sections.PAGES, *sections.STANDING]
    assert at("small", affordable.pages("small", minutes=1e6)) == {*sections.PAGES, *sections.STANDING}


def test_pages_are_executed_at_the_preset_as_long_as_the_budget_lasts(recorded):
    recorded(60.0)
    seeds = {page: len(sections.get(page).Parameters.of("small").seeds) for page in sections.PAGES}
    first, second, third, *_ = sections.PAGES
    found = affordable.pages("small", minutes=seeds[first] + seeds[second] + 0.5)
    assert at("small", found) & set(sections.PAGES) == {first, second} and found[third] == "quick"


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
