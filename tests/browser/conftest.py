"""The built book in Debian's Chromium, from the disk and without a network; ``make test`` runs this folder last."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import yaml
from playwright.sync_api import Page, sync_playwright

from lrlib import provenance

HTML = provenance.ROOT / "_build" / "html"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing is looked up, so that a request to a server fails here even if it would be answered.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
DESKTOP, TELEPHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# The theme declares it twice on every page.
KNOWN = "Identifier 'THEBE_JS_URL' has already been declared"


def listed(part):
    """The documents of a table of contents, whether it has chapters, parts or sections."""
    names = [part[key] for key in ("root", "file") if key in part]
    for key in ("parts", "chapters", "sections"):
        names += [name for one in part.get(key, ()) for name in listed(one)]
    return names


PAGES = listed(yaml.safe_load((provenance.ROOT / "_toc.yml").read_text()))


@dataclass
class Visit:
    """A page that is open in the browser, what it complained of and what it asked for."""

    name: str
    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def complained(self, text):
        if KNOWN not in text:
            self.errors.append(text)

    def go(self, address):
        self.page.goto(f"{HTML.as_uri()}/{address}", wait_until="load")


def command():
    """The browser's program, or None if there is none."""
    named = os.environ.get("CHROMIUM")
    if named and not shutil.which(named):
        raise pytest.UsageError(f"expected CHROMIUM to name a program, got {named!r}")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def pytest_terminal_summary(terminalreporter):
    if command() is None:
        terminalreporter.write_line(f"tests/browser was skipped: no CHROMIUM is named, and no {', '.join(NAMES)} found")


@pytest.fixture(scope="session")
def browser():
    if command() is None:
        pytest.skip("no browser")
    if not (HTML / "index.html").exists():
        pytest.fail("expected the book in _build/html, which `make book` builds")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=command(), args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def opened(browser):
    """Opens a document of the book in a tab of its own."""

    @contextmanager
    def open_one(name, address=None):
        context = browser.new_context(viewport=DESKTOP, color_scheme="light")
        visit = Visit(name, context.new_page())
        visit.page.on("console", lambda said: visit.complained(said.text) if said.type == "error" else None)
        visit.page.on("pageerror", lambda error: visit.complained(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.go(address or f"{name}.html")
        yield visit
        context.close()

    return open_one
