"""Intervals at 95 % confidence: Wilson's within one model, Student's over seeds, never pooled."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scipy import stats

CONFIDENCE = 0.95


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's interval of a share.

    Args:
        right: How many.
        n: Of how many, at least 1.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: If there is nothing to take a share of.

    Example:
        >>> low, high = wilson(0, 10)
        >>> low, round(high, 3)
        (0.0, 0.278)
    """
    if n < 1:
        raise ValueError(f"expected at least one example, got {n}")
    interval = stats.binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def over_seeds(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean over seeds with Student's interval.

    Args:
        frame: Rows with a column ``seed``, one row for each combination of keys and seed.
        keys: Columns that tell the combinations apart.

    Returns:
        One row for each combination with ``value``, ``low``, ``high`` (NaN for a single seed) and ``seeds``.

    Raises:
        ValueError: If a combination has two rows of one seed, for then the keys don't tell the rows apart.
    """
    groups = frame.groupby(list(keys), sort=False, dropna=False)
    if groups["seed"].nunique().lt(groups.size()).any():
        raise ValueError(f"expected one row for each seed and {', '.join(keys)}, got several")
    table = groups["value"].agg(value="mean", spread="sem", seeds="size").reset_index()
    half = table["spread"] * stats.t.ppf((1 + CONFIDENCE) / 2, (table["seeds"] - 1).clip(lower=1))
    return table.assign(low=table["value"] - half, high=table["value"] + half).drop(columns="spread")
