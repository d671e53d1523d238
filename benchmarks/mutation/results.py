"""What became of each mutant, one line of JSON each, appended as it is known: a run that is killed can go on.

A mutant that a test noticed holds as long as its file and that test's file are what they were; one that none noticed,
as long as its file and all test files that run its line are. A line that was cut off is left out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from benchmarks.mutation.mutants import Key

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Result", "Results", "Status"]

Status: TypeAlias = Literal["killed", "timeout", "survived", "uncovered"]
"""A ``timeout`` counts as killed; ``uncovered`` is a survivor that no test runs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant.

    Attributes:
        source: the file of the core.
        digest: of that file's code.
        key: the mutant.
        status: what became of it.
        by: the test that noticed it.
        tests: the digest of what the result stands on: of the killer's file, or of all files that run its line.
        seconds: how long it took.
    """

    source: str
    digest: str
    key: Key
    status: Status
    by: str
    tests: str
    seconds: float


class Results:
    """The results on disk, in ``path``; the last one of a mutant holds. ``to_read`` leaves the disk as it is."""

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        self._path = path
        self._held: dict[tuple[str, Key], Result] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                result = _read(line)
                if result is not None:
                    self._held[result.source, result.key] = result
        if not to_read:
            self._rewrite()
        self._file = None if to_read else path.open("a", encoding="utf-8")

    def get(self, source: str, key: Key) -> Result | None:
        """The last one, whether it still holds or not."""
        return self._held.get((source, key))

    def add(self, result: Result) -> None:
        """Remember one; it is on disk when this returns."""
        if self._file is None:
            raise RuntimeError("these results are only to be read")
        self._held[result.source, result.key] = result
        self._file.write(_written(result) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing more is added."""
        if self._file is not None:
            self._file.close()

    def _rewrite(self) -> None:
        new = self._path.with_suffix(".part")
        new.write_text("".join(_written(result) + "\n" for result in self._held.values()), encoding="utf-8")
        new.replace(self._path)


def _written(result: Result) -> str:
    return json.dumps(asdict(result) | {"key": list(result.key)})


def _read(line: str) -> Result | None:
    try:
        held = json.loads(line)
        return Result(**(held | {"key": Key(*held["key"])}))
    except (ValueError, TypeError, KeyError):  # the end of a run that was killed, or another version's
        return None
