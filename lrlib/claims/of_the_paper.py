"""The claims of the paper, in the order of the book; those of a part have modules of their own, imported here."""

from __future__ import annotations

from collections.abc import Iterator

from lrlib.claims.claim import COARSE, DRAWN, OURS, POINT, R18, Claim, in_the_paper, larger
from lrlib.claims.of_attacks import of_attacks
from lrlib.claims.of_noise import of_noise
from lrlib.claims.of_other_networks import of_other_networks
from lrlib.claims.of_representations import of_hybrids, of_ranks
from lrlib.claims.predicates import LARGEST, SMALLEST, Cell, Predicate, cell
from lrlib.sections.controls import PCA_CONTROL

CONTROLS = ("controls", "What does what")
RANKS = ("effective_rank", "Figure 2")
COMPRESSED = ("compression", "Tables 5(a) and 5(b)")
NEGLIGIBLE = 0.01  # share of the variance outside ten directions


def of_the_paper() -> Iterator[Claim]:
    """All of them."""
    yield from _method()
    yield from _effective_rank()
    yield from of_ranks()
    yield from _accuracy()
    yield from of_attacks()
    yield from of_noise()
    yield from _compression()
    yield from of_hybrids()
    yield from of_other_networks()


def _method() -> Iterator[Claim]:
    def control(metric: str, name: str) -> Cell:
        return cell("controls", "controls", metric, control=name)

    yield Claim(
        "pca-afterwards",
        "Projecting N-LR's representations afterwards does not give the robustness that training with the layer does "
        "(DeepFool).",
        "section 2",
        "no number",
        *CONTROLS,
        Predicate(control("rho", "1-LR"), control("rho", PCA_CONTROL)),
    )
    smallest = cell("controls", "controls", "accuracy", variant="1-LR", rank=SMALLEST)
    yield Claim(
        "rank-insensitive",
        "The target rank is not a sensitive hyper-parameter (here: a fifth of it changes 1-LR's accuracy by less than "
        "a point).",
        "section 3",
        "no number",
        *CONTROLS,
        Predicate(smallest, control("accuracy", "1-LR"), margin=POINT, within=True),
    )
    yield Claim(
        "norm-loss-alone",
        "DeepFool needs a larger perturbation for 1-LR than for a network with the norm loss alone: it is the low rank "
        "that helps.",
        f"{OURS}, after the thesis of section 1",
        "not measured",
        *CONTROLS,
        Predicate(control("rho", "1-LR"), control("rho", "norm loss only")),
    )


def _effective_rank() -> Iterator[Claim]:
    def ratio(artefact: str, variant: str) -> Cell:
        return cell("effective_rank", artefact, "variance_ratio", variant=variant, k=10)

    for artefact, variant, place in (("figure2a", "1-LR", "the last FC layer"), ("figure2b", "2-LR", "the last block")):
        yield Claim(
            f"rank-{variant.lower()}",
            f"Ten directions carry more of the variance before {place} in {variant} than in N-LR.",
            f"section 3, figure 2{artefact[-1]}",
            DRAWN,
            *RANKS,
            Predicate(ratio(artefact, variant), ratio(artefact, "N-LR")),
        )
    yield Claim(
        "rank-leakage",
        "1-LR's variance leakage is almost negligible: ten directions before the last FC layer carry more than 99 %.",
        "section 3, figure 2a",
        DRAWN,
        *RANKS,
        Predicate(ratio("figure2a", "1-LR"), margin=1 - NEGLIGIBLE),
    )
    yield Claim(
        "rank-2-lr-alone",
        "Ten directions carry more of the variance before the last block in 2-LR than in 1-LR, which has no LR layer "
        "there.",
        "section 3, figure 2b",
        DRAWN,
        *RANKS,
        Predicate(ratio("figure2b", "2-LR"), ratio("figure2b", "1-LR")),
    )


def _accuracy() -> Iterator[Claim]:
    def ours(variant: str) -> Cell:
        return cell("effective_rank", "figure2a", "accuracy", variant=variant)

    printed = {
        name: in_the_paper("table1", metric="accuracy", variant=name, setting="white_box", **R18)
        for name in ("N-LR", "1-LR", "2-LR")
    }
    for variant in ("1-LR", "2-LR"):
        yield Claim(
            f"accuracy-{variant.lower()}",
            f"{variant} is at most a point less accurate than N-LR on clean images.",
            "appendix C.1, table 1",
            f"{printed[variant][1]} against {printed['N-LR'][1]}",
            *RANKS,
            Predicate(ours(variant), ours("N-LR"), margin=-POINT),
        )
    yield Claim(
        "accuracy-improves",
        "1-LR is modestly more accurate than N-LR on clean images.",
        "sections 1 and 3.1, table 1",
        f"{printed['1-LR'][1]} against {printed['N-LR'][1]}",
        *RANKS,
        Predicate(ours("1-LR"), ours("N-LR")),
    )


def _compression() -> Iterator[Claim]:
    def accuracy(artefact: str, variant: str, dim: object) -> Cell:
        network = COARSE if artefact == "table5a" else None
        return cell("compression", artefact, "max_margin_accuracy", network=network, variant=variant, dim=dim)

    cases = [("table5a", "1-LR", (10, 5), COARSE), ("table5b", "2-LR", (20, 10), R18)]
    for artefact, variant, dims, network in cases:
        for dim in dims:
            printed, published = larger(artefact, "compression", "max_margin_accuracy", variant, network, dim=dim)
            yield Claim(
                f"compressed-{artefact[-2:]}-{dim}",
                f"A linear classifier on {dim} principal components of {variant}'s representations is more accurate "
                f"than on {dim} of N-LR's.",
                f"section 3.3, table {artefact[-2:]}",
                printed,
                *COMPRESSED,
                published,
            )
    for variant, lost, sign in (("1-LR", 0.06, 1), ("N-LR", 0.27, -1)):
        few, whole = accuracy("table5a", variant, 5), accuracy("table5a", variant, LARGEST)
        left, right = (few, whole) if sign > 0 else (whole, few)
        yield Claim(
            f"five-dimensions-{variant.lower()}",
            f"With 5 dimensions {variant} loses {'no more than' if sign > 0 else 'at least'} {100 * lost:.0f} points.",
            "section 3.3, table 5a",
            f"{100 * lost:.0f} %",
            *COMPRESSED,
            Predicate(left, right, margin=-sign * lost),
        )
    (_, shown), (_, of) = (
        in_the_paper("table5b", metric="max_margin_accuracy", variant="2-LR", dim=16384),
        in_the_paper("table1", metric="accuracy", variant="2-LR", setting="white_box", **R18),
    )
    yield Claim(
        "model-compression",
        "The last block and FC layer of 2-LR can be replaced by a linear classifier at a loss of less than a point.",
        "section 3.3, table 5b",
        f"stated: less than 1 %; printed: {shown} of {of}",
        *COMPRESSED,
        Predicate(
            accuracy("table5b", "2-LR", LARGEST),
            cell("effective_rank", "figure2a", "accuracy", variant="2-LR"),
            margin=-POINT,
        ),
        instead="the linear classifier is fitted to the page's number of training images, not to all of them",
    )
