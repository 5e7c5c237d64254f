"""The printed numbers of the paper, of the authors' post and of the report on singular values, cell by cell.

One CSV per table lies in ``data/paper/``, one row per printed cell, with the key columns that measured records use
too, so that both join. A key that doesn't apply to a cell (the attack of a clean accuracy) is ``""``, or ``<NA>``
where it is an integer. Clean accuracies of a table with a white-box and a black-box part keep the ``setting`` they are
printed in. Cells that the paper leaves empty, prints as a dash or lost have no row.

The paper's "IFSGM" is ``pgd``, "LR (Ours)" of table 2 and "Low Rank" of the post are ``1-LR``, "Vanilla" is ``N-LR``,
"2k" and "16k" are 2,048 and 16,384. Table 9 is about the fine labels of CIFAR-100, as its section says; its caption,
the same as table 1's, says coarse.
"""

import csv
from pathlib import Path
from typing import Literal

import pandas as pd

DATA = Path(__file__).resolve().parent.parent / "data"

TABLES = (
    *("table1", "table2", "table3", "table4", "table5a", "table5b", "table6", "table7a", "table7b", "table7c"),
    *("table8", "table9", "table10", "post_table1", "post_table2"),
)
KEYS = ("artefact", "dataset", "arch", "variant", "setting", "attack", "eps", "steps", "probability", "dim", "metric")
INTEGERS = ("steps", "dim")


def tables() -> list[str]:
    """Name the transcribed tables, in the order of the paper, the post's after them.

    Returns:
        Names that `table` accepts.
    """
    return list(TABLES)


def table(artefact: str) -> pd.DataFrame:
    """Load one table, one row per printed cell.

    Args:
        artefact: One of `tables`.

    Returns:
        The key columns this table needs, in the order of ``KEYS``, then ``value`` (accuracies as fractions in
        ``[0, 1]``), ``unit`` of that value (``"fraction"`` or ``""``), ``printed`` (the number as text, as printed)
        and ``printed_unit`` (``"percent"``, ``"fraction"`` or ``""``), ``bold`` and ``suspicious``, a short reason to
        doubt the cell or ``""``.

    Raises:
        ValueError: If there is no such table, or its file is damaged.
        FileNotFoundError: If its file is missing.

    Example:
        >>> table("table7a")[["variant", "value", "printed"]].values.tolist()
        [['2-LR', 0.898, '89.8'], ['N-LR', 0.891, '89.1']]
    """
    if artefact not in TABLES:
        raise ValueError(f"expected one of the paper's tables ({', '.join(TABLES)}), got {artefact!r}")
    path = DATA / "paper" / f"{artefact}.csv"
    cells = _read(path, ("artefact", "dataset", "arch", "variant", "metric", "value", "unit", "bold", "suspicious"))
    if not set(cells["bold"]) <= {"true", "false"}:
        raise ValueError(f"{path} is damaged: expected true or false in the column bold")
    keys = [key for key in KEYS if key in cells]
    typed = cells[keys].copy()
    for key in {*INTEGERS, "probability"} & set(keys):
        typed[key] = _numbers(cells[key], path, dtype="Int64" if key in INTEGERS else "float64")
    typed["value"] = _fractions(_numbers(cells["value"], path), cells["unit"])
    typed["unit"] = cells["unit"].replace("percent", "fraction")
    typed["printed"], typed["printed_unit"] = cells["value"], cells["unit"]
    typed["bold"], typed["suspicious"] = cells["bold"] == "true", cells["suspicious"]
    return typed


def printed(artefact: str, **where: object) -> str:
    """One number of a table as the paper prints it.

    Args:
        artefact: One of `tables`.
        **where: Key columns that single out a cell.

    Returns:
        The number as text.

    Raises:
        ValueError: If the keys don't single out one cell.

    Example:
        >>> printed("table7a", variant="2-LR")
        '89.8'
    """
    cells = table(artefact)
    for key, value in where.items():
        cells = cells[cells[key] == value]
    if len(cells) != 1:
        raise ValueError(f"expected one cell of {artefact} with {where}, got {len(cells)}")
    return str(cells["printed"].iloc[0])


def artefacts() -> pd.DataFrame:
    """Load the matrix of all tables and figures against the presets.

    Returns:
        One row per artefact: ``artefact``, ``page``, ``title``, and for each preset its status (``"measured"``,
        ``"stand-in"`` or ``"not measured"``) in a column named after it, and ``<preset>_note``, which names the
        stand-in or the reason.

    Raises:
        ValueError: If the file is damaged.
        FileNotFoundError: If the file is missing.
    """
    statuses = [column for preset in ("quick", "small", "paper") for column in (preset, f"{preset}_note")]
    return _read(DATA / "paper" / "artefacts.csv", ("artefact", "page", "title", *statuses))


def of_artefact(name: str) -> str:
    """The table or figure that an artefact of ours is about, where its name goes on after that one's.

    Args:
        name: An artefact of a record.

    Returns:
        The name in :func:`artefacts`; the same name if it goes with none.

    Example:
        >>> of_artefact("table1_other_unit")
        'table1'
    """
    return next((one for one in artefacts()["artefact"] if name == one or name.startswith(f"{one}_")), name)


def findings() -> pd.DataFrame:
    """Load what the report on singular values and latent codes states in words, as it prints no tables.

    Returns:
        One row per finding: ``id``, ``artefact`` (a figure of the report, or ``""``), ``dataset`` (``""`` where it is
        about both), ``where``, ``sentence``, ``metric``; ``left``, ``relation`` (``">"`` or ``"="``) and ``right``, the
        ordering by that metric, names separated by spaces; ``low`` and ``high``, the stated number or range (NaN where
        there is none; shares as fractions), its ``unit``, and ``suspicious``.

    Raises:
        ValueError: If the file is damaged.
        FileNotFoundError: If the file is missing.
    """
    path = DATA / "paper" / "report_findings.csv"
    words = ("id", "artefact", "dataset", "where", "sentence", "metric", "left", "relation", "right")
    rows = _read(path, (*words, "low", "high", "unit", "suspicious"))
    for column in ("low", "high"):
        rows[column] = _fractions(_numbers(rows[column], path), rows["unit"])
    return rows.assign(unit=rows["unit"].replace("percent", "fraction"))


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV as text; it must have these columns and may have more."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing; lrlib.paper reads it from a checkout of the repository") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if missing := [column for column in columns if column not in header]:
        raise ValueError(f"{path} is damaged: lacks the columns {', '.join(missing)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path} is damaged: expected {len(header)} fields in line {number}, got {len(row)}")
    return pd.DataFrame(rows, columns=header, dtype="str")


def _numbers(text: "pd.Series[str]", path: Path, *, dtype: Literal["float64", "Int64"] = "float64") -> pd.Series:
    """Parse a column of numbers; an empty field is NaN or <NA>."""
    try:
        return pd.to_numeric(text.where(text != ""), errors="raise").astype(dtype)
    except (TypeError, ValueError):
        raise ValueError(f"{path} is damaged: expected numbers in the column {text.name}") from None


def _fractions(values: "pd.Series[float]", unit: "pd.Series[str]") -> "pd.Series[float]":
    """Divide what is printed in percent by a hundred, rounded so that 7.42 % is 0.0742."""
    return values.where(unit != "percent", (values / 100).round(6))
