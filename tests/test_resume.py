"""A training that is killed goes on from its last finished epoch and ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lrlib import data, engine, models, train, zoo
from lrlib.presets import spec as preset_spec
from lrlib.specs import Baseline, Regularizer

BASE = replace(preset_spec("quick", "N-LR", 0), width=4, epochs=4, batch_size=128)
LR = Regularizer(lambda_c=1.0, lambda_n=0.1, from_epoch=1, cut_every=3)
SPECS = {
    "N-LR": BASE,
    "2-LR": replace(BASE, variant="2-LR", lr=LR),
    # wide enough for its W to be kept by factors, whose rows since the last cut have to be part of the checkpoint
    "factored": replace(BASE, variant="2-LR", size=32, width=8, epochs=3, lr=LR),
    "milestones": replace(BASE, milestones=(1, 3)),
    "adam": replace(BASE, arch="LRL", optimizer="adam", learning_rate=0.01, milestones=()),
    # dropout draws from the global random state, which has to be part of the checkpoint
    "dropout": replace(BASE, arch="vgg19", size=32, width=2, epochs=3),
    # masks, the power method's vectors and the attack's starts are part of the checkpoint or drawn again
    **{
        variant: replace(BASE, width=2, epochs=3, variant=variant, baseline=Baseline(eps=0.1, step_size=0.1, steps=2))
        for variant in models.BASELINES
    },
}


class Stopped(Exception):
    """Stands for whatever ends a process between two epochs."""


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def stop_after(monkeypatch, epochs):
    """Let a training raise as soon as it has kept the checkpoint of that many epochs."""
    keep = train._keep

    def keep_and_stop(training, checkpoint):
        keep(training, checkpoint)
        if training.epochs_done == epochs:
            raise Stopped

    monkeypatch.setattr(train, "_keep", keep_and_stop)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_training_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(name, epochs, tmp_path, monkeypatch):
    spec, checkpoint = SPECS[name], tmp_path / "kept"
    dataset = data.load("digits", size=spec.size)
    if spec.size is not None:
        dataset = replace(dataset, x_train=dataset.x_train[:256], y_train=dataset.y_train[:256])
    whole, summary = train.train(spec, dataset, progress=False)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        stop_after(patched, epochs)
        train.train(spec, dataset, progress=False, checkpoint=checkpoint)
    resumed, again = train.train(spec, dataset, progress=False, checkpoint=checkpoint)
    assert summary == again
    assert all(torch.equal(value, bits(resumed)[key]) for key, value in bits(whole).items())


def test_the_layer_of_the_factored_training_is_one():
    spec, dataset = SPECS["factored"], data.load("digits", size=32)
    training = engine.Training(spec, dataset, train.build(spec, dataset), torch.device("cpu"))
    training.attach_layers(spec.lr)
    images, labels = data.as_float(dataset.x_train[:128]), dataset.y_train[:128]
    training.step(images, labels)
    forms = {tap: type(layer.matrix).__name__ for tap, layer in training.regularizer.layers.items()}
    assert forms == {"avgpool": "Dense", "layer3": "Factored"}


def test_a_killed_process_leaves_a_checkpoint_that_the_next_one_goes_on_from(tmp_path, monkeypatch):
    """SIGKILL at three moments: within the first epoch, after the first checkpoint, after the second."""
    spec = replace(SPECS["2-LR"], epochs=12, width=8)
    program = (
        "import sys, torch; torch.set_num_threads(1); from lrlib import zoo\n"
        "from tests.test_resume import SPECS; from dataclasses import replace\n"
        "zoo.find_or_train(replace(SPECS['2-LR'], epochs=12, width=8), progress=False)"
    )
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "LRLIB_MODELS": str(tmp_path), "PYTHONPATH": str(root)}
    checkpoint = tmp_path / f"{spec.name}.checkpoint"
    lock = tmp_path / f"{spec.name}.lock"
    for moment in range(3):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=root)
        while not (lock.exists() if moment == 0 else checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
            assert process.poll() is None, "the training ended before it could be killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / f"{spec.name}.json").exists()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole, _ = train.train(spec, data.load("digits"), progress=False)
        monkeypatch.setenv("LRLIB_MODELS", str(tmp_path))
        resumed = zoo.find_or_train(spec, progress=False).model
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(value, bits(resumed)[key]) for key, value in bits(whole.half().float()).items())
    assert not checkpoint.exists()


@pytest.mark.parametrize("fault", ["truncated", "noise", "empty", "another specification", "other images"])
def test_a_checkpoint_that_does_not_fit_is_said_and_the_training_starts_anew(fault, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path))
    spec, dataset = SPECS["N-LR"], data.load("digits")
    checkpoint = tmp_path / f"{spec.name}.checkpoint"
    kept = replace(spec, seed=1) if fault == "another specification" else spec
    images = replace(dataset, fingerprint="0") if fault == "other images" else dataset
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        stop_after(patched, 1)
        train.train(kept, images, progress=False, checkpoint=checkpoint)
    if fault == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    elif fault in ("noise", "empty"):
        checkpoint.write_bytes(b"\x93noise" * 100 if fault == "noise" else b"")
    with pytest.warns(zoo.DamagedModel, match=r"trained from the start: expected a checkpoint of .* at "):
        found = zoo.find_or_train(spec, progress=False)
    whole, _ = train.train(spec, dataset, progress=False)
    assert all(torch.equal(value, bits(found.model)[key]) for key, value in bits(whole.half().float()).items())


def test_a_full_disk_stops_the_training_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    checkpoint, save, calls = tmp_path / "kept", torch.save, []

    def full_at_the_second(kept, file):
        calls.append(1)
        if len(calls) == 2:
            Path(file).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(kept, file)

    monkeypatch.setattr(torch, "save", full_at_the_second)
    with pytest.raises(OSError, match="No space left"):
        train.train(SPECS["N-LR"], data.load("digits"), progress=False, checkpoint=checkpoint)
    assert torch.load(checkpoint, weights_only=True)["state"]["epochs_done"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]
