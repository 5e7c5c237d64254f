"""What a dataset is once it is in memory: four tensors and what can be computed from them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize as resize_images

Part = tuple[Tensor, Tensor]  # images, uint8 (n, c, h, w), and their labels, int64 (n,)
Content = tuple[Part, Part, tuple[str, ...]]  # training part, test part, names of the classes

CHUNK = 4096  # images converted at a time, so that no wider copy of a whole dataset is ever made


class DatasetError(RuntimeError):
    """A dataset is missing, damaged or not laid out as expected; the message says where and what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels in memory; treat the tensors as read-only, for they are shared by all who load them.

    Attributes:
        name: The name it was loaded by.
        x_train: Training images, uint8 ``(n, c, h, w)`` with ``h == w``.
        y_train: Training labels, int64 ``(n,)``.
        x_test: Test images, as ``x_train``.
        y_test: Test labels, as ``y_train``.
        classes: Names of the classes; label ``i`` means ``classes[i]``.
        mean: Mean of each channel of ``x_train / 255``, over all pixels.
        std: Standard deviation of each channel of ``x_train / 255``, over all pixels.
        augment: Whether the published recipe crops and flips the training images.
        fingerprint: SHA-256 over names, shapes and bytes of the four tensors.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: bool
    fingerprint: str

    @property
    def channels(self) -> int:
        """Number of channels of an image, 1 (gray) or 3 (red, green, blue)."""
        return self.x_train.shape[1]

    @property
    def size(self) -> int:
        """Height and width of an image in pixels."""
        return self.x_train.shape[-1]


def describe(name: str, train: Part, test: Part, *, classes: Sequence[str], augment: bool = False) -> Dataset:
    """A dataset of these parts, with everything that is computed from them.

    Args:
        name: What to call it.
        train: Training images, uint8 ``(n, c, s, s)``, and labels, int64 ``(n,)``.
        test: Test images and labels.
        classes: One name per label.
        augment: Whether the published recipe crops and flips it.

    Returns:
        The dataset, with mean, standard deviation and fingerprint.
    """
    mean, std = moments(train[0])
    return Dataset(name, *train, *test, tuple(classes), mean, std, augment, _fingerprint(train, test))


def as_float(x: Tensor) -> Tensor:
    """Pixels as the models take them: uint8 ``0..255`` to float32 in ``[0, 1]``.

    Args:
        x: uint8 tensor of any shape.

    Returns:
        float32 tensor of the same shape.

    Raises:
        TypeError: If ``x`` is not uint8, for then it may have been scaled already.

    Example:
        >>> as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    if x.dtype != torch.uint8:
        raise TypeError(f"expected uint8 pixels, got {x.dtype}")
    return x.float() / 255


def resize(x: Tensor, size: int | None) -> Tensor:
    """The images ``(n, c, h, w)`` at ``size`` x ``size`` pixels (bilinear, antialiased); unchanged for ``None``."""
    if size is None or x.shape[-2:] == (size, size):
        return x
    return torch.cat([resize_images(chunk, [size, size], antialias=True) for chunk in _chunks(x)])


def _chunks(x: Tensor) -> Iterator[Tensor]:
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))


def moments(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of ``x / 255``, exact: from how often each of the 256 values occurs.

    Args:
        x: uint8 images ``(n, c, h, w)``.

    Returns:
        The means and the standard deviations, ``c`` floats each.
    """
    counts = torch.stack([_histogram(channel) for channel in x.unbind(1)]).double()  # (c, 256)
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ values
    std = (share * (values - mean[:, None]).square()).sum(1).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


def _histogram(x: Tensor) -> Tensor:
    counts = torch.zeros(256, dtype=torch.int64)
    for chunk in _chunks(x):
        counts += torch.bincount(chunk.flatten(), minlength=256)
    return counts


def _fingerprint(train: Part, test: Part) -> str:
    digest = hashlib.sha256()
    for name, tensor in zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True):
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def holdout(dataset: Dataset, *, fraction: float = 0.1, seed: int = 0) -> Dataset:
    """The dataset with a part of its training images in the place of its test images, for choosing parameters.

    Of each class the same fraction is held out, to the nearest whole image, and no longer trained on. Mean, standard
    deviation and fingerprint are those of the new parts.

    Args:
        dataset: Where to take the training images from; its test images are not looked at.
        fraction: How much to hold out, ``0 < fraction < 1``.
        seed: Which images are drawn.

    Returns:
        A dataset of the same name.

    Raises:
        ValueError: If ``fraction`` is out of range or would leave one of the two parts without a class.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"expected 0 < fraction < 1, got {fraction}")
    held = _draw(dataset, fraction, torch.Generator().manual_seed(seed))
    x, y = dataset.x_train, dataset.y_train
    kept = (x[~held], y[~held])
    return describe(dataset.name, kept, (x[held], y[held]), classes=dataset.classes, augment=dataset.augment)


def _draw(dataset: Dataset, fraction: float, generator: torch.Generator) -> Tensor:
    """A mask over the training images, true at a random fraction of each class."""
    held = torch.zeros(len(dataset.y_train), dtype=torch.bool)
    for label, name in enumerate(dataset.classes):
        members = (dataset.y_train == label).nonzero().squeeze(1)
        count = round(fraction * len(members))
        if not 0 < count < len(members):
            raise ValueError(f"can't hold out {fraction} of the {len(members)} images of class {name!r} and keep some")
        held[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return held
