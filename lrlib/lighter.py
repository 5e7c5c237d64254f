"""The built book without files that no page of it loads, such as pictures of an earlier execution of a page."""

from __future__ import annotations

import re
from pathlib import Path

# MathJax comes in ten wholes, of which a book uses one.
_WHOLES = ("tex-*.js", "mml-*.js", "node-main.js")
_SPOKEN = {"base.json", "en.json", "nemeth.json"}  # what formulas are read out with: English, and braille


def lighten(html: Path) -> None:
    """Delete what no page loads: pictures, wholes of MathJax, its speech in other languages, and debuggers' maps.

    Other parts that MathJax fetches on demand stay.

    Args:
        html: Folder of the built book.
    """
    pages = "\n".join(page.read_text() for page in html.rglob("*.html"))
    named = {f"mathjax/{name}" for name in re.findall(r"mathjax/([\w-]+\.js)", pages)}
    named |= {f"_images/{name}" for name in re.findall(r"_images/([\w.-]+)", pages)}
    mathjax = html / "_static" / "mathjax"
    spared = {file for pattern in _WHOLES for file in mathjax.glob(pattern)} | set(html.glob("_images/*"))
    spared = {file for file in spared if f"{file.parent.name}/{file.name}" not in named}
    spared |= {file for file in mathjax.glob("sre/mathmaps/*.json") if file.name not in _SPOKEN}
    spared |= set((html / "_static").rglob("*.map"))
    for file in spared:
        file.unlink()
