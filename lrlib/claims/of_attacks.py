"""The claims of section 3.1: robustness to attacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lrlib.claims.claim import DRAWN, HALF, POINT, R18, Claim, in_the_paper, larger, worst_case
from lrlib.claims.predicates import LARGEST, Predicate, cell

R50 = {"arch": "resnet50", "dataset": "cifar10"}
FOR_R50 = "ResNet-18 for ResNet-50"


def of_attacks() -> Iterator[Claim]:
    """All of them, in the paper's order."""
    yield from _adversarial()
    yield from _perturbations()


def _adversarial() -> Iterator[Claim]:
    page = ("adversarial", "Table 1: accuracy under PGD")
    for variant in ("1-LR", "2-LR"):
        for steps in (7, 20):
            for eps in ("8/255", "16/255"):
                about: dict[str, Any] = {"eps": eps, "steps": steps, "setting": "white_box"}
                printed, published = larger("table1", "adversarial", "adversarial_accuracy", variant, R18, **about)
                yield Claim(
                    f"pgd-{steps}-{eps.split('/')[0]}-{variant.lower()}",
                    f"{variant} withstands {steps} steps of PGD at {eps} that it sees through its own gradients.",
                    "section 3.1, table 1",
                    printed,
                    *page,
                    published,
                    worst_case(variant),
                )
        eps = "16/255"
        (black, shown), (white, plain) = (
            in_the_paper(
                "table1", metric="adversarial_accuracy", variant=name, setting=setting, eps=eps, steps=20, **R18
            )
            for name, setting in ((variant, "black_box"), ("N-LR", "white_box"))
        )
        left, right = (
            cell("adversarial", "table1", "adversarial_accuracy", variant=name, setting=setting, eps=eps, steps=20)
            for name, setting in ((variant, "black_box"), ("N-LR", "white_box"))
        )
        yield Claim(
            f"transfer-{variant.lower()}",
            f"{variant} withstands N-LR's examples, 20 steps at {eps}, that N-LR does not.",
            "section 3.1, table 1",
            f"{shown} against {plain}",
            *page,
            Predicate(left, right, margin=HALF * (black - white)),
            worst_case(variant),
        )
    for name in ("SNIP", "SRN", "SN"):
        about = {"eps": "16/255", "steps": 20}
        printed, published = larger("table2", "adversarial", "adversarial_accuracy", "1-LR", R50, against=name, **about)
        yield Claim(
            f"better-than-{name.lower()}",
            f"1-LR withstands 20 steps of PGD at 16/255 much better than {name}.",
            "section 3.1, table 2",
            printed,
            "adversarial",
            "Table 2: other methods",
            published,
            stand_in=FOR_R50,
        )


def _perturbations() -> Iterator[Claim]:
    heading = "Tables 3 and 10: the smallest perturbations"
    attacks = {"deepfool": "DeepFool", "iterative_least_likely": "the iterative least-likely attack", "pgd": "PGD"}
    for attack, called in attacks.items():
        for variant in ("1-LR", "2-LR"):
            about = {"attack": attack, "setting": "white_box"}
            printed, published = larger("table3", "adversarial", "rho", variant, R18, **about)
            yield Claim(
                f"perturbation-{attack.replace('_', '-')}-{variant.lower()}",
                f"{called[0].upper()}{called[1:]} has to change an image much more to fool {variant}.",
                "section 3.1, table 3",
                printed,
                "adversarial",
                heading,
                published,
            )
    left, right = (
        cell("adversarial", "table3", "rho", variant=name, attack="deepfool", setting="white_box")
        for name in ("2-LR", "N-LR")
    )
    stated = [
        (4, "LR models require at least 4 times the noise that N-LR requires", "section 3.1", "4 to 11 times"),
        (10, "The low-rank network requires an order of magnitude more", "the authors' post", "an order of magnitude"),
    ]
    for times, sentence, where, printed in stated:
        yield Claim(
            f"{times}-times-the-noise",
            f"{sentence} (DeepFool, 2-LR).",
            where,
            printed,
            "adversarial",
            heading,
            Predicate(left, right, factor=float(times)),
        )
    left, right = (
        cell("adversarial", "figure11b", name, step=LARGEST)
        for name in ("instantaneous_accuracy", "cumulative_accuracy")
    )
    yield Claim(
        "fooled-and-right-again",
        "Many images that were fooled on the way are right again later: the accuracy after the last step of PGD is "
        "above the cumulative one, by more than a point.",
        "appendix D.4, figure 11",
        DRAWN,
        "adversarial",
        "Figure 11: on the way",
        Predicate(left, right, margin=POINT),
    )
