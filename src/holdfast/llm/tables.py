"""Reads TOML tables strictly, and tells everything that is wrong with a file at once.

A key that nobody knows is a problem, not something to skip over: a misspelled limit that is silently ignored is found
in production. Each problem says where: the file, and the path of the key in it (``models.answers.targets[1].weight``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

__all__ = ["Problem", "Problems", "Table", "TableError", "read_toml", "suggestion"]

_SHOWN = 100  # characters of a value; who wrote it knows the rest
_ALIKE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: the path of the key, its value (never a secret; None shows none), the rule."""

    path: str
    value: object
    rule: str

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.path}: {self.rule}"
        shown = repr(self.value)
        return f"{self.path}={shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}: {self.rule}"


class TableError(ConfigError):
    """A file is wrong; ``problems`` lists all that is, the first is also this error's own field.

    Args:
        file: its path.
        problems: at least one.
    """

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.path, first.value, first.rule)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.file}: {self.problems[0]}"
        return f"{self.file}: {len(self.problems)} things are wrong:" + "".join(f"\n  - {one}" for one in self.problems)


class Problems:
    """Collects what is wrong with one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, path: str, value: object, rule: str) -> None:
        """One more."""
        self.found.append(Problem(path=path, value=value, rule=rule))

    def refuse(self) -> None:
        """Raise them, if there are any.

        Raises:
            TableError: with all of them.
        """
        if self.found:
            raise TableError(self.file, self.found)


class Table:
    """One table of a file.

    Args:
        path: of the table in the file; empty for the file itself.
        content: its keys and values.
        problems: where to put what is wrong.
    """

    def __init__(self, path: str, content: Mapping[str, Any], problems: Problems) -> None:
        self.path = path
        self.content = content
        self.problems = problems

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def at(self, key: str) -> str:
        """The path of ``key``."""
        shown = key if key.replace("_", "").replace("-", "").isalnum() else f'"{key}"'
        return f"{self.path}.{shown}" if self.path else shown

    def add(self, key: str, value: object, rule: str) -> None:
        """Say what is wrong with ``key``."""
        self.problems.add(self.at(key), value, rule)

    def only(self, known: Collection[str]) -> None:
        """Refuse keys that are not ``known``, and name the one that may be meant."""
        for key, value in self.content.items():
            if key not in known:
                shown = None if isinstance(value, dict | list | str) else value  # a text may be a misplaced secret
                self.add(key, shown, f"is not a key that is known here; {suggestion(key, known)}")

    def take(self, key: str, check: Callable[[str, Any], Any]) -> Any:  # noqa: ANN401
        """The value of ``key`` as ``check`` gives it; None when it is not there, or is wrong."""
        if key not in self.content:
            return None
        try:
            return check(key, self.content[key])
        except ConfigError as error:
            inside = error.field[len(key) :] if error.field.startswith(key) else ""  # of a table: the key inside it
            self.problems.add(self.at(key) + inside, error.value, error.rule)
            return None

    def table(self, key: str) -> Table:
        """The table ``key``; empty when it is not there, or is none."""
        content = self.content.get(key, {})
        if not isinstance(content, dict):
            self.add(key, None if isinstance(content, str) else content, "must be a table")  # it may be a secret
            content = {}
        return Table(self.at(key), content, self.problems)

    def tables(self, key: str) -> dict[str, Table]:
        """The tables in the table ``key``, by name."""
        inside = self.table(key)
        return {name: inside.table(name) for name in inside.content}

    def build(self, make: Callable[..., Any], values: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """What ``make(**values)`` gives; None when it refuses."""
        try:
            return make(**values)
        except ConfigError as error:
            self.add(error.field, error.value, error.rule)
            return None


def suggestion(given: str, known: Collection[str]) -> str:
    """What may be meant, where something known is like ``given``; the list of what is known in any case."""
    close = get_close_matches(given.casefold(), known, 1, _ALIKE)
    listed = ", ".join(sorted(known))
    return f"did you mean {close[0]}? Known: {listed}" if close else f"known: {listed}"


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        TableError: it cannot be read, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        rule = f"the file cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        rule = f"the file is not UTF-8 text (byte {error.start})"
    except tomllib.TOMLDecodeError as error:
        rule = f"the file is not valid TOML: {error}"
    raise TableError(str(path), [Problem(path="file", value=None, rule=rule)])
