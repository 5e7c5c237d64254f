"""Where a number comes from: the sources it depends on, the commit, the machine and the versions."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "safetensors")


@cache
def sources(module: str) -> str:
    """Hash of a module of ``lrlib`` and of all of ``lrlib`` that it imports, directly or not.

    Comments, docstrings and layout don't count: two sources with one hash compute the same.

    Args:
        module: Dotted name, such as ``lrlib.train``.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        ValueError: If there is no such module.
    """
    if _file(module) is None:
        raise ValueError(f"expected a module of lrlib, got {module!r}")
    digest = hashlib.sha256()
    for path in sorted(_closure(module)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + _meaning(path))
    return digest.hexdigest()[:12]


def _closure(module: str) -> set[Path]:
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _file(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


def _file(module: str) -> Path | None:
    """Where the module is, found without importing anything."""
    base = ROOT.joinpath(*module.split("."))
    candidates = (base / "__init__.py", base.with_name(f"{base.name}.py"))
    return next((path for path in candidates if path.exists()), None)


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lrlib":
            # `from lrlib import data` names a module, `from lrlib.data import load` what is in one.
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if _file(name) else node.module for name in inside]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.split(".")[0] == "lrlib"]
    return names


def _meaning(path: Path) -> bytes:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _dump(tree).encode()


def _dump(node: object) -> str:
    """A syntax tree as text. Unlike that of ``ast.dump`` it doesn't change with new, empty fields in a new Python."""
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []]
    return f"{type(node).__name__}({', '.join(fields)})"


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
