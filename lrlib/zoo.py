"""Trained models on disk: found again by the content of their specification, trained when they are not there.

A model is two files, ``NAME.safetensors`` and ``NAME.json``, which holds the specification, the SHA-256 of the first
file and how the model came about. They lie below ``data/models/`` (or the folder that ``LRLIB_MODELS`` names), or below
``data/zoo/``, whose models come with the checkout and are never written. Weights are stored in half precision; all that
is ever measured is measured on the stored weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from lrlib import data, engine, metrics, provenance, train
from lrlib.data import Dataset
from lrlib.files import replacing
from lrlib.specs import Spec

ZOO = provenance.ROOT / "data" / "zoo"


class DamagedModel(UserWarning):
    """A stored model can't be used, because its files are damaged or its dataset changed, and is trained again."""


@dataclass(frozen=True)
class Trained:
    """A trained model as it is stored.

    Attributes:
        model: The network in evaluation mode.
        spec: What it was trained from.
        sha256: Hash of the file of its weights.
        history: How it was trained: duration in seconds, device, accuracies, versions and the hash of the sources.
    """

    model: nn.Module
    spec: Spec
    sha256: str
    history: dict[str, Any]


def folder() -> Path:
    """Where models are kept."""
    default = provenance.ROOT / "data" / "models"
    return Path(os.environ.get("LRLIB_MODELS") or default).expanduser()


def pick_device(device: str = "auto") -> torch.device:
    """``"auto"`` is the GPU where there is one; any other name is taken as it is.

    Raises:
        ValueError: If there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"expected auto, cpu or a device that this machine has, got {device!r}") from error
    return chosen


def find(spec: Spec, *, device: torch.device | str = "cpu") -> Trained | None:
    """The stored model of that specification.

    Args:
        spec: What it was trained from.
        device: Where to put it.

    Returns:
        The model, or None if there is none or its files are damaged, which is said in a :class:`DamagedModel` warning.

    Raises:
        DatasetError: If the model is there, but not the dataset that its network is built for.
    """
    places = [place for place in (folder(), ZOO) if _files(spec, place)[1].exists()]
    for place in places:
        try:
            return _read(spec, data.load(spec.dataset, size=spec.size), device, place)
        except _Unusable as error:
            warnings.warn(f"{spec.name} can't be taken from {place}: {error}", DamagedModel, stacklevel=2)
    return None


def find_or_train(
    spec: Spec,
    *,
    device: torch.device | str = "cpu",
    progress: bool = True,
    download: bool = False,
    until: float = math.inf,
) -> Trained:
    """The stored model of that specification, trained first if need be.

    Of several processes that ask for the same model at the same time one trains it and the others wait for it. The
    folder need not be writable if the model is there.

    Args:
        spec: What to train.
        device: Where to train and to put it.
        progress: Show a progress bar while training, if the standard error is a terminal.
        download: Whether a missing dataset may be downloaded.
        until: Time of ``time.monotonic()``, in seconds, by which to stop; the next call goes on from there.

    Returns:
        The model as it was read back from the disk.

    Raises:
        DatasetError: If the dataset isn't there.
        OSError: If the folder of the models can't be written.
        TrainingDiverged: If the training diverged.
        OutOfTime: If the training had to stop.
    """
    dataset = data.load(spec.dataset, size=spec.size, download=download)
    found = find(spec, device=device)
    if found is not None:
        return found
    with _locked(spec):
        try:  # Another process may have trained it meanwhile; what find() warned of needs no second warning.
            return _read(spec, dataset, device, folder())
        except _Unusable:
            _train(spec, dataset, device, progress, until)
            return _read(spec, dataset, device, folder())


class _Unusable(Exception):
    """Why a stored model can't be used."""


def read_spec(file: Path) -> Spec:
    """The specification in a JSON file: its fields alone, or what lies beside a stored model.

    Raises:
        ValueError: If the file can't be read, or fields are missing, unknown or don't fit together.
    """
    try:
        content = json.loads(file.read_text())
        return Spec.of(content.get("spec", content) if isinstance(content, dict) else content)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"expected a specification at {file}: {reason}") from error


def _read(spec: Spec, dataset: Dataset, device: torch.device | str, place: Path) -> Trained:
    weights, about = _files(spec, place)
    try:
        history = json.loads(about.read_text())
        if history.pop("digest") != _digest(history):
            raise _Unusable(f"{about.name} was edited")
        if history["spec"] != spec.content():
            raise _Unusable(f"{about.name} describes another specification than its name says")
        if history["dataset_fingerprint"] != dataset.fingerprint:
            raise _Unusable(f"it was trained on other images than {spec.dataset} has now")
        content = weights.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != history["sha256"]:
            raise _Unusable(f"expected {weights.name} with SHA-256 {history['sha256'][:12]}…, got {found[:12]}…")
        model = train.build(spec, dataset)
        model.load_state_dict(load(content))
    except KeyError as error:
        raise _Unusable(f"{about.name} lacks {error}") from error
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _Unusable(str(error)) from error
    return Trained(train.place(model, device).eval(), spec, found, history)


def _stored(value: Tensor) -> Tensor:
    """The tensor in half precision, unless it is of whole numbers or out of half precision's range."""
    half = value.half()
    return half if value.is_floating_point() and torch.isfinite(half).all() else value


@contextmanager
def _locked(spec: Spec) -> Iterator[None]:
    lock = FileLock(folder() / f"{spec.name}.lock")
    try:
        folder().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise OSError(f"expected a folder for models that can be written, got {folder()}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _train(spec: Spec, dataset: Dataset, device: torch.device | str, progress: bool, until: float) -> None:
    weights, about = _files(spec, folder())
    start = time.perf_counter()
    model, summary = _resumed(spec, dataset, device, progress, until, weights.with_suffix(".checkpoint"))
    seconds = time.perf_counter() - start
    model.load_state_dict({name: _stored(value) for name, value in model.state_dict().items()})
    right = metrics.correct(model, data.as_float(dataset.x_test.to(device)), dataset.y_test.to(device))
    # The weights first: until the history follows, the old one doesn't fit them, and there is no model.
    with replacing(weights) as temporary:
        save_file({name: _stored(value).cpu().contiguous() for name, value in model.state_dict().items()}, temporary)
    history = {
        "spec": spec.content(),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "seconds": round(seconds, 1),
        "train": summary,
        "precision": spec.precision if engine.has_bf16(torch.device(device)) else "fp32",
        "test_accuracy": right.float().mean().item(),
        "dataset_fingerprint": dataset.fingerprint,
        "sources": provenance.sources("lrlib.train"),
        **provenance.machine(device),
    }
    with replacing(about) as temporary:
        temporary.write_text(json.dumps(history | {"digest": _digest(history)}, indent=1) + "\n")
    weights.with_suffix(".checkpoint").unlink(missing_ok=True)


def _resumed(
    spec: Spec, dataset: Dataset, device: torch.device | str, progress: bool, until: float, checkpoint: Path
) -> tuple[nn.Module, dict[str, float]]:
    """Train on from the checkpoint, or from the start if it can't be used, which is said in a warning."""
    go = partial(train.train, spec, dataset, device=device, progress=progress, checkpoint=checkpoint, until=until)
    try:
        return go()
    except train.CheckpointError as error:
        warnings.warn(f"{spec.name} has to be trained from the start: {error}", DamagedModel, stacklevel=2)
        checkpoint.unlink()
        return go()


def _digest(history: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(history, sort_keys=True).encode()).hexdigest()


def _files(spec: Spec, place: Path) -> tuple[Path, Path]:
    return place / f"{spec.name}.safetensors", place / f"{spec.name}.json"
