"""The scoreboard: every claim, the paper's number, ours at each preset, and both verdicts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from lrlib import drift, presets
from lrlib.claims import Claim, Judged, claims, judged
from lrlib.claims.predicates import MACHINERY, UNMEASURED, WITHOUT_VERDICT, Predicate
from lrlib.results import Record

Records = Mapping[str, Mapping[str, Record]]
MARKS = {"reproduced": "✓", "not reproduced": "✗", "inconclusive": "?"}
_NO_SEED_OF_BOTH = "no seed has both sides"
# What the pages of numbers are called, in their order in the book.
TITLES = {
    "lr_layer": "The LR layer",
    "effective_rank": "Effective rank",
    "adversarial": "Adversarial robustness",
    "calibration": "Which attack was it?",
    "audit": "The audit",
    "noise_stability": "Noise stability",
    "compression": "Compression",
    "svd_truncation": "SVD truncation",
    "latent_space": "Latent space",
    "controls": "Controls",
    "training": "How the networks were trained",
    "benchmarks": "What it costs",
}
ABOUT = {
    "paper": "paper",
    "small": f"small: CIFAR-10, quarter width, {presets.get('small').network.epochs} epochs",
    "quick": "quick: 8 x 8 digits",
}


def table(by_preset: Records) -> pd.DataFrame:
    """The scoreboard as text, a row for each claim.

    Args:
        by_preset: Records by preset and page, see ``claims.records``.

    Returns:
        Indexed by the claim's name: ``claim``, ``where``, ``printed``, ``needed``, ``place`` (see :func:`address`); for
        each preset ``<preset>`` (what was measured), ``<preset>, as published`` and ``<preset>, strong attacks`` (the
        verdicts), and ``<preset>, sources``, which says so if some rows come from older sources than today's.
    """
    found = judged(by_preset)
    rows = []
    for claim in claims():
        row = {
            "claim": claim.sentence,
            "where": claim.where,
            "printed": claim.printed,
            "needed": needed(claim.published),
            "place": address(claim),
        }
        for preset, (published, strong) in found[claim.id].items():
            row[preset] = number(claim.published, published)
            row[f"{preset}, as published"] = published.verdict
            row[f"{preset}, strong attacks"] = "" if strong is None else strong.verdict
            row[f"{preset}, sources"] = drift.OLDER if published.older or (strong and strong.older) else ""
        rows.append(row)
    return pd.DataFrame(rows, index=[claim.id for claim in claims()])


def number(predicate: Predicate, found: Judged) -> str:
    """What was measured: a difference with half the width of its interval over seeds, or a ratio; empty if nothing."""
    if not found.seeds:
        return ""
    if predicate.factor != 1:
        return _times(found)
    half = "" if found.seeds < 2 else f" ± {_plain(predicate, found.high - found.value)}"
    plain = _plain(predicate, abs(found.value))
    sign = "" if predicate.right is None or not float(plain) else "+" if found.value > 0 else "−"
    return f"{sign}{plain}{half}{_unit(predicate)}"


def _times(found: Judged) -> str:
    if math.isnan(found.ratio):
        return "no ratio, for the second is 0"
    digits = max(0, 1 - math.floor(math.log10(abs(found.ratio) or 1)))  # two significant ones
    half = "" if found.seeds < 2 else f" ± {found.ratio_half:.{digits}f}"
    return f"{found.ratio:.{digits}f}{half} times"


def needed(predicate: Predicate) -> str:
    """What the interval has to be beyond, or within."""
    if predicate.factor != 1:
        return f"more than {predicate.factor:.2g} times"
    if predicate.within:
        return f"within {_plain(predicate, predicate.margin)}{_unit(predicate)}"
    sign = "" if predicate.right is None or predicate.margin == 0 else "+" if predicate.margin > 0 else "−"
    return f"more than {sign}{_plain(predicate, abs(predicate.margin))}{_unit(predicate)}"


def _plain(predicate: Predicate, value: float) -> str:
    if predicate.in_percent:
        return f"{100 * value:.1f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"


def _unit(predicate: Predicate) -> str:
    if not predicate.in_percent:
        return ""
    return " %" if predicate.right is None else " points"


def html(by_preset: Records, presets: list[str]) -> str:
    """The scoreboard for the book's first page, with a link from each claim to where the book shows its numbers.

    Args:
        by_preset: Records by preset and page.
        presets: Which of them have a column, if anything was measured at them, from left to right.

    Returns:
        A table with a body for each page; each cell names its column, for where the table is too wide to be one.
    """
    found = judged(by_preset)
    presets = [preset for preset in presets if _is_measured(found, preset)]
    heads = ["claim", "printed", *(f"ours, {ABOUT[name]}" for name in presets)]
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in heads)
    bodies = []
    for page in sorted({claim.page for claim in claims()}, key=list(TITLES).index):
        own = [claim for claim in claims() if claim.page == page]
        rows = "\n".join(_row(claim, found[claim.id], presets, heads) for claim in own)
        title = f"<a href='{page}.html'>{escape(TITLES[page])}</a>"
        group = f"<tr class='group'><th scope='rowgroup' colspan='{len(heads)}'>{title}</th></tr>"
        bodies.append(f"<tbody>\n{group}\n{rows}\n</tbody>")
    table = f"<thead><tr>{head}</tr></thead>\n" + "\n".join(bodies)
    return f"<div class='scoreboard-frame'>\n<table class='scoreboard'>\n{table}\n</table>\n</div>\n"


def _is_measured(found: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str) -> bool:
    return any(preset in one and one[preset][0].verdict != UNMEASURED for one in found.values())


def summary(by_preset: Records, preset: str) -> str:
    """How many claims have which verdict at a preset, in a sentence."""
    return _summary(judged(by_preset), preset)


def _summary(verdicts: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str) -> str:
    found = [one[preset] for one in verdicts.values() if preset in one]
    strong = [one for _, one in found if one is not None]
    parts = [f"At {preset}, of {len(found)} claims: {_counted([one for one, _ in found])}."]
    if any(one.verdict != UNMEASURED for one in strong):
        parts.append(f"Of the {len(strong)} that the audit decides, too: {_counted(strong)}.")
    return " ".join(parts)


def _counted(found: Sequence[Judged]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in Counter(one.verdict for one in found).most_common())


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


def _row(claim: Claim, found: Mapping[str, tuple[Judged, Judged | None]], presets: list[str], heads: list[str]) -> str:
    link = f"<a href='{address(claim)}'>{escape(claim.where)}</a>"
    need = f"<br><small>decided by: {needed(claim.published)}</small>"
    cells = [f"{escape(claim.sentence)} {link}{need}", escape(claim.printed)]
    cells += [_cell(claim, *found[preset]) for preset in presets]
    tagged = "".join(
        f"<td data-label='{escape(head, quote=True)}'>{one}</td>" for head, one in zip(heads, cells, strict=True)
    )
    deciding = next((one for one in presets if one != WITHOUT_VERDICT), "")
    verdict = found[deciding][0].verdict if deciding else WITHOUT_VERDICT
    return f"<tr id='{claim.id}' data-verdict='{verdict}'>{tagged}</tr>"


def _cell(claim: Claim, published: Judged, strong: Judged | None) -> str:
    if published.verdict == UNMEASURED:
        return verdict_html(published)
    seeds = f"{published.seeds} seed{'s' if published.seeds > 1 else ''}" if published.seeds else _NO_SEED_OF_BOTH
    about = [one for one in (number(claim.published, published), seeds) if one]
    about += ["another network stands in"] * published.stand_in + [escape(claim.instead)] * bool(claim.instead)
    about += [drift.OLDER] * published.older
    text = f"{verdict_html(published)}<br><small>{', '.join(about)}</small>"
    if claim.strong is None or strong is None or strong.verdict in (UNMEASURED, MACHINERY):
        return text
    under = ", ".join([number(claim.strong, strong)] + [drift.OLDER] * strong.older)
    return f"{text}<br>strong attacks: {verdict_html(strong)}<br><small>{under}</small>"


def verdict_html(found: Judged) -> str:
    """A verdict with its mark, for colour alone tells some readers nothing."""
    kind = found.verdict.replace(" ", "-")
    return f"<span class='verdict {kind}'>{MARKS.get(found.verdict, '·')} {found.verdict}</span>"
