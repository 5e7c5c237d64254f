"""What needs an example of every class."""

from __future__ import annotations

from lrlib.data import Dataset


def check_classes(dataset: Dataset, part: str, n: int | None = None) -> None:
    """Hold a part of a dataset to at least one example of each class.

    Args:
        dataset: The images.
        part: ``train`` or ``test``.
        n: How many of its images, the first ones; all unless given.

    Raises:
        ValueError: If a class has none; the message names it.
    """
    labels = (dataset.y_train if part == "train" else dataset.y_test)[:n]
    for label, name in enumerate(dataset.classes):
        if not (labels == label).any():
            raise ValueError(
                f"expected an example of each class of {dataset.name} among the first {len(labels)} {part} images, "
                f"got none of {name!r}"
            )
