"""What table 4's N(0, 128/255) may mean: its readings, how far each is from the paper's N-LR row, and what is used."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from itertools import product

import pandas as pd
from torch import Tensor

from lrlib import metrics, paper, results
from lrlib.data import Dataset
from lrlib.results import Record
from lrlib.sections import calibrated
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import radius
from lrlib.sections.protocol import UNITS, in_pixels
from lrlib.zoo import Trained

PAGE = "noise_stability"
ARTEFACT = "table4_calibration"
MOMENTS = ("std", "variance")
LEVEL = "128/255"


@dataclass(frozen=True)
class Reading:
    """What the paper does not say about its noise.

    Attributes:
        moment: What the number is: the standard deviation (``std``) or the ``variance``.
        unit: Of the noise: one of ``protocol.UNITS``, as for radii.
        clip: Keep perturbed images in [0, 1].
    """

    moment: str
    unit: str
    clip: bool

    def std(self, level: str, dataset: Dataset) -> Tensor:
        """Standard deviation of the noise in pixels, ``(channels, 1, 1)``, for that number in the second place of N."""
        size = radius(level)
        return (math.sqrt(size) if self.moment == "variance" else size) * in_pixels(dataset, self.unit)

    def other(self) -> Reading:
        """The same with the other moment."""
        return Reading(next(one for one in MOMENTS if one != self.moment), self.unit, self.clip)


COLUMNS = [one.name for one in fields(Reading)]


def readings() -> list[Reading]:
    """All readings that are compared."""
    return [Reading(*one) for one in product(MOMENTS, UNITS, (True, False))]


def stated(preset: str) -> Reading:
    """What is used where no reading fits: a standard deviation, in the unit in which the attacks' radii are stated."""
    protocol = calibrated.stated(preset)
    return Reading("std", protocol.unit, protocol.clip)


def used(preset: str) -> Reading:
    """What the page uses: the reading that the preset's committed record identifies, or the stated one."""
    record = results.committed(PAGE).get(preset)
    return (record and chosen(record)) or stated(preset)


def right(bench: Bench, one: Trained, reading: Reading, level: str, probability: float) -> Tensor:
    """Whether a network is right about each test image with that noise, ``(n,)``; every reading has the same draws."""
    generator = bench.generator(one.spec.seed, round(1000 * probability))
    std = reading.std(level, bench.dataset)
    noisy = metrics.random_pixel_noise(bench.x, probability, std=std, generator=generator, clip=reading.clip)
    return metrics.correct(one.model, noisy, bench.y).cpu()


def calibrate(bench: Bench, one: Trained) -> None:
    """Add a network's accuracy under every reading at the paper's probabilities."""
    for reading, probability in product(readings(), target()):
        correct = right(bench, one, reading, LEVEL, probability).numpy()
        about = {**keys(one.spec), **asdict(reading), "probability": probability}
        bench.run.add_accuracy(ARTEFACT, "noise_accuracy", correct, **about)


def is_calibrated(record: Record) -> bool:
    """Whether a record has the readings; one of other seeds than the preset's first has none."""
    return any(row["artefact"] == ARTEFACT for row in record.rows)


def residuals(record: Record) -> pd.DataFrame:
    """Distance of each reading's accuracies from the paper's N-LR row, the closest first.

    Args:
        record: A record of the page that :func:`is_calibrated`.

    Returns:
        One row for each reading with its columns :data:`COLUMNS`, ``accuracies`` in the order of the paper's
        probabilities and ``residual``, the root mean square difference.
    """
    frame = record.frame(ARTEFACT)
    wanted = frame.probability.map(target())
    frame = frame.assign(square=(frame.value - wanted) ** 2)
    groups = frame.groupby(COLUMNS, sort=False)
    table = groups.agg(accuracies=("value", list), residual=("square", "mean")).reset_index()
    return table.assign(residual=table.residual**0.5).sort_values("residual", ignore_index=True)


def chosen(record: Record) -> Reading | None:
    """The reading that fits best, if it fits; None if none is identified."""
    if not is_calibrated(record):
        return None
    best = residuals(record).iloc[0]
    return reading_of(best) if best.residual <= calibrated.IDENTIFIED else None


def reading_of(row: pd.Series) -> Reading:
    """The reading of a row of :func:`residuals`."""
    return Reading(str(row["moment"]), str(row["unit"]), clip=bool(row["clip"]))


def target() -> dict[float, float]:
    """The paper's accuracies of N-LR by probability (table 4, ResNet-18)."""
    cells = paper.table("table4")
    row = cells[(cells.arch == "resnet18") & (cells.variant == "N-LR")]
    return dict(zip(row.probability.tolist(), row.value.tolist(), strict=True))
