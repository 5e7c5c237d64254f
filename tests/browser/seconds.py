"""How long the pages of the built book take to be readable from the disk; ``make bench`` prints it."""

from conftest import ARGUMENTS, HTML, PAGES, command
from playwright.sync_api import sync_playwright

PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PARSED = "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"


def milliseconds(page, name: str) -> float:
    """Until the page is parsed and shows something, the best of three times."""
    took = []
    for _ in range(3):
        page.goto(f"{HTML.as_uri()}/{name}.html", wait_until="load")
        page.wait_for_function(PAINTED)  # a browser without a screen may paint only after the load
        took.append(max(page.evaluate(PAINTED), page.evaluate(PARSED)))
    return min(took)


def main() -> None:
    if command() is None or not (HTML / "index.html").exists():
        raise SystemExit("expected a browser and the book in _build/html, which `make book` builds")
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=command(), args=ARGUMENTS).new_page()
        for name in PAGES:
            print(f"{name}: readable after {milliseconds(page, name):.0f} ms", flush=True)


if __name__ == "__main__":
    main()
