"""Models are found again by content, damage is noticed, and two processes train once."""

import json
import multiprocessing
import re
import shutil
import warnings
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from lrlib import data, metrics, train, zoo
from lrlib.data import DatasetError
from lrlib.specs import Regularizer, Spec
from lrlib.train import TrainingDiverged
from lrlib.zoo import DamagedModel

SPEC = Spec(
    dataset="digits",
    size=None,
    arch="2L",
    width=4,
    variant="N-LR",
    seed=0,
    epochs=1,
    batch_size=256,
    optimizer="sgd",
    learning_rate=0.1,
    milestones=(),
    momentum=0.9,
    weight_decay=0.0,
    precision="fp32",
    lr=None,
)
CONV = replace(SPEC, arch="resnet18", width=1, variant="1-LR", lr=Regularizer(lambda_c=1.0, lambda_n=1.0, from_epoch=0))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def trainings(monkeypatch):
    """What is trained, in order."""
    calls, real = [], train.train

    def counting(spec, *args, **options):
        calls.append(spec)
        return real(spec, *args, **options)

    monkeypatch.setattr(train, "train", counting)
    return calls


def files(spec=SPEC):
    return zoo.folder() / f"{spec.name}.safetensors", zoo.folder() / f"{spec.name}.json"


def rewrite(about, **changed):
    """Change the history as one who knows how its digest is made."""
    history = json.loads(about.read_text()) | changed
    history.pop("digest")
    about.write_text(json.dumps(history | {"digest": zoo._digest(history)}))


def praise():
    """Change the history by hand."""
    _, about = files()
    about.write_text(about.read_text().replace('"test_accuracy": ', '"test_accuracy": 7'))


def same(model, other):
    one, two = model.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


# found again


@pytest.mark.parametrize("spec", [SPEC, CONV, replace(SPEC, epochs=0)], ids=["linear", "resnet", "untrained"])
def test_weights_are_those_of_the_training_in_half_precision_at_once_and_from_the_disk(spec):
    expected, _ = train.train(spec, data.load("digits"), progress=False)
    expected.half().float()
    assert {str(value.dtype) for value in load_file_of(spec).values()} <= {"torch.float16", "torch.int64"}
    assert same(zoo.find_or_train(spec, progress=False).model, expected)
    found = zoo.find(spec)
    assert same(found.model, expected) and not found.model.training


def load_file_of(spec):
    zoo.find_or_train(spec, progress=False)
    return load_file(files(spec)[0])


def test_a_weight_that_half_precision_cannot_hold_is_stored_as_it_is(monkeypatch):
    real = train.train

    def with_a_large_weight(*args, **options):
        model, summary = real(*args, **options)
        with torch.no_grad():
            model[1].bias[0] = 1e5
        return model, summary

    monkeypatch.setattr(train, "train", with_a_large_weight)
    stored = load_file_of(SPEC)
    assert stored["1.bias"].dtype == torch.float32 and stored["1.bias"][0] == 1e5
    assert stored["1.weight"].dtype == torch.float16


def test_models_of_the_checkout_are_found_without_training_and_never_written(tmp_path, monkeypatch, trainings):
    trained = zoo.find_or_train(SPEC, progress=False)
    shutil.copytree(zoo.folder(), tmp_path / "zoo")
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "nothing"))
    found = zoo.find_or_train(SPEC, progress=False)
    assert trainings == [SPEC] and found.sha256 == trained.sha256 and not zoo.folder().exists()
    weights = tmp_path / "zoo" / f"{SPEC.name}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.warns(DamagedModel, match="can't be taken from .*zoo: expected .* with SHA-256"):
        zoo.find_or_train(SPEC, progress=False)
    assert trainings == [SPEC, SPEC] and len(weights.read_bytes()) == len(files()[0].read_bytes()) - 1


def test_a_model_is_trained_once_and_then_found(trainings):
    first, second = (zoo.find_or_train(SPEC, progress=False) for _ in range(2))
    assert trainings == [SPEC]
    assert first.sha256 == second.sha256 and first.history == second.history and first.spec == SPEC


def test_another_specification_is_another_model(trainings):
    zoo.find_or_train(SPEC, progress=False)
    other = replace(SPEC, learning_rate=0.2)
    assert zoo.find(other) is None
    zoo.find_or_train(other, progress=False)
    assert trainings == [SPEC, other]


def test_what_was_never_trained_is_not_found():
    assert zoo.find(SPEC) is None


def test_the_history_says_how_a_model_came_about():
    found = zoo.find_or_train(SPEC, progress=False)
    digits = data.load("digits")
    history = json.loads(files()[1].read_text())
    assert history.pop("digest") == zoo._digest(history) and history == found.history
    assert history["spec"] == SPEC.content() and history["dataset_fingerprint"] == digits.fingerprint
    assert history["test_accuracy"] == pytest.approx(
        metrics.accuracy(found.model, data.as_float(digits.x_test), digits.y_test)
    )
    assert history["train"].keys() == {"loss", "accuracy"} and history["seconds"] >= 0
    assert history["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert len(history["sources"]) == 12


def test_the_folder_is_the_one_the_environment_names_or_the_checkouts(monkeypatch, tmp_path):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "elsewhere"))
    assert zoo.folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("LRLIB_MODELS")
    assert zoo.folder().parts[-2:] == ("data", "models")


# damage


def truncate():
    weights, _ = files()
    weights.write_bytes(weights.read_bytes()[:-100])


def flip_a_byte():
    weights, _ = files()
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)


def other_weights():
    """Whole and well-formed, with the hash that belongs to them, but not this network's."""
    weights, about = files()
    save_file({"weight": torch.zeros(3)}, weights)
    rewrite(about, sha256=zoo.hashlib.sha256(weights.read_bytes()).hexdigest())


def not_safetensors():
    weights, about = files()
    weights.write_bytes(b"no tensors here")
    rewrite(about, sha256=zoo.hashlib.sha256(weights.read_bytes()).hexdigest())


DAMAGES = {
    "truncated": (truncate, "SHA-256"),
    "a byte": (flip_a_byte, "SHA-256"),
    "no weights": (lambda: files()[0].unlink(), "No such file"),
    "hash edited": (lambda: rewrite(files()[1], sha256="0" * 64), "SHA-256 000000000000…"),
    "hash no text": (lambda: rewrite(files()[1], sha256=7), ""),
    "specification edited": (lambda: rewrite(files()[1], spec={}), "describes another specification"),
    "other images": (lambda: rewrite(files()[1], dataset_fingerprint="0"), "other images than digits has now"),
    "no JSON": (lambda: files()[1].write_text("{"), ""),
    "JSON of another kind": (lambda: files()[1].write_text("[]"), ""),
    "accuracy edited": (praise, "was edited"),
    "a field missing": (lambda: files()[1].write_text("{}"), "lacks 'digest'"),
    "no text": (lambda: files()[1].write_bytes(b"\xff\xfe\x00"), ""),
    "another network's": (other_weights, ""),
    "no tensors": (not_safetensors, ""),
}


@pytest.mark.parametrize("damage, message", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_model_is_told_of_and_trained_again(trainings, damage, message):
    before = zoo.find_or_train(SPEC, progress=False)
    damage()
    with pytest.warns(DamagedModel, match=f"{re.escape(SPEC.name)} can't be taken from .*: .*{message}"):
        assert zoo.find(SPEC) is None
    with pytest.warns(DamagedModel) as caught:
        again = zoo.find_or_train(SPEC, progress=False)
    assert len(caught) == 1
    assert trainings == [SPEC, SPEC] and same(again.model, before.model)
    assert zoo.find(SPEC).sha256 == before.sha256  # without a warning, which would be an error


def test_weights_without_a_history_are_no_model(trainings):
    zoo.find_or_train(SPEC, progress=False)
    files()[1].unlink()
    assert zoo.find(SPEC) is None
    zoo.find_or_train(SPEC, progress=False)
    assert len(trainings) == 2


def test_a_missing_dataset_is_no_damage(monkeypatch):
    zoo.find_or_train(SPEC, progress=False)

    def missing(*args, **options):
        raise DatasetError("expected the digits, got nothing")

    monkeypatch.setattr(data, "load", missing)
    for ask in (zoo.find, zoo.find_or_train):
        with pytest.raises(DatasetError, match="expected the digits"):
            ask(SPEC)
    assert all(path.exists() for path in files())


# failures on the way


def full_disk(tensors, path):
    path.write_bytes(b"half of it")
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_nothing_half_written_and_other_models_usable(monkeypatch):
    zoo.find_or_train(SPEC, progress=False)
    monkeypatch.setattr(zoo, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        zoo.find_or_train(replace(SPEC, seed=1), progress=False)
    assert {path.name for path in zoo.folder().iterdir() if path.suffix != ".lock"} == {path.name for path in files()}
    assert zoo.find(SPEC) is not None and zoo.find(replace(SPEC, seed=1)) is None


def test_a_full_disk_leaves_the_files_of_an_older_model_as_they_were(monkeypatch):
    """So that a model whose history alone was damaged is not lost with it."""
    zoo.find_or_train(SPEC, progress=False)
    rewrite(files()[1], sha256="0" * 64)
    before = [path.read_bytes() for path in files()]
    monkeypatch.setattr(zoo, "save_file", full_disk)
    with pytest.warns(DamagedModel), pytest.raises(OSError, match="No space left"):
        zoo.find_or_train(SPEC, progress=False)
    assert [path.read_bytes() for path in files()] == before


def test_a_process_that_dies_between_the_two_files_leaves_no_model_rather_than_a_wrong_one(monkeypatch, trainings):
    real, written = zoo.replacing, []

    def dying(path):
        if path.suffix == ".json":
            raise KeyboardInterrupt
        written.append(path)
        return real(path)

    monkeypatch.setattr(zoo, "replacing", dying)
    with pytest.raises(KeyboardInterrupt):
        zoo.find_or_train(SPEC, progress=False)
    monkeypatch.setattr(zoo, "replacing", real)
    assert len(written) == 1 and zoo.find(SPEC) is None
    assert zoo.find_or_train(SPEC, progress=False) and len(trainings) == 2


def test_a_training_that_diverges_leaves_no_model():
    diverging = replace(SPEC, learning_rate=1e30)
    with pytest.raises(TrainingDiverged):
        zoo.find_or_train(diverging, progress=False)
    assert zoo.find(diverging) is None
    with pytest.raises(TrainingDiverged):  # and no lock that would be waited for
        zoo.find_or_train(diverging, progress=False)


def test_a_folder_that_cannot_be_written_is_named_in_one_sentence(folder):
    folder.write_text("a file where the folder should be")
    with pytest.raises(
        OSError, match=rf"^expected a folder for models that can be written, got {re.escape(str(folder))}: "
    ):
        zoo.find_or_train(SPEC, progress=False)


def test_a_lock_that_cannot_be_taken_is_answered_in_the_same_sentence(monkeypatch):
    def denied(self, *args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zoo.FileLock, "acquire", denied)
    with pytest.raises(OSError, match=r"^expected a folder for models that can be written, got .*: Permission denied$"):
        zoo.find_or_train(SPEC, progress=False)


def test_a_model_that_is_there_needs_no_folder_that_can_be_written(monkeypatch):
    expected = zoo.find_or_train(SPEC, progress=False)
    monkeypatch.setattr(zoo.FileLock, "acquire", lambda self: pytest.fail("took a lock"))
    assert zoo.find_or_train(SPEC, progress=False).sha256 == expected.sha256


# several processes


def ask(folder, barrier, answers):
    """In a process of its own: wait for the others, ask, and say what came and whether it was trained here."""
    import os

    os.environ["LRLIB_MODELS"] = folder
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    calls, real = [], train.train
    train.train = lambda *args, **options: calls.append(1) or real(*args, **options)
    barrier.wait()
    found = zoo.find_or_train(CONV, progress=False)
    answers.put((found.sha256, len(calls)))


def test_of_two_processes_that_ask_at_once_one_trains(folder):
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=ask, args=(str(folder), barrier, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    (one, first), (other, second) = (answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert one == other == zoo.find(CONV).sha256
    assert sorted([first, second]) == [0, 1]


# devices


def test_the_stored_weights_are_plain_tensors_of_the_networks_names():
    found = zoo.find_or_train(CONV, progress=False)
    stored = load_file(files(CONV)[0])
    assert stored.keys() == found.model.state_dict().keys()


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match=f"expected auto, cpu or a device that this machine has, got '{device}'"):
        zoo.pick_device(device)


def test_auto_is_the_gpu_where_there_is_one():
    assert zoo.pick_device("cpu") == torch.device("cpu")
    assert zoo.pick_device().type == zoo.pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
