"""The paper's claims about noise stability: random pixels, propagation into the representation, layer cushion."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from lrlib.claims.claim import DRAWN, OURS, R18, Claim, larger
from lrlib.claims.predicates import Predicate, cell
from lrlib.sections.cushions import BLOCKS, MEDIAN, RANDOM
from lrlib.sections.noise_readings import PAGE
from lrlib.sections.noise_stability import BLACK, TWIN, WHITE

THIRD = "layer3"  # where the paper sees more cushion in 2-LR alone


def of_noise() -> Iterator[Claim]:
    """All of them."""
    yield from _noise()
    yield from _attenuation()
    yield from _cushion()
    yield from _blocks()


def _noise() -> Iterator[Claim]:
    for variant in ("1-LR", "2-LR"):
        for probability in (0.4, 0.6, 0.8, 1.0):
            printed, published = larger("table4", PAGE, "noise_accuracy", variant, R18, probability=probability)
            yield Claim(
                f"noise-{probability:g}-{variant.lower()}",
                f"{variant} is more accurate than N-LR when each pixel is perturbed by Gaussian noise with probability "
                f"{probability:g}.",
                "section 3.2, table 4",
                printed,
                PAGE,
                "Table 4: random pixel noise",
                published,
            )


def _attenuation() -> Iterator[Claim]:
    for setting, variant in product((WHITE, BLACK), ("1-LR", "2-LR")):
        left, right = (
            cell(PAGE, "figure4b", "amplification", variant=name, setting=how, eps="8/255")
            for name, how in (("N-LR", WHITE), (variant, setting))
        )
        how, suffix = ("white box", "") if setting == WHITE else ("on the examples made on N-LR", "-black-box")
        yield Claim(
            f"attenuation-{variant.lower()}{suffix}",
            f"{variant} attenuates adversarial perturbations: for what the input moves, its representation moves less "
            f"than N-LR's (PGD at 8/255, {how}).",
            "section 3.2, figure 4b" if setting == WHITE else f"{OURS}: the same examples for all networks",
            DRAWN if setting == WHITE else "not measured",
            PAGE,
            "Figure 4(b): propagation into the representation",
            Predicate(left, right),
        )
    for variant in ("1-LR", "2-LR"):
        left, right = (
            cell(PAGE, "figure4b", "amplification", variant=name, setting=how, eps="8/255")
            for name, how in (("N-LR", TWIN), (variant, BLACK))
        )
        yield Claim(
            f"attenuation-{variant.lower()}-beyond-a-twin",
            f"{variant}'s representation moves less on N-LR's examples than that of an N-LR trained from another seed.",
            f"{OURS}: an N-LR of another seed was not attacked either",
            "not measured",
            PAGE,
            "Figure 4(b): propagation into the representation",
            Predicate(left, right),
        )


def _cushion() -> Iterator[Claim]:
    places = {"fc": "the last FC layer", "layer4.1.conv2": "the end of block 4", "layer3.1.conv2": "the end of block 3"}
    orders = [
        *(("1-LR", "N-LR", "fc"), ("2-LR", "N-LR", "fc"), ("N-LR", RANDOM, "fc")),
        *(("1-LR", "N-LR", "layer4.1.conv2"), ("2-LR", "N-LR", "layer4.1.conv2"), ("N-LR", RANDOM, "layer4.1.conv2")),
        *(("2-LR", "N-LR", "layer3.1.conv2"), ("2-LR", "1-LR", "layer3.1.conv2"), ("N-LR", RANDOM, "layer3.1.conv2")),
    ]
    for first, second, tap in orders:
        left, right = (
            cell(PAGE, "figure4c", "layer_cushion", variant=name, tap=tap, quantile=MEDIAN) for name in (first, second)
        )
        than = "a random network's" if second == RANDOM else f"{second}'s"
        yield Claim(
            f"cushion-{first.lower()}-{second.lower()}-{tap.split('.')[0]}",
            f"The layer cushion of {first} at {places[tap]} is larger than {than} (median over training images).",
            "section 3.2, figure 4c",
            DRAWN,
            PAGE,
            "Figure 4(c): layer cushion",
            Predicate(left, right),
        )


def _blocks() -> Iterator[Claim]:
    for place, block in enumerate(BLOCKS):
        for variant in ("1-LR", "2-LR") if block != THIRD else ("2-LR",):
            left, right = (
                cell(PAGE, f"figure{12 + place}", "block_cushion", variant=name, tap=block)
                for name in (variant, "N-LR")
            )
            yield Claim(
                f"block-cushion-{variant.lower()}-{block}",
                f"The layer cushion of {variant} in block {place + 1} is larger than N-LR's (mean over the block's "
                "layers, median over training images).",
                f"appendix E.1, figure {12 + place}",
                DRAWN,
                PAGE,
                "Figures 12 to 15: layer cushion in every block",
                Predicate(left, right),
            )
