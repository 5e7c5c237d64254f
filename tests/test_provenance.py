"""Where numbers come from: the commit and the machine; files that are whole or not there."""

import subprocess
import sys

import pytest
import torch

from lrlib import provenance
from lrlib.files import replacing

# commit and machine


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
        command = ["git", *identity, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "lrlib").mkdir()
    (tmp_path / "book").mkdir()
    for name in ("lrlib/a.py", "book/a.py", "README.md"):
        (tmp_path / name).write_text("x = 1\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    monkeypatch.setattr(provenance, "ROOT", tmp_path.resolve())
    return tmp_path, git("rev-parse", "HEAD")


def test_the_commit_is_gits_head(checkout):
    assert provenance.commit() == checkout[1]


@pytest.mark.parametrize("name", ["lrlib/a.py", "book/a.py"])
def test_the_commit_of_changed_sources_is_marked(checkout, name):
    (checkout[0] / name).write_text("x = 2\n")
    assert provenance.commit() == checkout[1] + "+"


@pytest.mark.parametrize("name", ["README.md", "lrlib/untracked.py"])
def test_other_changes_do_not_mark_the_commit(checkout, name):
    (checkout[0] / name).write_text("x = 2\n")
    assert provenance.commit() == checkout[1]


def test_there_is_no_commit_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() is None


def test_an_installation_inside_somebody_elses_checkout_has_no_commit(checkout, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", checkout[0] / "lrlib")
    assert provenance.commit() is None


def test_there_is_no_commit_without_git(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None


def test_a_machine_is_its_device_and_the_versions_in_use():
    machine = provenance.machine("cpu")
    assert (
        machine["packages"]["torch"] == torch.__version__.split("+")[0]
        or machine["packages"]["torch"] == torch.__version__
    )
    assert machine["packages"].keys() >= {"torchvision", "numpy", "scikit-learn"}
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
    assert machine["device"].endswith(f"{torch.get_num_threads()} threads")


def test_the_peak_of_memory_rises_with_what_is_held_and_stays():
    """In a process of its own, for the peak of this one may be far above."""
    code = (
        "from lrlib.provenance import peak_memory; before = peak_memory(); held = b'1' * 200_000_000\n"
        "during = peak_memory(); del held; print(before, during, peak_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, during, after = map(int, done.stdout.split())
    for peak in (during, after):  # Linux counts in lots of a few pages
        assert peak - before == pytest.approx(200_000_000, rel=0.05)


def test_the_peak_of_memory_is_read_elsewhere_where_the_system_does_not_list_it(monkeypatch):
    listed = provenance.peak_memory()
    monkeypatch.setattr(provenance.Path, "read_text", lambda self: "Name:\tpython\n")
    assert provenance.peak_memory() == pytest.approx(listed, rel=0.05)


# files


def test_a_block_that_ends_well_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("ha")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_until_the_block_ends_the_old_file_is_what_others_see(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # on another file system it couldn't be moved at once


def test_a_replaced_file_can_be_read_by_others(tmp_path):
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"), replacing(tmp_path / "file" / "x.txt"):
        pass
