"""Claims: each has a place in the book and a verdict that follows from rows, and flips with them."""

import math
import re
from dataclasses import replace

import pytest
from docutils.nodes import make_id

from lrlib import claims, presets, provenance, scoreboard
from lrlib.claims import predicates
from lrlib.claims.predicates import LARGEST, SMALLEST, Crossing, Predicate, cell, judge
from lrlib.results import Record

CLAIMS = claims.claims()
EACH = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
PREDICATES = [(claim.id, claim.published) for claim in CLAIMS] + [
    (f"{claim.id}, strong", claim.strong) for claim in CLAIMS if claim.strong
]


# Claims about networks that only ``paper`` measures, and for which nothing stands in; tests/test_other_networks.py has
# records of these networks.
ELSEWHERE = [claim for claim in CLAIMS if claim.published.left.alone]

EXTREME = {LARGEST: 10**6, SMALLEST: -1}


def made_up(predicate, difference, *, seeds=3, spread=0.0, preset="small", stand_in=False):
    """Records with rows of both cells whose difference is as given, by seed ``spread`` apart."""
    own = presets.get(preset).network
    rows = {}

    def add(one, value, seed, **more):
        keys = {key: EXTREME.get(at, at) for key, at in one.keys} | more
        if isinstance(one, Crossing) and not more:
            for eps, size, accuracy in (("1/255", 0.0, 1.0), ("2/255", 2 * value, 0.0)):
                for metric, number in ((one.metric, size), (one.accuracy, accuracy)):
                    add(replace(one, metric=metric), number, seed, eps=eps)
            return
        about = {
            "dataset": own.dataset,
            "arch": own.arch,
            "seed": seed,
            **dict(() if stand_in else one.network),
            **keys,
        }
        row = {"artefact": one.artefact, "metric": one.metric, "value": value, "n": 100, "run": "r", **about}
        rows.setdefault(one.page, []).append(row)

    for seed in range(seeds):
        right = 0.25 if predicate.right is not None else 0.0
        off = spread * (seed - (seeds - 1) / 2)
        add(predicate.left, predicate.factor * right + difference + off, seed)
        if predicate.right is not None:
            add(predicate.right, right, seed)
    run = {"id": "r", "parameters": {"arch": own.arch, "dataset": own.dataset}, "sources": ""}
    return {page: Record(page, preset, [run], found) for page, found in rows.items()}


def test_there_are_at_least_thirty_and_each_has_a_name_of_its_own():
    assert len(CLAIMS) >= 30 and len({claim.id for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize(("name", "predicate"), PREDICATES, ids=[name for name, _ in PREDICATES])
def test_made_up_rows_flip_the_verdict(name, predicate):
    inside, outside = (0.0, predicate.margin) if predicate.within else (predicate.margin, predicate.margin)
    good = made_up(predicate, inside + (0.0 if predicate.within else 0.01), spread=0.001)
    bad = made_up(predicate, outside + (0.01 if predicate.within else -0.01), spread=0.001)
    assert judge(predicate, good, "small").verdict == "reproduced"
    assert judge(predicate, bad, "small").verdict == "not reproduced"
    assert judge(predicate, {}, "small").verdict == "not measured"


HALF_A_POINT = Predicate(cell("p", "a", "accuracy"), cell("p", "b", "accuracy"), margin=0.005)


@pytest.mark.parametrize(
    ("difference", "spread", "seeds", "expected"),
    [
        (0.1, 0.001, 3, "reproduced"),
        (0.1, 0.1, 3, "inconclusive"),  # Student's interval of three values 0.1 apart is 0.25 either way
        (0.1, 0.001, 2, "too few seeds"),
        (0.1, 0.0, 1, "too few seeds"),
        (0.004, 0.0, 3, "not reproduced"),
        (-0.1, 0.1, 3, "inconclusive"),
    ],
)
def test_a_verdict_takes_three_seeds_and_an_interval_on_one_side(difference, spread, seeds, expected):
    found = judge(HALF_A_POINT, made_up(HALF_A_POINT, difference, seeds=seeds, spread=spread), "small")
    assert found.verdict == expected and found.seeds == seeds and found.value == pytest.approx(difference)
    if seeds == 3 and spread:
        # The standard error of three values d apart is d / sqrt(3); Student's factor with two degrees is 4.3027.
        assert found.high - found.value == pytest.approx(4.302653 * spread / math.sqrt(3), rel=1e-5)


def test_quick_gives_no_verdict():
    found = judge(HALF_A_POINT, made_up(HALF_A_POINT, 0.1, preset="quick"), "quick")
    assert found.verdict == "no verdict" and found.value == pytest.approx(0.1)


def test_seeds_that_only_one_side_has_do_not_count():
    records = made_up(HALF_A_POINT, 0.1, seeds=4)
    record = records["p"]
    rows = [row for row in record.rows if (row["artefact"], row["seed"]) != ("b", 3)]
    assert judge(HALF_A_POINT, {"p": Record("p", "small", record.runs, rows)}, "small").seeds == 3


def test_sides_measured_on_different_seeds_are_too_few_not_unmeasured():
    records = made_up(HALF_A_POINT, 0.1, seeds=4)
    record = records["p"]
    rows = [row for row in record.rows if (row["artefact"] == "a") == (row["seed"] < 2)]
    apart = {"p": Record("p", "small", record.runs, rows)}
    found = judge(HALF_A_POINT, apart, "small")
    assert (found.verdict, found.seeds) == ("too few seeds", 0) and scoreboard.number(HALF_A_POINT, found) == ""
    assert judge(HALF_A_POINT, apart, "quick").verdict == "no verdict"


def test_rows_of_another_network_do_not_count():
    records = made_up(HALF_A_POINT, 0.1)
    record = records["p"]
    other = {"id": "other", "parameters": {"arch": "resnet50", "dataset": "cifar10"}, "sources": ""}
    more = [row | {"arch": "resnet50", "value": 0.9, "run": "other"} for row in record.rows]
    whole = {"p": Record("p", "small", [*record.runs, other], [*record.rows, *more])}
    assert judge(HALF_A_POINT, whole, "small") == judge(HALF_A_POINT, records, "small")


def test_keys_that_leave_several_rows_of_a_seed_are_refused():
    records = made_up(HALF_A_POINT, 0.1)
    records["p"].rows.append(dict(records["p"].rows[0]))
    with pytest.raises(ValueError, match=r"^expected keys that single out a row of each seed, got several for Cell"):
        judge(HALF_A_POINT, records, "small")


def test_a_cell_may_average_several_rows_of_a_seed(row, record_of):
    rows = [
        row("figure", "accuracy", value, seed=seed) | {"dataset": name}
        for seed in (0, 1)
        for name, value in (("mnist", 0.2 + 0.1 * seed), ("fashion-mnist", 0.4))
    ]
    of = predicates.cell("audit", "figure", "accuracy", averaged=True, variant="N-LR")
    assert of.by_seed({"audit": record_of(rows, page="audit")}).round(6).to_dict() == {0: 0.3, 1: 0.35}


def test_the_committed_records_have_rows_for_every_claim():
    """A key that is spelled otherwise than in the records would leave a claim unmeasured for ever."""
    found = claims.judged(claims.records())
    there = [claim for claim in CLAIMS if claim not in ELSEWHERE]
    assert all(found[claim.id]["quick"][0].verdict == predicates.MACHINERY for claim in there)
    assert all(found[claim.id]["quick"][1].verdict == predicates.MACHINERY for claim in there if claim.strong)


@EACH
def test_its_place_in_the_book_exists(claim):
    headings = re.findall(r"^# #+ (.*)$", (provenance.ROOT / "book" / f"{claim.page}.py").read_text(), re.MULTILINE)
    assert claim.heading in headings
    assert scoreboard.anchor(claim.heading) == make_id(claim.heading)


def test_the_scoreboard_shows_every_claim_with_both_verdicts():
    strong = next(claim for claim in CLAIMS if claim.strong)
    records = {"small": made_up(strong.published, 0.9) | made_up(strong.strong, -0.9)}
    row = scoreboard.table(records).loc[strong.id]
    assert row["small, as published"] == "reproduced" and row["small, strong attacks"] == "not reproduced"
    assert row["printed"] == strong.printed and row["small"] == "+90.0 ± 0.0 points"
    shown = scoreboard.html(records, ["paper", "small"])
    assert "ours, small" in shown and "ours, paper" not in shown
    assert shown.count("<tr id=") == len(CLAIMS) and shown.count("✓ reproduced") == shown.count("✗ not reproduced") == 1
    assert all(f"href='{scoreboard.address(claim)}'" in shown for claim in CLAIMS)
    said = scoreboard.summary(records, "small")
    assert said.startswith(f"At small, of {len(CLAIMS)} claims: ") and ", 1 reproduced" in said
    assert "too: 1 not reproduced, 1 not measured." in said


RHO = cell("p", "a", "rho"), cell("p", "b", "rho")
SHARE = cell("p", "a", "accuracy"), cell("p", "b", "accuracy")


@pytest.mark.parametrize(
    ("predicate", "difference", "number", "needed"),
    [
        (Predicate(*RHO), 0.05, "+0.050 ± 0.000", "more than 0.000"),
        (Predicate(*RHO, factor=4.0), -0.5, "2.0 ± 0.0 times", "more than 4 times"),  # 4 x 0.25 - 0.5 over 0.25
        (Predicate(*SHARE, margin=0.035), -0.02, "−2.0 ± 0.0 points", "more than +3.5 points"),
        (Predicate(*SHARE, margin=-0.01), 0.0, "0.0 ± 0.0 points", "more than −1.0 points"),
        (Predicate(*SHARE, margin=0.01, within=True), 0.005, "+0.5 ± 0.0 points", "within 1.0 points"),
        (Predicate(SHARE[0], margin=0.99), 0.995, "99.5 ± 0.0 %", "more than 99.0 %"),
    ],
)
def test_numbers_say_what_was_measured_and_what_was_needed(predicate, difference, number, needed):
    found = judge(predicate, made_up(predicate, difference), "small")
    assert scoreboard.number(predicate, found) == number and scoreboard.needed(predicate) == needed


def test_rows_of_the_claims_own_network_go_before_those_that_stand_in():
    network = {"arch": "resnet50", "dataset": "cifar10"}
    foreign = Predicate(*(cell("p", one, "accuracy", network=network) for one in "ab"))
    records = made_up(foreign, 0.1, stand_in=True)
    assert judge(foreign, records, "small").stand_in
    record = records["p"]
    other = {"id": "other", "parameters": network, "sources": ""}
    more = [row | network | {"value": 0.9 if row["artefact"] == "a" else 0.2, "run": "other"} for row in record.rows]
    both = {"p": Record("p", "small", [*record.runs, other], [*record.rows, *more])}
    found = judge(foreign, both, "small")
    assert not found.stand_in and found.value == pytest.approx(0.7)


def test_nothing_stands_in_for_a_network_that_is_meant_alone():
    network = {"arch": "resnet50", "dataset": "cifar10"}
    alone = Predicate(*(cell("p", one, "accuracy", network=network, alone=True) for one in "ab"))
    assert judge(alone, made_up(alone, 0.1, stand_in=True), "small").verdict == "not measured"
    found = judge(alone, made_up(alone, 0.1), "small")
    assert found.value == pytest.approx(0.1) and not found.stand_in


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((0.9, 0.7, 0.3), 3.0),  # half way between radii of sizes 2 and 4
        ((0.9, 0.5, 0.1), 2.0),
        ((0.9, 0.8, 0.4), 3.5),
        ((0.4, 0.3, 0.1), math.nan),  # below one half from the start
        ((0.9, 0.8, 0.6), math.nan),  # never
    ],
)
def test_a_curves_crossing_is_on_the_line_between_two_radii(accuracies, expected, row, record_of):
    rows = []
    for eps, size, accuracy in reversed(
        list(zip(("1/255", "2/255", "4/255"), (1.0, 2.0, 4.0), accuracies, strict=True))
    ):
        about = {"variant": "1-LR", "attack": "pgd", "eps": eps}
        rows += [row("figure4a", "rho", size, **about), row("figure4a", "adversarial_accuracy", accuracy, **about)]
        rows.append(row("figure4a", "adversarial_accuracy", 0.0, **about | {"attack": "another"}))
    found = Crossing("adversarial", "figure4a", "rho", (("variant", "1-LR"), ("attack", "pgd"))).by_seed(
        {"adversarial": record_of(rows)}
    )
    assert found.to_dict() == {0: pytest.approx(expected, nan_ok=True)}


def test_a_ratio_has_an_interval_over_seeds():
    """Of 2, 3 and 4 times: 3, and 4.3027 standard errors of 1 / sqrt(3)."""
    predicate = Predicate(*RHO, factor=2.0)
    found = judge(predicate, made_up(predicate, 0.25, spread=0.25), "small")
    assert found.ratio == pytest.approx(3) and found.ratio_half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert scoreboard.number(predicate, found) == "3.0 ± 2.5 times"


def test_what_is_so_many_times_zero_is_no_ratio(row, record_of):
    predicate = Predicate(cell("adversarial", "a", "rho"), cell("adversarial", "b", "rho"), factor=2.0)
    rows = [row(name, "rho", value, seed=seed) for seed in range(3) for name, value in (("a", 0.1), ("b", 0.0))]
    found = judge(predicate, {"adversarial": record_of(rows)}, "small")
    assert scoreboard.number(predicate, found) == "no ratio, for the second is 0"
    assert found.verdict == "reproduced"  # 0.1 is more than twice 0


def test_doubtful_numbers_of_the_paper_are_marked():
    assert next(claim for claim in CLAIMS if claim.id == "perturbation-deepfool-2-lr").printed.startswith(
        "0.18 ? against"
    )
