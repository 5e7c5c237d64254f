"""Hashes of sources that follow their meaning: what a module reaches counts, and nothing else."""

import ast

import pytest

from lrlib import provenance, sources
from lrlib.sources import Sources

LOW = '''"""A module."""

import math  # standard

LIMIT = 3.0


def area(r: float) -> float:
    """Of a circle."""
    return math.pi * r**2


def unused():
    return LIMIT
'''
FILES = {
    "__init__.py": "",
    "low.py": LOW,
    "other.py": "x = 1\n",
    "room/__init__.py": "from lrlib.room.inner import thing\nfrom lrlib.room import spare\n",
    "room/inner.py": "thing = 1\nrest = 2\n",
    "room/spare.py": "y = 5\nz = 6\n",
    "mid.py": "from lrlib.low import area\nfrom lrlib import room\n\nboth = [area(2), room.thing, room.spare.y]\n",
    "top.py": "from lrlib import mid\nnumber = mid.both\n",
    "above.py": "from lrlib import top, other\n",
}


@pytest.fixture
def hashed(tmp_path):
    """Hash of a module that imports a chain of others, after some are written anew."""
    for name, text in FILES.items():
        path = tmp_path / "lrlib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def of(name=None, text=None, module="lrlib.top"):
        if name is not None:
            (tmp_path / "lrlib" / name).write_text(text)
        return Sources(tmp_path).digest(module)

    return of


def test_a_hash_has_twelve_hexadecimal_digits_and_stays():
    assert provenance.sources("lrlib.train") == provenance.sources("lrlib.train")
    assert len(provenance.sources("lrlib.train")) == 12 and int(provenance.sources("lrlib.train"), 16) >= 0


@pytest.mark.parametrize(
    "text",
    [
        LOW.replace("  # standard", ""),
        LOW.replace("Of a circle.", "The area of a circle.\n\n    Args:\n        r: Its radius.\n    "),
        LOW.replace('    """Of a circle."""\n', ""),
        LOW.replace('"""A module."""\n\n', ""),
        LOW.replace("math.pi * r**2", "(\n        math.pi\n        * r ** 2\n    )"),
        "\n\n# a comment\n" + LOW,
    ],
    ids=["comment", "docstring", "no docstring", "no module docstring", "layout", "lines"],
)
def test_comments_docstrings_and_layout_do_not_count(hashed, text):
    before = hashed()
    assert hashed("low.py", text) == before


@pytest.mark.parametrize(
    "name, text",
    [
        ("top.py", FILES["top.py"] + "y = 0\n"),
        ("mid.py", FILES["mid.py"].replace("area(2)", "area(3)")),
        ("low.py", LOW.replace("r**2", "r**3")),
        ("low.py", LOW.replace("-> float", "-> int")),
        ("low.py", LOW.replace("import math", "import numpy as math")),
        ("low.py", LOW + "LIMIT.append(area)\n"),
        ("low.py", LOW + "area = None\n"),
        ("room/__init__.py", "thing = 1\n"),
        ("room/inner.py", "thing = 2\n"),
        ("room/inner.py", "thing = None\n"),
        ("room/spare.py", "y = 6\nz = 6\n"),
    ],
)
def test_every_definition_that_is_reached_counts(hashed, name, text):
    before = hashed()
    assert hashed(name, text) != before


@pytest.mark.parametrize(
    "name, text",
    [
        ("low.py", LOW.replace("return LIMIT", "return 2 * LIMIT")),
        ("low.py", LOW.replace("3.0", "4.0")),
        ("low.py", LOW + "\n\ndef new(): return area(1)\n"),
        ("room/inner.py", "thing = 1\nrest = 3\n"),
        ("room/spare.py", "y = 5\nz = 7\n"),
        ("room/__init__.py", FILES["room/__init__.py"] + "from lrlib.other import x\n"),
        ("other.py", "changed = True\n"),
        ("above.py", "changed = True\n"),
    ],
)
def test_definitions_that_are_not_reached_do_not_count(hashed, name, text):
    before = hashed()
    assert hashed(name, text) == before


CLASS = """class Parameters(Base):
    x: int = area(1)

    @classmethod
    def defaults(cls, preset):
        return {"x": 1}

    def shared(self):
        return 2
"""


@pytest.mark.parametrize(
    "text, counts",
    [
        (CLASS.replace('{"x": 1}', '{"x": 2}'), False),
        (CLASS.replace('{"x": 1}', "LIMIT"), False),
        (CLASS.replace("area(1)", "area(2)"), True),
        (CLASS.replace("return 2", "return 3"), True),  # no class's own method
        (CLASS.replace("def defaults(", "def others("), True),
    ],
)
def test_what_chooses_the_defaults_of_parameters_does_not_count(hashed, text, counts):
    imports = "from lrlib.low import area, LIMIT\n"
    before = hashed("top.py", imports + CLASS)
    assert (hashed("top.py", imports + text) != before) == counts


def test_the_order_of_definitions_does_not_count(hashed):
    before = hashed("low.py", "def a(): return 1\n\ndef area(r): return a() * r\n")
    assert hashed("low.py", "def area(r): return a() * r\n\ndef a(): return 1\n") == before


def test_a_module_that_is_used_as_an_object_counts_whole(hashed):
    hashed("top.py", "from lrlib import low\nprint(vars(low))\n")
    before = hashed()
    assert hashed("low.py", LOW.replace("3.0", "4.0")) != before


@pytest.mark.parametrize(
    "text",
    [
        "import lrlib.low\nx = lrlib.low.area(1)\n",
        "import lrlib.low as far\nx = far.area(1)\n",
        "from lrlib.low import area as size\nx = size(1)\n",
        "def x():\n    from lrlib.low import area\n    return area(1)\n",
        "from lrlib import low\nclass X:\n    @staticmethod\n    def size(r: low.area): pass\n",
    ],
)
def test_names_are_followed_through_every_kind_of_import(hashed, text):
    before = hashed("top.py", text)
    assert hashed("low.py", LOW.replace("r**2", "r**3")) != before
    before = hashed()
    assert hashed("low.py", LOW.replace("r**2", "r**3").replace("3.0", "4.0")) == before


def test_a_module_that_is_not_there_has_no_hash():
    with pytest.raises(ValueError, match=r"a module of lrlib, got 'lrlib\.trian'"):
        provenance.sources("lrlib.trian")


def test_modules_that_import_each_other_are_no_problem(hashed):
    assert len(hashed("low.py", "from lrlib import top\ndef area(r): return top.number\n")) == 12


def test_training_depends_on_the_network_and_the_layer_and_not_on_what_is_drawn_or_measured():
    reached = Sources(provenance.ROOT).reached("lrlib.train")
    assert {("lrlib.models", "build"), ("lrlib.lowrank", "LowRank"), ("lrlib.engine", "Training")} <= reached
    assert not {module for module, _ in reached} & {"lrlib.zoo", "lrlib.results", "lrlib.cli", "lrlib.presets"}


def test_a_page_depends_on_the_metrics_that_it_uses_and_on_no_others():
    reached = Sources(provenance.ROOT).reached("lrlib.sections.effective_rank")
    assert ("lrlib.metrics.taps", "features_at") in reached
    assert not {module for module, _ in reached} & {"lrlib.metrics.cushion", "lrlib.metrics.noise"}


def test_what_is_noted_about_numbers_does_not_count():
    reached = Sources(provenance.ROOT).reached("lrlib.sections.effective_rank")
    assert not {module for module, _ in reached} & {"lrlib.provenance", "lrlib.sources"}


def test_the_library_imports_itself_by_full_names_as_the_hash_expects():
    for path in (provenance.ROOT / "lrlib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and (node.level or node.names[0].name == "*")), path


def test_the_text_of_a_syntax_tree_is_the_same_with_and_without_empty_fields():
    """Python 3.12 gave functions an empty list of type parameters."""
    tree = ast.parse("def f(x, *, y=None): return {**x, 'y': y}")
    text = sources._dump(tree)
    function = tree.body[0]
    function._fields = (*function._fields, "brand_new")
    function.brand_new = []
    assert sources._dump(tree) == text


@pytest.mark.parametrize(
    "one, other", [("x = 1", "x = 1.0"), ("x = None", "x = ''"), ("f(a)", "f(*a)"), ("a < b", "a > b")]
)
def test_different_code_has_a_different_text(one, other):
    assert sources._dump(ast.parse(one)) != sources._dump(ast.parse(other))
