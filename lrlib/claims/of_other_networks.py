"""The claims about networks that ``paper`` alone measures, without stand-ins: VGG19, SVHN, CIFAR-100, ResNet-50."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrlib.claims.claim import COARSE, DRAWN, HALF, POINT, R50, Claim, in_the_paper, larger
from lrlib.claims.of_attacks import REST_OF_TABLE1
from lrlib.claims.predicates import Cell, Predicate, cell
from lrlib.sections.noise_readings import PAGE as NOISE
from lrlib.sections.noise_stability import WHITE

VGG = {"arch": "vgg19", "dataset": "cifar10"}
SVHN, VGG_SVHN = ({"arch": arch, "dataset": "svhn"} for arch in ("resnet18", "vgg19"))
R18_COARSE = {"arch": "resnet18", "dataset": "cifar100-coarse"}
FINE = {"arch": "resnet50", "dataset": "cifar100-fine"}
CALLED = {
    "resnet18-cifar100-coarse": "ResNet-18 on CIFAR-100's coarse labels",
    "resnet50-cifar10": "ResNet-50 on CIFAR-10",
    "resnet50-cifar100-coarse": "ResNet-50 on CIFAR-100's coarse labels",
    "resnet50-cifar100-fine": "ResNet-50 on CIFAR-100's fine labels",
    "vgg19-cifar10": "VGG19 on CIFAR-10",
    "resnet18-svhn": "ResNet-18 on SVHN",
    "vgg19-svhn": "VGG19 on SVHN",
}
SPECTRA = ("effective_rank", "Figures 5 and 6: VGG19, and SVHN")
ACCURACIES = ("effective_rank", "Tables 7(a) and 7(b): accuracy of VGG19, and on SVHN")
TRANSFER = ("compression", "Table 7(c): from coarse to fine labels")
FEW_OF_VGG = ("compression", "Table 8: VGG19")
LOST, LOST_BY_BOTTLE = 0.04, 0.14  # against N-LR, as the paper's text states


def of_other_networks() -> Iterator[Claim]:
    """All of them, in the order of the book."""
    yield from _spectra()
    yield from _accuracies()
    yield from _attacked()
    yield _attenuation()
    yield from _few_dimensions()
    yield from _transfer()


def _slug(network: Mapping[str, str]) -> str:
    return "-".join(network.values())


def _spectra() -> Iterator[Claim]:
    def ratio(artefact: str, network: Mapping[str, str], variant: str, **keys: Any) -> Cell:
        return cell(
            "effective_rank", artefact, "variance_ratio", network=network, alone=True, variant=variant, k=10, **keys
        )

    for place, tap in (("first", "avgpool"), ("third", "classifier.4")):
        left, right = (ratio("figure5", VGG, name, tap=tap) for name in ("2-LR", "N-LR"))
        yield Claim(
            f"rank-vgg19-{place}",
            f"Ten directions carry more of the variance before the {place} FC layer of VGG19 in 2-LR than in N-LR.",
            "appendix C.1, figure 5",
            DRAWN,
            *SPECTRA,
            Predicate(left, right),
        )
    for artefact, variant, place in (("figure6b", "1-LR", "after"), ("figure6a", "2-LR", "before")):
        left, right = (ratio(artefact, SVHN, name) for name in (variant, "N-LR"))
        yield Claim(
            f"rank-svhn-{variant.lower()}",
            f"On SVHN ten directions carry more of the variance {place} the last block in {variant} than in N-LR.",
            "appendix C.1, figure 6",
            DRAWN,
            *SPECTRA,
            Predicate(left, right),
        )


def _accuracies() -> Iterator[Claim]:
    for table, network, variant in (
        ("table7a", VGG, "2-LR"),
        ("table7b", SVHN, "1-LR"),
        ("table7b", VGG_SVHN, "2-LR"),
    ):
        (_, own), (_, plain) = (
            in_the_paper(table, metric="accuracy", variant=name, **network) for name in (variant, "N-LR")
        )
        left, right = (
            cell("effective_rank", table, "accuracy", network=network, alone=True, variant=name)
            for name in (variant, "N-LR")
        )
        yield Claim(
            f"accuracy-{_slug(network)}",
            f"{variant} is at most a point less accurate than N-LR on clean images ({CALLED[_slug(network)]}).",
            f"appendix C.1, table {table[-2:]}",
            f"{own} against {plain}",
            *ACCURACIES,
            Predicate(left, right, margin=-POINT),
        )


def _attacked() -> Iterator[Claim]:
    about: dict[str, Any] = {"eps": "16/255", "steps": 20, "setting": "white_box", "ours": "table1", "alone": True}
    for table, network in (("table1", R18_COARSE), ("table1", R50), ("table1", COARSE), ("table9", FINE)):
        printed, published = larger(table, "adversarial", "adversarial_accuracy", "1-LR", network, **about)
        yield Claim(
            f"pgd-16-1-lr-{_slug(network)}",
            "Under 20 steps of PGD at 16/255 with its own gradients, 1-LR is more accurate than N-LR "
            f"({CALLED[_slug(network)]}).",
            "section 3.1, table 1" if table == "table1" else "appendix D.2, table 9",
            printed,
            *REST_OF_TABLE1,
            published,
        )


def _attenuation() -> Claim:
    left, right = (
        cell(NOISE, "figure16", "amplification", variant=name, setting=WHITE, eps="8/255", network=SVHN, alone=True)
        for name in ("N-LR", "2-LR")
    )
    return Claim(
        "attenuation-2-lr-svhn",
        "On SVHN, too, 2-LR attenuates adversarial perturbations: for what the input moves, its representation moves "
        "less than N-LR's (PGD at 8/255, white box).",
        "appendix E.2, figure 16",
        DRAWN,
        NOISE,
        "Figure 4(b): propagation into the representation",
        Predicate(left, right),
    )


def _few_dimensions() -> Iterator[Claim]:
    for dim in (20, 10):
        printed, published = larger("table8", "compression", "max_margin_accuracy", "2-LR", VGG, alone=True, dim=dim)
        yield Claim(
            f"compressed-8-{dim}",
            f"A linear classifier on {dim} principal components of VGG19 2-LR's representations is more accurate than "
            f"on {dim} of N-LR's.",
            "appendix C.2, table 8",
            printed,
            *FEW_OF_VGG,
            published,
        )


def _transfer() -> Iterator[Claim]:
    labels = {"fine": "cifar100-fine", "coarse": "cifar100-coarse"}
    printed = {
        (variant, of): in_the_paper("table7c", metric="max_margin_accuracy", variant=variant, dataset=name)
        for variant in ("N-LR", "1-LR", "Bottle-1LR")
        for of, name in labels.items()
    }

    def ours(variant: str, of: str) -> Cell:
        return cell(
            *("compression", "table7c", "max_margin_accuracy"),
            network={"arch": "resnet50"},  # whatever labels its classifier is for
            alone=True,
            variant=variant,
            dataset=labels[of],
        )

    def claim(name: str, sentence: str, first: str, second: str, of: str, margin: float) -> Claim:
        (_, own), (_, other) = printed[first, of], printed[second, of]
        predicate = Predicate(ours(first, of), ours(second, of), margin=margin)
        return Claim(name, sentence, "appendix C.1, table 7c", f"{own} against {other}", *TRANSFER, predicate)

    yield claim(
        "transfer-to-fine",
        "On representations learnt with coarse labels of CIFAR-100, a linear classifier of the fine labels loses no "
        "more than four points with 1-LR against N-LR.",
        "1-LR",
        "N-LR",
        "fine",
        -LOST,
    )
    yield claim(
        "transfer-of-bottle",
        "Such a classifier of the fine labels loses at least 14 points with Bottle-1LR against N-LR.",
        "N-LR",
        "Bottle-1LR",
        "fine",
        LOST_BY_BOTTLE,
    )
    gain = printed["1-LR", "coarse"][0] - printed["N-LR", "coarse"][0]
    yield claim(
        "transfer-on-coarse",
        "On the coarse labels themselves the linear classifier is more accurate with 1-LR than with N-LR.",
        "1-LR",
        "N-LR",
        "coarse",
        HALF * gain,
    )
