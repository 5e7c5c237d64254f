"""Latent space: what the report claims, and what our rows say, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib import paper
from lrlib.prose.format import percent
from lrlib.results import Record, over_seeds
from lrlib.sections.latent_space import IMAGE, TWIN

_FIGURES = ("report_figure4", "report_figure5", "report_figure6")
_DRAWN = ("VAE encoding", "VAE mean")
_SHOWN = "LRL"  # the most accurate of the three


def claim() -> str:
    """What the report says, in its findings about figures 4 to 6."""
    stated = paper.findings()
    sentences = stated[stated.artefact.isin(_FIGURES)].sentence
    return "The report says from its section 3.3 to its section 3.5: " + " ".join(sentences)


def findings(record: Record) -> list[str]:
    """What the rows say of the classifier LRL, dataset by dataset."""
    frame = record.frame()
    frame = frame.assign(space=frame.space.fillna(""))
    mean = over_seeds(frame[frame.arch == _SHOWN], ["dataset", "artefact", "metric", "space", "code"])
    sentences = []
    for dataset in dict.fromkeys(mean.dataset):
        own = mean[mean.dataset == dataset].set_index(["artefact", "metric", "space", "code"]).value
        sentences += [_accuracy(dataset, own), _size(dataset, own), _transfer(dataset, own), _drawn(dataset, own)]
    return sentences


def _of(own: pd.Series, figure: int, metric: str, space: str = "") -> pd.Series:
    """The numbers of a figure by what is classified."""
    levels = [own.index.get_level_values(level) for level in ("artefact", "metric", "space")]
    wanted = (f"report_figure{figure}", metric, space)
    chosen = [key == wanted for key in zip(*levels, strict=True)]
    return own[chosen].droplevel([0, 1, 2])


def _listed(values: pd.Series, without: str, *, share: bool) -> str:
    """Each number with its code in brackets."""
    said = [
        f"{percent(value) if share else f'{value:.3f}'} ({code})" for code, value in values.items() if code != without
    ]
    return ", ".join(said) or "not found"


def _accuracy(dataset: str, own: pd.Series) -> str:
    values = _of(own, 4, "accuracy")
    codes = _listed(values, IMAGE, share=True)
    return f"**Accuracy, {_SHOWN} on {dataset}**: {percent(values[IMAGE])} on images; of codes {codes}."


def _size(dataset: str, own: pd.Series) -> str:
    codes, images = (_of(own, 5, "rho", space) for space in ("code", "image"))
    return (
        f"**Perturbation, {_SHOWN} on {dataset}**: ρ of the adversaries is {_listed(codes, IMAGE, share=False)} of "
        f"the codes, and with the images changed {_listed(images, IMAGE, share=False)}, against {images[IMAGE]:.3f} "
        "for the classifier of images. A code's ρ is relative to the norm of codes, and says little about images."
    )


def _transfer(dataset: str, own: pd.Series) -> str:
    values = _of(own, 6, "adversarial_accuracy")
    twin = (
        f"; of the same classifier of images from another seed {percent(values[TWIN])}" if TWIN in values.index else ""
    )
    return (
        f"**Transfer, {_SHOWN} on {dataset}**: on the adversaries of the classifier of images, the accuracy is "
        f"{_listed(values, TWIN, share=True)}{twin}."
    )


def _drawn(dataset: str, own: pd.Series) -> str:
    """What the draw of the variational encoder does, which the report takes for the reason of its result."""
    accuracy, transfer = _of(own, 4, "accuracy"), _of(own, 6, "adversarial_accuracy")
    sizes = _of(own, 5, "rho", "code")
    accuracies, transferred = (
        " against ".join(percent(values[code]) for code in _DRAWN) for values in (accuracy, transfer)
    )
    found = " against ".join(f"{sizes[code]:.3f}" if code in sizes.index else "not found" for code in _DRAWN)
    return (
        f"**Drawn codes or their means, {_SHOWN} on {dataset}**: accuracy {accuracies}, ρ of codes {found}, accuracy "
        f"on transferred adversaries {transferred}."
    )
