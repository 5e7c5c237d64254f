"""Records: what was measured, by which run, as one JSON file for each page and preset.

A record holds ``runs``, each with where its numbers come from, and tidy ``rows``: the artefact (a table or figure of
the paper), its key columns, the metric, the value, the number of examples, the interval and the run.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from lrlib import provenance
from lrlib.files import replacing
from lrlib.zoo import Trained

RESULTS = provenance.ROOT / "data" / "results"
CONFIDENCE = 0.95
_OF_ROW = ("artefact", "metric", "value", "run")
_OF_RUN = ("id", "parameters", "sources", "commit", "device", "packages", "started", "seconds", "datasets", "models")


class RecordError(ValueError):
    """A record's file is not a record."""


@dataclass
class Run:
    """One measurement in progress: rows are added, then it is saved.

    Attributes:
        page: The page it belongs to.
        preset: The preset whose defaults its parameters started from.
        parameters: All parameters of the page.
        device: Where it runs.
    """

    page: str
    preset: str
    parameters: dict[str, Any]
    device: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=time.perf_counter)

    @property
    def id(self) -> str:
        """Names the run within its record."""
        return f"{self._started:%Y%m%dT%H%M%SZ}"

    def used(self, trained: Trained) -> None:
        """Note a model that the rows were measured on."""
        history = trained.history
        self.models[trained.spec.name] = {
            "sha256": trained.sha256,
            "seconds": history["seconds"],
            "device": history["device"],
            "test_accuracy": _rounded(history["test_accuracy"]),
            "sources": history["sources"],
        }
        self.datasets[trained.spec.dataset] = history["dataset_fingerprint"]

    def add(self, artefact: str, metric: str, value: float, *, n: int | None = None, **keys: Any) -> None:
        """Add a row.

        Args:
            artefact: The paper's table or figure, such as ``table1``.
            metric: What was measured, such as ``rho``.
            value: The number; accuracies are fractions.
            n: Number of examples behind it.
            **keys: The artefact's key columns, spelled as in the paper's tables.
        """
        self.rows.append({"artefact": artefact, **keys, "metric": metric, "value": _rounded(value), "n": n})

    def add_accuracy(
        self, artefact: str, metric: str, correct: NDArray[np.bool_], *, keep: bool = False, **keys: Any
    ) -> None:
        """Add the share of right answers with its Wilson interval.

        Args:
            artefact: The paper's table or figure.
            metric: Which accuracy.
            correct: Whether each example was classified right, ``(n,)``.
            keep: Also keep which examples they were, one packed bit each, for paired tests.
            **keys: The artefact's key columns.
        """
        self.add(artefact, metric, float(correct.mean()), n=len(correct), **keys)
        low, high = wilson(int(correct.sum()), len(correct))
        self.rows[-1] |= {"low": _rounded(low), "high": _rounded(high)}
        if keep:
            self.rows[-1]["survived"] = base64.b64encode(np.packbits(correct).tobytes()).decode()

    def record(self) -> Record:
        """The finished run as a record of its own."""
        about = {
            "id": self.id,
            "parameters": self.parameters,
            "sources": provenance.sources(f"lrlib.sections.{self.page}"),
            "commit": provenance.commit(),
            **provenance.machine(self.device),
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._clock, 1),
            "datasets": self.datasets,
            "models": self.models,
        }
        return Record(self.page, self.preset, [about], [row | {"run": self.id} for row in self.rows])


@dataclass(frozen=True)
class Record:
    """What is in a record's file.

    Attributes:
        page: The page that measured it.
        preset: The preset of its numbers.
        runs: Where the rows come from, a mapping for each run.
        rows: The tidy rows.
    """

    page: str
    preset: str
    runs: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    def frame(self, artefact: str | None = None) -> pd.DataFrame:
        """The rows, of one artefact or all, with the columns that they use."""
        rows = [row for row in self.rows if artefact in (None, row["artefact"])]
        if not rows:
            raise RecordError(f"expected rows of {artefact} in the {self.preset} record of {self.page}, found none")
        return pd.DataFrame(rows)

    def same_numbers(self, other: Record) -> bool:
        """Whether the other record has the same rows, of the same parameters, sources and models."""
        return self._content() == other._content()

    def _content(self) -> tuple[Any, ...]:
        runs = [(run["parameters"], run["sources"], run["datasets"], sorted(run["models"])) for run in self.runs]
        return runs, [{**row, "run": None} for row in self.rows]

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all, with a row on a line."""
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in self.rows)
        runs = json.dumps(self.runs, indent=1, ensure_ascii=False)
        head = f'{{"page": {json.dumps(self.page)}, "preset": {json.dumps(self.preset)},\n'
        with replacing(path) as temporary:
            temporary.write_text(f'{head}"runs": {runs},\n"rows": [\n{rows}\n]}}\n')


def path(page: str, preset: str) -> Path:
    """Where a page's committed record at a preset is."""
    return RESULTS / preset / f"{page}.json"


def load(file: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: If the file is missing or is no record; the message says what is wrong with it.
    """
    try:
        content = json.loads(file.read_text())
        record = Record(content["page"], content["preset"], content["runs"], content["rows"])
        ids = {run["id"] for run in record.runs}
        for kind, things, needed in (("run", record.runs, _OF_RUN), ("row", record.rows, _OF_ROW)):
            for i, thing in enumerate(things):
                missing = [key for key in needed if key not in thing]
                if missing:
                    raise KeyError(f"{kind} {i} has no {', '.join(missing)}")
        strangers = {row["run"] for row in record.rows} - ids
        if strangers:
            raise KeyError(f"rows name runs {', '.join(map(str, strangers))} that are not there")
    except OSError as error:
        raise RecordError(f"expected a record at {file}, can't read it: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"expected a record at {file}, found a broken one: {error}") from error
    return record


def committed(page: str) -> dict[str, Record]:
    """The committed records of a page by preset, from the smallest preset to the paper's."""
    files = {preset: path(page, preset) for preset in ("quick", "small", "paper")}
    return {preset: load(file) for preset, file in files.items() if file.exists()}


def save(record: Record, destination: Path) -> Path:
    """Write a record, unless the file has the same numbers already: a repeated measurement changes nothing.

    Args:
        record: What to write.
        destination: Where; see :func:`path`.

    Returns:
        The file.
    """
    try:
        unchanged = load(destination).same_numbers(record)
    except RecordError:
        unchanged = False
    if not unchanged:
        record.save(destination)
    return destination


def survived(row: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which examples a row of accuracy under attack counts as right, ``(n,)``.

    Raises:
        ValueError: If the row doesn't keep them.
    """
    if not isinstance(row.get("survived"), str):
        raise ValueError(f"expected a row that keeps its surviving examples, got one of {row.get('metric')}")
    bits = np.frombuffer(base64.b64decode(row["survived"]), dtype=np.uint8)
    return np.unpackbits(bits)[: int(row["n"])].astype(bool)


def pack_image(x: Tensor) -> dict[str, Any]:
    """An image ``(c, h, w)`` in [0, 1] as eight-bit pixels that fit into a row."""
    pixels = (x.detach().cpu() * 255).round().to(torch.uint8).numpy()
    return {"shape": list(pixels.shape), "pixels": base64.b64encode(pixels.tobytes()).decode()}


def unpack_image(packed: Mapping[str, Any]) -> NDArray[np.uint8]:
    """What :func:`pack_image` packed, as ``(h, w, c)``."""
    pixels = np.frombuffer(base64.b64decode(packed["pixels"]), dtype=np.uint8)
    return pixels.reshape(packed["shape"]).transpose(1, 2, 0)


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's interval of a share at 95 % confidence.

    Example:
        >>> low, high = wilson(0, 10)
        >>> low, round(high, 3)
        (0.0, 0.278)
    """
    interval = stats.binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def over_seeds(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean over seeds with Student's interval at 95 % confidence.

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


def _rounded(value: float) -> float:
    """Six digits: more than any interval here can tell apart."""
    return float(f"{float(value):.6g}")
