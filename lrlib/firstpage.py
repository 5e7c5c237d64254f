"""What the book's first page says that is computed: what holds, how sure that is, and what each section has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from lrlib import models
from lrlib.claims import Judged, claims, judged
from lrlib.claims.claim import OURS
from lrlib.claims.predicates import (
    FEWEST_SEEDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    TOO_FEW,
    UNMEASURED,
    WITHOUT_VERDICT,
)
from lrlib.prose import adversarial, benchmarks, effective_rank, lr_layer
from lrlib.results import Record
from lrlib.scoreboard import ABOUT, MARKS, TITLES, address, number, verdict_html
from lrlib.sections import calibrated, training
from lrlib.sections import verdicts as audited

Records = Mapping[str, Mapping[str, Record]]
_SAID = {
    REPRODUCED: "reproduced",
    NOT_REPRODUCED: "not reproduced",
    INCONCLUSIVE: "inconclusive",
    TOO_FEW: f"measured on fewer than {FEWEST_SEEDS} seeds, which decides nothing",
    UNMEASURED: "not measured",
}
# What the paper's abstract says of its networks, and the claims that say it in numbers.
_THESES = {
    "Few directions suffice": ("rank-1-lr", "rank-2-lr"),
    "As accurate as before": ("accuracy-1-lr", "accuracy-2-lr"),
    "Harder to attack": (
        *("pgd-8-1-lr", "pgd-8-2-lr", "half-fooled-pgd-1-lr", "half-fooled-pgd-2-lr"),
        *("perturbation-deepfool-1-lr", "perturbation-deepfool-2-lr"),
    ),
    "Steadier under noise": ("noise-0.4-1-lr", "noise-0.4-2-lr"),
    "Compressible": ("compressed-5a-10", "compressed-5b-10", "model-compression"),
}
_Saying = Callable[[Record], str]
# What one has to know of a thesis' numbers: the page whose record says it, and who says it.
_BESIDE: dict[str, tuple[str, _Saying]] = {
    "Few directions suffice": (
        "effective_rank",
        lambda record: (
            "The settings of the LR layers were [chosen](training) to lower the rank: this is no independent test. "
            f"{effective_rank.beyond_the_first(record)}"
        ),
    ),
    "Harder to attack": ("adversarial", adversarial.floor),
}
# What each page is about, and who says what was found there; None where its claims do.
_WAYS: dict[str, tuple[str, _Saying | None]] = {
    "lr_layer": (
        "the method, equation by equation beside its code, and a small training watched step by step",
        lr_layer.in_short,
    ),
    "effective_rank": ("how many directions the representations need", None),
    "adversarial": ("accuracy under attack, and how much it takes to fool each network", None),
    "calibration": (
        "the attack's settings that the paper leaves open, fitted to its own row of N-LR",
        lambda record: _calibrated(record),
    ),
    "audit": ("the same networks under all attacks that are known to work better", lambda record: _audited(record)),
    "noise_stability": ("random noise, and how far a perturbation gets", None),
    "compression": ("classifiers on a few dimensions of the representations", None),
    "svd_truncation": ("a report's experiments with truncated weights", None),
    "latent_space": ("the report's classifiers of codes of few dimensions in the place of images", None),
    "controls": ("which part of the method does what", None),
    "training": (
        "the search for the settings that the paper doesn't state",
        lambda record: f"{_tried(record)} settings of LR layers were tried on held-out training images.",
    ),
    "benchmarks": (
        "time and memory of the layer, the projections and the attacks",
        lambda record: benchmarks.findings({record.preset: record})[0],
    ),
}


def deciding(by_preset: Records, order: list[str]) -> str | None:
    """The first preset of the order at which at least one claim has a verdict; None if there is none."""
    found = judged(by_preset)
    decided = {REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE}
    for preset in order:
        verdicts = {one[preset][0].verdict for one in found.values() if preset in one}
        if preset != WITHOUT_VERDICT and verdicts & decided:
            return preset
    return None


def state(by_preset: Records, order: list[str]) -> str:
    """What holds, what doesn't, and how sure that is, as Markdown: thesis by thesis, then of all claims.

    Args:
        by_preset: Records by preset and page.
        order: Presets, the one that says most about the paper first.
    """
    preset = deciding(by_preset, order)
    if preset is None:
        return "No claim has a verdict yet: there is no record of a preset that gives one."
    found = judged(by_preset)
    counts = Counter(one[preset][0].verdict for one in found.values())
    lines = [
        f"- {MARKS.get(verdict, '·')} **{counts[verdict]} {said}**{_where(found, preset, verdict)}"
        for verdict, said in _SAID.items()
        if counts[verdict]
    ]
    ours = sum(claim.where.startswith(OURS) for claim in claims())
    without = [name for name in order if name not in (preset, WITHOUT_VERDICT) and not _has_verdicts(found, name)]
    rest = "".join(f" At `{name}` no claim is measured yet." for name in without)
    return (
        f"At the preset `{preset}` ({ABOUT[preset].removeprefix(f'{preset}: ')}); a `?` behind a printed number says "
        f"that another one contradicts it:\n\n{_theses(found, preset, by_preset[preset])}\n\n"
        f"Of all {len(found)} claims, {ours} of them our own, to test the others:\n\n"
        + "\n".join(lines)
        + f"\n\n{_sure(found, preset)}{rest}"
    )


def _theses(
    found: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str, records: Mapping[str, Record]
) -> str:
    """Each thesis with its claims: the verdict, the sentence, the printed number and ours; and what to know of them."""
    by_id = {claim.id: claim for claim in claims()}
    lines = []
    for thesis, names in _THESES.items():
        holding = sum(found[name][preset][0].verdict == REPRODUCED for name in names)
        lines.append(f"- **{thesis}**: {holding} of {len(names)} claims reproduced")
        for claim in map(by_id.__getitem__, names):
            published, strong = found[claim.id][preset]
            ours = number(claim.published, published)
            under = f"; under strong attacks {verdict_html(strong)}" if strong and strong.verdict in MARKS else ""
            said = f"paper: {claim.printed}" + (f"; ours: {ours}" if ours else "")
            link = f"<a href='{address(claim)}'>{said}</a>"
            lines.append(f"  - {verdict_html(published)} {claim.sentence} ({link}){under}")
        page, say = _BESIDE.get(thesis, ("", None))
        if say is not None and page in records:
            lines.append(f"  - {say(records[page].main())}")
    return "\n".join(lines)


def _has_verdicts(found: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str) -> bool:
    return any(preset in one and one[preset][0].verdict != UNMEASURED for one in found.values())


def _where(found: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str, verdict: str) -> str:
    """The pages that a verdict is on, with how many each has."""
    pages = Counter(claim.page for claim in claims() if found[claim.id][preset][0].verdict == verdict)
    return ": " + ", ".join(f"{count} in [{TITLES[page]}]({page})" for page, count in pages.items())


def _sure(found: Mapping[str, Mapping[str, tuple[Judged, Judged | None]]], preset: str) -> str:
    """On how much the verdicts rest."""
    decided = [one[preset][0] for one in found.values() if one[preset][0].verdict in (REPRODUCED, NOT_REPRODUCED)]
    seeds = sorted({one.seeds for one in decided})
    stand_ins = sum(one.stand_in for one in decided)
    strong = [one[preset][1] for one in found.values()]
    tried = sum(one is not None and one.verdict not in (UNMEASURED, TOO_FEW) for one in strong)
    return (
        f"How sure: each of the {len(decided)} decided claims rests on {' or '.join(map(str, seeds))} seeds, and on a "
        f"95 % interval that lies wholly on one side of its margin; in {stand_ins} of them even the architecture or "
        f"the dataset is not the paper's. {tried} were also judged under the [audit's](audit) strong attacks."
    )


def ways(by_preset: Records, order: list[str]) -> str:
    """A Markdown list of all pages of numbers, with what each is about and a sentence of what was found there."""
    return "\n".join(
        f"- **[{TITLES[page]}]({page})**: {about}. {_found(by_preset, order, page, say)}"
        for page, (about, say) in _WAYS.items()
    )


def _found(by_preset: Records, order: list[str], page: str, say: _Saying | None) -> str:
    if say is None:
        return _counted(by_preset, order, page)
    for preset in order:
        record = by_preset.get(preset, {}).get(page)
        if record is not None:
            said = say(record.main()).replace("**", "")
            return said if said.startswith("`") else f"At `{preset}`: {said}"
    return "Nothing is measured yet."


def _counted(by_preset: Records, order: list[str], page: str) -> str:
    """How many of a page's claims have which verdict, at the first preset where one was measured."""
    found = judged(by_preset)
    own = [found[claim.id] for claim in claims() if claim.page == page]
    for preset in order:
        verdicts = Counter(one[preset][0].verdict for one in own if preset in one)
        if preset != WITHOUT_VERDICT and set(verdicts) - {UNMEASURED}:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
            return f"Of {len(own)} claims at `{preset}`: {counts}."
    return f"Its {len(own)} claims are measured at `{WITHOUT_VERDICT}` alone, which gives no verdict."


def _calibrated(record: Record) -> str:
    tried = len(calibrated.residuals(record, "screened"))
    best = 100 * calibrated.residuals(record, "fitted").residual.min()
    return f"of {tried} settings the closest differs by {best:.1f} points (root mean square) from the paper's row."


def _audited(record: Record) -> str:
    table = audited.verdicts(record)
    ours = table[table.variant.isin(models.REGULARIZED)]
    said = ", ".join(f"{row.variant}: {row.verdict}" for row in ours.itertuples())
    return f"verdicts on the gain over N-LR in the worst case: {said}."


def _tried(record: Record) -> int:
    """How many settings, of the variants that have some."""
    return int((training.judged(record).index.get_level_values("variant") != "N-LR").sum())
