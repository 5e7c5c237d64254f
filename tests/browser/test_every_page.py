"""What holds for each page of the table of contents."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import DESKTOP, PAGES, TELEPHONE

LINKS = """() => [...document.querySelectorAll('[href], [src], object[data]')]
    .map(e => [e.tagName, e.href?.baseVal ?? e.href ?? e.src ?? e.data])"""
IMAGES = """() => [...document.images].map(e => [e.getAttribute('src').slice(0, 80), e.getAttribute('alt')])"""
# Elements that stick out at a side and can't be scrolled to within a box of their own.
STICKING_OUT = """() => {
    const limit = document.documentElement.clientWidth;
    const boxed = e => {
        const style = getComputedStyle(e);  // what is clipped is for screen readers
        return ['auto', 'scroll'].includes(style.overflowX) || style.clip !== 'auto';
    };
    const out = [];
    for (const e of document.body.querySelectorAll('*')) {
        const box = e.getBoundingClientRect(), style = getComputedStyle(e);
        if (!box.width || !box.height || style.visibility === 'hidden') continue;
        if (box.right <= limit + 1 && box.left >= -1) continue;
        let around = style.clip !== 'auto' ? e : e.parentElement;
        while (around && !boxed(around)) around = around.parentElement;
        if (!around) out.push(`${e.tagName}#${e.id}.${e.getAttribute('class')} from ${box.left} to ${box.right}`);
    }
    return out;
}"""
# Formulas are set and their letters are there: the last things that a page asks for.
SETTLED = "() => Promise.all([document.fonts.ready, window.MathJax?.startup?.promise]).then(() => true)"
STILL = "() => document.getAnimations().every(one => one.playState !== 'running')"


@pytest.fixture(scope="module", params=PAGES)
def visit(opened, request):
    with opened(request.param) as found:
        yield found


class Anchors(HTMLParser):
    """The ids and names of a document."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found |= {value for name, value in attrs if name == "id" or (tag == "a" and name == "name")}


@cache
def anchors(file):
    parser = Anchors()
    parser.feed(file.read_text())
    return parser.found


def fault(address):
    """What is wrong with a link, or nothing."""
    parts = urlsplit(address)
    if parts.scheme != "file":
        return None if parts.scheme in ("https", "data") or parts.netloc == "localhost" else "is no https"
    file = Path(unquote(parts.path))
    if not file.is_file():
        return "is no file"
    if parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in anchors(file):
        return "has no such anchor"
    return None


def says(alt):
    """Whether an alternative text is one, more than a word or the name of a file."""
    return bool(alt) and " " in alt.strip() and "_images/" not in alt


def test_it_opens_without_an_error_in_the_console(visit):
    assert visit.errors == []


def test_it_asks_no_server_for_anything(visit):
    visit.page.evaluate(SETTLED)
    assert visit.requests
    assert [url for url in visit.requests if urlsplit(url).scheme not in ("file", "data", "blob")] == []


def test_its_links_and_anchors_resolve(visit):
    links = visit.page.evaluate(LINKS)
    faults = [f"{tag} {address} {wrong}" for tag, address in links if (wrong := fault(address))]
    assert len(links) > 10 and faults == []


def test_its_images_have_alternative_texts(visit):
    assert [src for src, alt in visit.page.evaluate(IMAGES) if not says(alt)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_contrast_and_structure_pass_axe(visit, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
    visit.page.wait_for_function(STILL)
    found = Axe().run(visit.page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    assert [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]] == []


def test_it_fits_a_telephone(visit):
    visit.page.set_viewport_size(TELEPHONE)
    visit.page.wait_for_function(STILL)  # drawers slide
    try:
        assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= TELEPHONE["width"]
        assert visit.page.evaluate(STICKING_OUT) == []
    finally:
        visit.page.set_viewport_size(DESKTOP)
