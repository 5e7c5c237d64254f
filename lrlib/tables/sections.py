"""Tables of the pages on effective rank and compression with keys of their own, which may be measured nowhere yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from lrlib import models, paper
from lrlib.results import Record, over_seeds
from lrlib.tables.beside import PAPER


def beside(
    artefact: str, records: Mapping[str, Record], *, keys: Sequence[str], metric: str, **where: object
) -> pd.DataFrame:
    """A table of the paper, and ours beside it in every record that has some of it; accuracies in percent.

    Args:
        artefact: The table, such as ``table7b``.
        records: Our records by heading.
        keys: Key columns that tell its cells apart.
        metric: What is compared.
        **where: Which of our rows.

    Returns:
        One row for each combination of keys, the paper's first; a column for the paper and for each record.
    """
    printed = paper.table(artefact)
    printed = printed[printed.metric == metric]
    scale = printed.printed_unit.map({"percent": 1, "fraction": 100}) * printed.printed.astype(float)
    cells = [f"{value:.1f}{' ?' if doubt else ''}" for value, doubt in zip(scale, printed.suspicious, strict=True)]
    columns = {PAPER: printed.assign(cell=cells).set_index(list(keys)).cell}
    for heading, record in records.items():
        frame = _rows(record, artefact, metric=metric, **where)
        if len(frame):
            columns[heading] = _means(frame, keys, _percent)
    return _together(columns)


def by_dimension(artefact: str, records: Mapping[str, Record]) -> pd.DataFrame:
    """Tables 5 and 8: max-margin accuracies in percent by dimensions, and beside each variant's ours."""
    table = beside(artefact, records, keys=["dim", "variant"], metric="max_margin_accuracy").unstack("variant")
    order = [(name, variant) for variant in models.VARIANTS for name in table.columns.get_level_values(0).unique()]
    wanted = [key for key in order if key in table.columns]
    return table[wanted].swaplevel(axis=1).sort_index().fillna("")


def relu_ranks(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Ranks before and after a ReLU, a matrix a row."""
    return pd.DataFrame(rows).set_index("matrix")


def pre_activations(records: Mapping[str, Record]) -> pd.DataFrame:
    """What is left behind a ReLU of pre-activations that were cut to a rank, and of those that were not."""
    columns = {}
    for heading, record in records.items():
        frame = _rows(record, "appendix_preactivations")
        if frame.empty:
            continue
        names = [_pre_activation(row) for row in frame.to_dict("records")]
        share = frame.metric == "variance_ratio"
        frame = frame.assign(quantity=names, value=frame.value.mask(share, 100 * frame.value))
        columns[heading] = _means(frame, ["quantity"], lambda value: f"{value:.4g}")
    return _together(columns)


def _pre_activation(row: Mapping[str, Any]) -> str:
    where = {
        "before": "pre-activations, cut",
        "after": "activations behind the cut",
        "uncut": "activations as they are",
    }[row["side"]]
    what = {
        "rank": "rank",
        "variance_ratio": f"% in the first {row['rank']:.0f}",
        "singular_value": f"singular value {row['k']:.0f}",
    }[row["metric"]]
    return f"{where}: {what}"


def sparsity(records: Mapping[str, Record]) -> pd.DataFrame:
    """Share of zeros in percent, and directions for 99 % of the energy, by network and place."""
    columns = {}
    for heading, record in records.items():
        for metric, called, shown in (("zeros", "zeros, %", _percent), ("directions", "directions", _count)):
            frame = _rows(record, "appendix_sparsity", metric=metric)
            if len(frame):
                columns[heading, called] = _means(frame, ["variant", "tap"], shown)
    return _together(columns)


def sizes(records: Mapping[str, Record]) -> pd.DataFrame:
    """Parameters of what is replaced and of what replaces it, by width of the network."""
    columns = {}
    for heading, record in records.items():
        frame = _rows(record, "model_size")
        if len(frame):
            columns[heading] = _means(frame, ["arch", "width", "tap", "counted"], lambda value: f"{value:,.0f}")
    return _together(columns)


def end_to_end(records: Mapping[str, Record]) -> pd.DataFrame:
    """Accuracy in percent of networks and hybrids under attacks through the one and through the other."""
    columns = {}
    for heading, record in records.items():
        frame = _rows(record, "hybrid_attack")
        for variant in dict.fromkeys(frame.variant) if len(frame) else ():
            own = frame[frame.variant == variant]
            columns[heading, variant] = _means(own, ["eps", "answers", "gradients"], _percent)
    return _together(columns)


def _together(columns: Mapping[Any, pd.Series]) -> pd.DataFrame:
    """Columns side by side, the rows in the order in which they come up first."""
    order = list(dict.fromkeys(key for column in columns.values() for key in column.index))
    if not order:
        return pd.DataFrame()
    names = next(iter(columns.values())).index.names
    index = pd.MultiIndex.from_tuples(order, names=names) if len(names) > 1 else pd.Index(order, name=names[0])
    return pd.DataFrame({name: column.reindex(index) for name, column in columns.items()}).fillna("")


def _rows(record: Record, artefact: str, **where: object) -> pd.DataFrame:
    """The rows of an artefact with these keys; none if the record has none."""
    rows = [row for row in record.rows if row["artefact"] == artefact and where.items() <= row.items()]
    return pd.DataFrame(rows)


def _means(frame: pd.DataFrame, keys: Sequence[str], shown: Callable[[float], str]) -> pd.Series:
    """Means over seeds as text by their keys, with half the width of the interval."""
    table = over_seeds(frame, keys).set_index(list(keys))
    cells = [
        shown(row.value) + ("" if pd.isna(row.high) or row.high == row.value else f" ± {shown(row.high - row.value)}")
        for row in table.itertuples()
    ]
    return pd.Series(cells, index=table.index)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _count(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
