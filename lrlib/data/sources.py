"""Which official files make up each public dataset, how torchvision fetches them, and how to read them."""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat
from torchvision import datasets
from torchvision.datasets.mnist import read_image_file, read_label_file

from lrlib.data.dataset import Content, Part
from lrlib.data.digits import DIGITS

# torchvision lists the MD5 of the archives only; these are the files inside them.
IDX_MD5 = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


@dataclass(frozen=True)
class Source:
    """A public dataset below a root folder, laid out as torchvision lays it out.

    Attributes:
        home: Where the official files are.
        files: The expected MD5 of each file, by its path below the root.
        fetch: Fills a root with the help of torchvision.
        read: The content of the files below a root, after they were checked.
        augment: Whether the published recipe crops and flips the training images.
    """

    home: str
    files: dict[str, str]
    fetch: Callable[[Path], object]
    read: Callable[[Path], Content]
    augment: bool = False


def _cifar(kind: Any, labels: str, names: str) -> Source:
    """CIFAR-10 or CIFAR-100 (Krizhevsky, 2009), their labels and class names under these keys."""
    listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    return Source(
        home=kind.url,
        files={f"{kind.base_folder}/{filename}": md5 for filename, md5 in listed},
        fetch=partial(kind, download=True),
        read=partial(_read_cifar, kind, labels, names),
        augment=True,
    )


def _read_cifar(kind: Any, labels: str, names: str, root: Path) -> Content:
    """Like torchvision's own reader, which knows the fine labels of CIFAR-100 only."""
    folder = root / kind.base_folder
    train, test = (
        _join_batches([_unpickle(folder / filename) for filename, _ in listed], labels)
        for listed in (kind.train_list, kind.test_list)
    )
    return train, test, tuple(_unpickle(folder / kind.meta["filename"])[names])


def _join_batches(batches: list[Any], labels: str) -> Part:
    x = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return torch.from_numpy(x), torch.tensor([label for batch in batches for label in batch[labels]])


def _unpickle(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")


def _mnist(kind: Any, classes: Iterable[str]) -> Source:
    """MNIST (LeCun, Cortes and Burges) or Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)."""
    folder = f"{kind.__name__}/raw"
    return Source(
        home=kind.mirrors[0],
        files={f"{folder}/{filename}": md5 for filename, md5 in IDX_MD5[kind.__name__].items()},
        fetch=partial(kind, download=True),
        read=lambda root: (_read_idx(root / folder, "train"), _read_idx(root / folder, "t10k"), tuple(classes)),
    )


def _read_idx(folder: Path, prefix: str) -> Part:
    images = read_image_file(str(folder / f"{prefix}-images-idx3-ubyte"))
    return images.unsqueeze(1), read_label_file(str(folder / f"{prefix}-labels-idx1-ubyte"))


def _svhn() -> Source:
    """Street View House Numbers (Netzer et al., 2011), cropped; trained on its parts "train" and "extra" together."""
    splits = datasets.SVHN.split_list
    return Source(
        home=splits["train"][0].rpartition("/")[0],
        files={filename: md5 for _, filename, md5 in splits.values()},
        fetch=lambda root: [datasets.SVHN(root, split, download=True) for split in splits],
        read=lambda root: (_read_svhn(root, "train", "extra"), _read_svhn(root, "test"), DIGITS),
    )


def _read_svhn(root: Path, *splits: str) -> Part:
    contents = [loadmat(root / datasets.SVHN.split_list[split][1]) for split in splits]
    images = [content["X"].transpose(3, 2, 0, 1) for content in contents]  # (32, 32, 3, n) in the file
    x = np.empty((sum(map(len, images)), *images[0].shape[1:]), dtype=np.uint8)
    np.concatenate(images, out=x)  # without `out` numpy would keep the file's order of bytes
    labels = np.concatenate([content["y"].ravel() for content in contents]) % 10  # the files call the digit 0 "10"
    return torch.from_numpy(x), torch.from_numpy(labels).long()


SOURCES = {
    "cifar10": _cifar(datasets.CIFAR10, "labels", "label_names"),
    "cifar100-coarse": _cifar(datasets.CIFAR100, "coarse_labels", "coarse_label_names"),
    "cifar100-fine": _cifar(datasets.CIFAR100, "fine_labels", "fine_label_names"),
    "svhn": _svhn(),
    "mnist": _mnist(datasets.MNIST, DIGITS),
    "fashion-mnist": _mnist(datasets.FashionMNIST, datasets.FashionMNIST.classes),
}
