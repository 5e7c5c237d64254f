"""Tables of what the companion measures beside the paper: controls, how the networks were trained, and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from lrlib import results
from lrlib.results import Record, over_seeds
from lrlib.sections import calibrated, noise_readings, training
from lrlib.sections import verdicts as judged
from lrlib.sections.audit import WORST


def controls(record: Record) -> pd.DataFrame:
    """Every control: accuracies in percent, the variance ratio and DeepFool's ρ, as means over seeds."""
    frame = record.frame("controls")
    names = {
        "accuracy": "accuracy",
        "variance_ratio": f"variance ratio at {frame.k.max():.0f}",
        "rho": "DeepFool ρ",
    }
    heading = frame.metric.map(names)
    heading = heading.mask(frame.metric == "adversarial_accuracy", "PGD " + frame.eps.astype(str))
    heading = heading.mask(frame.metric == "noise_accuracy", "noise p = " + frame.probability.astype(str))
    frame = frame.assign(heading=heading)
    mean = over_seeds(frame, ["control", "heading", "metric"])
    mean["cell"] = [_cell(value, metric) for value, metric in zip(mean.value, mean.metric, strict=True)]
    table = mean.pivot(index="control", columns="heading", values="cell")
    table = table.loc[list(dict.fromkeys(frame.control)), list(dict.fromkeys(frame.heading))]
    ranks = frame.groupby("control")["rank"].first()
    table.insert(0, "rank", [f"{rank:.0f}" if pd.notna(rank) else "" for rank in ranks[table.index]])
    return table.rename_axis(columns=None)


def by_preset(records: Mapping[str, Record], artefact: str, table: Callable[[Record], pd.DataFrame]) -> pd.DataFrame:
    """One table of the records that have the artefact, a part for each preset, the largest preset's first."""
    parts = {
        record.preset: table(record)
        for record in results.largest_first(records).values()
        if any(row["artefact"] == artefact for row in record.rows)
    }
    return pd.concat(parts, names=["preset"]).fillna("") if parts else pd.DataFrame()


def search(record: Record) -> pd.DataFrame:
    """Every candidate on held-out training images, those that the rule picks marked."""
    table, picked = training.judged(record), training.chosen(record)
    picks = [(variant, *one.setting) for variant, one in picked.items() if one]
    cells = {"rule": ["chosen" if key in picks else "" for key in table.index]}  # first, for the table may be cut off
    cells["accuracy"] = ["diverged" if pd.isna(value) else f"{100 * value:.2f}" for value in table.accuracy]
    for column in table.columns:
        metric, _, tap = column.partition(" ")
        if not tap:
            continue
        name = "centred" if metric.startswith("centred") else "variance ratio"
        cells[f"{tap}, {name}"] = ["" if pd.isna(value) else f"{value:.4f}" for value in table[column]]
    return pd.DataFrame(cells, index=table.index).rename_axis(index=["variant", "λ1", "λ2", "step", "start"])


def stability(record: Record) -> pd.DataFrame:
    """Accuracy in percent after a short training, or that it diverged, against the learning rate."""
    frame = record.frame("stability")
    done = frame[frame.metric == "accuracy"].assign(cell=lambda rows: [f"{100 * value:.1f}" for value in rows.value])
    lost = frame[(frame.metric == "diverged") & (frame.value == 1)].assign(cell="diverged")
    both = pd.concat([done, lost]).rename(columns={"weight": "λ1 = λ2", "from_epoch": "from epoch"})
    both["projection loss"] = both.bounded.map({True: "bounded", False: "as written"})
    rows = ["variant", "projection loss", "from epoch", "λ1 = λ2"]
    return both.pivot(index=rows, columns="learning_rate", values="cell").fillna("")


def parity(record: Record) -> pd.DataFrame:
    """Accuracy in percent of the same short training in fp32 and bf16, by seed."""
    table = 100 * training.accuracies(record)
    table["bf16 less fp32"] = table.bf16 - table.fp32
    return table.map(lambda value: f"{value:.2f}").rename_axis(columns=None)


def calibration(record: Record) -> pd.DataFrame:
    """The settings that were tried on all images of the fit, by their distance from the paper's row in points."""
    fitted = calibrated.residuals(record, "fitted").set_index(calibrated.SETTING).residual
    tested = calibrated.residuals(record, "tested").set_index(calibrated.SETTING).residual
    table = pd.DataFrame(
        {"distance, images of the fit": fitted, "distance, other images": tested.reindex(fitted.index)}
    )
    table = table.map(lambda value: "" if pd.isna(value) else f"{100 * value:.1f}")
    return table.rename_axis(index=["unit", "step", "random start", "until fooled", "clipped"])


def precision(record: Record) -> pd.DataFrame:
    """Accuracy in percent after the same attack with gradients in fp32 and in bf16."""
    table = 100 * record.frame("precision").pivot(index="variant", columns="precision", values="value")
    table["fp32 less bf16"] = table.fp32 - table.bf16
    return table.map(lambda value: f"{value:.2f}").rename_axis(columns=None)


def noise_readings_of(record: Record) -> pd.DataFrame:
    """N-LR's accuracies in percent under every reading of table 4's noise, and their distance from the paper's row."""
    table = noise_readings.residuals(record)
    cells = {
        f"p = {probability:g} (paper {100 * printed:.1f})": [f"{100 * row[place]:.1f}" for row in table.accuracies]
        for place, (probability, printed) in enumerate(noise_readings.target().items())
    }
    cells["distance"] = [f"{100 * value:.1f}" for value in table.residual]
    index = pd.MultiIndex.from_frame(table[noise_readings.COLUMNS], names=["level as", "unit", "clipped"])
    return pd.DataFrame(cells, index=index)


def verdicts(record: Record) -> pd.DataFrame:
    """The audit's verdict on each network, with its accuracies, gains over N-LR in points, and flags."""
    table = judged.verdicts(record).set_index("variant")
    points = {
        "verdict": table.verdict.to_list(),  # first, for a wide table may be cut off
        "paper": [f"{100 * value:.1f}" for value in table.paper],
        "strong": [f"{100 * value:.1f}" for value in table.strong],
        "gain, paper": [f"{100 * value:+.1f}" for value in table.paper_gain],
        "gain, strong": [_gain(row) for _, row in table.iterrows()],
        "p": [f"{value:.2g}" for value in table.p],
        "no gradient, %": [f"{100 * value:.1f}" for value in table.zero_gradient],
        "0 % at, paper": [value or "never" for value in table.ends_paper],
        "0 % at, strong": [value or "never" for value in table.ends_strong],
        "masked": ["yes" if value else "" for value in table.masked],
    }
    return pd.DataFrame(points, index=table.index).replace("-", "−", regex=True)


def _gain(row: pd.Series) -> str:
    half = "" if pd.isna(row.high) else f" ± {100 * (row.high - row.strong_gain):.1f}"
    return f"{100 * row.strong_gain:+.1f}{half}"


def audit(record: Record) -> pd.DataFrame:
    """Accuracy in percent under every attack of the audit, in their order."""
    frame = record.frame("audit")
    frame = frame[frame.metric == "adversarial_accuracy"]
    most = frame.n.max()
    names = [
        f"{attack} (first {n})" if n < most else f"{attack} (survivors)" if on == "survivors" else attack
        for attack, n, on in zip(frame.attack, frame.n, frame.on, strict=True)
    ]
    frame = frame.assign(name=names)
    mean = over_seeds(frame, ["variant", "group", "name"])
    mean["cell"] = [f"{100 * value:.1f}" for value in mean.value]
    table = mean.pivot(index=["group", "name"], columns="variant", values="cell").fillna("")
    ordered = [name for name in dict.fromkeys(zip(frame.group, frame.name, strict=True)) if name[1] != WORST]
    table = table.loc[[*ordered, ("strong", WORST)], list(dict.fromkeys(frame.variant))]
    return table.rename_axis(index=["protocol", "attack"], columns=None)


def costs(records: Mapping[str, Record], artefact: str) -> pd.DataFrame:
    """Seconds, memory and errors of a benchmark's alternatives, with the ratio to the last one of each comparison."""
    parts = []
    for preset, record in records.items():
        if artefact not in set(record.frame().artefact):
            continue
        frame = record.frame(artefact)
        about = [key for key in ("device", "width", "m", "rank", "batch") if key in frame and frame[key].notna().all()]
        table = frame.pivot(index=[*about, "alternative"], columns="metric", values="value").reindex(
            pd.MultiIndex.from_frame(frame[[*about, "alternative"]].drop_duplicates())
        )
        parts.append(pd.concat({preset: _with_ratios(table, about)}, names=["preset"]))
    return pd.concat(parts) if parts else pd.DataFrame()


def _with_ratios(table: pd.DataFrame, about: list[str]) -> pd.DataFrame:
    base = table.groupby(level=about, sort=False).transform("last")
    compared = not table.index.droplevel("alternative").is_unique
    cells = {}
    if "seconds" in table:
        cells["time"] = [f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms" for value in table.seconds]
        if compared:
            cells["time, ratio"] = [f"{value:.3g}" for value in table.seconds / base.seconds]
    if "bytes" in table:
        cells["memory"] = [_memory(value) for value in table.bytes]
        if compared:
            cells["memory, ratio"] = [f"{value:.3g}" for value in table.bytes / base.bytes]
    if "success_rate" in table:
        cells["fooled"] = [f"{100 * value:.1f} %" for value in table.success_rate]
        cells["ρ"] = [f"{value:.4f}" for value in table.rho]
    if "error" in table:
        cells["relative error"] = ["" if pd.isna(value) else f"{value:.2g}" for value in table.error]
    return pd.DataFrame(cells, index=table.index)


def _memory(value: float) -> str:
    return f"{value / 2**30:.3g} GiB" if value >= 2**30 else f"{value / 2**20:.3g} MiB"


def _cell(value: float, metric: str) -> str:
    return f"{100 * value:.1f}" if "accuracy" in metric else f"{value:.3f}"
