"""Training as the paper does it: plain SGD first, then SGD with the LR layers (section C, "Experimental Settings")."""

from __future__ import annotations

import math
import pickle
import time
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from lrlib import models
from lrlib.data import Dataset
from lrlib.engine import Training
from lrlib.files import replacing
from lrlib.specs import Spec


class TrainingDiverged(RuntimeError):
    """The loss, the weights or the activations became infinite or NaN."""


class OutOfTime(RuntimeError):
    """A training stopped between two epochs, because the next one would not have ended in time."""


class CheckpointError(ValueError):
    """A checkpoint can't be used."""


def build(spec: Spec, dataset: Dataset) -> nn.Module:
    """The specification's network for that dataset, with fresh weights from the global random state."""
    return models.build(
        spec.arch,
        classes=len(dataset.classes),
        width=spec.width,
        variant=spec.variant,
        channels=dataset.channels,
        size=dataset.size,
        mean=dataset.mean,
        std=dataset.std,
    )


def place(model: nn.Module, device: torch.device | str) -> nn.Module:
    """The model on that device, its convolutions in channels_last, the layout that is fastest on CPUs and GPUs."""
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def train(
    spec: Spec,
    dataset: Dataset,
    *,
    device: torch.device | str = "cpu",
    progress: bool = True,
    checkpoint: Path | None = None,
    until: float = math.inf,
) -> tuple[nn.Module, dict[str, float]]:
    """Train a network from its specification.

    Args:
        spec: What to train.
        dataset: The data it names.
        device: Where; the whole training set is kept there as uint8.
        progress: Show a bar with loss, accuracy and remaining time, if the standard error is a terminal.
        checkpoint: File that keeps the state of the last finished epoch. If it is there, the training goes on from it
            and, on a CPU, ends with the same bits as one that was never interrupted; the caller removes it.
        until: Time of ``time.monotonic()``, in seconds, by which to stop.

    Returns:
        The network in evaluation mode, and the loss and accuracy on the training batches of the last epoch (empty for
        0 epochs).

    Raises:
        TrainingDiverged: If the loss, the weights or the activations at an LR layer are not finite.
        OSError: If the checkpoint can't be written; the one before is still whole.
        OutOfTime: If the next epoch, as long as the last one, would end too late.
    """
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(spec.seed)
        training = Training(spec, dataset, place(build(spec, dataset), device), device)
        if checkpoint is not None:
            _resume(training, checkpoint)
        done, total = training.epochs_done * training.batches, spec.epochs * training.batches
        with tqdm(initial=done, total=total, desc=spec.name, unit="step", disable=None if progress else True) as bar:
            last = 0.0
            while training.epochs_done < spec.epochs:
                start = time.monotonic()
                if start + last > until:
                    raise OutOfTime(f"{spec.name} stopped after {training.epochs_done} of {spec.epochs} epochs")
                try:
                    training.epoch(bar)
                except FloatingPointError as error:
                    raise TrainingDiverged(f"{error}, training {spec.name}") from error
                if checkpoint is not None and training.epochs_done < spec.epochs:
                    _keep(training, checkpoint)
                last = time.monotonic() - start
    return training.finish(), training.summary


def _resume(training: Training, checkpoint: Path) -> None:
    if not checkpoint.exists():
        return
    try:
        kept = torch.load(checkpoint, map_location=training.device, weights_only=True)
        if (kept["spec"], kept["images"]) != (training.spec.content(), training.dataset.fingerprint):
            raise ValueError("it belongs to another specification or other images")
        training.restore(kept["state"])
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        # Nothing was changed yet if the file is torn, its usual fault; a state that fits in part is never used.
        raise CheckpointError(f"expected a checkpoint of {training.spec.name} at {checkpoint}: {error}") from error


def _keep(training: Training, checkpoint: Path) -> None:
    kept = {"spec": training.spec.content(), "images": training.dataset.fingerprint, "state": training.state()}
    with replacing(checkpoint) as temporary:
        torch.save(kept, temporary)
