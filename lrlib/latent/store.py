"""Autoencoders on disk, beside the networks of ``lrlib.zoo`` and like these found again by their specification.

An autoencoder is two files, ``NAME.safetensors`` and ``NAME.json`` with the specification, the SHA-256 of the first
file, the images' fingerprint and how it came about. One that is damaged or of other images is trained again.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from lrlib import data, provenance, zoo
from lrlib.data import Dataset
from lrlib.files import replacing
from lrlib.latent.autoencoders import Autoencoder
from lrlib.latent.fitting import trained


@dataclass(frozen=True)
class AutoencoderSpec:
    """All that a trained autoencoder depends on but the code.

    Attributes:
        dataset: A name that ``lrlib.data.load`` knows.
        kind: One of ``KINDS``.
        latent: Numbers a code.
        hidden: Units on either side of a variational code.
        seed: Of the weights, the order and the draws.
        epochs: Passes over the training images.
        batch_size: Images a step.
        learning_rate: Of Adam.
    """

    dataset: str
    kind: str
    latent: int
    hidden: int
    seed: int
    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.001

    @property
    def name(self) -> str:
        """A readable name that ends with a hash of the content."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]
        dataset = self.dataset.replace(":", "-").replace("/", "-")
        return f"{dataset}_{self.kind}-{self.latent}_s{self.seed}_{digest}"


@dataclass(frozen=True)
class Stored:
    """An autoencoder as it is stored, in evaluation mode, its specification, and the hash of its weights' file."""

    model: Autoencoder
    spec: AutoencoderSpec
    sha256: str


def find_or_train(spec: AutoencoderSpec, *, device: torch.device | str = "cpu") -> Stored:
    """The stored autoencoder of that specification, trained first if need be.

    Args:
        spec: What to train.
        device: Where to train and to put it.

    Returns:
        The autoencoder as it was read back from the disk.

    Raises:
        ValueError: If the specification's kind or sizes are not possible.
        DatasetError: If the dataset isn't there.
        OSError: If the folder of the models can't be written.
    """
    dataset = data.load(spec.dataset)
    for place in (zoo.folder(), zoo.ZOO):
        if (found := _read(spec, dataset, device, place)) is not None:
            return found
    _train(spec, dataset, device)
    found = _read(spec, dataset, device, zoo.folder())
    assert found is not None
    return found


def _read(spec: AutoencoderSpec, dataset: Dataset, device: torch.device | str, place: Path) -> Stored | None:
    """The stored one, or None if there is none, or another one than its name says."""
    try:
        content = (place / f"{spec.name}.safetensors").read_bytes()
        about: dict[str, Any] = json.loads((place / f"{spec.name}.json").read_text())
        expected = (asdict(spec), dataset.fingerprint, hashlib.sha256(content).hexdigest())
        if (about["spec"], about["dataset_fingerprint"], about["sha256"]) != expected:
            return None
        pixels = dataset.channels * dataset.size**2
        model = Autoencoder(spec.kind, pixels=pixels, latent=spec.latent, hidden=spec.hidden)
        model.load_state_dict(load(content))
    except (OSError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError, RuntimeError, SafetensorError):
        return None
    return Stored(model.to(device).eval(), spec, expected[2])


def _train(spec: AutoencoderSpec, dataset: Dataset, device: torch.device | str) -> None:
    start = time.perf_counter()
    settings = {name: value for name, value in asdict(spec).items() if name not in ("dataset", "kind")}
    model = trained(spec.kind, data.as_float(dataset.x_train.to(device)), **settings)
    weights = zoo.folder() / f"{spec.name}.safetensors"
    # The weights first: until the description follows, the old one doesn't fit them.
    with replacing(weights) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in model.state_dict().items()}, temporary)
    about = {
        "spec": asdict(spec),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "seconds": round(time.perf_counter() - start, 1),
        "dataset_fingerprint": dataset.fingerprint,
        "sources": provenance.sources("lrlib.latent.fitting"),
        **provenance.machine(device),
    }
    with replacing(weights.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
