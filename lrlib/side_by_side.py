"""Work in processes of its own, some at a time, each with its share of the processor's threads.

Small networks don't keep two cores busy: two pages at a time, with one thread each, are done sooner than one after the
other with two.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from lrlib import zoo


def shares() -> tuple[int, int]:
    """How many pieces of work are done at a time on this machine, and with how many threads each.

    Returns:
        Two halves of a processor; all of it at once where it has one thread, or where a GPU does the work.
    """
    threads = torch.get_num_threads()
    halves = 2 if threads > 1 and zoo.pick_device("auto").type == "cpu" else 1
    return halves, threads // halves


def run(tasks: Mapping[str, Callable[[], None]], *, at_once: int, threads: int) -> Iterator[tuple[str, float]]:
    """Do all tasks, in their order, so many at a time.

    Args:
        tasks: Name to what is done, a function of a module, with its arguments if need be.
        at_once: How many processes; with one all is done in this one.
        threads: Of each process, which are set for its children too.

    Yields:
        The name and the seconds of each task that is done.

    Raises:
        Exception: What a task has raised; the other processes are ended first.
        RuntimeError: If a process ended without a word.
    """
    if at_once == 1:
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            yield name, time.perf_counter() - start
        return
    context = get_context("spawn")
    waiting = list(tasks.items())
    running: dict[Any, tuple[str, float, BaseProcess]] = {}  # by the end of a pipe on which they tell how it went
    before = _ending_like_an_interrupt()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                name, task = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_report, args=(sender, task))
                with _threads(threads):
                    process.start()
                sender.close()
                running[receiver] = name, time.perf_counter(), process
            for ended in connection.wait(list(running)):
                name, start, _ = running[ended]
                _raise(name, ended)
                running.pop(ended)[2].join()
                yield name, time.perf_counter() - start
    finally:
        for _, _, one in running.values():
            one.terminate()
        for _, _, one in running.values():
            one.join()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _ending_like_an_interrupt() -> Any:
    """Let a request to end this process end the others first; what was done before, where that can be chosen."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _report(sender: Connection, task: Callable[[], None]) -> None:
    """Do the task and send what went wrong, or that nothing did."""
    try:
        task()
    except Exception as error:
        sender.send(error)
    else:
        sender.send(None)


def _raise(name: str, receiver: Any) -> None:
    """Raise what a process has sent, if it is an error."""
    try:
        error = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{name} stopped: its process was ended") from None
    if error is not None:
        raise error


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Processes that start within have so many threads."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
