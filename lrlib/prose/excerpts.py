"""Lines of the library's own source for the pages that explain it, taken from the sources so that they can't drift."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from lrlib import provenance


def excerpt(of: Callable[..., Any], *fragments: str) -> str:
    """Statements of a function as Markdown: a block of code, and where it is.

    Args:
        of: A function or method of ``lrlib``.
        *fragments: Texts that each occur in exactly one innermost statement of it; all of its statements unless given.

    Returns:
        The statements as they stand in the file, with the heads of the blocks that they are in, less their common
        indentation; ``...`` where something is left out.

    Raises:
        ValueError: If a fragment doesn't occur in exactly one statement.

    Example:
        >>> print(excerpt(excerpt, "function = "))
        ```python
        function = inspect.unwrap(of)
        ```
        `lrlib/prose/excerpts.py`, `excerpt`
    """
    function = inspect.unwrap(of)
    lines, _ = inspect.getsourcelines(function)
    (tree,) = ast.parse(textwrap.dedent("".join(lines))).body
    assert isinstance(tree, ast.FunctionDef)
    body = tree.body[int(ast.get_docstring(tree) is not None) :]
    if fragments:
        shown = {number for fragment in fragments for number in _lines(body, lines, fragment)}
    else:
        shown = set(range(body[0].lineno, len(lines) + 1))
    code = textwrap.dedent("".join(_with_gaps(lines, sorted(shown)))).rstrip()
    return f"```python\n{code}\n```\n{_place(function)}"


def _lines(body: list[ast.stmt], lines: list[str], fragment: str) -> set[int]:
    """Numbers of the lines of the innermost statement with the fragment, and of the heads of the blocks it is in."""
    found = [one for statement in body for one in _innermost(statement, [], lines, fragment)]
    if len(found) != 1:
        raise ValueError(f"expected one statement with {fragment!r}, got {len(found)}")
    *blocks, statement = found[0]
    numbers = set(range(statement.lineno, _end(statement) + 1))
    for block in blocks:
        numbers |= set(_head(block, statement))
    return numbers


def _head(block: Any, statement: ast.stmt) -> Iterator[int]:
    """The lines of a block before its statements, and of its ``else`` if the statement is below that."""
    yield from range(block.lineno, block.body[0].lineno)
    if getattr(block, "orelse", None) and statement.lineno >= block.orelse[0].lineno:
        yield from range(_end(block.body[-1]) + 1, block.orelse[0].lineno)


def _innermost(statement: ast.stmt, above: list[ast.stmt], lines: list[str], fragment: str) -> Iterator[list[ast.stmt]]:
    """The innermost statements below this one that have the fragment, each after the blocks that it is in."""
    if fragment not in "".join(lines[statement.lineno - 1 : _end(statement)]):
        return
    within = [
        one
        for child in ast.iter_child_nodes(statement)
        if isinstance(child, ast.stmt)
        for one in _innermost(child, [*above, statement], lines, fragment)
    ]
    yield from within or [[*above, statement]]


def _with_gaps(lines: list[str], shown: list[int]) -> Iterator[str]:
    """The lines of these numbers, without notes to the type checker, and ``...`` where others are between them."""
    last = shown[0] - 1
    for number in shown:
        omitted = [line for line in lines[last : number - 1] if line.strip()]
        if omitted:
            yield f"{' ' * (len(omitted[0]) - len(omitted[0].lstrip()))}...\n"
        yield re.sub(r" +# type: ignore\[.*?\]", "", lines[number - 1])
        last = number


def _end(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


def _place(function: Callable[..., Any]) -> str:
    """The file and the name of a function, as the book shows them."""
    file = (inspect.getsourcefile(function) or "").replace("\\", "/")
    path = file.removeprefix(f"{provenance.ROOT.as_posix()}/")
    return f"`{path}`, `{function.__qualname__}`"
