"""What holds for the book as a whole: its search, its scoreboard, its size."""

import re

import pytest
from conftest import HTML

from lrlib.claims import claims
from lrlib.scoreboard import address

MEGABYTE = 1_000_000


def test_it_is_small_enough_to_be_sent_around():
    assert sum(file.stat().st_size for file in HTML.rglob("*") if file.is_file()) <= 30 * MEGABYTE


def test_its_first_page_opens_from_the_folder(opened):
    with opened("index") as visit:
        visit.page.wait_for_url("**/book/intro.html")
        assert visit.page.locator("h1").first.inner_text().startswith("Robustness via deep low-rank")


@pytest.mark.parametrize(
    "words, page", [("Nyström", "lr_layer"), ("layer cushion", "noise_stability"), ("DeepFool", "adversarial")]
)
def test_its_search_finds(opened, words, page):
    with opened("book/intro") as visit:
        visit.page.keyboard.press("Control+k")
        visit.page.locator("input[type=search]:visible").first.fill(words)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/search.html?q=*")
        visit.page.wait_for_function("() => /found|did not match/.test(document.body.innerText)")
        found = visit.page.locator("ul.search li > a").evaluate_all("all => all.map(a => a.href)")
        assert any(re.search(rf"/book/{page}\.html", link) for link in found), found
        assert visit.errors == []
        visit.page.goto(found[0])
        assert re.search(words, visit.page.locator("main").inner_text(), re.IGNORECASE)


def test_its_scoreboard_has_every_claim_and_a_link_to_its_numbers(opened):
    with opened("book/intro") as visit:
        for claim in claims():
            links = visit.page.locator(f"[id='{claim.id}'] a").evaluate_all("all => all.map(a => a.href)")
            assert f"{HTML.as_uri()}/book/{address(claim)}" in links


def test_its_scoreboards_links_land_on_what_they_name(opened):
    headings = {address(claim): claim.heading for claim in claims()}
    with opened("book/intro") as visit:
        for link, heading in headings.items():
            visit.go("book/intro.html")
            visit.page.locator(f".scoreboard a[href='{link}']").first.click()
            visit.page.wait_for_url(f"**/{link}")
            target = visit.page.locator(":target").locator("h1, h2, h3, h4").first
            assert target.inner_text().replace("’", "'").rstrip("#").strip() == heading
            box = target.bounding_box()
            assert 0 <= box["y"] <= visit.page.viewport_size["height"]
