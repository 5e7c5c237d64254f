"""The checks find what they are there for, on pages made by hand."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import TELEPHONE
from test_every_page import IMAGES, LINKS, STICKING_OUT, fault, says

WIDE = "<div style='width: 900px; height: 1em'>"


@pytest.fixture
def shown(browser):
    page = browser.new_page(viewport=TELEPHONE)

    def show(body):
        page.set_content(
            f"<html lang='en'><title>page</title><body style='margin: 0'><main>{body}</main></body></html>"
        )
        return page

    yield show
    page.close()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("<div>narrow</div>", 0),
        (f"{WIDE}wide</div>", 1),
        (f"<div style='overflow-x: auto'>{WIDE}wide</div></div>", 0),
        (f"<div style='overflow: hidden'>{WIDE}cut off</div></div>", 1),
        ("<div style='position: absolute; left: -50px; width: 99px; height: 1em'>cut off</div>", 1),
        (f"<div style='position: absolute; clip: rect(1px, 1px, 1px, 1px)'>{WIDE}read aloud</div></div>", 0),
        ("<div style='position: absolute; left: -50px; visibility: hidden; width: 99px; height: 1em'>drawer</div>", 0),
    ],
)
def test_what_sticks_out_is_found(shown, body, found):
    assert len(shown(body).evaluate(STICKING_OUT)) == found


def test_links_and_anchors_that_lead_nowhere_are_found(tmp_path):
    page = tmp_path / "a page.html"
    page.write_text("<h1 id='here'>A page</h1><a name='named'></a><p id=σ></p>")
    there = page.as_uri()
    assert [fault(f"{there}{end}") for end in ("", "#", "#here", "#named", "#%CF%83", "?q=1#here")] == [None] * 6
    assert fault(f"{there}#nowhere") == "has no such anchor"
    assert fault((tmp_path / "other.html").as_uri()) == fault(tmp_path.as_uri()) == "is no file"
    assert fault("https://example.org/") is None and fault("http://example.org/") == "is no https"


def test_every_kind_of_link_is_looked_at(shown):
    links = shown(
        "<a href='https://a/'>a</a><img src='https://b/'><script src='https://c/'></script><object data='https://d/'>"
        "</object><link href='https://e/'><svg><a href='https://f/'></a></svg>"
    ).evaluate(LINKS)
    assert [address for _, address in links] == [f"https://{letter}/" for letter in "abcdef"]


def test_images_without_a_text_are_found(shown):
    page = shown("<img src='1'><img src='2' alt=''><img src='3' alt='../_images/a b.svg'><img src='4' alt='A curve'>")
    assert [src for src, alt in page.evaluate(IMAGES) if not says(alt)] == ["1", "2", "3"]


def test_axe_finds_faint_text_and_a_missing_heading_level(shown):
    page = shown("<h1>One</h1><h3 style='color: #bbb; background: #fff'>Three</h3>")
    violations = Axe().run(page, options={"preload": False}).response["violations"]
    assert {"color-contrast", "heading-order"} <= {one["id"] for one in violations}
