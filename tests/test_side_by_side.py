"""Work side by side: what runs at a time, with how many threads, and what an error ends."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise

import pytest
import torch

from lrlib import side_by_side, zoo


def note(folder, name, seconds):
    """Work: stay for so long, and leave behind when that was and with how many threads."""
    start = time.time()
    time.sleep(seconds)
    threads = os.environ["OMP_NUM_THREADS"]
    (folder / name).write_text(f"{start} {time.time()} {threads} {torch.get_num_threads()} {os.getpid()}")


def fail(folder, name, seconds):
    time.sleep(seconds)
    if name == "bad":
        raise ValueError("expected better")
    (folder / name).write_text("")


def end():
    os._exit(3)


def noted(folder):
    return {file.name: [float(word) for word in file.read_text().split()] for file in folder.iterdir()}


def test_two_at_a_time_in_their_order_each_with_its_threads(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    tasks = {name: partial(note, tmp_path, name, 1.5) for name in "abc"}
    done = dict(side_by_side.run(tasks, at_once=2, threads=1))
    found = noted(tmp_path)
    assert set(done) == set(found) == set(tasks) and min(done.values()) >= 1.5
    events = sorted([(one[0], 1) for one in found.values()] + [(one[1], -1) for one in found.values()])
    running = [sum(step for _, step in events[: i + 1]) for i in range(len(events))]
    assert max(running) == 2
    assert found["c"][0] > max(found["a"][0], found["b"][0])
    assert {(one[2], one[3]) for one in found.values()} == {(1.0, 1.0)}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_one_at_a_time_is_done_in_this_process(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    done = list(side_by_side.run({name: partial(note, tmp_path, name, 0.0) for name in "abc"}, at_once=1, threads=1))
    assert [name for name, _ in done] == ["a", "b", "c"]
    found = [noted(tmp_path)[name] for name in "abc"]
    assert {one[4] for one in found} == {os.getpid()} and {one[2] for one in found} == {7.0}
    assert all(first[1] <= second[0] for first, second in pairwise(found))


def test_an_error_is_raised_here_and_ends_the_others(tmp_path):
    tasks = {name: partial(fail, tmp_path, name, stay) for name, stay in (("bad", 0.0), ("other", 60.0), ("next", 0.0))}
    with pytest.raises(ValueError, match=r"^expected better$"):
        list(side_by_side.run(tasks, at_once=2, threads=1))
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_ended_is_named():
    with pytest.raises(RuntimeError, match=r"^one stopped: its process was ended$"):
        list(side_by_side.run({"one": end, "two": partial(time.sleep, 60)}, at_once=2, threads=1))


def stay(folder, name):
    (folder / name).write_text(f"{os.getpid()}")
    time.sleep(60)


MAIN = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_side_by_side as here
from lrlib import side_by_side

if __name__ == "__main__":
    tasks = {{name: partial(here.stay, Path({folder!r}), name) for name in "ab"}}
    list(side_by_side.run(tasks, at_once=2, threads=1))
"""


def test_who_ends_this_process_ends_the_others(tmp_path):
    file, folder = tmp_path / "main.py", tmp_path / "out"
    folder.mkdir()
    file.write_text(MAIN.format(tests=os.path.dirname(__file__), folder=str(folder)))
    with subprocess.Popen([sys.executable, str(file)]) as process:
        until = time.monotonic() + 60
        while len(pids := [int(one.read_text() or 0) for one in folder.iterdir()]) < 2 or not all(pids):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("threads", "device", "expected"),
    [(2, "cpu", (2, 1)), (5, "cpu", (2, 2)), (1, "cpu", (1, 1)), (8, "cuda", (1, 8))],
)
def test_a_processor_is_halved_but_not_a_gpu(monkeypatch, threads, device, expected):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(zoo, "pick_device", lambda name: torch.device(device))
    assert side_by_side.shares() == expected
