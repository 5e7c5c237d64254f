"""Noise stability: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from lrlib import paper
from lrlib.prose.format import compare, spread, unit
from lrlib.results import Record, over_seeds
from lrlib.sections import noise_readings
from lrlib.sections.calibrated import IDENTIFIED
from lrlib.sections.cushions import MEDIAN, figure
from lrlib.sections.measuring import VARIANTS
from lrlib.sections.noise_readings import Reading, reading_of
from lrlib.sections.noise_stability import BLACK, TWIN, WHITE
from lrlib.sections.parameters import radius


def claim() -> str:
    """What the paper says, with its own numbers."""
    where = {"arch": "resnet18", "probability": 0.6}
    cells = ", ".join(f"{v} {paper.printed('table4', variant=v, **where)} %" for v in VARIANTS)
    return (
        "Section 3.2: LR models are stable. With Gaussian noise at each pixel with probability 0.6, accuracy is "
        f"{cells} (table 4, ResNet-18 on CIFAR-10); adversarial perturbations reach less far into the representation "
        "before the FC layer (figure 4b); and the layer cushion is larger, in the third block for 2-LR alone (figures "
        "4c and 12 to 15)."
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    cushion = record.frame("figure4c")
    median = cushion[cushion["quantile"] == MEDIAN]
    layers = [
        f"{tap}: "
        + ", ".join(f"{name} {value:.3f}" for name, value in group.groupby("variant", sort=False).value.mean().items())
        for tap, group in median.groupby("tap", sort=False)
    ]
    return [
        *_noise(record),
        *_propagation(record),
        f"**Layer cushion**, medians over images, averaged over seeds: {'; '.join(layers)}. {_cushions(median)}",
        *_blocks(record),
    ]


def reading(record: Record) -> list[str]:
    """Which reading of the noise is the paper's, as far as N-LR says, and which one is used."""
    used = Reading(*(record.runs[0]["parameters"][column] for column in noise_readings.COLUMNS))
    if not noise_readings.is_calibrated(record):
        return [f"Not compared in this run. Used here: {words(used)}."]
    table = noise_readings.residuals(record)
    best = table.iloc[0]
    ours, printed = (", ".join(f"{100 * one:.1f}" for one in row) for row in (best.accuracies, _target()))
    closest = words(reading_of(best))
    verdict = "identified" if noise_readings.chosen(record) else f"not identified, for that is more than {_limit()}"
    return [
        f"Of {len(table)} readings the closest to the paper's N-LR row of {printed} % is {closest}, with {ours} %. "
        f"That differs by {100 * best.residual:.1f} points (root mean square): **{verdict}**. "
        f"Used here: {words(used)}."
    ]


def words(one: Reading) -> str:
    """A reading in words."""
    moment = {"std": "a standard deviation", "variance": "a variance"}[one.moment]
    box = "kept in [0, 1]" if one.clip else "not kept in [0, 1]"
    return f"{moment} in {unit(one.unit)}, images {box}"


def _target() -> list[float]:
    return list(noise_readings.target().values())


def _limit() -> str:
    return f"{100 * IDENTIFIED:.0f} points"


def _noise(record: Record) -> Iterator[str]:
    table = record.frame("table4")
    most = table[table.probability == table.probability.max()]
    yield (
        f"**Pixel noise** at every position drawn with p = {most.probability.iloc[0]:g}: {spread(most, 'N-LR')} for "
        f"N-LR, {spread(most, '1-LR')} for 1-LR, {spread(most, '2-LR')} for 2-LR. {compare(most, 'The accuracy')}"
    )
    plain, other = (_plain(record, artefact) for artefact in ("table4", "table4_other_reading"))
    if not other.empty and len(other) > 1:
        level = (plain - other).dropna().abs().mean()
        probability = plain[other.index].max() - plain[other.index].min()
        ratio = radius(record.runs[0]["parameters"]["level"]) ** -0.5  # a standard deviation over the variance's
        yield (
            "**Level against probability**: the paper finds that the level of the noise matters less than p. Between "
            f"the two readings, whose standard deviations differ by a factor of {ratio:.1f}, N-LR's accuracy differs "
            f"by {100 * level:.1f} points on average over p; from p = {other.index.min():g} to "
            f"{other.index.max():g} by {100 * probability:.1f} points."
        )


def _plain(record: Record, artefact: str) -> pd.Series:
    """N-LR's accuracy by probability, where noise was added, as a mean over seeds; empty if not measured."""
    rows = [row for row in record.rows if (row["artefact"], row["variant"]) == (artefact, "N-LR")]
    frame = pd.DataFrame([row for row in rows if row["probability"] > 0], columns=["probability", "value"])
    return frame.groupby("probability").value.mean()


def _propagation(record: Record) -> Iterator[str]:
    frame = record.frame(figure("figure4b", record.rows[0]["dataset"]))
    radii = list(dict.fromkeys((frame.eps.iloc[0], frame.eps.iloc[-1])))
    for setting, how in ((WHITE, "made on the network itself"), (BLACK, "made on N-LR")):
        if setting not in set(frame.setting):
            continue
        said = []
        for eps in radii:
            slope = _slopes(frame[frame.eps == eps], setting)
            times = ", ".join(f"{_ratio(slope, name)} in {name}" for name in VARIANTS)
            said.append(f"At {eps} it is {times}. {compare(slope, 'The factor', below=True)}")
        yield (
            f"**Propagation**, {setting.replace('_', ' ')} ({how}): the factor is the squared relative change of the "
            f"representation over that of the input. {' '.join(said)}"
        )
    last = frame[frame.eps == radii[-1]]
    twin = last[(last.setting == TWIN) & (last.metric == "amplification")]
    if not twin.empty:
        ours = _slopes(last, BLACK)
        both = pd.concat([ours[ours.variant != "N-LR"], twin])
        own, another = (one.set_index("seed").value for one in (ours[ours.variant == "N-LR"], twin))
        less = int((another < own.reindex(another.index)).sum())
        yield (
            f"**An N-LR of another seed** is moved less than the one that the examples were made on in {less} of "
            f"{len(twin)} seeds: its factor at {radii[-1]} is {_ratio(twin, 'N-LR')}. "
            f"{compare(both, 'The factor of an LR network', below=True)} There N-LR is the one of another seed."
        )


def _slopes(rows: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Change of the representation over that of the input, of the LR networks in a setting and of N-LR itself."""
    rows = rows[(rows.setting == setting) | ((rows.setting == WHITE) & (rows.variant == "N-LR"))]
    reach, into = (rows[rows.metric == metric] for metric in ("representation_ratio", "input_ratio"))
    return reach.assign(value=reach.value.to_numpy() / into.value.to_numpy())


def _blocks(record: Record) -> Iterator[str]:
    """The blocks' layers together, where ResNet-18's were measured."""
    rows = [row for row in record.rows if row["metric"] == "block_cushion"]
    if not rows:
        return
    frame = pd.DataFrame(rows)
    parts = [compare(group, f"In {tap} it") for tap, group in frame.groupby("tap", sort=False)]
    yield f"**All layers of a block**, the median over images of their mean cushion: {' '.join(parts)}"


def _ratio(rows: pd.DataFrame, variant: str) -> str:
    mean = over_seeds(rows[rows.variant == variant], ["variant"]).value.iloc[0]
    return f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}"


def _cushions(median: pd.DataFrame) -> str:
    """In how many seeds the cushion is larger than N-LR's, layer by layer."""
    trained = median[median.variant.isin(VARIANTS)]
    return " ".join(compare(group, f"At {tap} the median") for tap, group in trained.groupby("tap", sort=False))
