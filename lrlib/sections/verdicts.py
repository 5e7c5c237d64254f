"""What an audit comes to: of each network's gain over N-LR under the paper's protocol, how much is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from lrlib.intervals import over_seeds
from lrlib.packing import survived
from lrlib.results import Record
from lrlib.sections.audit import PAPER, WORST
from lrlib.sections.parameters import radius

SIGNIFICANT = 0.01  # largest p-value of a difference within a seed that counts


def gains(record: Record) -> pd.DataFrame:
    """Gain of each network over N-LR of the same seed, on the same images, under both protocols.

    Args:
        record: A record of the audit.

    Returns:
        One row for each network and seed: ``variant``, ``seed``, ``paper`` and ``strong`` (accuracies as fractions),
        ``paper_gain`` and ``strong_gain``, and ``p``, that of McNemar's exact test on the worst case.
    """
    rows = {(row["variant"], row["seed"], row["attack"]): row for row in record.rows if row["artefact"] == "audit"}
    protocol = paper_attack(record)
    networks = dict.fromkeys((variant, seed) for variant, seed, _ in rows)
    table = []
    for variant, seed in networks:
        about: dict[str, Any] = {"variant": variant, "seed": seed}
        for name, attack in (("paper", protocol), ("strong", WORST)):
            own, plain = rows[variant, seed, attack]["value"], rows["N-LR", seed, attack]["value"]
            about |= {name: own, f"{name}_gain": own - plain}
        pair = [survived(rows[name, seed, WORST]) for name in (variant, "N-LR")]
        table.append(about | {"p": mcnemar(*pair)})
    return pd.DataFrame(table)


def paper_attack(record: Record) -> str:
    """What the paper's own white-box attack is called in the rows."""
    return f"PGD-{record.runs[0]['parameters']['steps'][0]}"


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Two-sided p-value of McNemar's exact test that two networks are right equally often on the same examples.

    Args:
        first: Whether the first is right, ``(n,)``.
        second: Whether the second is.

    Example:
        >>> mcnemar(np.array([True] * 6), np.array([False] * 6))
        0.03125
    """
    alone, other = int((first & ~second).sum()), int((~first & second).sum())
    return float(stats.binomtest(alone, alone + other).pvalue) if alone + other else 1.0


def verdicts(record: Record) -> pd.DataFrame:
    """The verdict on each network.

    A network that is no better than N-LR under the paper's protocol has no gain to lose. Otherwise the gain *survives*
    if under the strong protocol the network is better than N-LR in every seed, significantly by McNemar's test, and
    keeps at least half of the gain; *in part* if it is significantly better in every seed but keeps less; it is *not
    shown* if it is better on average alone, and *gone* if it isn't.

    Args:
        record: A record of the audit.

    Returns:
        One row for each network: the means over seeds of the columns of :func:`gains`, ``low`` and ``high`` of
        Student's interval of the strong gain (NaN for a single seed), ``share`` of the gain left, ``seeds``, the
        largest ``p``, ``zero_gradient`` (share of images without a gradient), ``ends_paper`` and ``ends_strong`` (the
        radius in pixels at which no answer is right, or an empty text), ``masked`` and ``verdict``.
    """
    table = gains(record)
    means = table.groupby("variant", sort=False)[["paper", "paper_gain", "strong", "strong_gain"]].mean()
    interval = over_seeds(table.assign(value=table.strong_gain), ["variant"]).set_index("variant")
    means[["low", "high", "seeds"]] = interval[["low", "high", "seeds"]]
    means["p"] = table.groupby("variant", sort=False).p.max()
    means["always"] = table.groupby("variant", sort=False).strong_gain.min() > 0
    means["share"] = (means.strong_gain / means.paper_gain).where(means.paper_gain > 0)
    frame = record.frame("audit")
    means["zero_gradient"] = frame[frame.metric == "zero_gradient"].groupby("variant").value.mean()
    for group in (PAPER, "strong"):
        means[f"ends_{group}"] = pd.Series({name: _ends(record, name, group) for name in means.index})
    means["masked"] = (means.ends_paper == "") | (means.zero_gradient > 0.5)
    means["verdict"] = [_verdict(name, row) for name, row in means.iterrows()]
    return means.reset_index()


def _verdict(name: object, row: pd.Series) -> str:
    if name == "N-LR":
        return "the network to compare with"
    if row.paper_gain <= 0:
        return "no gain under the paper's protocol"
    if row.strong_gain <= 0:
        return "gone"
    if not row.always or row.p > SIGNIFICANT:
        return "not shown"
    return "survives" if row.share >= 0.5 else "in part"


def _ends(record: Record, name: str, group: str) -> str:
    """The first radius at which no seed has a right answer."""
    frame = record.frame("audit_radii")
    own = frame[(frame.variant == name) & (frame.group == group)]
    seeds = own.seed.nunique()
    done = own[own.value == 0].groupby("seed", sort=False).eps.first()
    return str(done.iloc[done.map(radius).argmax()]) if len(done) == seeds else ""
