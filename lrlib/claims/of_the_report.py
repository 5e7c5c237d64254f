"""The claims of the report on singular values that the rows of its figure 7 decide."""

from __future__ import annotations

from collections.abc import Iterator

from lrlib.claims.claim import DRAWN, OURS, Claim
from lrlib.claims.predicates import Cell, Predicate, cell

LITTLE = 0.02  # what "very little" and "the same" are taken to be at most, in accuracy
MUCH = 0.1  # what "a high boost" is taken to be at least
SCALED, ZEROED = 0.1, 0.0
PAGE = ("svd_truncation", "The report's figure 7, for every classifier")
FIGURE = ("section 3.6, figure 7", DRAWN)
ON_THE_BORDER = "DeepFool's adversaries, just across the border, for the report's"


def of_the_report() -> Iterator[Claim]:
    """All of them, in its order."""

    def accuracy(which: str, fraction: float, *, scale: float = SCALED, arch: str = "2L") -> Cell:
        return cell("svd_truncation", "report_figure7", f"{which}_accuracy", arch=arch, scale=scale, fraction=fraction)

    for name in ("1L", "2L"):
        yield Claim(
            f"lrl-better-than-{name.lower()}",
            f"LRL is more accurate than {name}.",
            "section 3.3, figure 4",
            DRAWN,
            *PAGE,
            Predicate(accuracy("test", 0.0, arch="LRL"), accuracy("test", 0.0, arch=name)),
        )
    yield Claim(
        "truncation-boost",
        "Scaling down the lowest 40 % of 2L's singular values raises its accuracy on adversaries made before much (by "
        "at least ten points).",
        *FIGURE,
        *PAGE,
        Predicate(accuracy("adversarial", 0.4), accuracy("adversarial", 0.0), margin=MUCH),
        instead=ON_THE_BORDER,
    )
    yield Claim(
        "truncation-boost-of-more",
        "The lowest 40 % raise it more than the lowest 5 %.",
        f"{OURS}: any change moves an adversary that is just across the border",
        "not measured",
        *PAGE,
        Predicate(accuracy("adversarial", 0.4), accuracy("adversarial", 0.05)),
        instead=ON_THE_BORDER,
    )
    yield Claim(
        "truncation-cost",
        "Scaling down the lowest 40 % of 2L's singular values costs very little test accuracy (at most two points).",
        *FIGURE,
        *PAGE,
        Predicate(accuracy("test", 0.4), accuracy("test", 0.0), margin=-LITTLE),
    )
    yield Claim(
        "truncation-few-percent",
        "Scaling down only the lowest few percent (5 to 15; here 10) raises 2L's test accuracy.",
        *FIGURE,
        *PAGE,
        Predicate(accuracy("test", 0.1), accuracy("test", 0.0)),
    )
    yield Claim(
        "scaling-like-zeroing",
        "Dividing the lowest 40 % by ten leaves the same accuracy on adversaries as zeroing them (within two points).",
        "section 3.6",
        "no number",
        *PAGE,
        Predicate(accuracy("adversarial", 0.4), accuracy("adversarial", 0.4, scale=ZEROED), margin=LITTLE, within=True),
        instead=ON_THE_BORDER,
    )
