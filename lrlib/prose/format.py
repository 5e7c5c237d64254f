"""Numbers as the book's sentences have them."""

from __future__ import annotations

import pandas as pd

from lrlib.results import over_seeds


def percent(value: float, digits: int = 1) -> str:
    """A fraction in percent.

    Example:
        >>> percent(0.98765)
        '98.8 %'
    """
    return f"{100 * value:.{digits}f} %"


def spread(rows: pd.DataFrame, variant: str, *, digits: int = 1) -> str:
    """Mean over seeds of a variant's fractions, in percent, with Student's 95 % interval where there are two seeds."""
    one = over_seeds(rows[rows.variant == variant], ["variant"]).iloc[0]
    mean = percent(one.value, digits)
    if one.seeds < 2:
        return f"{mean} (one seed)"
    return f"{mean} (±{100 * (one.high - one.value):.{digits}f}, {one.seeds} seeds)"


def compare(rows: pd.DataFrame, what: str, *, ours: tuple[str, ...] = ("1-LR", "2-LR"), below: bool = False) -> str:
    """In how many seeds each of our variants is above N-LR, or below it where less is better."""
    values = {name: rows[rows.variant == name].set_index("seed").value for name in (*ours, "N-LR")}
    plain = values.pop("N-LR")
    better = {name: int((value < plain).sum() if below else (value > plain).sum()) for name, value in values.items()}
    counts = " and ".join(f"in {better[name]} of {len(values[name])} seeds for {name}" for name in ours)
    return f"{what} is {'below' if below else 'above'} that of N-LR {counts}."


def unit(name: str) -> str:
    """What a radius is measured in, in words."""
    return {
        "pixel": "pixels in [0, 1]",
        "normalized": "pixels divided by the dataset's standard deviation",
        "normalized by image": "pixels divided by the mean standard deviation within an image",
    }[name]
