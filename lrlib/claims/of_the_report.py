"""The claims of the report on singular values and latent codes that the rows of its figures decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lrlib.claims.claim import DRAWN, FASHION, MNIST, OURS, Claim
from lrlib.claims.of_codes import of_codes
from lrlib.claims.predicates import SMALLEST, Cell, Predicate, cell

LITTLE = 0.02  # what "very little" and "the same" are taken to be at most, in accuracy
MUCH = 0.1  # what "a high boost" is taken to be at least
SCALED, ZEROED = 0.1, 0.0
PAGE = ("svd_truncation", "The report's figure 7, for every classifier")
MADE_AGAIN = ("svd_truncation", "Adversaries made again")
NETWORKS = ("svd_truncation", "Weights or representations of low rank")
FIGURE = ("section 3.6, figure 7", DRAWN)
UNMEASURED = "not measured"


def of_the_report() -> Iterator[Claim]:
    """All of them, in its order."""
    for name in ("1L", "2L"):
        yield Claim(
            f"lrl-better-than-{name.lower()}",
            f"LRL is more accurate than {name} (images of MNIST).",
            "section 3.3, figure 4",
            DRAWN,
            *PAGE,
            Predicate(_accuracy("test", 0.0, arch="LRL"), _accuracy("test", 0.0, arch=name)),
        )
    yield from of_codes()
    yield from _boosted()
    yield from _cost()
    yield from _networks()


def _accuracy(
    which: str,
    fraction: float,
    *,
    scale: float = SCALED,
    arch: str = "2L",
    network: dict[str, str] = MNIST,
    attack: str = "targeted",
    made: str = "once",
) -> Cell:
    """An accuracy of figure 7; the attack and of which network its images were concern the adversarial one alone."""
    about: dict[str, Any] = {"arch": arch, "scale": scale, "fraction": fraction}
    if which == "adversarial":
        about |= {"attack": attack, "made": made}
    return cell("svd_truncation", "report_figure7", f"{which}_accuracy", network=network, **about)


def _boosted() -> Iterator[Claim]:
    """Adversarial accuracy rises, of adversaries made once, and what that is worth."""
    for called, network, where in (("", MNIST, FIGURE), ("-on-fashion", FASHION, ("section 3.6", "no number"))):
        yield Claim(
            f"truncation-boost{called}",
            "Scaling down the lowest 40 % of 2L's singular values raises its accuracy on adversaries made before much "
            f"(by at least ten points){', on Fashion-MNIST too' if called else ''}.",
            *where,
            *PAGE,
            Predicate(
                _accuracy("adversarial", 0.4, network=network),
                _accuracy("adversarial", 0.0, network=network),
                margin=MUCH,
            ),
        )
    yield Claim(
        "truncation-boost-of-more",
        "Scaling down the lowest 40 % raises that accuracy of 2L more than the lowest 5 %.",
        f"{OURS}: any change moves some adversaries back",
        UNMEASURED,
        *PAGE,
        Predicate(_accuracy("adversarial", 0.4), _accuracy("adversarial", 0.05)),
    )
    yield Claim(
        "truncation-boost-again",
        "Scaling down the lowest 40 % also raises 2L's accuracy on adversaries made again for the truncated classifier "
        "much (by at least ten points).",
        f"{OURS}: who attacks the truncated classifier sees it",
        UNMEASURED,
        *PAGE,
        Predicate(
            _accuracy("adversarial", 0.4, made="again"), _accuracy("adversarial", 0.0, made="again"), margin=MUCH
        ),
    )
    about: dict[str, Any] = {"arch": "2L", "scale": SCALED, "fraction": 0.4, "attack": "deepfool", "made": "again"}
    left, right = (
        cell("svd_truncation", "report_figure7", metric, network=MNIST, **about) for metric in ("rho", "rho_whole")
    )
    yield Claim(
        "truncation-distance",
        "Scaling down the lowest 40 % raises robustness: DeepFool has to change an image more to fool the truncated 2L "
        "than to fool the whole one.",
        "section 4",
        "no number",
        *MADE_AGAIN,
        Predicate(left, right),
        instead="DeepFool made again, on images that both have right, where the report has accuracy on old adversaries",
    )


def _cost() -> Iterator[Claim]:
    for which in ("test", "train"):
        yield Claim(
            f"truncation-cost{'' if which == 'test' else '-train'}",
            f"Scaling down the lowest 40 % of 2L's singular values costs very little {which} accuracy (at most two "
            "points).",
            *FIGURE,
            *PAGE,
            Predicate(_accuracy(which, 0.4), _accuracy(which, 0.0), margin=-LITTLE),
        )
        yield Claim(
            f"truncation-few-percent{'' if which == 'test' else '-train'}",
            f"Scaling down only the lowest few percent (5 to 15; here 10) raises 2L's {which} accuracy.",
            *FIGURE,
            *PAGE,
            Predicate(_accuracy(which, 0.1), _accuracy(which, 0.0)),
        )
    yield Claim(
        "truncation-cost-on-fashion",
        "Scaling down the lowest 40 % of 2L's singular values costs very little test accuracy (at most two points), on "
        "Fashion-MNIST too.",
        "section 3.6",
        "no number",
        *PAGE,
        Predicate(_accuracy("test", 0.4, network=FASHION), _accuracy("test", 0.0, network=FASHION), margin=-LITTLE),
    )
    yield Claim(
        "scaling-like-zeroing",
        "Dividing the lowest 40 % by ten leaves the same accuracy on adversaries as zeroing them (within two points).",
        "section 3.6",
        "no number",
        *PAGE,
        Predicate(
            _accuracy("adversarial", 0.4), _accuracy("adversarial", 0.4, scale=ZEROED), margin=LITTLE, within=True
        ),
    )


def _networks() -> Iterator[Claim]:
    """Weights of low rank beside representations of low rank: what neither the paper nor the report compares."""

    def of(metric: str, variant: str, fraction: Any, **keys: Any) -> Cell:
        return cell(
            "svd_truncation", "truncated_networks", metric, variant=variant, scale=ZEROED, fraction=fraction, **keys
        )

    yield Claim(
        "low-rank-weights-attacked",
        "Under PGD made for the attacked network, 1-LR is more accurate than N-LR with the lowest 40 % of its weights' "
        "singular values zeroed.",
        f"{OURS}: weights of low rank beside representations of low rank",
        UNMEASURED,
        *NETWORKS,
        Predicate(
            of("adversarial_accuracy", "1-LR", SMALLEST, made="again"),
            of("adversarial_accuracy", "N-LR", 0.4, made="again"),
        ),
    )
    yield Claim(
        "low-rank-weights-rank",
        "Ten directions carry more of the variance before the FC layer in 1-LR than in N-LR with the lowest 40 % of "
        "its weights' singular values zeroed.",
        f"{OURS}: weights of low rank beside representations of low rank",
        UNMEASURED,
        *NETWORKS,
        Predicate(of("variance_ratio", "1-LR", SMALLEST), of("variance_ratio", "N-LR", 0.4)),
    )
    yield Claim(
        "low-rank-weights-robust",
        "Zeroing the lowest 40 % of N-LR's weights' singular values raises its accuracy under PGD made for the "
        "truncated network.",
        "section 4, for its own classifiers",
        "no number",
        *NETWORKS,
        Predicate(
            of("adversarial_accuracy", "N-LR", 0.4, made="again"),
            of("adversarial_accuracy", "N-LR", SMALLEST, made="again"),
        ),
        instead="N-LR, under PGD",
    )
