"""Whether records still say what today's sources measure: older sources, and a record beside the same measured anew.

A network that is trained again on another processor is another network: sums are rounded in another order, and training
amplifies that. So rows about the very same networks are compared one by one, and rows about networks that were trained
again as means over seeds, whose intervals have to meet. So are those of max-margin classifiers, which are fitted anew
at each measurement, by steps that amplify the last digits just as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lrlib import provenance
from lrlib.intervals import over_seeds
from lrlib.results import Record

OLDER, IN_PART = "older sources", "in part older sources"
SHARE = 0.01  # of the examples: how far accuracies of one network may lie apart, but always FEWEST examples
FEWEST = 2
RELATIVE = 0.02  # how far other numbers of one network may lie apart
FLOOR = 0.03  # how far means of shares over seeds may lie apart even if their intervals don't meet
RELATIVE_FLOOR = 0.25  # likewise of other numbers, relative to the larger one
ALLOWED = (
    0.05  # share of an artefact's comparisons that may fail, for 95 % intervals do so now and then; one always may
)
FITTED_ANEW = "max_margin"  # what the names of such classifiers' metrics begin with
_NO_KEYS = (
    "value",
    "n",
    "low",
    "high",
    "survived",
    "image",
    "image_adv",
    "points",
    "run",
    "predicted",
    "predicted_adv",
)


def older_runs(record: Record) -> set[str]:
    """Ids of the runs whose sources aren't the page's of today, or whose page is no more."""
    try:
        today = provenance.sources(f"lrlib.sections.{record.page}")
    except ValueError:
        return {run["id"] for run in record.runs}
    return {run["id"] for run in record.runs if run["sources"] != today}


def remark(record: Record) -> str:
    """What is said of a record whose numbers come from older sources, all or in part; empty of another one."""
    older = older_runs(record)
    if not older:
        return ""
    return OLDER if len(older) == len(record.runs) else IN_PART


def differences(before: Record, now: Record) -> list[str]:
    """How a record differs from the same measured anew by more than other machines make it differ.

    Args:
        before: The record.
        now: The same page and preset, measured anew.

    Returns:
        A clause for each artefact that differs: by its rows, or because too many of its numbers lie apart.
    """
    first, second = (_keyed(one) for one in (before, now))
    found = []
    for artefact in dict.fromkeys([*first.artefact, *second.artefact]):
        old, new = (frame[frame.artefact == artefact] for frame in (first, second))
        rows = set(old.key) ^ set(new.key)
        if rows and not _may_lack(artefact):
            found.append(f"{artefact} has {len(rows)} rows that only one of them has")
        elif (apart := _apart(old, new, same=_networks(before) == _networks(now))) is not None:
            found.append(f"{artefact}: {apart}")
    return found


def check(before: Mapping[str, Record], now: Mapping[str, Record]) -> None:
    """Hold pages that were measured anew to what their records said.

    Args:
        before: Records by page.
        now: The same, measured anew.

    Raises:
        RuntimeError: If one differs; the message says where and by how much.
    """
    for page, record in before.items():
        if faults := differences(record, now[page]):
            raise RuntimeError(
                f"expected {page} at {record.preset}, measured anew, to agree with its record, got {'; '.join(faults)}"
            )


def _may_lack(artefact: str) -> bool:
    """Whether its rows depend on what was found: a search that found nothing has fewer."""
    return artefact in ("table3", "table10")


def _networks(record: Record) -> dict[str, str]:
    return {name: one["sha256"] for run in record.runs for name, one in run["models"].items()}


def _keyed(record: Record) -> pd.DataFrame:
    rows = [row | {"key": _key(row), "over": _key(row, seed=False)} for row in record.rows]
    return pd.DataFrame(rows)[["artefact", "metric", "seed", "key", "over", "value", "n"]]


def _key(row: Mapping[str, Any], *, seed: bool = True) -> str:
    left = (*_NO_KEYS, *(() if seed else ("seed",)))
    return repr([(name, value) for name, value in sorted(row.items()) if name not in left and value is not None])


def _apart(old: pd.DataFrame, new: pd.DataFrame, *, same: bool) -> str | None:
    """What lies apart in an artefact, in words, if it is too much."""
    anew = not same or bool(old.metric.str.startswith(FITTED_ANEW).all())
    table = _by_means(old, new) if anew else _one_by_one(old, new)
    apart = table[table.gap > table.allowed]
    if len(apart) <= max(1, ALLOWED * len(table)):
        return None
    worst = apart.loc[(apart.gap / apart.allowed).idxmax()]
    kind = "means over seeds of what was trained anew" if anew else "numbers"
    return (
        f"{len(apart)} of {len(table)} {kind} lie apart, the most {worst.metric}, "
        f"{worst.value_old:.4g} then and {worst.value_new:.4g} now, where {worst.allowed:.2g} is allowed"
    )


def _one_by_one(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    both = old.merge(new[["key", "value"]], on="key", suffixes=("_old", "_new"))
    size = both[["value_old", "value_new"]].abs().max(axis=1)
    share = pd.concat([SHARE + 0 * both.n.astype(float), FEWEST / both.n.astype(float)], axis=1).max(axis=1) + 1e-6
    allowed = share.where(_is_share(both.metric), RELATIVE * size + 1e-9)
    return both.assign(gap=(both.value_old - both.value_new).abs(), allowed=allowed)


def _by_means(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Means over at least two seeds; of a single one nothing can be said."""
    keys = ["over", "metric"]
    both = over_seeds(old, keys).merge(over_seeds(new, keys), on=keys, suffixes=("_old", "_new"))
    both = both[(both.seeds_old > 1) & (both.seeds_new > 1)]
    half = (both.high_old - both.value_old) + (both.high_new - both.value_new)
    size = both[["value_old", "value_new"]].abs().max(axis=1)
    floor = (FLOOR + 0 * size).where(_is_share(both.metric), RELATIVE_FLOOR * size)
    allowed = pd.concat([half, floor], axis=1).max(axis=1) + 1e-9
    return both.assign(gap=(both.value_old - both.value_new).abs(), allowed=allowed)


def _is_share(metric: pd.Series) -> pd.Series:
    return metric.str.contains("accuracy") | metric.isin(["success_rate", "variance_ratio"])
