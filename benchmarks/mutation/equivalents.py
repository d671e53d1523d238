"""Survivors that no test could tell from the original, or none should: each with its reason, as data.

``equivalents.toml`` names a mutant by its content (file, function, the code before and after), never by its line.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.mutation.mutants import Key

__all__ = ["Equivalent", "Equivalents"]


@dataclass(frozen=True, slots=True)
class Equivalent:
    """An explained survivor.

    Attributes:
        file: the file of the core, ``retry.py``.
        function: the qualified name, as the list of survivors has it; ``""`` for the module.
        was: the code before.
        now: the code after.
        reason: why no test notices.
        nth: which of several of the same text in the function, from 0; all of them without it.
    """

    file: str
    function: str
    was: str
    now: str
    reason: str
    nth: int | None = None

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError(f"an equivalent needs a reason: {self.file} {self.function}: {self.now}")

    def means(self, source: str, key: Key) -> bool:
        """Whether it is about this mutant."""
        return (self.file, self.function, self.was, self.now) == (source, key.function, key.was, key.now) and (
            self.nth is None or self.nth == key.nth
        )


class Equivalents:
    """All that are explained."""

    def __init__(self, entries: Iterable[Equivalent]) -> None:
        self._entries: dict[tuple[str, str], list[Equivalent]] = {}
        for entry in entries:
            self._entries.setdefault((entry.file, entry.function), []).append(entry)

    @classmethod
    def read(cls, path: Path) -> Equivalents:
        """Those of a file of ``[[equivalent]]`` tables."""
        held = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(Equivalent(**entry) for entry in held.get("equivalent", []))

    def reason(self, source: str, key: Key) -> str | None:
        """Why this mutant survives, None when nobody said."""
        for entry in self._entries.get((source, key.function), ()):
            if entry.means(source, key):
                return entry.reason
        return None

    def stale(self, source: str, survivors: Iterable[Key]) -> list[Equivalent]:
        """The entries for ``source`` that explain none of its ``survivors``: the code changed, or a test kills it."""
        keys = list(survivors)
        return [
            entry
            for (file, _), entries in self._entries.items()
            if file == source
            for entry in entries
            if not any(entry.means(source, key) for key in keys)
        ]
