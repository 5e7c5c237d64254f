"""Hashes of sources that follow their meaning, files that are whole or not there."""

import ast
import subprocess
import sys

import pytest
import torch

from lrlib import provenance
from lrlib.files import replacing

SOURCE = '''"""A module."""

import math  # standard


def area(r: float) -> float:
    """Of a circle."""
    return math.pi * r**2
'''


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """Hash of a module that imports a chain of others, after one of them is written anew."""
    root = tmp_path / "lrlib"
    files = {
        "__init__.py": "",
        "low.py": SOURCE,
        "other.py": "x = 1\n",
        "room/__init__.py": "from lrlib.room.inner import thing\n",
        "room/inner.py": "thing = 1\n",
        "mid.py": "from lrlib.low import area\nfrom lrlib.room import thing\n",
        "top.py": "import math\nfrom lrlib import mid\n",
        "above.py": "from lrlib import top, other\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def of(name=None, text=None, module="lrlib.top"):
        if name is not None:
            (root / name).write_text(text)
        provenance.sources.cache_clear()
        return provenance.sources(module)

    yield of
    provenance.sources.cache_clear()


# sources


def test_a_hash_has_twelve_hexadecimal_digits_and_stays():
    assert provenance.sources("lrlib.train") == provenance.sources("lrlib.train")
    assert len(provenance.sources("lrlib.train")) == 12 and int(provenance.sources("lrlib.train"), 16) >= 0


@pytest.mark.parametrize(
    "text",
    [
        SOURCE.replace("  # standard", ""),
        SOURCE.replace("Of a circle.", "The area of a circle.\n\n    Args:\n        r: Its radius.\n    "),
        SOURCE.replace('    """Of a circle."""\n', ""),
        SOURCE.replace('"""A module."""\n\n', ""),
        SOURCE.replace("math.pi * r**2", "(\n        math.pi\n        * r ** 2\n    )"),
        "\n\n# a comment\n" + SOURCE,
    ],
    ids=["comment", "docstring", "no docstring", "no module docstring", "layout", "lines"],
)
def test_comments_docstrings_and_layout_do_not_count(hashed, text):
    before = hashed()
    assert hashed("low.py", text) == before


@pytest.mark.parametrize(
    "name, text",
    [
        ("top.py", "import math\nfrom lrlib import mid\ny = 0\n"),
        ("mid.py", "from lrlib.low import area\nfrom lrlib.room import thing\ny = 0\n"),
        ("low.py", SOURCE.replace("r**2", "r**3")),
        ("low.py", SOURCE.replace("-> float", "-> int")),
        ("room/__init__.py", "from lrlib.room.inner import thing\ny = 0\n"),
        ("room/inner.py", "thing = 2\n"),
        ("room/inner.py", "thing = None\n"),
    ],
)
def test_the_code_of_every_module_it_imports_counts(hashed, name, text):
    before = hashed()
    assert hashed(name, text) != before


@pytest.mark.parametrize("name", ["above.py", "other.py"])
def test_the_code_of_modules_it_does_not_import_does_not_count(hashed, name):
    before = hashed()
    assert hashed(name, "changed = True\n") == before


def test_a_statement_that_imports_a_module_and_a_name_counts_both(hashed):
    hashed("top.py", "from lrlib.room import inner, thing\n")
    before = hashed()
    assert hashed("room/__init__.py", "from lrlib.room.inner import thing\ny = 0\n") != before


def test_a_module_that_is_not_there_has_no_hash():
    with pytest.raises(ValueError, match=r"a module of lrlib, got 'lrlib\.trian'"):
        provenance.sources("lrlib.trian")


def test_modules_that_import_each_other_are_no_problem(hashed):
    assert hashed("low.py", "from lrlib import top\n") == hashed()


def test_a_change_in_one_module_of_the_library_changes_the_hash_of_those_above_only():
    """Of training, by the network and the LR layer, but not by what is drawn or written."""
    names = {path.relative_to(provenance.ROOT).as_posix() for path in provenance._closure("lrlib.train")}
    assert {"lrlib/train.py", "lrlib/models.py", "lrlib/lowrank.py", "lrlib/nystrom.py"} <= names
    assert "lrlib/data/dataset.py" in names
    assert not names & {"lrlib/zoo.py", "lrlib/results.py", "lrlib/plots.py", "lrlib/cli.py", "lrlib/presets.py"}


def test_the_library_imports_itself_by_full_names_as_the_hash_expects():
    for path in (provenance.ROOT / "lrlib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_the_text_of_a_syntax_tree_is_the_same_with_and_without_empty_fields():
    """Python 3.12 gave functions an empty list of type parameters."""
    tree = ast.parse("def f(x, *, y=None): return {**x, 'y': y}")
    text = provenance._dump(tree)
    function = tree.body[0]
    function._fields = (*function._fields, "brand_new")
    function.brand_new = []
    assert provenance._dump(tree) == text


@pytest.mark.parametrize(
    "one, other", [("x = 1", "x = 1.0"), ("x = None", "x = ''"), ("f(a)", "f(*a)"), ("a < b", "a > b")]
)
def test_different_code_has_a_different_text(one, other):
    assert provenance._dump(ast.parse(one)) != provenance._dump(ast.parse(other))


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
