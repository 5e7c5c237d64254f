"""Scikit-learn's digits: 1,797 real images of 8 x 8 pixels that come inside its wheel (Alpaydin and Kaynak, 1998)."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lrlib.data.dataset import Content, Part

TEST_IMAGES = 600
DIGITS = tuple("0123456789")


def read() -> Content:
    """The digits in a fixed stratified split of 1,197 for training and 600 for testing, their 0..16 scaled to 0..255.

    Returns:
        The training part, the test part, and the names of the classes.
    """
    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    split = train_test_split(np.arange(len(labels)), test_size=TEST_IMAGES, random_state=0, stratify=labels)
    train, test = (_part(pixels[rows], labels[rows]) for rows in split)
    return train, test, DIGITS


def _part(pixels: np.ndarray, labels: np.ndarray) -> Part:
    return torch.from_numpy(pixels), torch.from_numpy(labels).long()
