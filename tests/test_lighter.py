"""What the built book is spared."""

from lrlib.lighter import lighten

KEPT = [
    "_images/drawn.png",
    "_images/preview.png",
    "_static/mathjax/tex-chtml.js",
    "_static/mathjax/core.js",
    "_static/mathjax/input/tex-full.js",
    "_static/mathjax/output/chtml/fonts/woff-v2/one.woff",
    "_static/mathjax/sre/mathmaps/base.json",
    "_static/mathjax/sre/mathmaps/en.json",
    "_static/scripts/theme.js",
    "book/node-main.js",
]
SPARED = [
    "_images/drawn-earlier.png",
    "_static/mathjax/tex-svg-full.js",
    "_static/mathjax/tex-chtml-full.js",
    "_static/mathjax/mml-svg.js",
    "_static/mathjax/node-main.js",
    "_static/mathjax/sre/mathmaps/fr.json",
    "_static/scripts/theme.js.map",
]


PAGE = """<meta content="https://example.org/_images/preview.png">
<script defer src="../_static/mathjax/tex-chtml.js"></script><img src="../_images/drawn.png">"""


def test_what_no_page_loads_is_deleted_and_nothing_else(tmp_path):
    for name in (*KEPT, *SPARED, "book/page.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PAGE)
    lighten(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*KEPT, "book/page.html"}
    lighten(tmp_path)  # a second time there is nothing to do


def test_a_book_without_formulas_is_left_alone(tmp_path):
    (tmp_path / "index.html").write_text("plain")
    lighten(tmp_path)
    assert (tmp_path / "index.html").read_text() == "plain"
