"""What is missing of a preset's records, trained and measured within a budget of time, most wanted first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lrlib import presets, provenance, results, sections, zoo
from lrlib.results import Record
from lrlib.specs import Spec
from lrlib.train import OutOfTime


@dataclass(frozen=True)
class Task:
    """A page's rows for one training seed."""

    page: str
    preset: str
    seed: int

    def specs(self) -> list[Spec]:
        """The models it needs."""
        section = sections.get(self.page)
        found: list[Spec] = section.specs(section.Parameters.of(self.preset, seeds=[self.seed]))
        return found

    def measure(self, device: str) -> Record:
        """The rows, by the function that the page calls."""
        section = sections.get(self.page)
        record: Record = section.measure(section.Parameters.of(self.preset, seeds=[self.seed]), device=device)
        return record

    def __str__(self) -> str:
        return f"{self.page} at {self.preset}, seed {self.seed}"


def missing(preset: str, only: Sequence[str] = ()) -> list[Task]:
    """The tasks whose rows are not in the preset's records, or come from other sources than today's.

    The first seed of every page comes before the second of any.

    Args:
        preset: Which preset.
        only: Pages to look at; all of them unless given.

    Returns:
        The tasks, most wanted first.
    """
    pages = only or sections.PAGES
    for page in pages:
        sections.get(page)
    tasks = [Task(page, preset, seed) for seed in range(_most_seeds(preset, pages)) for page in pages]
    wanted = [task for task in tasks if task.seed in _seeds(task.page, preset)]
    return [task for task in wanted if not _is_there(task)]


def reproduce(
    preset: str,
    *,
    minutes: float,
    only: Sequence[str] = (),
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> list[Task]:
    """Train and measure what is missing, and stop cleanly when the budget ends.

    A training stops between two epochs and goes on from there next time; a measurement is started only if the same
    page's last one would still fit.

    Args:
        preset: Which preset.
        minutes: The budget.
        only: Pages to look at; all of them unless given.
        device: Where.
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
    tasks = missing(preset, only)
    for done, task in enumerate(tasks):
        try:
            for spec in dict.fromkeys(task.specs()):
                zoo.find_or_train(spec, device=chosen, until=until)
        except OutOfTime as error:
            say(str(error))
            return tasks[done:]
        if time.monotonic() + _expected(task) > until:
            return tasks[done:]
        start = time.monotonic()
        _keep(task.measure(device))
        say(f"{task}: measured in {time.monotonic() - start:.0f} s")
    return []


def _seeds(page: str, preset: str) -> list[int]:
    seeds: list[int] = sections.get(page).Parameters.of(preset).seeds
    return seeds


def _most_seeds(preset: str, pages: Sequence[str]) -> int:
    return 1 + max(max(_seeds(page, preset)) for page in pages)


def _record(page: str, preset: str) -> Record | None:
    return results.committed(page).get(preset)


def _is_there(task: Task) -> bool:
    record = _record(task.page, task.preset)
    if record is None:
        return False
    today = provenance.sources(f"lrlib.sections.{task.page}")
    current = {run["id"] for run in record.runs if run["sources"] == today}
    return any(row["seed"] == task.seed and row["run"] in current for row in record.rows)


def _expected(task: Task) -> float:
    """Seconds that the page's last measurement at this preset took for a seed; 0 if there was none."""
    record = _record(task.page, task.preset)
    if record is None:
        return 0.0
    run = record.runs[-1]
    return float(run["seconds"]) / len(run["parameters"]["seeds"])


def _keep(record: Record) -> None:
    before = _record(record.page, record.preset)
    whole = record if before is None else results.merged(before, record)
    results.save(whole, results.path(record.page, record.preset))
