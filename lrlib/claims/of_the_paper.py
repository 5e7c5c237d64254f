"""The claims of the paper and of the authors' post."""

from __future__ import annotations

from collections.abc import Iterator

from lrlib.claims.claim import DRAWN, POINT, R18, Claim, in_the_paper, larger
from lrlib.claims.of_attacks import of_attacks
from lrlib.claims.predicates import LARGEST, Predicate, cell
from lrlib.sections.controls import PCA_CONTROL
from lrlib.sections.noise_stability import RANDOM

MEDIAN = 0.5


def of_the_paper() -> Iterator[Claim]:
    """All of them, in the paper's order."""
    yield from _method()
    yield from _effective_rank()
    yield from of_attacks()
    yield from _noise()
    yield from _compression()


def _method() -> Iterator[Claim]:
    page = ("controls", "What does what")
    for what, metric in (("robustness", "rho"), ("low effective rank", "variance_ratio")):
        right = cell("controls", "controls", metric, control=PCA_CONTROL)
        left = cell("controls", "controls", metric, control="1-LR")
        yield Claim(
            f"pca-afterwards-{metric.replace('_', '-')}",
            f"Projecting N-LR's representations afterwards does not give the {what} that training with the layer does.",
            "section 2",
            "no number",
            *page,
            Predicate(left, right),
        )
    ranks = cell("controls", "controls", "accuracy", control="1-LR, rank 5")
    yield Claim(
        "rank-insensitive",
        "The target rank is not a sensitive hyper-parameter: with a fifth of it the accuracy is the same.",
        "section 3",
        "no number",
        *page,
        Predicate(ranks, cell("controls", "controls", "accuracy", control="1-LR"), margin=POINT, within=True),
    )
    yield Claim(
        "norm-loss-needed",
        "It is the low-dimensional representation that makes the network robust: the norm loss alone does less.",
        "the thesis of section 1",
        "no number",
        *page,
        Predicate(
            cell("controls", "controls", "rho", control="1-LR"),
            cell("controls", "controls", "rho", control="norm loss only"),
        ),
    )


def _effective_rank() -> Iterator[Claim]:
    places = (("figure2a", "1-LR", "before the last FC layer"), ("figure2b", "2-LR", "before the last block"))
    for artefact, variant, place in places:
        left, right = (
            cell("effective_rank", artefact, "variance_ratio", variant=name, k=10) for name in (variant, "N-LR")
        )
        yield Claim(
            f"rank-{variant.lower()}",
            f"Ten directions carry more of the variance {place} in {variant} than in N-LR.",
            f"section 3, figure 2{artefact[-1]}",
            DRAWN,
            "effective_rank",
            "Figure 2",
            Predicate(left, right),
        )
    one, two = (cell("effective_rank", "figure2b", "variance_ratio", variant=name, k=10) for name in ("2-LR", "1-LR"))
    yield Claim(
        "rank-2-lr-alone",
        "2-LR is the only one with a low rank before the last block: 1-LR has none there.",
        "section 3, figure 2b",
        DRAWN,
        "effective_rank",
        "Figure 2",
        Predicate(one, two),
    )
    for variant in ("1-LR", "2-LR"):
        (_, printed), (_, plain) = (
            in_the_paper("table1", metric="accuracy", variant=name, setting="white_box", **R18)
            for name in (variant, "N-LR")
        )
        left, right = (cell("effective_rank", "figure2a", "accuracy", variant=name) for name in (variant, "N-LR"))
        yield Claim(
            f"accuracy-{variant.lower()}",
            f"{variant} is as accurate as N-LR on clean images, within a point.",
            "section 3.1, table 1",
            f"{printed} against {plain}",
            "effective_rank",
            "What was found",
            Predicate(left, right, margin=-POINT),
        )


def _noise() -> Iterator[Claim]:
    for variant in ("1-LR", "2-LR"):
        for probability in (0.4, 0.6):
            printed, published = larger(
                "table4", "noise_stability", "noise_accuracy", variant, R18, probability=probability
            )
            yield Claim(
                f"noise-{probability:g}-{variant.lower()}",
                f"{variant} is more accurate than N-LR when each pixel is disturbed with probability {probability:g}.",
                "section 3.2, table 4",
                printed,
                "noise_stability",
                "Table 4: random pixel noise",
                published,
            )
    for variant in ("1-LR", "2-LR"):
        left, right = (
            cell("noise_stability", "figure4b", "representation_ratio", variant=name, eps="8/255")
            for name in ("N-LR", variant)
        )
        yield Claim(
            f"attenuation-{variant.lower()}",
            f"{variant} attenuates an adversarial perturbation: its representation moves less than N-LR's.",
            "section 3.2, figure 4b",
            DRAWN,
            "noise_stability",
            "Figure 4(b): propagation into the representation",
            Predicate(left, right),
        )
    orders = [("1-LR", "N-LR", "fc"), ("N-LR", RANDOM, "fc"), ("2-LR", "N-LR", "layer3.1.conv2")]
    for first, second, tap in orders:
        left, right = (
            cell("noise_stability", "figure4c", "layer_cushion", variant=name, tap=tap, quantile=MEDIAN)
            for name in (first, second)
        )
        than = "a random network's" if second == RANDOM else f"{second}'s"
        yield Claim(
            f"cushion-{first.lower()}-{tap.split('.')[0]}",
            f"The layer cushion of {first} at `{tap}` is larger than {than} (median over training images).",
            "section 3.2, figure 4c",
            DRAWN,
            "noise_stability",
            "Figure 4(c): layer cushion",
            Predicate(left, right),
        )


def _compression() -> Iterator[Claim]:
    page = ("compression", "Tables 5(a) and 5(b)")
    coarse = {"arch": "resnet50", "dataset": "cifar100-coarse"}
    cases = [("table5a", "1-LR", (10, 5), coarse), ("table5b", "2-LR", (20, 10), R18)]
    for artefact, variant, dims, network in cases:
        for dim in dims:
            printed, published = larger(artefact, "compression", "max_margin_accuracy", variant, network, dim=dim)
            yield Claim(
                f"compressed-{artefact[-2:]}-{dim}",
                f"{dim} dimensions of {variant}'s representations classify better than {dim} of N-LR's.",
                f"section 3.3, table {artefact[-2:]}",
                printed,
                *page,
                published,
                stand_in="ResNet-18 and other images" if artefact == "table5a" else "",
            )
    (_, shown), (_, of) = (
        in_the_paper("table5b", metric="max_margin_accuracy", variant="2-LR", dim=16384),
        in_the_paper("table1", metric="accuracy", variant="2-LR", setting="white_box", **R18),
    )
    yield Claim(
        "model-compression",
        "The last block and FC layer of 2-LR can be replaced by a linear classifier at a loss of less than a point.",
        "section 3.3, table 5b",
        f"{shown} of {of}",
        *page,
        Predicate(
            cell("compression", "table5b", "max_margin_accuracy", variant="2-LR", dim=LARGEST),
            cell("effective_rank", "figure2a", "accuracy", variant="2-LR"),
            margin=-POINT,
        ),
    )
