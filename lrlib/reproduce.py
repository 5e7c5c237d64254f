"""What is missing of a preset's records, trained and measured within a budget of time, most wanted first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lrlib import affordable, presets, provenance, results, sections, zoo
from lrlib.results import Record
from lrlib.sections.parameters import SeededParameters
from lrlib.specs import Spec
from lrlib.train import OutOfTime


@dataclass(frozen=True)
class Task:
    """A page's rows for one training seed of one network.

    Attributes:
        page: The page.
        preset: The preset.
        seed: The seed.
        network: The page's parameters ``arch`` and ``dataset``, where it has them.
        epochs: Shorten the schedules to so many epochs; only of a page that has such a parameter.
    """

    page: str
    preset: str
    seed: int
    network: tuple[tuple[str, str], ...] = ()
    epochs: int | None = None

    def parameters(self) -> SeededParameters:
        """The page's parameters for these rows."""
        kind: type[SeededParameters] = sections.get(self.page).Parameters
        given: dict[str, Any] = {} if self.epochs is None else {"epochs": self.epochs}
        if "measure" in kind.types():
            given["measure"] = True
        return kind.of(self.preset, seeds=[self.seed], **dict(self.network), **given)

    def specs(self) -> list[Spec]:
        """The models it needs."""
        found: list[Spec] = sections.get(self.page).specs(self.parameters())
        return found

    def measure(self, device: str) -> Record:
        """The rows, by the function that the page calls."""
        record: Record = sections.get(self.page).measure(self.parameters(), device=device)
        return record

    def __str__(self) -> str:
        network = "".join(f", {value}" for _, value in self.network)
        return f"{self.page} at {self.preset}{network}, seed {self.seed}"


def missing(preset: str, only: Sequence[str] = (), epochs: int | None = None) -> list[Task]:
    """The tasks whose rows are not in the preset's records, or come from other sources than today's.

    The first seed of every page comes before the second of any, the preset's own network before the others.

    Args:
        preset: Which preset.
        only: Pages to look at; all of them unless given.
        epochs: Shorten the schedules to so many epochs; rows of longer ones are there, too.

    Returns:
        The tasks, most wanted first.

    Raises:
        ValueError: If the preset is unknown, or a page is none that is measured network by network.
    """
    if unknown := [page for page in only if page not in sections.REPRODUCED]:
        raise ValueError(f"expected pages among {', '.join(sections.REPRODUCED)}, got {', '.join(unknown)}")
    tasks = []
    for page in only or sections.REPRODUCED:
        kind: type[SeededParameters] = sections.get(page).Parameters
        length = epochs if "epochs" in kind.types() else None
        for place, network in enumerate(kind.networks(preset)):
            for seed in kind.of(preset).seeds:
                tasks.append((seed, place, Task(page, preset, seed, tuple(network.items()), length)))
    return [task for *_, task in sorted(tasks, key=lambda one: one[:2]) if not _is_there(task)]


def reproduce(
    preset: str,
    *,
    minutes: float,
    only: Sequence[str] = (),
    epochs: int | None = None,
    device: str = "auto",
    download: bool = False,
    say: Callable[[str], None] = print,
) -> list[Task]:
    """Train and measure what is missing, and stop cleanly when the budget ends.

    A training stops between two epochs and goes on from there next time; a measurement is started only if the same
    page's last one would still fit. What can't be done, because a dataset is missing, a training diverges or memory
    runs out, is said and left.

    Args:
        preset: Which preset.
        minutes: The budget.
        only: Pages to look at; all of them unless given.
        epochs: Shorten the schedules to so many epochs, which the records then say.
        device: Where.
        download: Download datasets that are missing.
        say: Takes a line for each thing done.

    Returns:
        The tasks that are left.

    Raises:
        ValueError: If the preset or a page is unknown, or the budget is not positive.
    """
    if not 0 < minutes < math.inf:
        raise ValueError(f"expected a budget of more than 0 minutes, got {minutes}")
    until = time.monotonic() + 60 * minutes
    presets.get(preset)
    chosen = zoo.pick_device(device)
    tasks = missing(preset, only, epochs)
    left: list[Task] = []
    for done, task in enumerate(tasks):
        try:
            for spec in dict.fromkeys(task.specs()):
                zoo.find_or_train(spec, device=chosen, download=download, until=until)
            if time.monotonic() + _expected(task) > until:
                return [*left, *tasks[done:]]
            start = time.monotonic()
            _keep(task.measure(device))
            say(f"{task}: measured in {time.monotonic() - start:.0f} s")
        except OutOfTime as error:
            say(str(error))
            return [*left, *tasks[done:]]
        except (MemoryError, RuntimeError) as error:  # a missing dataset, a training that diverges, a full GPU
            say(f"{task}: {error}")
            left.append(task)
    return left


def _record(page: str, preset: str) -> Record | None:
    return results.committed(page).get(preset)


def _is_there(task: Task) -> bool:
    record = _record(task.page, task.preset)
    if record is None:
        return False
    today = provenance.sources(f"lrlib.sections.{task.page}")
    serving = {run["id"] for run in record.runs if _serves(run, task, today)}
    wanted = {"seed": task.seed, **dict(task.network)}
    return any(row["run"] in serving and wanted.items() <= row.items() for row in record.rows)


def _serves(run: dict[str, Any], task: Task, today: str) -> bool:
    """Whether a run's rows make the task's needless: they are today's, or of networks that were trained for longer.

    All seeds of a record have to be measured alike, with defaults that may come from other records.
    """
    if _alike(run["parameters"]) != _alike(task.parameters().content()):
        return False
    whole = presets.get(task.preset).network.epochs
    wanted = math.inf if task.epochs is None or task.epochs >= whole else task.epochs
    trained = math.inf if run["shortened"] is None else run["shortened"]["epochs"]
    return trained > wanted or (trained == wanted and run["sources"] == today)


def _alike(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters that tasks of other seeds and shorter schedules have, too."""
    return {name: value for name, value in parameters.items() if name not in ("seeds", "measure", "epochs")}


def _expected(task: Task) -> float:
    """Seconds that the page took at this preset for a seed, as far as its record says; 0 if there is none."""
    record = _record(task.page, task.preset)
    return 0.0 if record is None else affordable.of_a_seed(record)


def _keep(record: Record) -> None:
    before = _record(record.page, record.preset)
    whole = record if before is None else results.merged(before, record)
    results.save(whole, results.path(record.page, record.preset))
