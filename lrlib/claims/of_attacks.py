"""The claims of section 3.1 and appendices D.3 and D.4: robustness to attacks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from lrlib.claims.claim import DRAWN, HALF, OURS, POINT, R18, R50, Claim, in_the_paper, larger, worst_case
from lrlib.claims.predicates import LARGEST, Cell, Crossing, Predicate, cell

TABLE1 = ("adversarial", "Table 1: accuracy under PGD")
REST_OF_TABLE1 = ("adversarial", "Tables 1 and 9: ResNet-50, and CIFAR-100")
TABLE3 = ("adversarial", "Tables 3 and 10: the smallest perturbations")
AUDITED = "8/255"  # the ball of the audit
ATTACKS = {"deepfool": "DeepFool", "iterative_least_likely": "The iterative least-likely attack", "pgd": "PGD"}


def of_attacks() -> Iterator[Claim]:
    """All of them, in the paper's order."""
    for variant in ("1-LR", "2-LR"):
        yield from _under_pgd(variant)
        yield from _transferred(variant)
    yield from _other_methods()
    yield from _perturbations()
    yield from _radii()
    yield from _twice_the_noise()
    left, right = (
        cell("adversarial", "figure11b", name, step=LARGEST)
        for name in ("instantaneous_accuracy", "cumulative_accuracy")
    )
    yield Claim(
        "fooled-and-right-again",
        "After the last step of PGD more of 1-LR's answers equal the clean ones than never changed on the way, by more "
        "than a point.",
        "appendix D.4, figure 11",
        DRAWN,
        "adversarial",
        "Figure 11: on the way",
        Predicate(left, right, margin=POINT),
    )


def _under_pgd(variant: str) -> Iterator[Claim]:
    for eps in (AUDITED, "16/255"):
        about: dict[str, Any] = {"eps": eps, "steps": 20, "setting": "white_box"}
        printed, published = larger("table1", "adversarial", "adversarial_accuracy", variant, R18, **about)
        yield Claim(
            f"pgd-{eps.split('/')[0]}-{variant.lower()}",
            f"Under 20 steps of PGD at {eps} with its own gradients, {variant} is more accurate than N-LR.",
            "section 3.1, table 1",
            printed,
            *TABLE1,
            published,
            worst_case(variant, published.margin) if eps == AUDITED else None,
        )


def _transferred(variant: str) -> Iterator[Claim]:
    about: dict[str, Any] = {"eps": "16/255", "steps": 20}
    places = ((variant, "black_box"), ("N-LR", "white_box"))
    (black, shown), (white, plain) = (
        in_the_paper("table1", metric="adversarial_accuracy", variant=name, setting=setting, **about, **R18)
        for name, setting in places
    )
    left, right, twin = (
        cell("adversarial", "table1", "adversarial_accuracy", variant=name, setting=setting, **about)
        for name, setting in (*places, ("N-LR", "another_seed"))
    )
    yield Claim(
        f"transfer-{variant.lower()}",
        f"On N-LR's examples, 20 steps at 16/255, {variant} is more accurate than N-LR itself.",
        "section 3.1, table 1",
        f"{shown} against {plain}",
        *TABLE1,
        Predicate(left, right, margin=HALF * (black - white)),
    )
    yield Claim(
        f"transfer-{variant.lower()}-beyond-a-twin",
        f"On these examples {variant} is also more accurate than an N-LR trained from another seed.",
        f"{OURS}: any other network withstands transfer",
        "not measured",
        *TABLE1,
        Predicate(left, twin),
    )


def _other_methods() -> Iterator[Claim]:
    about: dict[str, Any] = {"eps": "16/255", "steps": 20}
    page = ("adversarial", "Table 2: other methods")
    for name in ("SNIP", "SRN", "SN"):
        printed, published = larger("table2", "adversarial", "adversarial_accuracy", "1-LR", R50, against=name, **about)
        yield Claim(
            f"better-than-{name.lower()}",
            f"Under 20 steps of PGD at 16/255 ResNet-50 1-LR is much more accurate than {name}.",
            "section 3.1, table 2",
            printed,
            *page,
            published,
        )
    about |= {"setting": "white_box", "alone": True}
    printed, published = larger("table1", "adversarial", "adversarial_accuracy", "1-LR", R50, **about)
    yield Claim(
        "nearly-ten-times",
        "In the white box at 16/255, 20 steps, ResNet-50 1-LR is nearly ten times (at least nine times) as accurate as "
        "N-LR.",
        "section 3.1",
        printed,
        *REST_OF_TABLE1,
        Predicate(published.left, published.right, factor=9.0),
    )


def _perturbations() -> Iterator[Claim]:
    def rho(attack: str, variant: str, setting: str) -> Cell:
        return cell("adversarial", "table3", "rho", variant=variant, attack=attack, setting=setting)

    for attack, variant in product(ATTACKS, ("1-LR", "2-LR")):
        sentence = f"{ATTACKS[attack]} has to change an image much more to fool {variant} than to fool N-LR."
        yield _harder("perturbation", attack, variant, sentence, "table3", "rho", "section 3.1")
    for variant in ("1-LR", "2-LR"):
        (_, shown), (_, plain) = (
            in_the_paper("table3", metric="rho", variant=name, attack="deepfool", setting=setting, **R18)
            for name, setting in ((variant, "black_box"), ("N-LR", "white_box"))
        )
        yield Claim(
            f"perturbation-transferred-{variant.lower()}",
            f"DeepFool with N-LR's gradients has to change an image more to fool {variant} than to fool N-LR.",
            "section 3.1, table 3",
            f"{shown} against {plain}",
            *TABLE3,
            Predicate(rho("deepfool", variant, "black_box"), rho("deepfool", "N-LR", "white_box")),
        )
    stated = [
        (
            4,
            "LR models need 4 to 11 times the noise that N-LR needs (here: DeepFool, 2-LR).",
            "section 3.1",
            "4 to 11 times",
        ),
        (
            10,
            "To fool the low-rank network DeepFool needs a perturbation an order of magnitude larger than to fool a "
            "plain one (2-LR).",
            "the authors' post",
            "an order of magnitude",
        ),
    ]
    for times, sentence, where, printed in stated:
        left, right = (rho("deepfool", name, "white_box") for name in ("2-LR", "N-LR"))
        yield Claim(
            f"{times}-times-the-noise", sentence, where, printed, *TABLE3, Predicate(left, right, factor=float(times))
        )


def _radii() -> Iterator[Claim]:
    """Those of table 10 that the paper has larger; PGD's for 1-LR it has alike."""
    for attack, variant in (("iterative_least_likely", "1-LR"), ("iterative_least_likely", "2-LR"), ("pgd", "2-LR")):
        sentence = f"{ATTACKS[attack]} needs a much larger radius to fool {variant} than to fool N-LR."
        yield _harder("radius", attack, variant, sentence, "table10", "eps_min", "appendix D.3")


def _harder(kind: str, attack: str, variant: str, sentence: str, table: str, metric: str, section: str) -> Claim:
    """That a variant's number in table 3 or 10, white box, is as many times N-LR's as half of the paper's gain."""
    about: dict[str, Any] = {"attack": attack, "setting": "white_box"}
    printed, published = larger(table, "adversarial", metric, variant, R18, times=True, **about)
    name, where = (
        f"{kind}-{attack.replace('_', '-')}-{variant.lower()}",
        f"{section}, {table.replace('table', 'table ')}",
    )
    return Claim(name, sentence, where, printed, *TABLE3, published)


def _twice_the_noise() -> Iterator[Claim]:
    """Figure 4a; half of what twice is above once counts, as with other ratios."""
    for attack, variant in product(("pgd", "iterative_least_likely"), ("1-LR", "2-LR")):
        left, right = (
            Crossing("adversarial", "figure4a", "rho", (("variant", name), ("attack", attack)))
            for name in (variant, "N-LR")
        )
        yield Claim(
            f"half-fooled-{attack.replace('_', '-')}-{variant.lower()}",
            f"{ATTACKS[attack]} needs about twice the noise to bring {variant} down to an accuracy of 50 % that it "
            "needs for N-LR.",
            "section 3.1, figure 4a",
            "about twice",
            "adversarial",
            "Figure 4a: accuracy against the size of the perturbation",
            Predicate(left, right, factor=1 + HALF),
        )
