"""The report's claims about classifiers of images and of codes: accuracy, size of adversaries, and transfer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from lrlib.claims.claim import DRAWN, FASHION, MNIST, OURS, Claim
from lrlib.claims.predicates import Cell, Predicate, cell
from lrlib.sections.latent_space import IMAGE, TWIN

WHICH, MEANS = "(LRL, MNIST)", "(mean over classifiers and datasets)"
ON_PAR = 0.02  # what "on par" is taken to be at most, in accuracy
ACCURACY = ("latent_space", "The report's figure 4: accuracy")
SIZE = ("latent_space", "The report's figure 5: the perturbation that fools")
TRANSFER = ("latent_space", "The report's figure 6: transferred adversaries")
CALLED = {
    IMAGE: "images",
    "AE encoding": "the plain encoder's codes",
    "AE projection": "projections on the plain decoder's range",
    "VAE encoding": "the variational encoder's codes",
    "VAE projection": "projections on the variational decoder's range",
}


def of_codes() -> Iterator[Claim]:
    """All of them, in the report's order."""
    yield from _accuracy()
    yield from _size()
    yield from _transfer()


def _cell(
    figure: int, metric: str, code: str, *, arch: str = "LRL", network: Mapping[str, str] = MNIST, **keys: Any
) -> Cell:
    return cell("latent_space", f"report_figure{figure}", metric, network=network, arch=arch, code=code, **keys)


def _slug(code: str) -> str:
    return code.lower().replace(" ", "-")


def _accuracy() -> Iterator[Claim]:
    def of(code: str, arch: str = "LRL", network: Mapping[str, str] = MNIST) -> Cell:
        return _cell(4, "accuracy", code, arch=arch, network=network)

    yield Claim(
        "mnist-easier",
        "A classifier of images is more accurate on MNIST than on Fashion-MNIST (LRL).",
        "section 3.3, figure 4",
        DRAWN,
        *ACCURACY,
        Predicate(of(IMAGE), of(IMAGE, network=FASHION)),
    )
    for code, arch in product(list(CALLED)[1:], ("1L", "2L")):
        yield Claim(
            f"lrl-better-than-{arch.lower()}-{_slug(code)}",
            f"LRL is more accurate than {arch} on {CALLED[code]} (MNIST).",
            "section 3.3, figure 4",
            DRAWN,
            *ACCURACY,
            Predicate(of(code), of(code, arch)),
        )
    for code in list(CALLED)[1:]:
        yield Claim(
            f"images-above-{_slug(code)}",
            f"A classifier of images is more accurate than one of {CALLED[code]} {WHICH}.",
            "section 3.3, figure 4",
            DRAWN,
            *ACCURACY,
            Predicate(of(IMAGE), of(code)),
        )
    for code in list(CALLED)[2:]:
        yield Claim(
            f"ae-encoding-above-{_slug(code)}",
            f"A classifier of the plain encoder's codes is more accurate than one of {CALLED[code]} {WHICH}.",
            "section 3.3, figure 4",
            DRAWN,
            *ACCURACY,
            Predicate(of("AE encoding"), of(code)),
        )
    yield Claim(
        "vae-encoding-on-par",
        f"A classifier of the variational encoder's codes is on par with one of images, within two points {WHICH}.",
        "section 3.5, figure 4",
        DRAWN,
        *ACCURACY,
        Predicate(of("VAE encoding"), of(IMAGE), margin=ON_PAR, within=True),
    )


def _size() -> Iterator[Claim]:
    def of(code: str, space: str = "code", network: Mapping[str, str] = MNIST) -> Cell:
        return _cell(5, "rho", code, network=network, space="image" if code == IMAGE else space)

    for called, network in (("", MNIST), ("-on-fashion", FASHION)):
        which = WHICH if network == MNIST else WHICH.replace("MNIST", "Fashion-MNIST")
        for code in (IMAGE, "AE encoding", "AE projection", "VAE projection"):
            yield Claim(
                f"vae-encoding-hardest-{_slug(code)}{called}",
                "To fool their classifier the variational encoder's codes have to be changed more than "
                f"{CALLED[code]} {which}.",
                "section 3.4, figure 5",
                DRAWN,
                *SIZE,
                Predicate(of("VAE encoding", network=network), of(code, network=network)),
            )
        for easy, hard in product((IMAGE, "AE encoding"), ("AE projection", "VAE projection")):
            yield Claim(
                f"{_slug(easy)}-easier-than-{_slug(hard)}{called}",
                f"To fool their classifier {CALLED[easy]} have to be changed less than {CALLED[hard]} {which}.",
                "section 3.4, figure 5",
                DRAWN,
                *SIZE,
                Predicate(of(hard, network=network), of(easy, network=network)),
            )
    yield Claim(
        "vae-encoding-hardest-in-images",
        "To fool a classifier of the variational encoder's codes an image has to be changed more than to fool one of "
        f"images {WHICH}.",
        f"{OURS}: the attacker sends images",
        "not measured",
        *SIZE,
        Predicate(of("VAE encoding", "image"), of(IMAGE)),
        instead="through the means of the codes",
    )


def _transfer() -> Iterator[Claim]:
    def of(code: str) -> Cell:
        return cell("latent_space", "report_figure6", "adversarial_accuracy", averaged=True, code=code)

    for code in ("AE encoding", "AE projection", "VAE projection"):
        yield Claim(
            f"vae-encoding-best-transfer-{_slug(code)}",
            "On adversaries of classifiers of images, those of the variational encoder's codes are more accurate than "
            f"those of {CALLED[code]} {MEANS}.",
            "section 3.5, figure 6",
            DRAWN,
            *TRANSFER,
            Predicate(of("VAE encoding"), of(code)),
        )
    yield Claim(
        "ae-encoding-worst-transfer",
        "On adversaries of classifiers of images, those of the plain encoder's codes are less accurate than those of "
        f"projections on its decoder's range {MEANS}.",
        "section 3.5, figure 6",
        DRAWN,
        *TRANSFER,
        Predicate(of("AE projection"), of("AE encoding")),
    )
    yield Claim(
        "vae-encoding-beyond-a-twin",
        "On adversaries of classifiers of images, those of the variational encoder's codes are more accurate than "
        f"classifiers of images from another seed {MEANS}.",
        f"{OURS}: any other network withstands transfer",
        "not measured",
        *TRANSFER,
        Predicate(of("VAE encoding"), of(TWIN)),
    )
    yield Claim(
        "drawn-beyond-means",
        "On adversaries of classifiers of images, those of the variational encoder's codes are more accurate than "
        f"those of the codes' means: the draw helps {MEANS}.",
        "section 3.5",
        "no number",
        *TRANSFER,
        Predicate(of("VAE encoding"), of("VAE mean")),
    )
