"""The built book without files that no page of it loads: MathJax comes in ten wholes, of which one is used."""

from __future__ import annotations

import re
from pathlib import Path

_WHOLES = ("tex-*.js", "mml-*.js", "node-main.js")
_SPOKEN = {"base.json", "en.json", "nemeth.json"}  # what formulas are read out with: English, and braille


def lighten(html: Path) -> None:
    """Delete the wholes of MathJax that no page names, its speech in languages that no page is in, and debuggers' maps.

    Other parts that MathJax fetches on demand stay.

    Args:
        html: Folder of the built book.
    """
    named = {name for page in html.rglob("*.html") for name in re.findall(r"mathjax/([\w-]+\.js)", page.read_text())}
    mathjax = html / "_static" / "mathjax"
    wholes = {file for pattern in _WHOLES for file in mathjax.glob(pattern)}
    spoken = {file for file in mathjax.glob("sre/mathmaps/*.json") if file.name not in _SPOKEN}
    for file in (*wholes, *spoken, *(html / "_static").rglob("*.map")):
        if file.name not in named:
            file.unlink()
