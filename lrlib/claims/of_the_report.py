"""The claims of the report on singular values that its figure 7 decides."""

from __future__ import annotations

from collections.abc import Iterator

from lrlib.claims.claim import DRAWN, Claim
from lrlib.claims.predicates import Cell, Predicate, cell

LITTLE = 0.02  # what "very little" and "the same" are taken to be at most, in accuracy
SCALED, ZEROED = 0.1, 0.0


def of_the_report() -> Iterator[Claim]:
    """All of them, in its order."""

    def accuracy(which: str, fraction: float, *, scale: float = SCALED, arch: str = "2L") -> Cell:
        return cell("svd_truncation", "report_figure7", f"{which}_accuracy", arch=arch, scale=scale, fraction=fraction)

    page = ("svd_truncation", "The report's figure 7, for every classifier")
    figure = ("section 3.6, figure 7", DRAWN)
    for name in ("1L", "2L"):
        yield Claim(
            f"lrl-better-than-{name.lower()}",
            f"LRL is more accurate than {name}.",
            "section 3.3, figure 4",
            DRAWN,
            *page,
            Predicate(accuracy("test", 0.0, arch="LRL"), accuracy("test", 0.0, arch=name)),
        )
    yield Claim(
        "truncation-boost",
        "With the lowest 40 % of the singular values of every layer of 2L scaled down, its accuracy on adversaries "
        "made before rises.",
        *figure,
        *page,
        Predicate(accuracy("adversarial", 0.4), accuracy("adversarial", 0.0)),
    )
    yield Claim(
        "truncation-cost",
        "That costs very little of the test accuracy (at most two points).",
        *figure,
        *page,
        Predicate(accuracy("test", 0.4), accuracy("test", 0.0), margin=-LITTLE),
    )
    yield Claim(
        "truncation-few-percent",
        "With only the lowest 10 % scaled down the test accuracy of 2L rises slightly.",
        *figure,
        *page,
        Predicate(accuracy("test", 0.1), accuracy("test", 0.0)),
    )
    yield Claim(
        "scaling-like-zeroing",
        "Dividing the lowest 40 % by ten has the same effect on adversaries as zeroing them (within two points).",
        *figure,
        *page,
        Predicate(accuracy("adversarial", 0.4), accuracy("adversarial", 0.4, scale=ZEROED), margin=LITTLE, within=True),
    )
