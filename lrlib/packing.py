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
