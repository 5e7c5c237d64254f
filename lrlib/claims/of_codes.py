"""The report's claims about classifiers of latent codes, its figures 4 to 6; LRL on MNIST where it names no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lrlib.claims.claim import DRAWN, OURS, Claim
from lrlib.claims.predicates import Cell, Predicate, cell
from lrlib.sections.latent_space import IMAGE, TWIN

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


def _cell(figure: int, metric: str, code: str, **keys: Any) -> Cell:
    about = {"code": code, "arch": "LRL", **keys}
    return cell("latent_space", f"report_figure{figure}", metric, network={"dataset": "mnist"}, **about)


def _slug(code: str) -> str:
    return code.lower().replace(" ", "-")


def _accuracy() -> Iterator[Claim]:
    def of(code: str) -> Cell:
        return _cell(4, "accuracy", code)

    for code in list(CALLED)[1:]:
        yield Claim(
            f"images-above-{_slug(code)}",
            f"A classifier of images is more accurate than one of {CALLED[code]}.",
            "section 3.3, figure 4",
            DRAWN,
            *ACCURACY,
            Predicate(of(IMAGE), of(code)),
        )
    for code in list(CALLED)[2:]:
        yield Claim(
            f"ae-encoding-above-{_slug(code)}",
            f"Of the classifiers of codes, that of the plain encoder's is more accurate than that of {CALLED[code]}.",
            "section 3.3, figure 4",
            DRAWN,
            *ACCURACY,
            Predicate(of("AE encoding"), of(code)),
        )
    yield Claim(
        "vae-encoding-on-par",
        "A classifier of the variational encoder's codes is on par with one of images (within two points).",
        "section 3.5, figure 4",
        DRAWN,
        *ACCURACY,
        Predicate(of("VAE encoding"), of(IMAGE), margin=ON_PAR, within=True),
    )


def _size() -> Iterator[Claim]:
    def of(code: str, space: str = "code") -> Cell:
        return _cell(5, "rho", code, space="image" if code == IMAGE else space)

    for code in (IMAGE, "AE encoding", "AE projection", "VAE projection"):
        yield Claim(
            f"vae-encoding-hardest-{_slug(code)}",
            f"To fool their classifier the variational encoder's codes have to be changed more than {CALLED[code]}.",
            "section 3.4, figure 5",
            DRAWN,
            *SIZE,
            Predicate(of("VAE encoding"), of(code)),
        )
    yield Claim(
        "ae-encoding-easiest",
        "The plain encoder's codes have to be changed less than projections on its decoder's range.",
        "section 3.4, figure 5",
        DRAWN,
        *SIZE,
        Predicate(of("AE projection"), of("AE encoding")),
    )
    yield Claim(
        "vae-encoding-hardest-in-images",
        "To fool a classifier of the variational encoder's codes an image has to be changed more than to fool one of "
        "images.",
        f"{OURS}: the attacker sends images",
        "not measured",
        *SIZE,
        Predicate(of("VAE encoding", "image"), of(IMAGE)),
        instead="through the means of the codes",
    )


def _transfer() -> Iterator[Claim]:
    def of(code: str) -> Cell:
        return _cell(6, "adversarial_accuracy", code)

    for code in ("AE encoding", "AE projection", "VAE projection"):
        yield Claim(
            f"vae-encoding-best-transfer-{_slug(code)}",
            "On adversaries of the classifier of images, that of the variational encoder's codes is more accurate than "
            f"that of {CALLED[code]}.",
            "section 3.5, figure 6",
            DRAWN,
            *TRANSFER,
            Predicate(of("VAE encoding"), of(code)),
        )
    yield Claim(
        "ae-encoding-worst-transfer",
        "That of projections on the plain decoder's range is more accurate there than that of the plain encoder's.",
        "section 3.5, figure 6",
        DRAWN,
        *TRANSFER,
        Predicate(of("AE projection"), of("AE encoding")),
    )
    yield Claim(
        "vae-encoding-beyond-a-twin",
        "That of the variational encoder's is more accurate there than the classifier of images from another seed.",
        f"{OURS}: any other network withstands transfer",
        "not measured",
        *TRANSFER,
        Predicate(of("VAE encoding"), of(TWIN)),
    )
    yield Claim(
        "drawn-beyond-means",
        "That of the variational encoder's is more accurate there than that of their means: the draw helps.",
        "section 3.5",
        "no number",
        *TRANSFER,
        Predicate(of("VAE encoding"), of("VAE mean")),
    )
