"""The datasets of the paper, scikit-learn's digits, and any tree of images, as uint8 tensors in memory.

Public datasets are looked for below ``data/datasets/`` of the checkout, or in the folder that the environment variable
``LRLIB_DATA`` names, in the layout of torchvision.
"""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lrlib.data import digits, folder, official
from lrlib.data.augment import crop_and_flip
from lrlib.data.dataset import Content, Dataset, DatasetError, as_float, describe, holdout, resize
from lrlib.data.sources import SOURCES

__all__ = ["Dataset", "DatasetError", "as_float", "crop_and_flip", "describe", "holdout", "is_known", "load", "names"]

FOLDER = "folder:"
HOLDOUT = "holdout:"
HELD_OUT = 0.2  # share of the training images that ``holdout:NAME`` has in the place of the test images


def names() -> tuple[str, ...]:
    """The names that ``load`` knows, apart from ``folder:/path/to/tree`` and, before any of them, ``holdout:``."""
    return ("digits", *SOURCES)


def is_known(name: str) -> bool:
    """Whether ``load`` knows the name, be the images there or not."""
    known = name.removeprefix(HOLDOUT)
    return known in names() or known.startswith(FOLDER)


def load(name: str, *, root: Path | None = None, download: bool = False, size: int | None = None) -> Dataset:
    """Load a dataset whole; the last few are kept, so that asking again costs nothing.

    Args:
        name: One of ``names()``, or ``folder:/path/to/tree`` for images below ``train/CLASS/`` and ``test/CLASS/``
            (or ``val/CLASS/``). ``holdout:NAME`` has a fifth of that dataset's training images in the place of its
            test images, for choosing parameters: see :func:`holdout`.
        root: Where to look for a public dataset instead of ``LRLIB_DATA`` or ``data/datasets/``.
        download: Whether to fetch a public dataset whose files are missing or damaged.
        size: Height and width in pixels to resize all images to (bilinear, antialiased); ``None`` leaves them.

    Returns:
        The dataset; its tensors are shared by all who load it, so don't write to them.

    Raises:
        ValueError: If there is no such name or size.
        DatasetError: If files are missing or damaged, a download fails, or a tree is not laid out as expected.

    Example:
        >>> load("digits", size=32).x_train.shape
        torch.Size([1197, 1, 32, 32])
    """
    if not is_known(name):
        raise ValueError(f"expected one of {', '.join(names())} or {FOLDER}/path/to/tree, got {name!r}")
    if size is not None and size < 1:
        raise ValueError(f"expected a size of at least 1 pixel, got {size}")
    place = _root(root)
    try:
        return _load(name, place, size)
    except official.IncompleteError:
        if not download:
            raise
    official.download(name.removeprefix(HOLDOUT), place)
    return _load(name, place, size)


def _root(root: Path | None) -> Path:
    default = Path(__file__).parents[2] / "data" / "datasets"
    return Path(root or os.environ.get("LRLIB_DATA") or default).expanduser()


@lru_cache(maxsize=4)
def _load(name: str, root: Path, size: int | None) -> Dataset:
    if name.startswith(HOLDOUT):
        whole = _load(name.removeprefix(HOLDOUT), root, size)
        return replace(holdout(whole, fraction=HELD_OUT), name=name)
    train, test, classes = _content(name, root, size)
    train, test = ((resize(x, size), y) for x, y in (train, test))
    augment = name in SOURCES and SOURCES[name].augment
    return describe(name, train, test, classes=classes, augment=augment)


def _content(name: str, root: Path, size: int | None) -> Content:
    if name == "digits":
        return digits.read()
    if name.startswith(FOLDER):
        return folder.read(Path(name.removeprefix(FOLDER)).expanduser(), size)
    return official.read(name, root)
