"""Times of alternatives that can be compared: taken in turn, so that a slow moment of the machine hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch


def timed(alternatives: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each alternative over the rounds, after one that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(1 + rounds):
        for name, work in alternatives.items():
            _wait(device)
            start = time.perf_counter()
            work()
            _wait(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(found[1:]) for name, found in seconds.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
