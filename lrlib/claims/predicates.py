"""What decides a claim: a comparison of recorded numbers, seed by seed, with a margin that was fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from lrlib import drift
from lrlib.intervals import over_seeds
from lrlib.results import Record

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
TOO_FEW, UNMEASURED, MACHINERY = "too few seeds", "not measured", "no verdict"
LARGEST, SMALLEST = object(), object()  # a key's largest or smallest value in the record, such as the last step
FEWEST_SEEDS = 3
WITHOUT_VERDICT = "quick"  # a preset that shows that the machinery runs


@dataclass(frozen=True)
class Cell:
    """Numbers of a record: those of an artefact and metric with these keys, one for each seed.

    Attributes:
        page: Whose record.
        artefact: The artefact.
        metric: The metric.
        keys: Further keys and their values.
        network: Keys of the network that the claim is about, where it isn't the preset's own; rows about the preset's
            own stand in for it where there are none.
        averaged: Whether several rows of a seed are averaged, such as those of two datasets.
        alone: Whether no rows about the preset's own network may stand in.
    """

    page: str
    artefact: str
    metric: str
    keys: tuple[tuple[str, Any], ...]
    network: tuple[tuple[str, str], ...] = ()
    averaged: bool = False
    alone: bool = False

    def by_seed(self, records: Mapping[str, Record]) -> pd.Series:
        """The numbers by seed; none if no record has them."""
        frame = self.chosen(records)
        if self.averaged and len(frame):
            means: pd.Series = frame.groupby("seed").value.mean()
            return means
        if frame.seed.duplicated().any():
            raise ValueError(f"expected keys that single out a row of each seed, got several for {self}")
        return frame.set_index("seed").value

    def chosen(self, records: Mapping[str, Record]) -> pd.DataFrame:
        """The rows that these are in, with the columns ``seed`` and ``value`` even if there are none."""
        rows = self._rows(records.get(self.page))
        frame = pd.DataFrame(rows) if rows else pd.DataFrame({"seed": [], "value": []})
        for key, value in self.keys:
            if key not in frame:
                return frame[:0]
            wanted = frame[key].max() if value is LARGEST else frame[key].min() if value is SMALLEST else value
            frame = frame[frame[key] == wanted]
        return frame

    def stands_in(self, records: Mapping[str, Record]) -> bool:
        """Whether the rows are about another network than the claim."""
        return bool(self.network) and not self._about_the_network(records.get(self.page))

    def is_older(self, records: Mapping[str, Record]) -> bool:
        """Whether some of the numbers come from older sources than today's."""
        record = records.get(self.page)
        older = drift.older_runs(record) if record else set()
        return any(row["run"] in older for row in self._rows(record))

    def _rows(self, record: Record | None) -> list[dict[str, Any]]:
        if record is None:
            return []
        rows = self._about_the_network(record) or ([] if self.alone else record.main().rows)
        return [row for row in rows if (row["artefact"], row["metric"]) == (self.artefact, self.metric)]

    def _about_the_network(self, record: Record | None) -> list[dict[str, Any]]:
        if record is None or not self.network:
            return []
        return [row for row in record.rows if dict(self.network).items() <= row.items()]


def cell(
    page: str,
    artefact: str,
    metric: str,
    *,
    network: Mapping[str, str] | None = None,
    averaged: bool = False,
    alone: bool = False,
    **keys: Any,
) -> Cell:
    """A :class:`Cell` with its keys by name."""
    return Cell(page, artefact, metric, tuple(keys.items()), tuple((network or {}).items()), averaged, alone)


@dataclass(frozen=True)
class Crossing(Cell):
    """Sizes of perturbations at which a curve of accuracy falls to a level, on the line between two radii.

    The cell is that of the sizes; its keys leave the radius open. The size is NaN where a curve is below the level at
    the smallest radius already, or never.

    Attributes:
        accuracy: The metric of the accuracies at these radii.
        level: The level.
    """

    accuracy: str = "adversarial_accuracy"
    level: float = 0.5

    def by_seed(self, records: Mapping[str, Record]) -> pd.Series:
        """The sizes by seed; none if no record has them."""
        sizes, heights = (replace(self, metric=one).chosen(records) for one in (self.metric, self.accuracy))
        found = {}
        for seed, own in sizes.groupby("seed"):
            of = heights[heights.seed == seed].set_index("eps").value
            curve = own.assign(height=of.reindex(own.eps).to_numpy()).sort_values("value")
            below = (curve.height < self.level).to_numpy()
            found[seed] = math.nan
            if below.any() and not below[0]:
                after = int(below.argmax())
                (low, high), (start, end) = (curve[name].iloc[after - 1 : after + 1] for name in ("value", "height"))
                found[seed] = low + (high - low) * (start - self.level) / (start - end)
        return pd.Series(found, dtype=float)


@dataclass(frozen=True)
class Predicate:
    """Holds where ``left - factor * right`` is above ``margin``; with ``within``, where it is less than that from 0.

    Attributes:
        left: What is claimed to be larger, or alike.
        right: Than what; a constant 0 if left out.
        factor: How many times that.
        margin: By how much.
        within: Whether it is claimed to be alike.
    """

    left: Cell
    right: Cell | None = None
    factor: float = 1.0
    margin: float = 0.0
    within: bool = False

    @property
    def in_percent(self) -> bool:
        """Whether the numbers are shares, which are shown in percent."""
        return "accuracy" in self.left.metric or self.left.metric == "variance_ratio"


@dataclass(frozen=True)
class Judged:
    """A predicate on a preset's records.

    Attributes:
        verdict: One of the module's six.
        value: Mean over seeds of ``left - factor * right``; NaN if there is no seed.
        low: Student's interval of it at 95 %; NaN for a single seed.
        high: Its other end.
        ratio: Mean over seeds of the left side over the right one; NaN if a right one is 0.
        ratio_half: Half the width of its interval; NaN for a single seed.
        seeds: Number of seeds that have both sides; 0 also where each has one, but not the same.
        stand_in: Whether the rows are about another network than the claim.
        older: Whether some rows come from older sources than today's.
    """

    verdict: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    ratio: float = math.nan
    ratio_half: float = math.nan
    seeds: int = 0
    stand_in: bool = False
    older: bool = False


def judge(predicate: Predicate, records: Mapping[str, Record], preset: str) -> Judged:
    """Decide a predicate: only of three seeds, and if the whole interval over seeds lies on one side of the margin.

    Args:
        predicate: What is claimed.
        records: The preset's records by page.
        preset: Whose.
    """
    left = predicate.left.by_seed(records)
    right_side = pd.Series(0.0, left.index) if predicate.right is None else predicate.right.by_seed(records)
    if left.empty or right_side.empty:
        return Judged(UNMEASURED)
    cells = [one for one in (predicate.left, predicate.right) if one is not None]
    about = {
        "stand_in": any(one.stands_in(records) for one in cells),
        "older": any(one.is_older(records) for one in cells),
    }
    sides = pd.DataFrame({"left": left, "right": right_side}).dropna().rename_axis("seed").reset_index()
    if sides.empty:
        return Judged(_verdict(predicate, preset, 0, math.nan, math.nan), **about)
    difference = sides.assign(value=sides.left - predicate.factor * sides.right, all="")
    (row,) = over_seeds(difference, ["all"]).itertuples()
    ratio = ratio_half = math.nan
    if sides.right.all():
        (times,) = over_seeds(sides.assign(value=sides.left / sides.right, all=""), ["all"]).itertuples()
        ratio, ratio_half = float(times.value), float(times.high - times.value)
    return Judged(
        _verdict(predicate, preset, int(row.seeds), row.low, row.high),
        value=float(row.value),
        low=float(row.low),
        high=float(row.high),
        ratio=ratio,
        ratio_half=ratio_half,
        seeds=int(row.seeds),
        **about,
    )


def _verdict(predicate: Predicate, preset: str, seeds: int, low: float, high: float) -> str:
    if preset == WITHOUT_VERDICT:
        return MACHINERY
    if seeds < FEWEST_SEEDS:
        return TOO_FEW
    margin = predicate.margin
    if predicate.within:
        holds, fails = -margin < low and high < margin, low >= margin or high <= -margin
    else:
        holds, fails = low > margin, high <= margin
    return REPRODUCED if holds else NOT_REPRODUCED if fails else INCONCLUSIVE
