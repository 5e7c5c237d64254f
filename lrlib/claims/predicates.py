"""What decides a claim: a comparison of recorded numbers, seed by seed, with a margin that was fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lrlib.intervals import over_seeds
from lrlib.results import Record

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
UNMEASURED, MACHINERY = "not measured", "no verdict"
LARGEST = object()  # a key's largest value in the record, such as the last step
FEWEST_SEEDS = 3
WITHOUT_VERDICT = "quick"  # a preset that shows that the machinery runs


@dataclass(frozen=True)
class Cell:
    """Numbers of a record: those of an artefact and metric with these keys, one for each seed."""

    page: str
    artefact: str
    metric: str
    keys: tuple[tuple[str, Any], ...]

    def by_seed(self, records: Mapping[str, Record]) -> pd.Series:
        """The numbers by seed; none if no record has them."""
        record = records.get(self.page)
        rows = [row for row in record.main().rows if row["artefact"] == self.artefact] if record else []
        frame = pd.DataFrame([row for row in rows if row["metric"] == self.metric])
        for key, value in self.keys:
            if key not in frame:
                return pd.Series(dtype=float)
            frame = frame[frame[key] == (frame[key].max() if value is LARGEST else value)]
        if frame.seed.duplicated().any():
            raise ValueError(f"expected keys that single out a row of each seed, got several for {self}")
        return frame.set_index("seed").value


def cell(page: str, artefact: str, metric: str, **keys: Any) -> Cell:
    """A :class:`Cell` with its keys by name."""
    return Cell(page, artefact, metric, tuple(keys.items()))


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
    def unit(self) -> str:
        """What the difference is counted in: points of accuracy, or the number's own unit."""
        return "points" if "accuracy" in self.left.metric or self.left.metric == "variance_ratio" else ""


@dataclass(frozen=True)
class Judged:
    """A predicate on a preset's records.

    Attributes:
        verdict: One of the module's five.
        value: Mean over seeds of ``left - factor * right``; NaN if nothing was measured.
        low: Student's interval of it at 95 %; NaN for a single seed.
        high: Its other end.
        seeds: Number of seeds.
    """

    verdict: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seeds: int = 0


def judge(predicate: Predicate, records: Mapping[str, Record], preset: str) -> Judged:
    """Decide a predicate: only if the whole interval over seeds lies on one side of the margin, and of three seeds.

    Args:
        predicate: What is claimed.
        records: The preset's records by page.
        preset: Whose.
    """
    difference = predicate.left.by_seed(records)
    if predicate.right is not None:
        difference = difference - predicate.factor * predicate.right.by_seed(records)
    difference = difference.dropna()
    if difference.empty:
        return Judged(UNMEASURED)
    (row,) = over_seeds(
        difference.rename("value").rename_axis("seed").reset_index().assign(all=""), ["all"]
    ).itertuples()
    found = (float(row.value), float(row.low), float(row.high), int(row.seeds))
    if preset == WITHOUT_VERDICT:
        return Judged(MACHINERY, *found)
    if row.seeds < FEWEST_SEEDS:
        return Judged(INCONCLUSIVE, *found)
    return Judged(_side(predicate, row.low, row.high), *found)


def _side(predicate: Predicate, low: float, high: float) -> str:
    margin = predicate.margin
    if predicate.within:
        holds, fails = -margin < low and high < margin, low >= margin or high <= -margin
    else:
        holds, fails = low > margin, high <= margin
    return REPRODUCED if holds else NOT_REPRODUCED if fails else INCONCLUSIVE
