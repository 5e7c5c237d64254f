"""A tree of the user's own images, laid out as torchvision's ImageFolder expects it."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset
from torchvision.transforms.v2.functional import pil_to_tensor

from lrlib.data.dataset import Content, DatasetError, Part, resize


def read(tree: Path, size: int | None) -> Content:
    """The images below ``tree/train/CLASS/`` and ``tree/test/CLASS/`` (or ``val``), as red, green and blue.

    Args:
        tree: Folder with the two parts, each with one folder per class.
        size: Height and width to resize to; ``None`` where all images are squares of one size.

    Returns:
        The training part, the test part, each in a fixed shuffled order, and the names of the classes in alphabetical
        order.

    Raises:
        DatasetError: If the tree is not laid out like that, or an image can't be read.
    """
    train, test = _part(tree, "train"), _part(tree, "test", "val")
    classes = _classes(train)
    if other := sorted(set(classes) ^ set(_classes(test))):
        raise DatasetError(f"expected the same classes in {train} and {test}, but only one has {', '.join(other)}")
    parts = _read(train, classes, size), _read(test, classes, size)
    if parts[0][0].shape[1:] != parts[1][0].shape[1:]:
        raise DatasetError(f"images in {train} and {test} differ in size: pass the size to resize them to")
    return *parts, classes


def _part(tree: Path, *candidates: str) -> Path:
    if not tree.is_dir():
        raise DatasetError(f"there is no folder {tree.absolute()}")
    for candidate in candidates:
        if (tree / candidate).is_dir():
            return tree / candidate
    raise DatasetError(f"expected a folder {' or '.join(candidates)} in {tree}, with a folder of images per class")


def _classes(part: Path) -> tuple[str, ...]:
    classes = sorted(entry.name for entry in part.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise DatasetError(f"expected a folder of images per class in {part}, found no folder")
    return tuple(classes)


def _read(part: Path, classes: tuple[str, ...], size: int | None) -> Part:
    index = {name: label for label, name in enumerate(classes)}
    found = make_dataset(part, index, extensions=IMG_EXTENSIONS, allow_empty=True)
    if empty := set(range(len(classes))) - {label for _, label in found}:
        raise DatasetError(f"found no images in {part / classes[min(empty)]} ({' '.join(IMG_EXTENSIONS)})")
    x, y = _stack([Path(path) for path, _ in found], size), torch.tensor([label for _, label in found])
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))  # the first ones of any class
    return x[order], y[order]


def _stack(paths: list[Path], size: int | None) -> Tensor:
    first = _image(paths[0], size)
    _, height, width = first.shape
    if height != width:
        raise DatasetError(f"{paths[0]} is {width} x {height} pixels, not square: pass the size to resize images to")
    images = torch.empty(len(paths), *first.shape, dtype=torch.uint8)
    for position, path in enumerate(paths):
        image = _image(path, size)
        if image.shape != first.shape:
            raise DatasetError(f"{paths[0]} and {path} differ in size: pass the size to resize images to")
        images[position] = image
    return images


def _image(path: Path, size: int | None) -> Tensor:
    try:
        with Image.open(path) as image:
            pixels = pil_to_tensor(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} is damaged or not an image ({error})") from error
    return resize(pixels[None], size)[0]
