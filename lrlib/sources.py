"""What of the library's source a module's results depend on: the definitions that it reaches, and their hash.

A definition is a function, a class or an assignment at the top of a module. A module reaches its own, those that they
name, those that these name, and so on, through imports and through what packages pass on. What decides nothing, such as
a new function beside an old one, therefore changes no hash of what uses the old one. Nor does what chooses the default
of a page's parameter: a record states the values themselves.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "lrlib"
# In the place of a name: the statements of a module that define nothing, and all that it has, also from elsewhere.
LOOSE, ALL = "", "*"
DEFAULTS = {"defaults", "shared", "networks"}  # methods of a page's parameters that choose values for them
UNCOUNTED = {f"{PACKAGE}.provenance", f"{PACKAGE}.sources"}  # what is noted about numbers decides none


@dataclass(frozen=True)
class Module:
    """The top of a module: which statements define each name, what is imported, and statements that define nothing."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str]]
    loose: list[ast.stmt]


@dataclass
class Sources:
    """The sources below a folder.

    Attributes:
        root: The folder that the package lies in.
    """

    root: Path
    _modules: dict[str, Module] = field(default_factory=dict)

    def digest(self, module: str) -> str:
        """Hash of all definitions that a module reaches, twelve hexadecimal digits.

        Comments, docstrings, layout, the order of definitions and what chooses the parameters' defaults don't count.

        Raises:
            ValueError: If there is no such module.
        """
        if self.file(module) is None:
            raise ValueError(f"expected a module of {PACKAGE}, got {module!r}")
        digest = hashlib.sha256()
        for place, name in sorted(self.reached(module)):
            digest.update(f"{place}.{name}\n{self._text(place, name)}\n".encode())
        return digest.hexdigest()[:12]

    def reached(self, module: str) -> set[tuple[str, str]]:
        """Modules and names of all definitions that a module reaches; names of other packages as they are imported."""
        found: set[tuple[str, str]] = set()
        waiting = [(module, name) for name in (LOOSE, *self._module(module).defined)]
        while waiting:
            one = waiting.pop()
            if one not in found and one[0] not in UNCOUNTED:
                found.add(one)
                waiting += self._needed(*one)
        return found

    def file(self, module: str) -> Path | None:
        """Where a module is, found without importing anything; None if it is not there or another package's."""
        if module.split(".")[0] != PACKAGE:
            return None
        base = self.root.joinpath(*module.split("."))
        candidates = (base / "__init__.py", base.with_name(f"{base.name}.py"))
        return next((path for path in candidates if path.exists()), None)

    def _needed(self, module: str, name: str) -> Iterator[tuple[str, str]]:
        """What a definition needs directly."""
        if self.file(module) is None:
            return
        yield module, LOOSE
        top = self._module(module)
        if name == ALL:
            yield from ((module, own) for own in (*top.defined, *top.imported))
        elif name in top.imported:
            yield self._target(*top.imported[name])
        elif name not in (LOOSE, *top.defined):  # an own module of the package, or made in a way that is not seen here
            yield (f"{module}.{name}" if self.file(f"{module}.{name}") else module), ALL
        for statement in self._statements(module, name):
            yield from self._named(module, top, statement)

    def _named(self, module: str, top: Module, statement: ast.AST) -> Iterator[tuple[str, str]]:
        """The definitions that a statement names."""
        if isinstance(statement, ast.Attribute) and (chain := _chain(statement)) and chain[0] in top.imported:
            place, name = self._target(*top.imported[chain.pop(0)])
            while chain and name == ALL and self.file(place):
                place, name = self._target(place, chain.pop(0))
            yield place, name
            return
        if isinstance(statement, ast.Name) and (statement.id in top.imported or statement.id in top.defined):
            yield module, statement.id
        for child in ast.iter_child_nodes(statement):
            yield from self._named(module, top, child)

    def _target(self, module: str, name: str) -> tuple[str, str]:
        """An imported name; if it is a module's, and the package has nothing else of that name, all of that module."""
        inner = f"{module}.{name}"
        if name == ALL or self.file(inner) is None:
            return module, name
        top = self._module(module)
        elsewhere = top.imported.get(name, (module, name)) != (module, name)
        return (module, name) if name in top.defined or elsewhere else (inner, ALL)

    def _statements(self, module: str, name: str) -> list[ast.stmt]:
        top = self._module(module)
        return top.loose if name == LOOSE else top.defined.get(name, [])

    def _text(self, module: str, name: str) -> str:
        if self.file(module) is None:
            return ""
        return "\n".join(_dump(statement) for statement in self._statements(module, name))

    def _module(self, module: str) -> Module:
        if module not in self._modules:
            file = self.file(module)
            assert file is not None
            self._modules[module] = _top(_what_counts(ast.parse(file.read_text())))
        return self._modules[module]


def _top(tree: ast.Module) -> Module:
    found = Module({}, {}, [])
    for statement in tree.body:
        names = list(_defines(statement))
        for name in names:
            found.defined.setdefault(name, []).append(statement)
        if not names and not isinstance(statement, ast.Import | ast.ImportFrom):
            found.loose.append(statement)
    for node in ast.walk(tree):  # imports inside functions, too
        if isinstance(node, ast.ImportFrom) and node.module:
            found.imported.update({alias.asname or alias.name: (node.module, alias.name) for alias in node.names})
        elif isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                found.imported[bound] = (alias.name if alias.asname else bound, ALL)
    return found


def _defines(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _chain(node: ast.expr) -> list[str]:
    """The parts of a dotted name; none if it does not start with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return [node.id, *parts] if isinstance(node, ast.Name) else []


def _what_counts(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            node.body = [one for one in node.body if not _chooses_defaults(one)] or [ast.Pass()]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _chooses_defaults(member: ast.stmt) -> bool:
    if not isinstance(member, ast.FunctionDef) or member.name not in DEFAULTS:
        return False
    return any(isinstance(one, ast.Name) and one.id == "classmethod" for one in member.decorator_list)


def _dump(node: object) -> str:
    """A syntax tree as text. Unlike that of ``ast.dump`` it doesn't change with new, empty fields in a new Python."""
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []]
    return f"{type(node).__name__}({', '.join(fields)})"
