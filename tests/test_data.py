import gzip
import hashlib
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_digits
from torchvision import datasets

from lrlib import data
from lrlib.data import DatasetError, sources
from lrlib.data.dataset import Dataset, describe, resize
from lrlib.data.sources import SOURCES

RNG = np.random.default_rng(0)
CHECKOUT = Path(data.__file__).parents[2]

# Torchvision names no filter when it unpacks, which Python 3.12 and 3.13 warn about.
tar_warning = pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter extracted tar:DeprecationWarning")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


# Tiny datasets in the official formats. Each writer returns what it wrote.


def write_pickle(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def write_cifar10(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder, written = root / "cifar-10-batches-py", {}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        x, y = RNG.integers(0, 256, (4, 3072), dtype=np.uint8), RNG.integers(0, 10, 4)
        write_pickle(folder / name, {"data": x, "labels": y.tolist()})
        written[name] = x, y
    write_pickle(folder / "batches.meta", {"label_names": [f"class {i}" for i in range(10)]})
    return written


def write_cifar100(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder, written = root / "cifar-100-python", {}
    for name in ("train", "test"):
        x, fine = RNG.integers(0, 256, (5, 3072), dtype=np.uint8), RNG.integers(0, 100, 5)
        write_pickle(folder / name, {"data": x, "fine_labels": fine.tolist(), "coarse_labels": (fine // 5).tolist()})
        written[name] = x, fine
    names = {"fine_label_names": [f"fine {i}" for i in range(100)]}
    write_pickle(folder / "meta", names | {"coarse_label_names": [f"coarse {i}" for i in range(20)]})
    return written


def write_mnist(root: Path, kind: str = "MNIST") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder, written = root / kind / "raw", {}
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, n in (("train", 6), ("t10k", 3)):
        x, y = RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8), RNG.integers(0, 10, n, dtype=np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, n, 28, 28) + x.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, n) + y.tobytes())
        written[prefix] = x, y
    return written


def write_svhn(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    root.mkdir(parents=True, exist_ok=True)
    written = {}
    for split, n in (("train", 3), ("test", 2), ("extra", 4)):
        x, y = RNG.integers(0, 256, (32, 32, 3, n), dtype=np.uint8), RNG.integers(1, 11, (n, 1), dtype=np.uint8)
        y[0] = 10
        savemat(root / f"{split}_32x32.mat", {"X": x, "y": y}, do_compression=True)
        written[split] = x, y
    return written


WRITERS: dict[str, Callable[[Path], dict]] = {
    "cifar10": write_cifar10,
    "cifar100-coarse": write_cifar100,
    "cifar100-fine": write_cifar100,
    "svhn": write_svhn,
    "mnist": write_mnist,
    "fashion-mnist": partial(write_mnist, kind="FashionMNIST"),
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Writes a tiny dataset below a root and has its files pass for the official ones."""

    def make(name: str, root: Path = tmp_path) -> dict:
        written = WRITERS[name](root)
        expected = {path: md5(root / path) for path in SOURCES[name].files}
        monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], files=expected))
        return written

    return make


# Reading


def test_digits_are_scikit_learns_images_and_labels_each_exactly_once():
    digits = data.load("digits")
    x = torch.cat([digits.x_train, digits.x_test]).flatten(1).double() * 16 / 255
    y = torch.cat([digits.y_train, digits.y_test])
    ours = np.column_stack([x.round().numpy(), y.numpy()])
    theirs = np.column_stack(load_digits(return_X_y=True))
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_digits_are_split_1197_to_600_with_the_same_share_of_every_class():
    digits = data.load("digits")
    assert digits.x_train.shape == (1197, 1, 8, 8) and digits.x_test.shape == (600, 1, 8, 8)
    share = digits.y_test.bincount() / 600
    everything = np.bincount(load_digits().target) / 1797
    assert np.abs(share.numpy() - everything).max() < 1 / 600
    assert (digits.x_train.min(), digits.x_train.max()) == (0, 255)


def test_cifar10_batches_are_joined_in_order_as_planes_of_red_green_and_blue(tiny, tmp_path):
    written = tiny("cifar10")
    loaded = data.load("cifar10", root=tmp_path)
    x = np.stack([row.reshape(3, 32, 32) for i in range(1, 6) for row in written[f"data_batch_{i}"][0]])
    np.testing.assert_array_equal(loaded.x_train, x)
    np.testing.assert_array_equal(loaded.y_train, np.concatenate([written[f"data_batch_{i}"][1] for i in range(1, 6)]))
    np.testing.assert_array_equal(loaded.y_test, written["test_batch"][1])
    assert loaded.classes == tuple(f"class {i}" for i in range(10))


def test_cifar100_coarse_and_fine_are_the_same_images_under_other_labels(tiny, tmp_path):
    fine = tiny("cifar100-fine")["train"][1]
    files = SOURCES["cifar100-fine"].files
    by_fine = data.load("cifar100-fine", root=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "cifar100-coarse", replace(SOURCES["cifar100-coarse"], files=files))
        by_coarse = data.load("cifar100-coarse", root=tmp_path)
    assert torch.equal(by_fine.x_train, by_coarse.x_train)
    np.testing.assert_array_equal(by_fine.y_train, fine)
    np.testing.assert_array_equal(by_coarse.y_train, fine // 5)
    assert len(by_fine.classes) == 100 and by_coarse.classes == tuple(f"coarse {i}" for i in range(20))
    assert by_fine.fingerprint != by_coarse.fingerprint


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_read_as_gray_images(name, tiny, tmp_path):
    written = tiny(name)
    loaded = data.load(name, root=tmp_path)
    np.testing.assert_array_equal(loaded.x_train.squeeze(1), written["train"][0])
    np.testing.assert_array_equal(loaded.x_test.squeeze(1), written["t10k"][0])
    np.testing.assert_array_equal(loaded.y_train, written["train"][1])
    assert (loaded.channels, loaded.size, len(loaded.classes)) == (1, 28, 10)


def test_svhn_trains_on_train_and_extra_and_calls_the_digit_ten_zero(tiny, tmp_path):
    written = tiny("svhn")
    loaded = data.load("svhn", root=tmp_path)
    x = np.concatenate([written["train"][0], written["extra"][0]], axis=3)
    np.testing.assert_array_equal(loaded.x_train, np.einsum("hwcn->nchw", x))
    y = np.concatenate([written["train"][1], written["extra"][1]]).ravel()
    np.testing.assert_array_equal(loaded.y_train, np.where(y == 10, 0, y))
    assert loaded.x_train.is_contiguous()


def test_svhn_is_read_as_torchvision_reads_it(tiny, tmp_path, monkeypatch):
    tiny("svhn")
    name, path = "test_32x32.mat", tmp_path / "test_32x32.mat"
    monkeypatch.setitem(datasets.SVHN.split_list, "test", ["", name, md5(path)])
    theirs = datasets.SVHN(tmp_path, "test")
    ours = data.load("svhn", root=tmp_path)
    np.testing.assert_array_equal(ours.x_test, theirs.data)
    np.testing.assert_array_equal(ours.y_test, theirs.labels)


@pytest.mark.parametrize("name", WRITERS)
def test_every_dataset_is_uint8_images_and_int64_labels(name, tiny, tmp_path):
    tiny(name)
    loaded = data.load(name, root=tmp_path)
    assert loaded.x_train.dtype == loaded.x_test.dtype == torch.uint8
    assert loaded.y_train.dtype == loaded.y_test.dtype == torch.int64
    assert len(loaded.x_train) == len(loaded.y_train) and len(loaded.x_test) == len(loaded.y_test)
    assert loaded.x_train.ndim == 4 and loaded.name == name


def test_only_cifar_is_cropped_and_flipped(tiny, tmp_path):
    augmented = set()
    for name in WRITERS:
        tiny(name, tmp_path / name)
        augmented |= {name} if data.load(name, root=tmp_path / name).augment else set()
    assert augmented == {"cifar10", "cifar100-coarse", "cifar100-fine"}
    assert not data.load("digits").augment


def test_the_listed_md5_of_torchvision_are_the_ones_that_are_checked():
    expected = {f"cifar-10-batches-py/{name}": md5 for name, md5 in datasets.CIFAR10.train_list}
    assert expected.items() <= SOURCES["cifar10"].files.items()
    assert SOURCES["cifar10"].files["cifar-10-batches-py/batches.meta"] == datasets.CIFAR10.meta["md5"]
    assert set(SOURCES["svhn"].files.values()) == {entry[2] for entry in datasets.SVHN.split_list.values()}
    for name, kind in (("mnist", datasets.MNIST), ("fashion-mnist", datasets.FashionMNIST)):
        archives = {f"{kind.__name__}/raw/{archive.removesuffix('.gz')}" for archive, _ in kind.resources}
        assert set(SOURCES[name].files) == archives


# What is computed from the tensors


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=4, max_dims=4, max_side=6)))
def test_mean_and_std_are_numpys_over_all_pixels_of_a_channel(x):
    y = torch.zeros(len(x), dtype=torch.int64)
    dataset = describe("any", (torch.from_numpy(x), y), (torch.from_numpy(x), y), classes=("only",))
    np.testing.assert_allclose(dataset.mean, (x / 255).mean((0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(dataset.std, (x / 255).std((0, 2, 3)), atol=1e-12)


def labelled(counts: list[int]) -> Dataset:
    """A dataset whose pixels number its images, with so many images of each class."""
    y = torch.from_numpy(np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts)))
    number = torch.arange(len(y))
    x = torch.stack([number // 256, number % 256], 1).to(torch.uint8)[:, :, None, None]
    return describe("numbered", (x, y), (x[:1], y[:1]), classes=[str(label) for label in range(len(counts))])


def numbers(x: torch.Tensor) -> list[int]:
    return (x[:, 0].long() * 256 + x[:, 1]).flatten().tolist()


@pytest.mark.parametrize("field", ["x_train", "y_train", "x_test", "y_test"])
def test_the_fingerprint_notices_a_change_of_one_in_any_tensor(field):
    dataset = labelled([3, 3])
    changed = getattr(dataset, field).clone()
    changed.view(-1)[0] += 1
    new = replace(dataset, **{field: changed})
    train, test = (new.x_train, new.y_train), (new.x_test, new.y_test)
    assert describe("n", train, test, classes=new.classes).fingerprint != dataset.fingerprint


def test_the_fingerprint_depends_on_content_and_not_on_where_it_lies(tiny, tmp_path):
    tiny("cifar10", tmp_path / "here")
    (tmp_path / "there").mkdir()
    os.rename(tmp_path / "here" / "cifar-10-batches-py", tmp_path / "there" / "cifar-10-batches-py")
    there = data.load("cifar10", root=tmp_path / "there")
    os.rename(tmp_path / "there" / "cifar-10-batches-py", tmp_path / "here" / "cifar-10-batches-py")
    assert data.load("cifar10", root=tmp_path / "here").fingerprint == there.fingerprint


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(4, 60), min_size=1, max_size=6), st.floats(0.2, 0.8), st.integers(0, 2**31))
def test_holdout_splits_every_class_by_the_fraction_without_losing_or_sharing_an_image(counts, fraction, seed):
    dataset = labelled(counts)
    held = data.holdout(dataset, fraction=fraction, seed=seed)
    expected = [fraction * count for count in counts]
    got = held.y_test.bincount(minlength=len(counts)).tolist()
    assert all(abs(a - b) <= 0.5 for a, b in zip(got, expected, strict=True))
    assert sorted(numbers(held.x_train) + numbers(held.x_test)) == list(range(sum(counts)))
    labels = dict(zip(numbers(dataset.x_train), dataset.y_train.tolist(), strict=True))
    assert [labels[n] for n in numbers(held.x_test)] == held.y_test.tolist()
    assert [labels[n] for n in numbers(held.x_train)] == held.y_train.tolist()


def test_holdout_depends_on_the_seed_and_on_nothing_else():
    dataset = labelled([30, 30])
    torch.manual_seed(1)
    first = data.holdout(dataset, seed=3)
    torch.manual_seed(2)
    assert data.holdout(dataset, seed=3).fingerprint == first.fingerprint
    assert data.holdout(dataset, seed=4).fingerprint != first.fingerprint


def test_holdout_reports_the_mean_of_the_images_it_keeps():
    held = data.holdout(labelled([40, 40]), fraction=0.25)
    np.testing.assert_allclose(held.mean, (held.x_train.numpy() / 255).mean((0, 2, 3)))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_holdout_of_nothing_or_everything_is_refused(fraction):
    with pytest.raises(ValueError, match="expected 0 < fraction < 1"):
        data.holdout(labelled([10]), fraction=fraction)


def rows_of(x: torch.Tensor, y: torch.Tensor) -> list[tuple[int, ...]]:
    return sorted(map(tuple, torch.cat([x.flatten(1).long(), y[:, None]], 1).tolist()))


def test_holdout_of_a_name_has_a_fifth_of_its_training_images_to_test_on_and_nothing_of_its_test_images():
    whole, held = data.load("digits"), data.load("holdout:digits")
    assert rows_of(torch.cat([held.x_train, held.x_test]), torch.cat([held.y_train, held.y_test])) == rows_of(
        whole.x_train, whole.y_train
    )
    counts, of = held.y_test.bincount(), whole.y_train.bincount()
    assert ((counts - of / 5).abs() <= 0.5).all()
    assert held.classes == whole.classes


def test_holdout_of_a_name_has_its_own_name_and_fingerprint_and_those_of_the_images_it_keeps():
    whole, held = data.load("digits"), data.load("holdout:digits")
    assert held.name == "holdout:digits" and held.fingerprint != whole.fingerprint
    assert held.fingerprint == data.holdout(whole, fraction=0.2).fingerprint
    np.testing.assert_allclose(held.mean, [(held.x_train.numpy() / 255).mean()])
    assert data.load("holdout:digits") is held and data.load("digits").fingerprint == whole.fingerprint


def test_holdout_of_a_name_does_not_depend_on_the_test_images(monkeypatch):
    before = data.load("holdout:digits").fingerprint
    train, (x, y), classes = data.digits.read()
    monkeypatch.setattr(data.digits, "read", lambda: (train, (255 - x, y), classes))
    data._load.cache_clear()
    try:
        assert data.load("holdout:digits").fingerprint == before
    finally:
        data._load.cache_clear()


def test_holdout_of_a_name_is_resized_and_augmented_as_the_name_itself(tmp_path, monkeypatch):
    part = torch.zeros(50, 3, 32, 32, dtype=torch.uint8), torch.arange(10).repeat(5)
    monkeypatch.setattr(data, "_content", lambda name, root, size: (part, part, tuple("abcdefghij")))
    for name, augment in (("cifar10", True), ("mnist", False)):
        held = data.load(f"holdout:{name}", root=tmp_path, size=16)
        assert held.x_train.shape == (40, 3, 16, 16) and held.x_test.shape == (10, 3, 16, 16)
        assert held.augment == augment == data.load(name, root=tmp_path, size=16).augment


def test_holdout_of_a_missing_dataset_says_where_that_was_looked_for(tmp_path):
    with pytest.raises(DatasetError, match=f"^cifar10 is not in {tmp_path}"):
        data.load("holdout:cifar10", root=tmp_path)


def test_holdout_of_a_dataset_that_can_be_downloaded_is_downloaded(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(data.official, "download", lambda name, root: asked.append((name, root)))
    with pytest.raises(DatasetError, match=r"^cifar10 is not in"):
        data.load("holdout:cifar10", root=tmp_path, download=True)
    assert asked == [("cifar10", tmp_path)]


@pytest.mark.parametrize("name", [*data.names(), "folder:/a/b", "folder:~/x"])
def test_names_that_are_known_whether_the_images_are_there_or_not(name):
    assert data.is_known(name) and data.is_known(f"holdout:{name}")


@pytest.mark.parametrize("name", ["", "cifar", "Digits", "holdout:", "holdout:cifar", "holdout:holdout:digits", "tree"])
def test_names_that_are_not_known_are_not_loaded(name):
    assert not data.is_known(name)
    with pytest.raises(ValueError, match=f"^expected one of digits, .*, got {name!r}$"):
        data.load(name)


def test_holdout_that_would_leave_a_class_unseen_names_the_class():
    with pytest.raises(ValueError, match="the 2 images of class '1'"):
        data.holdout(labelled([30, 2]), fraction=0.1)


def test_as_float_is_division_by_255():
    x = torch.arange(256, dtype=torch.uint8)
    np.testing.assert_array_equal(data.as_float(x), np.arange(256, dtype=np.float32) / np.float32(255))


def test_as_float_refuses_what_may_have_been_scaled_already():
    with pytest.raises(TypeError, match="expected uint8"):
        data.as_float(torch.rand(3))


@pytest.mark.parametrize("size", [5, 28, 32, 40])
def test_resizing_agrees_with_pillows_bilinear_filter_to_one_level_of_gray(size):
    x = RNG.integers(0, 256, (7, 1, 28, 28), dtype=np.uint8)
    theirs = [Image.fromarray(image[0]).resize((size, size), Image.Resampling.BILINEAR) for image in x]
    ours = resize(torch.from_numpy(x), size).squeeze(1).numpy()
    assert np.abs(ours.astype(int) - np.stack([np.asarray(image) for image in theirs])).max() <= 1


def test_size_resizes_both_parts_and_the_mean_is_that_of_the_resized_images():
    digits = data.load("digits", size=32)
    assert digits.x_train.shape == (1197, 1, 32, 32) and digits.x_test.shape == (600, 1, 32, 32)
    np.testing.assert_allclose(digits.mean, [(digits.x_train.numpy() / 255).mean()])
    assert digits.size == 32


# Names and places


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"expected one of digits, cifar10, .*, got 'cifar'"):
        data.load("cifar")


def test_a_size_below_one_pixel_is_refused():
    with pytest.raises(ValueError, match="expected a size of at least 1 pixel, got 0"):
        data.load("digits", size=0)


def test_loading_twice_returns_the_same_tensors(tiny, tmp_path):
    tiny("mnist")
    assert data.load("mnist", root=tmp_path) is data.load("mnist", root=tmp_path)


def test_lrlib_data_names_the_place_and_root_goes_before_it(tiny, tmp_path, monkeypatch):
    tiny("mnist", tmp_path / "here")
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path / "here"))
    loaded = data.load("mnist")
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path / "nowhere"))
    assert data.load("mnist", root=tmp_path / "here").fingerprint == loaded.fingerprint
    with pytest.raises(data.DatasetError, match="nowhere"):
        data.load("mnist")


@pytest.mark.parametrize("value", [None, ""])
def test_without_lrlib_data_the_place_is_data_datasets_of_the_checkout(value, monkeypatch):
    monkeypatch.delenv("LRLIB_DATA", raising=False) if value is None else monkeypatch.setenv("LRLIB_DATA", value)
    nothing = replace(SOURCES["svhn"], files={"no such file": ""})
    monkeypatch.setitem(SOURCES, "svhn", nothing)
    with pytest.raises(data.DatasetError) as caught:
        data.load("svhn")
    assert str(CHECKOUT / "data" / "datasets") in str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_dataset_says_where_it_was_looked_for_and_what_to_do(name, tmp_path):
    with pytest.raises(data.DatasetError) as caught:
        data.load(name, root=tmp_path)
    message = str(caught.value)
    for part in (name, str(tmp_path), "download=True", "LRLIB_DATA", "http", "not one of its files"):
        assert part in message
    assert "\n" not in message and files_below(tmp_path) == []


def test_a_missing_file_is_named(tiny, tmp_path):
    tiny("svhn")
    (tmp_path / "extra_32x32.mat").unlink()
    with pytest.raises(data.DatasetError, match=r"\(no extra_32x32.mat\)"):
        data.load("svhn", root=tmp_path)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_a_bit, truncate])
@pytest.mark.parametrize("name", ["cifar10", "cifar100-coarse", "svhn", "mnist", "fashion-mnist"])
def test_a_damaged_file_is_named_with_both_checksums_and_no_other_file(name, damage, tiny, tmp_path):
    tiny(name)
    for path, expected in SOURCES[name].files.items():
        whole = (tmp_path / path).read_bytes()
        damage(tmp_path / path)
        with pytest.raises(data.DatasetError) as caught:
            data.load(name, root=tmp_path)
        message = str(caught.value)
        assert f"{tmp_path / path} has MD5 {md5(tmp_path / path)}, expected {expected}" in message
        assert not any(str(tmp_path / other) in message for other in set(SOURCES[name].files) - {path})
        (tmp_path / path).write_bytes(whole)


# Downloading


def fetched_by(monkeypatch: pytest.MonkeyPatch, name: str, fetch: Callable[[Path], object]) -> None:
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], fetch=fetch))


@pytest.mark.parametrize("name", WRITERS)
def test_without_a_network_a_download_says_what_to_do_and_leaves_nothing(name, tmp_path, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(data.DatasetError) as caught:
        data.load(name, root=tmp_path, download=True)
    message = str(caught.value)
    for part in (f"could not download {name}", str(tmp_path), "Name or service not known", "LRLIB_DATA"):
        assert part in message
    assert "\n" not in message and files_below(tmp_path) == []


@pytest.mark.parametrize("error", [URLError("gone"), RuntimeError("gone"), ConnectionResetError("gone")])
def test_an_interrupted_download_leaves_nothing(error, tiny, tmp_path, monkeypatch):
    def break_off(staging: Path) -> None:
        write_mnist(staging)
        (staging / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
        raise error

    tiny("mnist", tmp_path / "elsewhere")
    fetched_by(monkeypatch, "mnist", break_off)
    with pytest.raises(data.DatasetError, match=r"could not download mnist .*gone"):
        data.load("mnist", root=tmp_path / "root", download=True)
    assert files_below(tmp_path / "root") == []


def test_ctrl_c_during_a_download_leaves_nothing(tmp_path, monkeypatch):
    def press(staging: Path) -> None:
        write_mnist(staging)
        raise KeyboardInterrupt

    fetched_by(monkeypatch, "mnist", press)
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist", root=tmp_path, download=True)
    assert files_below(tmp_path) == []


def test_a_download_that_was_killed_is_not_taken_for_the_dataset(tiny, tmp_path):
    tiny("mnist", tmp_path / ".mnist-killed.part")
    with pytest.raises(data.DatasetError, match="not one of its files"):
        data.load("mnist", root=tmp_path)


def test_a_download_of_something_else_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    fetched_by(monkeypatch, "mnist", write_mnist)
    with pytest.raises(data.DatasetError, match="train-images-idx3-ubyte has MD5"):
        data.load("mnist", root=tmp_path, download=True)
    assert files_below(tmp_path) == []


def copy_from(origin: Path, name: str) -> Callable[[Path], None]:
    def fetch(staging: Path) -> None:
        for path in SOURCES[name].files:
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_bytes((origin / path).read_bytes())

    return fetch


def test_a_download_mends_a_damaged_file_and_leaves_only_the_official_ones(tiny, tmp_path, monkeypatch):
    tiny("cifar10", tmp_path / "origin")
    fetched_by(monkeypatch, "cifar10", copy_from(tmp_path / "origin", "cifar10"))
    root = tmp_path / "root"
    copy_from(tmp_path / "origin", "cifar10")(root)
    flip_a_bit(root / "cifar-10-batches-py" / "data_batch_3")
    data.load("cifar10", root=root, download=True)
    assert files_below(root) == files_below(tmp_path / "origin")


def test_a_whole_dataset_is_not_downloaded_again(tiny, tmp_path, monkeypatch):
    tiny("mnist")
    fetched_by(monkeypatch, "mnist", lambda root: pytest.fail("downloaded"))
    data.load("mnist", root=tmp_path, download=True)


def test_two_downloads_at_once_both_succeed(tiny, tmp_path, monkeypatch):
    tiny("mnist", tmp_path / "origin")
    both, copy = threading.Barrier(2, timeout=10), copy_from(tmp_path / "origin", "mnist")
    fetched_by(monkeypatch, "mnist", lambda staging: (copy(staging), both.wait()))
    root, errors = tmp_path / "root", []

    def download() -> None:
        try:
            data.load("mnist", root=root, download=True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=download) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert files_below(root) == files_below(tmp_path / "origin")


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, Path]]:
    """An HTTP server on this machine and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", folder
        running.shutdown()


@pytest.fixture
def cifar10_online(server, tiny, tmp_path, monkeypatch) -> Path:
    """Torchvision takes a tiny CIFAR-10 from a server on this machine for the official one; returns its archive."""
    (url, folder), kind = server, datasets.CIFAR10
    tiny("cifar10", tmp_path / "origin")
    origin, archive = tmp_path / "origin" / kind.base_folder, folder / kind.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(origin, kind.base_folder)
    monkeypatch.setattr(kind, "url", url + kind.filename)
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    for listed in ("train_list", "test_list"):
        monkeypatch.setattr(kind, listed, [[name, md5(origin / name)] for name, _ in getattr(kind, listed)])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5(origin / "batches.meta")})
    return archive


@tar_warning
def test_torchvision_downloads_cifar10_into_place(cifar10_online, tmp_path, capfd):
    loaded = data.load("cifar10", root=tmp_path / "root", download=True)
    assert files_below(tmp_path / "root") == files_below(tmp_path / "origin")
    np.testing.assert_array_equal(loaded.x_train.permute(0, 2, 3, 1), datasets.CIFAR10(tmp_path / "root").data)


@tar_warning
def test_an_archive_that_arrives_cut_short_leaves_nothing(cifar10_online, tmp_path, capfd):
    truncate(cifar10_online)
    with pytest.raises(data.DatasetError, match="could not download cifar10"):
        data.load("cifar10", root=tmp_path / "root", download=True)
    assert files_below(tmp_path / "root") == []


def test_torchvision_downloads_mnist_into_place(server, tiny, tmp_path, monkeypatch, capfd):
    (url, folder), origin = server, tmp_path / "origin"
    written = tiny("mnist", origin)
    resources = []
    for name in sources.IDX_MD5["MNIST"]:
        (folder / f"{name}.gz").write_bytes(gzip.compress((origin / "MNIST/raw" / name).read_bytes()))
        resources.append((f"{name}.gz", md5(folder / f"{name}.gz")))
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    loaded = data.load("mnist", root=tmp_path / "root", download=True)
    np.testing.assert_array_equal(loaded.x_train.squeeze(1), written["train"][0])
    assert files_below(tmp_path / "root") == files_below(origin)


# Folders of images


def write_image(path: Path, width: int = 6, height: int = 6, color: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)


@pytest.fixture
def tree(tmp_path) -> Path:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(2):
                write_image(tmp_path / part / name / f"{number}.png", color=(label, number, 255))
    return tmp_path


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_tree_is_read_as_imagefolder_reads_it(part, tree):
    os.rename(tree / "test", tree / part)
    loaded = data.load(f"folder:{tree}")
    for folder, x, y in (("train", loaded.x_train, loaded.y_train), (part, loaded.x_test, loaded.y_test)):
        theirs = datasets.ImageFolder(tree / folder)
        assert loaded.classes == tuple(theirs.classes)
        ours = [(image.numpy().tobytes(), label.item()) for image, label in zip(x.permute(0, 2, 3, 1), y, strict=True)]
        assert sorted(ours) == sorted((np.asarray(image).tobytes(), label) for image, label in theirs)


def test_the_first_images_of_a_tree_are_of_all_classes_and_the_same_ones_each_time(tmp_path):
    for part, (label, name), number in product(("train", "test"), enumerate(("cat", "dog")), range(32)):
        write_image(tmp_path / part / name / f"{number}.png", color=(label, number, 255))
    first = data.load(f"folder:{tmp_path}")
    data._load.cache_clear()
    again = data.load(f"folder:{tmp_path}")
    for x, y, other in ((first.x_train, first.y_train, again.x_train), (first.x_test, first.y_test, again.x_test)):
        assert set(y[:16].tolist()) == {0, 1} and torch.equal(x, other)


def test_images_of_many_sizes_and_modes_are_resized_to_one(tree):
    Image.new("L", (9, 4), 77).save(tree / "train" / "cat" / "gray.png")
    loaded = data.load(f"folder:{tree}", size=5)
    assert loaded.x_train.shape == (5, 3, 5, 5)
    assert (loaded.x_train == 77).flatten(1).all(dim=1).sum() == 1


@pytest.mark.parametrize(
    ("path", "width", "height", "message"),
    [
        ("train/cat/z.png", 7, 7, r"0.png and .*z.png differ in size: pass the size"),
        ("train/cat/0.png", 7, 5, r"0.png is 7 x 5 pixels, not square: pass the size"),
    ],
)
def test_a_tree_whose_images_do_not_stack_asks_for_the_size(path, width, height, message, tree):
    write_image(tree / path, width, height)
    with pytest.raises(data.DatasetError, match=message):
        data.load(f"folder:{tree}")


def test_training_and_test_images_of_two_sizes_ask_for_the_size(tree):
    for path in (tree / "test").rglob("*.png"):
        write_image(path, 8, 8)
    with pytest.raises(data.DatasetError, match=r"train and .*test differ in size: pass the size"):
        data.load(f"folder:{tree}")


def test_a_tree_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(data.DatasetError, match=f"there is no folder {tmp_path / 'nothing'}"):
        data.load(f"folder:{tmp_path / 'nothing'}")


@pytest.mark.parametrize(("part", "message"), [("train", "a folder train in"), ("test", "a folder test or val in")])
def test_a_missing_part_of_a_tree_is_named(part, message, tree):
    os.rename(tree / part, tree / "other")
    with pytest.raises(data.DatasetError, match=f"expected {message} {tree}"):
        data.load(f"folder:{tree}")


def test_a_class_without_images_is_named(tree):
    (tree / "test" / "dog" / "0.png").unlink()
    (tree / "test" / "dog" / "1.png").rename(tree / "test" / "dog" / "notes.txt")
    with pytest.raises(data.DatasetError, match=f"found no images in {tree / 'test' / 'dog'} "):
        data.load(f"folder:{tree}")


def test_a_part_without_classes_is_named(tree):
    os.rename(tree / "train", tree / "old")
    (tree / "train" / ".hidden").mkdir(parents=True)
    with pytest.raises(data.DatasetError, match=f"images per class in {tree / 'train'}"):
        data.load(f"folder:{tree}")


def test_classes_that_only_one_part_has_are_named(tree):
    os.rename(tree / "test" / "dog", tree / "test" / "wolf")
    with pytest.raises(data.DatasetError, match="only one has dog, wolf"):
        data.load(f"folder:{tree}")


def test_a_damaged_image_is_named(tree):
    path = tree / "train" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(data.DatasetError, match=f"{path} is damaged or not an image"):
        data.load(f"folder:{tree}")


# The official files, where there are some


def official(name: str) -> Dataset:
    try:
        return data.load(name)
    except data.DatasetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
        ("mnist", [0.1307], [0.3081]),
        ("fashion-mnist", [0.2860], [0.3530]),
    ],
)
def test_the_official_files_have_the_moments_everyone_quotes(name, mean, std):
    dataset = official(name)
    np.testing.assert_allclose(dataset.mean, mean, atol=6e-5)
    np.testing.assert_allclose(dataset.std, std, atol=6e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("cifar10", datasets.CIFAR10), ("mnist", datasets.MNIST), ("fashion-mnist", datasets.FashionMNIST)],
)
def test_the_official_files_are_read_as_torchvision_reads_them(name, kind):
    dataset = official(name)
    theirs = kind(os.environ.get("LRLIB_DATA") or CHECKOUT / "data" / "datasets", train=False)
    ours = dataset.x_test.permute(0, 2, 3, 1).squeeze(3)
    np.testing.assert_array_equal(ours, theirs.data)
    np.testing.assert_array_equal(dataset.y_test, theirs.targets)
    assert dataset.y_test.bincount().min() > 0 and len(dataset.x_train) == len(dataset.y_train) >= 50_000
