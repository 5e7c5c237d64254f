"""What spectra cost: singular values streamed by way of a Gram matrix, and sketched, against a dense decomposition."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch
from torch import Tensor

from lrlib import provenance
from lrlib.runs import Run
from lrlib.sections.timing import timed
from lrlib.spectra import Gram, Sketch

ROWS_OF_4096 = 20_000
WIDER, STREAMED_OF_4096 = 4, 50_000  # of what is only streamed: at 4,096 it has the paper's 16,384 activations
BATCH = 256
COLUMNS = 256  # of the sketch
DOWN_TO = 1e-3  # of the largest singular value: smaller ones are not compared
LEADING = 10  # that are compared of a sketch
ALTERNATIVES = ("gram", "sketch", "svdvals")


def measure(run: Run, m: int, rounds: int, device: torch.device) -> None:
    """Add rows of ``spectrum``: seconds, bytes and the largest relative difference from ``torch.linalg.svdvals``.

    Those of ``streamed_spectrum`` are about activations that are too many and too wide for any of it but a sketch: its
    seconds and bytes, those for making them included, and how much too small the share of ten directions can be.

    Args:
        run: Takes the rows.
        m: Width of the matrix, in fp32; 20,000 rows at 4,096, and in proportion.
        rounds: Rounds that are timed.
        device: Where.
    """
    n = ROWS_OF_4096 * m // 4096
    about = {"device": device.type, "m": m, "batch": n}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in ALTERNATIVES:
            peak = pool.submit(_peak, name, n, m, str(device)).result()
            run.add("spectrum", "bytes", peak, n=1, **about, alternative=name)
        rows, width = STREAMED_OF_4096 * m // 4096, WIDER * m
        streamed = pool.submit(_streamed, rows, width, str(device)).result()
    wide = {"device": device.type, "m": width, "batch": rows, "alternative": "sketch"}
    for metric, value in streamed.items():
        run.add("streamed_spectrum", metric, value, n=1, **wide)
    A = activations(n, m, device)
    works: dict[str, Callable[[], object]] = {name: partial(values, name, A) for name in ALTERNATIVES}
    for name, seconds in timed(works, rounds, device).items():
        run.add("spectrum", "seconds", seconds, n=rounds, **about, alternative=name)
    dense = values("svdvals", A).double()
    compared = dense >= DOWN_TO * dense[0]
    for name in ALTERNATIVES[:2]:
        some = int(compared.sum()) if name == "gram" else LEADING
        error = (values(name, A)[:some] / dense[:some] - 1).abs().max().item()
        run.add("spectrum", "error", error, n=some, **about, alternative=name)


def activations(n: int, m: int, device: torch.device) -> Tensor:
    """Made-up activations ``(n, m)``, fp32: positive, as behind a ReLU, in directions whose weight falls like 1 / k."""
    found = torch.empty(n, m, device=device)
    for batch, place in zip(_batches(n, m, device), found.split(BATCH), strict=True):  # type: ignore[no-untyped-call]
        place.copy_(batch)
    return found


def _batches(n: int, m: int, device: torch.device) -> Iterator[Tensor]:
    """The same, batch by batch."""
    generator = torch.Generator().manual_seed(0)
    k = min(m, 512)
    weights = torch.arange(1, k + 1).float().reciprocal()
    basis = torch.randn(k, m, generator=generator) / m**0.5
    for start in range(0, n, BATCH):
        scores = torch.randn(min(BATCH, n - start), k, generator=generator)
        found: Tensor = ((scores * weights) @ basis).relu_()
        yield found.to(device)


def values(name: str, A: Tensor) -> Tensor:
    """Singular values by one of the :data:`ALTERNATIVES`."""
    if name == "svdvals":
        found: Tensor = torch.linalg.svdvals(A)
        return found
    m = A.shape[1]
    seen = Gram(m, device=A.device) if name == "gram" else Sketch(m, min(COLUMNS, m), device=A.device)
    for batch in torch.split(A, BATCH):
        seen.add(batch)
    return seen.spectrum().values


def _streamed(n: int, m: int, device: str) -> dict[str, float]:
    """Seconds and peak memory of a spectrum of activations that are never all there, and its error."""
    where = torch.device(device)
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
    provenance.forget_peak_memory()
    before, start = provenance.peak_memory(), time.perf_counter()
    seen = Sketch(m, device=where)
    for batch in _batches(n, m, where):
        seen.add(batch)
    found = seen.spectrum()
    seconds, error = time.perf_counter() - start, float(found.errors()[LEADING - 1])
    peak = torch.cuda.max_memory_allocated(where) if where.type == "cuda" else provenance.peak_memory() - before
    return {"seconds": seconds, "bytes": peak, "error": error}


def _peak(name: str, n: int, m: int, device: str) -> int:
    """Peak memory in bytes above that of the process with the matrix."""
    where = torch.device(device)
    A = activations(n, m, where)
    values(name, A[: 2 * LEADING, : 2 * LEADING])  # what is loaded at the first call is not counted
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
        before = torch.cuda.memory_allocated(where)
        values(name, A)
        return int(torch.cuda.max_memory_allocated(where) - before)
    provenance.forget_peak_memory()
    before = provenance.peak_memory()
    values(name, A)
    return provenance.peak_memory() - before
