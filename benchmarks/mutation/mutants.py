"""The mutants of a source file: each the file with one change, known by what was changed and not by its line."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.mutation import operators

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

__all__ = ["Key", "Mutant", "Program"]

_STEPS = (ast.stmt, ast.ExceptHandler, ast.match_case)
_TEXT = 160  # a longer statement is named by a part of it


class Key(NamedTuple):
    """What a mutant is known by, whatever its line.

    Attributes:
        function: the qualified name of the function, or of the class; ``""`` for the module.
        operator: the kind of change.
        was: the changed code as it is.
        now: the same, changed.
        nth: 0, or how many mutants of the same text stand before it in the function.
    """

    function: str
    operator: str
    was: str
    now: str
    nth: int


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    Attributes:
        key: what it is known by.
        lines: the lines of the changed code; ``statement`` those of the statement around it.
        at_import: whether the change is in code that runs when the module is imported.
    """

    key: Key
    lines: range
    statement: range
    at_import: bool


@dataclass(frozen=True, slots=True)
class _Place:
    holder: ast.AST
    field: str
    index: int | None

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.index] = node


@dataclass(frozen=True, slots=True)
class _Visit:
    node: ast.AST
    place: _Place
    parents: tuple[ast.AST, ...]  # outermost first
    function: str
    at_import: bool


class Program:
    """A source file and everything that may be changed in it.

    Attributes:
        path: what tracebacks name it.
        digest: of its code without comments and layout.
        mutants: in the order of the file.
    """

    def __init__(self, source: str, path: str) -> None:
        self.path = path
        self._tree = ast.parse(source)
        self.digest = hashlib.sha256(ast.dump(self._tree).encode()).hexdigest()[:16]
        self.mutants: list[Mutant] = []
        self._changes: list[tuple[_Place, ast.AST, ast.AST]] = []
        seen: Counter[tuple[str, ...]] = Counter()
        for visit in list(_visits(self._tree)):
            for operator, node in operators.replacements(visit.node, visit.parents[-1], visit.place.field):
                self._add(visit, operator, node, seen)

    def original(self) -> CodeType:
        """The code without a change."""
        return self._compiled()

    def changed(self, number: int) -> CodeType:
        """The code of the mutant with this place in :attr:`mutants`."""
        place, node, before = self._changes[number]
        place.put(node)
        try:
            return self._compiled()
        finally:
            place.put(before)

    def _compiled(self) -> CodeType:
        code: CodeType = compile(self._tree, self.path, "exec", dont_inherit=True)
        return code

    def _add(self, visit: _Visit, operator: str, node: ast.AST, seen: Counter[tuple[str, ...]]) -> None:
        before = visit.node
        # a node that contains the one it replaces keeps the places of what it contains
        for each in ast.walk(node):
            if isinstance(each, ast.expr | ast.stmt) and not hasattr(each, "lineno"):
                ast.copy_location(each, before)
        anchor = _anchor(visit)
        was = _text(anchor)
        visit.place.put(node)
        now = _text(node if anchor is before else anchor)
        visit.place.put(before)
        name = (visit.function, operator, was, now)
        key = Key(*name, nth=seen[name])
        seen[name] += 1
        statement = next(each for each in (before, *reversed(visit.parents)) if isinstance(each, _STEPS))
        self.mutants.append(Mutant(key, _lines(before), _lines(statement), visit.at_import))
        self._changes.append((visit.place, node, before))


def _visits(tree: ast.Module) -> Iterator[_Visit]:
    """Each node that may be changed, parents before children."""
    yield from _below(tree, (), "", at_import=True)


def _below(node: ast.AST, parents: tuple[ast.AST, ...], function: str, *, at_import: bool) -> Iterator[_Visit]:
    parents = (*parents, node)
    for field, value in ast.iter_fields(node):
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or operators.skipped(child, field):
                continue
            body = field == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            now = at_import and not body
            yield _Visit(child, _Place(node, field, index), parents, function, now)
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{function}.{child.name}" if function else child.name
            else:
                inside = function
            yield from _below(child, parents, inside, at_import=now)


def _anchor(visit: _Visit) -> ast.AST:
    """The largest code around a change that is short enough to name it by: at most its statement."""
    best = visit.node
    if isinstance(best, ast.stmt | ast.ExceptHandler):
        return best
    for parent in reversed(visit.parents):
        if isinstance(parent, ast.expr | ast.stmt | ast.ExceptHandler) and len(_text(parent)) <= _TEXT:
            best = parent
        if isinstance(parent, _STEPS):
            break
    return best


def _text(node: ast.AST) -> str:
    """Its code on one line; of a compound statement the head."""
    if isinstance(node, ast.stmt | ast.ExceptHandler) and isinstance(getattr(node, "body", None), list):
        node = copy.copy(node)
        for name in {"orelse", "finalbody", "handlers", "decorator_list"} & set(node._fields):
            setattr(node, name, [])
        node.body = [ast.Pass()]  # type: ignore[union-attr]
        return ast.unparse(node).split("\n", 1)[0].removesuffix(" pass").rstrip(":")
    if isinstance(node, ast.Match):
        return f"match {ast.unparse(node.subject)}"
    return " ".join(ast.unparse(node).split())


def _lines(node: ast.AST) -> range:
    if isinstance(node, ast.match_case):
        return _lines(node.pattern)
    first = getattr(node, "lineno", 0)
    body = getattr(node, "body", None)
    if isinstance(node, ast.stmt | ast.ExceptHandler) and isinstance(body, list):
        return range(first, max(first + 1, body[0].lineno))
    return range(first, (getattr(node, "end_lineno", None) or first) + 1)
