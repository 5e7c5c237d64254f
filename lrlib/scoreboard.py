"""The scoreboard: every claim, the paper's number, ours at each preset, and both verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

import pandas as pd

from lrlib.claims import Claim, Judged, claims, judged
from lrlib.claims.predicates import MACHINERY, UNMEASURED, WITHOUT_VERDICT, Predicate
from lrlib.results import Record

Records = Mapping[str, Mapping[str, Record]]
STYLE = {"reproduced": "✓", "not reproduced": "✗", "inconclusive": "?"}


def table(by_preset: Records) -> pd.DataFrame:
    """The scoreboard as text, a row for each claim.

    Args:
        by_preset: Records by preset and page, see ``claims.records``.

    Returns:
        Indexed by the claim's name: ``claim``, ``where``, ``paper``, and for each preset ``<preset>`` (what was
        measured), ``<preset>, as published`` and ``<preset>, strong attacks`` (the verdicts).
    """
    found = judged(by_preset)
    rows = []
    for claim in claims():
        row = {"claim": claim.sentence, "where": claim.where, "paper": claim.printed}
        for preset, (published, strong) in found[claim.id].items():
            row[preset] = number(claim.published, published)
            row[f"{preset}, as published"] = published.verdict
            row[f"{preset}, strong attacks"] = "" if strong is None else strong.verdict
        rows.append(row)
    return pd.DataFrame(rows, index=[claim.id for claim in claims()])


def number(predicate: Predicate, found: Judged) -> str:
    """How much larger the left side is, with half the width of the interval over seeds; empty if it wasn't measured."""
    if found.verdict == UNMEASURED:
        return ""
    scale, digits, unit = (100, 1, " points") if predicate.unit == "points" else (1, 3, "")
    half = "" if found.seeds < 2 else f" ± {scale * (found.high - found.value):.{digits}f}"
    return f"{scale * found.value:+.{digits}f}{half}{unit}".replace("-", "−")


def html(by_preset: Records, presets: list[str]) -> str:
    """The scoreboard for the book's first page, with a link from each claim to where the book shows its numbers.

    Args:
        by_preset: Records by preset and page.
        presets: Which of them have a column, if anything was measured at them, from left to right.
    """
    found = judged(by_preset)
    presets = [preset for preset in presets if _is_measured(found, preset)]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("claim", "paper", *(f"ours, {name}" for name in presets)))
    body = "\n".join(_row(claim, found[claim.id], presets) for claim in claims())
    counted = [summary(by_preset, preset) for preset in presets if preset != WITHOUT_VERDICT]
    above = "".join(f"<p>{escape(one)}</p>\n" for one in counted)
    table = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f"{above}<table class='table scoreboard'>\n{table}\n</table>\n"


def _is_measured(found: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str) -> bool:
    return any(preset in one and one[preset][0].verdict != UNMEASURED for one in found.values())


def summary(by_preset: Records, preset: str) -> str:
    """How many claims have which verdict at a preset, in a sentence."""
    found = [verdicts[preset] for verdicts in judged(by_preset).values() if preset in verdicts]
    published = pd.Series([one.verdict for one, _ in found]).value_counts()
    said = ", ".join(f"{count} {verdict}" for verdict, count in published.items())
    return f"At {preset}, of {len(found)} claims: {said}."


def address(claim: Claim) -> str:
    """Where the book shows a claim's numbers, relative to the first page."""
    return f"{claim.page}.html#{anchor(claim.heading)}"


def anchor(heading: str) -> str:
    """What a heading is called in the built page.

    Example:
        >>> anchor("Tables 5(a) and 5(b)")
        'tables-5-a-and-5-b'
    """
    return "-".join(re.findall("[a-z0-9]+", heading.lower()))


def _row(claim: Claim, found: Mapping[str, tuple[Judged, Judged | None]], presets: list[str]) -> str:
    link = f"<a href='{address(claim)}'>{escape(claim.where)}</a>"
    stand_in = f" <small>({escape(claim.stand_in)})</small>" if claim.stand_in else ""
    cells = [f"{escape(claim.sentence)} {link}{stand_in}", escape(claim.printed)]
    cells += [_cell(claim, *found[preset]) for preset in presets]
    return f"<tr id='{claim.id}'>" + "".join(f"<td>{one}</td>" for one in cells) + "</tr>"


def _cell(claim: Claim, published: Judged, strong: Judged | None) -> str:
    if published.verdict == UNMEASURED:
        return UNMEASURED
    seeds = f"{published.seeds} seed{'s' if published.seeds > 1 else ''}"
    text = f"{_verdict(published)}<br><small>{number(claim.published, published)}, {seeds}</small>"
    if claim.strong is None or strong is None or strong.verdict in (UNMEASURED, MACHINERY):
        return text
    return f"{text}<br>strong attacks: {_verdict(strong)}<br><small>{number(claim.strong, strong)}</small>"


def _verdict(found: Judged) -> str:
    mark = STYLE.get(found.verdict, "")
    return f"<b>{mark} {found.verdict}</b>" if mark else found.verdict
