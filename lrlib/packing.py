"""Bits and images as text that fits into a row of a record."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def pack_bits(bits: NDArray[np.bool_]) -> str:
    """Truth values ``(n,)``, one bit each."""
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def survived(row: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which examples a row of accuracy under attack counts as right, ``(n,)``.

    Raises:
        ValueError: If the row doesn't keep them.
    """
    if not isinstance(row.get("survived"), str):
        raise ValueError(f"expected a row that keeps its surviving examples, got one of {row.get('metric')}")
    packed = np.frombuffer(base64.b64decode(row["survived"]), dtype=np.uint8)
    return np.unpackbits(packed)[: int(row["n"])].astype(bool)


def pack_image(x: Tensor) -> dict[str, Any]:
    """An image ``(c, h, w)`` in [0, 1] as eight-bit pixels."""
    pixels = (x.detach().cpu() * 255).round().byte().numpy()
    return {"shape": list(pixels.shape), "pixels": base64.b64encode(pixels.tobytes()).decode()}


def unpack_image(packed: Mapping[str, Any]) -> NDArray[np.uint8]:
    """What :func:`pack_image` packed, as ``(h, w, c)``."""
    pixels = np.frombuffer(base64.b64decode(packed["pixels"]), dtype=np.uint8)
    return pixels.reshape(packed["shape"]).transpose(1, 2, 0)


def pack_points(points: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, Any]:
    """Points ``(n, 2)`` in a plane and their labels from 0 to 255, each coordinate to a 65,535th of its range."""
    low, high = points.min(axis=0), points.max(axis=0)
    steps = np.round((points - low) / np.where(high > low, high - low, 1) * 65_535).astype("<u2")
    return {
        "low": [float(f"{value:.6g}") for value in low],
        "high": [float(f"{value:.6g}") for value in high],
        "steps": base64.b64encode(steps.tobytes()).decode(),
        "labels": base64.b64encode(labels.astype(np.uint8).tobytes()).decode(),
    }


def unpack_points(packed: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """What :func:`pack_points` packed: points ``(n, 2)`` and labels ``(n,)``."""
    steps = np.frombuffer(base64.b64decode(packed["steps"]), dtype="<u2").reshape(-1, 2)
    low, high = np.array(packed["low"]), np.array(packed["high"])
    labels = np.frombuffer(base64.b64decode(packed["labels"]), dtype=np.uint8).astype(int)
    return low + steps / 65_535 * (high - low), labels
