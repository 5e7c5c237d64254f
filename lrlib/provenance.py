"""Where a number comes from: the sources it depends on, the commit, the machine and the versions."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lrlib.sources import Sources

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "safetensors")


@cache
def sources(module: str) -> str:
    """Hash of all definitions of ``lrlib`` that a module's own depend on, see ``lrlib.sources``.

    Args:
        module: Dotted name, such as ``lrlib.train``.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        ValueError: If there is no such module.
    """
    return _below(ROOT).digest(module)


@cache
def _below(root: Path) -> Sources:
    """What is read of the sources once serves all modules."""
    return Sources(root)


def commit() -> str | None:
    """The checkout's commit, with ``+`` if tracked sources differ from it; None outside a checkout."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:  # lies in somebody else's checkout
            return None
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "lrlib", "book")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def machine(device: torch.device | str) -> dict[str, Any]:
    """The device and the versions a number was computed with."""
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    versions = {package: metadata.version(package) for package in _PACKAGES}
    return {"device": name, "python": platform.python_version(), "packages": versions}


def peak_memory() -> int:
    """The most memory that this process had at any time, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource  # not there on Windows; in kilobytes, but on macOS, where it is bytes

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else 1024 * peak


def forget_peak_memory() -> None:
    """Let :func:`peak_memory` start from what the process has now, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _processor() -> str:
    """The processor's name and the number of threads used, which decide the last digits on a CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"
