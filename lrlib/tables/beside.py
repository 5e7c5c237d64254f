"""The book's tables: the paper's numbers, the committed records and this run, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from lrlib import drift, models, paper, presets, results
from lrlib.results import Record
from lrlib.sections.parameters import Parameters

PAPER = "paper"
THIS_RUN = "this run"


def beside_this_run(record: Record, **network: str) -> dict[str, Record]:
    """The page's committed records of other measurements and this run, by the heading they get in a table.

    Args:
        record: This run.
        **network: Keys of the rows that are meant, such as ``arch="resnet50"``; the preset's own network stands in
            for them in records that have none.
    """
    committed = [_about(one, network) for one in results.committed(record.page).values()]
    others = {f"{one.preset} record{remarks(one)}": one for one in committed if not _is_of(record, one)}
    return others | {f"{THIS_RUN} ({record.preset}{remarks(record)})": record}


def _is_of(record: Record, committed: Record) -> bool:
    """Whether the committed record has this run, or had its numbers already."""
    ids = {run["id"] for run in record.runs}
    same = any(run["id"] in ids for run in committed.runs) or committed.same_numbers(record)
    return same and committed.preset == record.preset


def _about(record: Record, network: Mapping[str, str]) -> Record:
    rows = [row for row in record.rows if network and network.items() <= row.items()]
    if not rows:
        return record.main()
    serving = {row["run"] for row in rows}
    return Record(record.page, record.preset, [run for run in record.runs if run["id"] in serving], rows)


def of_other_networks(record: Record, *networks: tuple[str, str]) -> dict[str, Record]:
    """What the committed records of a page have of networks beside their preset's own, such as the paper's ResNet-50.

    Args:
        record: This run.
        *networks: Architecture and dataset of those that are wanted; all unless given.

    Returns:
        A record for each network, by the heading it gets in a table.
    """
    found = {}
    this = {run["id"] for run in record.runs}
    for one in results.committed(record.page).values():
        main = {run["id"] for run in one.main().runs}
        of: dict[tuple[str, str], set[str]] = {}
        for run in one.runs:
            if run["id"] not in this | main:
                of.setdefault((run["parameters"]["arch"], run["parameters"]["dataset"]), set()).add(run["id"])
        for (arch, dataset), ids in of.items():
            if not networks or (arch, dataset) in networks:
                runs = [run for run in one.runs if run["id"] in ids]
                part = Record(one.page, one.preset, runs, [row for row in one.rows if row["run"] in ids])
                found[f"{one.preset} record, {arch} on {dataset}{remarks(part)}"] = part
    return found


def remarks(record: Record) -> str:
    """What is said behind the preset of a record that is shortened, or older than today's sources."""
    older = drift.remark(record)
    return _shortened(record) + (f", {older}" if older else "")


def _shortened(record: Record) -> str:
    """What a heading says of a record whose networks were trained for fewer epochs than its preset's."""
    found = dict.fromkeys(
        f"{one['epochs']} of {one['of']} epochs" for one in (run["shortened"] for run in record.runs) if one
    )
    part = "" if all(run["shortened"] for run in record.runs) else "in part "
    return f", {part}{' and '.join(found)}" if found else ""


def beside_paper(
    artefact: str,
    records: Mapping[str, Record],
    *,
    metric: str,
    rows: Sequence[str],
    ours: str = "",
    own_metric: str = "",
    difference: bool = False,
    **where: str,
) -> pd.DataFrame:
    """A table of the paper with our numbers beside its own.

    Args:
        artefact: The table, such as ``table1``.
        records: Our records by heading; those without rows of it are left out if others have some.
        metric: What is compared.
        rows: Key columns that make the rows; the variants make the columns.
        ours: The artefact of our rows, if it has another name.
        own_metric: Our metric, if it has another name.
        difference: Add how much larger our number is than the paper's, in brackets, if both are of the same
            architecture and dataset.
        **where: Which part of the paper's table, such as ``dataset="cifar10"``. Ours may be a stand-in for it.

    Returns:
        One row for each combination of keys; for each variant the paper's number, marked ``?`` where the paper
        contradicts itself, and ours with half the width of the 95 % interval over seeds. Percentages where the metric
        is an accuracy.
    """
    keys = [*rows, "variant"]
    printed = paper.table(artefact)
    printed = printed[printed.metric == metric]
    for key, value in where.items():
        printed = printed[printed[key] == value]
    marked = printed.printed + printed.suspicious.map(lambda reason: " ?" if reason else "")
    columns = {PAPER: printed.assign(cell=marked).set_index(keys).cell}
    ours, against = ours or artefact, printed.set_index(keys).value
    having = {name: one for name, one in records.items() if any(row["artefact"] == ours for row in one.rows)}
    for heading, record in (having or records).items():
        comparable = difference and _networks(record.frame(ours)) <= _networks(printed)
        columns[heading] = _cells(record, ours, own_metric or metric, keys, against if comparable else None)
    table = pd.DataFrame(columns).unstack("variant")
    shown = set().union(*(set(record.frame(ours).variant) for record in having.values())) or set(printed.variant)
    ours_too = [variant for variant in models.VARIANTS if variant in shown]
    order = [(variant, heading) for variant in ours_too for heading in columns]
    ordered = _in_order(table.swaplevel(axis=1).reindex(columns=pd.MultiIndex.from_tuples(order)), columns)
    return ordered.astype(object).fillna("").rename(index=_label)


def of_other_networks_beside_paper(record: Record, parts: Sequence[tuple[str, str, str]], **about: Any) -> pd.DataFrame:
    """Parts of the paper's tables about networks beside the preset's own, with ours where they were measured.

    Args:
        record: This run.
        parts: Table, architecture and dataset of each.
        **about: What else :func:`beside_paper` is given.
    """
    found = {}
    for artefact, arch, dataset in parts:
        others = of_other_networks(record, (arch, dataset)).values()
        records = {f"{one.preset} record{remarks(one)}": one for one in others}
        found[artefact, arch, dataset] = beside_paper(artefact, records, arch=arch, dataset=dataset, **about)
    return pd.concat(found, names=["table", "network", "dataset"]).fillna("")


def _in_order(table: pd.DataFrame, columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """The rows in the order in which the paper, and then the records, have them; numbers in their own order."""
    if table.index.nlevels == 1 and pd.api.types.is_numeric_dtype(table.index):
        return table.sort_index()
    seen: dict[Any, None] = {}
    for column in columns.values():
        seen |= dict.fromkeys(column.index.droplevel("variant"))
    return table.reindex(list(seen)).rename_axis(index=table.index.names)


def _networks(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(frame.arch, frame.dataset, strict=True))


def _label(key: Any) -> Any:
    """A key as it is read: without the underscores of names, and whole numbers as such."""
    if isinstance(key, str):
        return key.replace("_", " ")
    return int(key) if isinstance(key, float) and key.is_integer() else key


def _cells(
    record: Record, artefact: str, metric: str, keys: Sequence[str], against: pd.Series | None = None
) -> pd.Series:
    """A record's means over seeds as text, by their keys, and their distance from other numbers of these keys."""
    frame = record.frame(artefact)
    ours = results.over_seeds(frame[frame.metric == metric], keys).set_index(list(keys))
    ours["gap"] = float("nan") if against is None else ours.value - against.reindex(ours.index)
    cells: pd.Series = ours.apply(_cell, axis=1, metric=metric)
    return cells


def _cell(row: pd.Series, metric: str) -> str:
    scale, digits = (100, 1) if "accuracy" in metric else (1, 3)
    half = "" if pd.isna(row.high) else f" ± {scale * (row.high - row.value):.{digits}f}"
    gap = "" if pd.isna(row.gap) else f" ({scale * row.gap:+.{digits}f})".replace("-", "−")
    return f"{scale * row.value:.{digits}f}{half}{gap}"


def parameters(given: Parameters) -> pd.DataFrame:
    """What the page was run with."""
    return pd.DataFrame(given.table()).set_index("parameter")


def matrix(page: str) -> pd.DataFrame:
    """What of the paper the page covers at each preset."""
    table = paper.artefacts()
    table = table[table.page == page]
    columns = {"title": table.title}
    for preset in presets.PRESETS:
        notes = table[f"{preset}_note"].map(lambda note: f": {note}" if note else "")
        columns[preset] = table[preset] + notes
    return pd.DataFrame(columns).set_index(table.artefact)


def sentences(lines: Sequence[str]) -> str:
    """Findings as a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def by_heading(records: Mapping[str, Record], findings: Callable[[Record], list[str]]) -> str:
    """What is found in each record, as Markdown lists under the records' presets, the largest preset's first.

    What smaller presets say is folded away, but for a run that stands beside its own preset's record.
    """
    parts = []
    ordered = results.largest_first(records)
    presets_shown = [one.preset for one in ordered.values()]
    for name, one in ordered.items():
        this = name.startswith(THIS_RUN)
        try:
            found = findings(one)
        except results.RecordError:
            found = ["This record was measured before the page had all that is said here."]
        title = f"{remarks(one)}{', this run' if this else ''}"
        if one.preset == presets_shown[0] or (this and presets_shown.count(one.preset) > 1):
            parts.append(f"At the preset `{one.preset}`{title}:\n\n{sentences(found)}")
        else:
            summary = f"<summary>At the preset <code>{one.preset}</code>{title}</summary>"
            parts.append(f"<details>\n{summary}\n\n{sentences(found)}\n\n</details>")
    return "\n\n".join(parts)


def accuracies(records: Mapping[str, Record], artefact: str) -> pd.DataFrame:
    """Clean test accuracies: the paper's ResNet-18 on CIFAR-10 (table 1) and ours, in percent, one row a variant.

    Args:
        records: Our records by heading; those without the artefact are left out.
        artefact: The artefact whose rows have the metric ``accuracy``.
    """
    cells = paper.table("table1")
    own = (cells.metric == "accuracy") & (cells.dataset == "cifar10") & (cells.arch == "resnet18")
    columns = {PAPER: cells[own & (cells.setting == "white_box")].set_index("variant").printed}
    for heading, record in records.items():
        if any(row["artefact"] == artefact for row in record.rows):
            columns[heading] = _cells(record, artefact, "accuracy", ["variant"])
    return pd.DataFrame(columns).fillna("")
