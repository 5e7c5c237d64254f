"""The public datasets: what is on the disk is whole, or it is not used.

Every file is compared with its MD5 before it is read. A download goes to a folder of its own, and its files move into
place, one atomic rename each, only after all of them have passed that check.
"""

import os
import tempfile
from http.client import HTTPException
from pathlib import Path

from torchvision.datasets.utils import calculate_md5

from lrlib.data.dataset import Content, DatasetError
from lrlib.data.sources import SOURCES, Source


class IncompleteError(DatasetError):
    """Files of a public dataset are missing or damaged, which a download would mend."""


def read(name: str, root: Path) -> Content:
    """The content of the official files below ``root``, once every one of them is found to be whole.

    Args:
        name: One of ``SOURCES``.
        root: The folder that torchvision calls ``root``.

    Returns:
        The training part, the test part, and the names of the classes.

    Raises:
        IncompleteError: If a file is missing or damaged.
    """
    source = SOURCES[name]
    missing, damaged = _check(source, root)
    if damaged:
        raise IncompleteError(f"{name} is damaged: {'; '.join(damaged)}; {_remedy(name)}")
    if missing:
        found = f"no {', no '.join(missing)}" if len(missing) < len(source.files) else "not one of its files"
        raise IncompleteError(f"{name} is not in {root.absolute()} ({found}); {_remedy(name)}")
    return source.read(root)


def download(name: str, root: Path) -> None:
    """Download the official files of a dataset and move them below ``root`` once all of them are whole.

    Processes that do so at the same time don't meet: each downloads to its own folder, and all move the same files.

    Args:
        name: One of ``SOURCES``.
        root: The folder that torchvision calls ``root``; made if need be.

    Raises:
        DatasetError: If anything goes wrong; then nothing was added to ``root``.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-", suffix=".part") as staging:
            SOURCES[name].fetch(Path(staging))
            _move(SOURCES[name], Path(staging), root)
    except (OSError, RuntimeError, HTTPException) as error:
        cause = " ".join(str(error).split())
        raise DatasetError(f"could not download {name} to {root.absolute()} ({cause}); {_remedy(name)}") from error


def _move(source: Source, staging: Path, root: Path) -> None:
    missing, damaged = _check(source, staging)
    if missing or damaged:
        raise DatasetError(f"what arrived is incomplete: {'; '.join([*missing, *damaged])}")
    for path in source.files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / path, root / path)


def _check(source: Source, root: Path) -> tuple[list[str], list[str]]:
    """The paths of missing files, and a description of each damaged one."""
    missing, damaged = [], []
    for path, expected in source.files.items():
        if not (root / path).is_file():
            missing.append(path)
        elif (found := calculate_md5(root / path)) != expected:
            damaged.append(f"{(root / path).absolute()} has MD5 {found}, expected {expected}")
    return missing, damaged


def _remedy(name: str) -> str:
    return (
        "pass download=True, or --download to `lrlib train` or `lrlib reproduce`, where there is a network, set "
        f"LRLIB_DATA to a folder that has it, or put the official files there, unpacked, from {SOURCES[name].home}"
    )
