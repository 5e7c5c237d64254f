"""What every section's measurement begins with: a run, its models and its images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from lrlib import data, models, presets, provenance, train, zoo
from lrlib.data import Dataset
from lrlib.journal import Journal
from lrlib.results import Record
from lrlib.runs import Run
from lrlib.sections.parameters import PageParameters, SeededParameters, parameter
from lrlib.specs import Spec
from lrlib.zoo import Trained

VARIANTS = ("N-LR", "1-LR", "2-LR")


@dataclass(frozen=True)
class NetworkParameters(PageParameters):
    """What every page about the paper's networks takes."""

    arch: str = parameter(
        "architecture of the networks",
        expected=f"one of {', '.join(models.PLACED)}",
        check=models.PLACED.__contains__,
    )
    dataset: str = parameter(
        "dataset they are trained on",
        expected=f"one of {', '.join(data.names())} or {data.FOLDER}/path/to/tree",
        check=data.is_known,
    )
    epochs: int = parameter(
        "length of a full training; fewer than the preset's shorten its schedule",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
    )

    @classmethod
    def shared(cls, preset: str) -> dict[str, Any]:
        """The preset's own network."""
        network = presets.get(preset).network
        return {"arch": network.arch, "dataset": network.dataset, "epochs": network.epochs}

    @classmethod
    def networks(cls, preset: str) -> list[dict[str, str]]:
        """The preset's own network, and the others in their order."""
        chosen = presets.get(preset)
        own = (chosen.network.arch, chosen.network.dataset)
        return [{"arch": arch, "dataset": dataset} for arch, dataset in (own, *chosen.others)]

    def spec(self, variant: str, seed: int) -> Spec:
        """The network of a variant and seed."""
        return presets.spec(self.preset, variant, seed, arch=self.arch, dataset=self.dataset, epochs=self.epochs)

    def shortening(self) -> dict[str, int] | None:
        """How many epochs of how many, if the schedule is shortened."""
        whole = presets.get(self.preset).network.epochs
        return {"epochs": self.epochs, "of": whole} if self.epochs < whole else None


class Bench:
    """A run with its device and data.

    Attributes:
        run: Takes the rows.
        device: Where everything is computed.
        dataset: The images.
        x: The first ``examples`` test images, or all of them, in [0, 1], ``(n, c, h, w)``, on the device.
        y: Their labels ``(n,)``.
    """

    def __init__(self, page: str, parameters: SeededParameters, *, device: str, dataset: str, progress: bool) -> None:
        self.device = zoo.pick_device(device)
        self.progress = progress
        shortened = parameters.shortening() if isinstance(parameters, NetworkParameters) else None
        self.run = Run(page, parameters.preset, parameters.content(), str(self.device), shortened)
        about = [page, parameters.content(), provenance.sources(f"lrlib.sections.{page}"), str(self.device)]
        self._journal = Journal(zoo.folder() / "unfinished", about)
        self.dataset: Dataset = data.load(dataset)
        parameters.fit(self.dataset)
        self.x, self.y = self.test_images(parameters.examples if isinstance(parameters, PageParameters) else None)

    def trained(self, spec: Spec) -> Trained:
        """A model, trained if it isn't there, and noted in the run."""
        found = zoo.find_or_train(spec, device=self.device, progress=self.progress)
        self.run.used(found)
        return found

    def test_images(self, n: int | None = None) -> tuple[Tensor, Tensor]:
        """The first ``n`` test images in [0, 1], or all of them, and their labels, on the device."""
        return self._first(n, self.dataset.x_test, self.dataset.y_test)

    def train_images(self, n: int | None = None) -> tuple[Tensor, Tensor]:
        """The first ``n`` training images in [0, 1], or all of them, and their labels, on the device."""
        return self._first(n, self.dataset.x_train, self.dataset.y_train)

    def _first(self, n: int | None, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return data.as_float(x[:n].to(self.device)), y[:n].to(self.device)

    def in_batches(
        self,
        name: str,
        networks: Sequence[Trained],
        x: Tensor,
        y: Tensor,
        measure: Callable[[Tensor, Tensor, torch.Generator], dict[str, list[Any]]],
        *,
        batch_size: int = 250,
    ) -> dict[str, NDArray[Any]]:
        """Measure images batch by batch; after an interruption the batches that were done are not done again.

        Args:
            name: Names what is measured within the page; also the name on the progress bar.
            networks: The networks it is measured on.
            x: Images ``(n, c, h, w)``.
            y: Their labels ``(n,)``.
            measure: Maps images, labels and a source of random numbers, the same one for a batch at every run, to
                values for each image by what they are.
            batch_size: Images at a time.

        Returns:
            The values of all images, ``(n,)`` each, by what they are.
        """
        key = json.dumps([name, [one.sha256 for one in networks]])
        seed = int.from_bytes(
            hashlib.sha256(json.dumps([name, [one.spec.name for one in networks]]).encode()).digest()[:6]
        )
        parts = []
        with tqdm(total=len(x), desc=name, unit="image", leave=False, disable=None if self.progress else True) as bar:
            for start in range(0, len(x), batch_size):
                images, labels = x[start : start + batch_size], y[start : start + batch_size]
                generator = torch.Generator().manual_seed(seed + start)
                compute = partial(measure, images, labels, generator)
                parts.append(self._journal.once(f"{key} from {start} of {len(x)}", compute))
                bar.update(len(images))
        return {what: np.concatenate([np.asarray(part[what]) for part in parts]) for what in parts[0]}

    def record(self) -> Record:
        """The finished run as a record of its own."""
        record = self.run.record()
        self._journal.close()
        return record

    def generator(self, *key: int) -> torch.Generator:
        """A source of random numbers for one purpose, the same at every run."""
        seed = 0
        for part in key:
            seed = seed * 1_000_003 + part
        return torch.Generator().manual_seed(seed)


def keys(spec: Spec) -> dict[str, Any]:
    """The key columns that say which network a row is about."""
    return {
        "dataset": spec.dataset,
        "arch": spec.arch,
        "width": spec.width,
        "variant": spec.variant,
        "seed": spec.seed,
    }


def variants(parameters: NetworkParameters, names: Sequence[str] = VARIANTS) -> list[Spec]:
    """The networks, seed by seed so that the variants of a seed stand together."""
    return [parameters.spec(variant, seed) for seed in parameters.seeds for variant in names]


def widths(parameters: NetworkParameters, dataset: Dataset) -> dict[str, int]:
    """Number of activations at each of the paper's taps of the network, for the dataset's images."""
    spec = parameters.spec("N-LR", 0)
    with torch.random.fork_rng(devices=[]):
        model = train.build(spec, dataset)
    return models.widths(model, models.places(spec.arch), channels=dataset.channels, size=dataset.size)
