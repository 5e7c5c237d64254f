"""The claims of appendices A, C and D.5 and of section 3.3 about single classes, sparsity, examples and size."""

from __future__ import annotations

from collections.abc import Iterator

from lrlib.claims.claim import COARSE, DRAWN, HALF, OURS, R18, Claim, in_the_paper
from lrlib.claims.predicates import Cell, Predicate, cell
from lrlib.sections.effective_rank import ALL
from lrlib.sections.hybrids import OWN

LAST, EARLY = "avgpool", "layer3"
LEFT_BEHIND_A_RELU = 0.94  # of the variance, in the directions of the pre-activations' rank (appendix A)
TIMES_SMALLER = 50.0  # a linear model of 0.02 times the parameters
ATTACKS = {"deepfool": "DeepFool's", "iterative_least_likely": "The least-likely attack's", "pgd": "PGD's"}


def of_ranks() -> Iterator[Claim]:
    """Those of the page on effective rank."""
    for artefact, variant, tap in (("figure7a", "1-LR", "the last FC layer"), ("figure7b", "2-LR", "the last block")):
        left, right = (
            cell("effective_rank", artefact, "variance_ratio", variant=name, label=ALL) for name in (variant, "N-LR")
        )
        yield Claim(
            f"one-direction-a-class-{variant.lower()}",
            f"Before {tap} one direction carries more of the variance of a class in {variant} than in N-LR (mean over "
            "the classes).",
            f"appendix C.3, figure 7{artefact[-1]}",
            DRAWN,
            "effective_rank",
            "Figure 7: class by class",
            Predicate(left, right),
        )
    yield from _appendix_a()


def _appendix_a() -> Iterator[Claim]:
    def sparsity(metric: str, tap: str) -> Cell:
        return cell("effective_rank", "appendix_sparsity", metric, variant="1-LR", tap=tap)

    stated = {
        "zeros": (
            "sparser",
            "In 1-LR the activations before the last block are sparser than those after it.",
            "39 %, 5 %",
        ),
        "directions": (
            "no-lower-rank",
            "In 1-LR the sparser activations before the last block need more directions for 99 % of the variance than "
            "those after it: sparsity and low rank don't go together.",
            "more than 1000, about 10",
        ),
    }
    for metric, (name, sentence, printed) in stated.items():
        yield Claim(
            name,
            sentence,
            "appendix A",
            printed,
            "effective_rank",
            "Appendix A: sparsity and rank",
            Predicate(sparsity(metric, EARLY), sparsity(metric, LAST)),
        )
    before, after = (
        cell("effective_rank", "appendix_preactivations", "variance_ratio", variant="N-LR", side=side)
        for side in ("before", "after")
    )
    yield Claim(
        "relu-raises-rank",
        "Pre-activations of low rank do not give activations of low rank: the directions that carried everything carry "
        "less behind the ReLU.",
        "appendix A",
        f"{100 * LEFT_BEHIND_A_RELU:.0f} %",
        "effective_rank",
        "Appendix A: low-rank pre-activations",
        Predicate(before, after, margin=HALF * (1 - LEFT_BEHIND_A_RELU)),
    )


def of_hybrids() -> Iterator[Claim]:
    """Those of the page on compression beside its tables 5(a) and 5(b)."""
    yield from _fooled()
    left, right = (
        cell("compression", "figure8", "max_margin_accuracy", network=COARSE, variant=name) for name in ("1-LR", "N-LR")
    )
    yield Claim(
        "clusters",
        "In the plane of two principal components the classes of the LR model are more separable (by a max-margin "
        "classifier) than N-LR's.",
        "appendix C.4, figure 8",
        DRAWN,
        "compression",
        "Figure 8: two components",
        Predicate(left, right),
    )
    replaced, linear = (
        cell("compression", "model_size", "parameters", tap=EARLY, width=64, counted=counted)
        for counted in ("replaced", "linear")
    )
    yield Claim(
        "size",
        "The linear classifier has 0.02 times the parameters of the last block and FC layer that it replaces.",
        "section 3.3",
        "0.02 times 8.4M",
        "compression",
        "What is replaced, and by how much",
        Predicate(replaced, linear, factor=TIMES_SMALLER),
    )


def _fooled() -> Iterator[Claim]:
    def share(variant: str, attack: str, setting: str = "white_box") -> Cell:
        return cell(
            *("compression", "table6", "max_margin_adversarial_accuracy"),
            variant=variant,
            attack=attack,
            setting=setting,
            tap=LAST,
        )

    page = ("compression", "Table 6: examples that fooled the network")
    for variant in ("1-LR", "2-LR"):
        for attack, called in ATTACKS.items():
            (ours, shown), (plain, other) = (
                in_the_paper("table6", variant=name, attack=attack, setting="white_box", **R18)
                for name in (variant, "N-LR")
            )
            yield Claim(
                f"hybrid-{attack.replace('_', '-')}-{variant.lower()}",
                f"{called} examples that fooled {variant} are more often right in its max-margin model than N-LR's of "
                "a similar size are in N-LR's.",
                "section 3.3, table 6",
                f"{shown} against {other}",
                *page,
                Predicate(share(variant, attack), share("N-LR", attack), margin=HALF * (ours - plain)),
            )
        for attack in ("pgd", "deepfool"):
            yield Claim(
                f"hybrid-own-{attack}-{variant.lower()}",
                f"{ATTACKS[attack]} examples that just fooled {variant} are also more often right in its max-margin "
                "model than those that just fooled N-LR are in N-LR's.",
                f"{OURS}: N-LR's examples in table 6 went on until 1-LR was fooled",
                "not measured",
                *page,
                Predicate(share(variant, attack), share("N-LR", attack, OWN)),
            )
