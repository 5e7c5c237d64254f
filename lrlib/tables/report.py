"""Tables of the pages about the report on singular values and latent codes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lrlib.results import Record, over_seeds

_MADE = {
    ("targeted", "once"): "made once",
    ("targeted", "again"): "made again",
    ("deepfool", "once"): "DeepFool's, made once",
    ("deepfool", "again"): "DeepFool's, made again",
}
_NETWORKS = {"again": "PGD, made again", "once": "PGD, made once", "on N-LR": "PGD, made on N-LR"}


def truncations(record: Record, *, fractions: Sequence[float]) -> pd.DataFrame:
    """The report's figure 7 in numbers: mean accuracies in percent at those of the fractions that were measured.

    If none of them was, at all that were. ``ρ`` is the relative size of adversaries of the truncated classifier itself.
    """
    frame = record.frame("report_figure7")
    frame = frame[frame.metric != "rho_whole"]
    chosen = frame.fraction.isin(fractions)
    frame = frame[chosen] if chosen.any() else frame
    made = [_MADE.get(pair, "") for pair in zip(frame.attack, frame.made, strict=True)]
    heading = frame.metric.map({"train_accuracy": "train", "test_accuracy": "test", "rho": "ρ, "})
    heading = heading.fillna("") + made
    heading = heading.str.replace("ρ, made again", "ρ").str.replace("ρ, DeepFool's, made again", "DeepFool's ρ")
    columns = ("train", "test", "made once", "made again", "ρ", "DeepFool's, made once", "DeepFool's ρ")
    return _pivot(frame.assign(heading=heading), ["dataset", "arch", "scale", "fraction"], columns)


def truncated_networks(record: Record) -> pd.DataFrame:
    """N-LR, 1-LR and 2-LR with their lowest singular values zeroed: accuracies in percent and the variance ratio."""
    frame = record.frame("truncated_networks")
    heading = frame.metric.str.replace("_", " ")
    heading = heading.mask(frame.metric == "adversarial_accuracy", frame.made.map(_NETWORKS))
    columns = ("accuracy", *_NETWORKS.values(), "variance ratio")
    return _pivot(frame.assign(heading=heading), ["variant", "fraction"], columns)


def _pivot(frame: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Means over seeds as text, by the column ``heading``; rows in the order in which they were measured."""
    mean = over_seeds(frame[frame.heading.isin(columns)], [*rows, "heading", "metric"])
    mean["cell"] = [
        f"{100 * value:.1f}" if "accuracy" in metric else f"{value:.3f}"
        for value, metric in zip(mean.value, mean.metric, strict=True)
    ]
    table = mean.pivot(index=list(rows), columns="heading", values="cell")
    order = pd.MultiIndex.from_frame(frame[list(rows)].drop_duplicates())
    there = [name for name in columns if name in table]
    return table.reindex(index=order, columns=there).fillna("").rename_axis(columns=None)
