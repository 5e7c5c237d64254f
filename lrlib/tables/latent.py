"""Tables of the page on latent codes: our numbers, and the report's orderings held against them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from lrlib import paper
from lrlib.results import Record, over_seeds

FIGURES = ("report_figure4", "report_figure5", "report_figure6")
_CODES = {
    "image": "image",
    "ae-encoding": "AE encoding",
    "ae-projection": "AE projection",
    "vae-encoding": "VAE encoding",
    "vae-projection": "VAE projection",
}
_BEST = ("AE encoding", "LRL")  # the report's ``ae-encoding+LRL``
_ON_PAR = 0.02  # what "about as accurate" is taken to be at most


def classified(record: Record) -> pd.DataFrame:
    """Every classifier: test accuracy, size of its adversaries, and accuracy on those of the classifier of images."""
    headings = {
        ("report_figure4", "accuracy", ""): "test accuracy",
        ("report_figure5", "rho", "code"): "ρ, codes",
        ("report_figure5", "rho", "image"): "ρ, images",
        ("report_figure6", "accuracy", ""): "originals",
        ("report_figure6", "adversarial_accuracy", ""): "transferred",
    }
    frame = record.frame()
    space = frame.space.fillna("")
    names = [headings.get(key, "") for key in zip(frame.artefact, frame.metric, space, strict=True)]
    frame = frame.assign(heading=names)
    frame = frame[frame.heading != ""]
    mean = over_seeds(frame, ["dataset", "code", "arch", "heading", "metric"])
    mean["cell"] = [
        f"{100 * value:.1f}" if "accuracy" in metric else f"{value:.3f}"
        for value, metric in zip(mean.value, mean.metric, strict=True)
    ]
    table = mean.pivot(index=["dataset", "code", "arch"], columns="heading", values="cell")
    there = [heading for heading in headings.values() if heading in table]
    return table[there].fillna("").rename_axis(columns=None)


def orderings(record: Record) -> pd.DataFrame:
    """What the report states about its figures 4 to 6, for it prints no numbers, and whether it holds here.

    Args:
        record: A record of the page.

    Returns:
        A row for each ordering, named by what is stated: for each dataset the smallest mean on the side that is
        claimed to be larger, the largest on the other, and whether the first is above the second (or within two points
        of it, where they are claimed to be alike). An ordering of datasets has one column, ``datasets``.
    """
    stated = paper.findings()
    stated = stated[stated.artefact.isin(FIGURES) & (stated.dataset == "")]
    frame = record.frame()
    datasets = list(dict.fromkeys(frame.dataset))
    rows: dict[str, dict[str, str]] = {}
    for one in stated.to_dict("records"):
        own = _mean(frame[(frame.artefact == one["artefact"]) & (frame.metric == one["metric"])])
        cells: dict[str, str] = {}
        if "mnist" in (one["left"], one["right"]):
            cells["datasets"] = _held(_of_dataset(own, one["left"]), _of_dataset(own, one["right"]), one)
        else:
            for dataset in datasets:
                means = own[own.dataset == dataset]
                cells[dataset] = _held(min(_side(means, one, "left")), max(_side(means, one, "right")), one)
        rows[one["sentence"]] = cells
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis(index="the report states")


def _mean(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of what the report has: codes are changed where codes are classified."""
    if "space" in frame:
        frame = frame[frame.space.isna() | (frame.space == "code") | (frame.code == "image")]
    return over_seeds(frame[frame.code.isin(_CODES.values())], ["dataset", "code", "arch"])


def _side(means: pd.DataFrame, one: dict[Hashable, Any], side: str) -> list[float]:
    """The numbers that one side of an ordering names: of a code its mean over classifiers, or its best if alike."""
    codes = means.groupby("code").value
    of_code = codes.max() if one["relation"] == "=" else codes.mean()
    of_arch, pairs = means.groupby("arch").value.mean(), means.set_index(["code", "arch"]).value
    values: list[float] = []
    for name in one[side].split():
        if name == "best":
            values.append(pairs.max())
        elif name == "other-latent":
            values.append(pairs.drop("image", level="code").drop(_BEST).max())
        elif "+" in name:
            values.append(pairs[_BEST])
        elif name in _CODES:
            values += [value for code, value in of_code.items() if code == _CODES[name]]
        else:
            values.append(of_arch[name])
    return values


def _of_dataset(means: pd.DataFrame, name: str) -> float | None:
    own = means[means.dataset == name].value
    return None if own.empty else float(own.mean())


def _held(left: float | None, right: float | None, one: dict[Hashable, Any]) -> str:
    """Both sides with the metric's digits, and whether the ordering holds."""
    if left is None or right is None:
        return "not measured"
    holds = left > right if one["relation"] == ">" else abs(left - right) <= _ON_PAR
    sides = " against ".join(f"{100 * v:.1f}" if "accuracy" in one["metric"] else f"{v:.3f}" for v in (left, right))
    return f"{sides}: {'holds' if holds else 'does not hold'}"
