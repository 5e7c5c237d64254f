"""One measurement in progress: rows are added, then it becomes a record."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrlib import provenance
from lrlib.intervals import wilson
from lrlib.packing import pack_bits
from lrlib.results import Record
from lrlib.zoo import Trained


@dataclass
class Run:
    """One measurement in progress: rows are added, then it is saved.

    Attributes:
        page: The page it belongs to.
        preset: The preset whose defaults its parameters started from.
        parameters: All parameters of the page.
        device: Where it runs.
        shortened: ``epochs`` and ``of`` how many, if its networks were trained for fewer epochs than the preset's.
    """

    page: str
    preset: str
    parameters: dict[str, Any]
    device: str
    shortened: dict[str, int] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=time.perf_counter)

    @property
    def id(self) -> str:
        """Names the run within its record."""
        return f"{self._started:%Y%m%dT%H%M%S.%fZ}"

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

        Raises:
            ValueError: If the number is infinite or NaN: then something went wrong that no table should average over.
        """
        if not math.isfinite(value):
            raise ValueError(f"expected a finite {metric} for {artefact}, got {value}")
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

        Raises:
            ValueError: If there are no examples.
        """
        low, high = wilson(int(correct.sum()), len(correct))
        self.add(artefact, metric, float(correct.mean()), n=len(correct), **keys)
        self.rows[-1] |= {"low": _rounded(low), "high": _rounded(high)}
        if keep:
            self.rows[-1]["survived"] = pack_bits(correct)

    def record(self) -> Record:
        """The finished run as a record of its own."""
        about = {
            "id": self.id,
            "parameters": self.parameters,
            "shortened": self.shortened,
            "sources": provenance.sources(f"lrlib.sections.{self.page}"),
            "commit": provenance.commit(),
            **provenance.machine(self.device),
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._clock, 1),
            "datasets": self.datasets,
            "models": self.models,
        }
        return Record(self.page, self.preset, [about], [row | {"run": self.id} for row in self.rows])


def _rounded(value: float) -> float:
    """Six digits: more than any interval here can tell apart."""
    return float(f"{float(value):.6g}")
