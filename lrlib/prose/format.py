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


def compare(rows: pd.DataFrame, ours: str, plain: str, *, what: str = "The ratio") -> str:
    """In how many seeds one variant's value is above another's."""
    left, right = (rows[rows.variant == name].set_index("seed").value for name in (ours, plain))
    above = int((left > right).sum())
    return f"{what} of {ours} is above that of {plain} in {above} of {len(left)} seeds."
