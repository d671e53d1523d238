"""Which tests run which line of the core, and how long they take; recorded once, and again for what changed.

What was recorded of a test file holds as long as the file and what every test stands on are what they were, and for a
file of the core as long as that is what it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.mutation import layout
from benchmarks.mutation.session import environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.mutation.mutants import Mutant

__all__ = ["CoverageMap", "Reach"]

_LEAST_LIMIT = 2.0  # seconds that a test may take whatever it took
_TIMES = 20  # how much longer than without a mutant a test may take


@dataclass(frozen=True, slots=True)
class Reach:
    """The tests that may notice a mutant.

    Attributes:
        tests: those that run the line; quickest first.
        more: where the line also runs while modules are imported, those of every file that knows the module: a fresh
            import may show more, and who only reads a constant runs no line of it.
    """

    tests: tuple[str, ...]
    more: tuple[str, ...] = ()


class CoverageMap:
    """What was recorded, on disk in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, Any] = {}
        self._imported: dict[str, Any] = {}
        self.modules: list[str] = []
        if path.exists():
            held = json.loads(path.read_text(encoding="utf-8"))
            self._files, self._imported, self.modules = held["files"], held["imported"], held["modules"]
        self._lines: dict[str, dict[int, set[str]]] = {}

    def stale(self, sources: Iterable[str]) -> list[str]:
        """The test files to be recorded before ``sources`` are tried; what is no longer there is forgotten."""
        asked = set(sources)
        there = layout.test_files()
        self._files = {name: held for name, held in self._files.items() if name in there}
        return [name for name in there if not self._holds(name, asked)]

    def record(self, files: list[str]) -> None:
        """Record ``files`` in a process of their own.

        Raises:
            RuntimeError: they cannot be collected.
        """
        out = self._path.with_suffix(".new")
        out.unlink(missing_ok=True)
        before = {source: layout.digest(layout.CORE / source) for source in layout.sources()}
        tests = {name: _test_digest(name) for name in files}
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.mutation.recorder", str(out), *files],
            cwd=layout.ROOT,
            env={**os.environ, **environment(str(layout.STORE))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode or not out.exists():
            raise RuntimeError(f"the tests cannot be recorded:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
        found = json.loads(out.read_text(encoding="utf-8"))
        out.unlink()
        for name in files:
            mine = {test: held for test, held in found["tests"].items() if test.partition("::")[0] == name}
            covered = {source for held in mine.values() for source in held["lines"]}
            self._files[name] = {
                "digest": tests[name],
                "covers": {source: before[source] for source in sorted(covered) if source in before},
                "tests": mine,
            }
        for source, lines in found["imported"].items():
            if source in before:
                held = self._imported.get(source)
                known = set(held["lines"]) if held and held["digest"] == before[source] else set()
                self._imported[source] = {"digest": before[source], "lines": sorted(known | set(lines))}
        self.modules = sorted({*self.modules, *found["modules"]})
        self._lines.clear()
        self.save()

    def without(self, tests: Iterable[str]) -> None:
        """These fail without any mutant where mutants are tried: they say nothing."""
        for test in tests:
            self._files[test.partition("::")[0]]["tests"][test]["fails"] = True
        self._lines.clear()

    def took(self, seconds: dict[str, float]) -> None:
        """How long tests take without coverage."""
        for test, each in seconds.items():
            self._files[test.partition("::")[0]]["tests"][test]["seconds"] = each

    def save(self) -> None:
        """Write it down; all of it or nothing."""
        new = self._path.with_suffix(".part")
        held = {"files": self._files, "imported": self._imported, "modules": self.modules}
        new.write_text(json.dumps(held), encoding="utf-8")
        new.replace(self._path)

    def tests(self, files: Iterable[str] | None = None) -> list[str]:
        """Every test, or those of ``files``."""
        return [test for name in (self._files if files is None else files) for test in self._files[name]["tests"]]

    def failing(self) -> list[str]:
        """The tests that cannot be used."""
        return [test for test in self.tests() if self._held(test).get("fails")]

    def limit(self, test: str) -> float:
        """The seconds that it may take."""
        return _LEAST_LIMIT + _TIMES * float(self._held(test)["seconds"])

    def seconds(self, test: str) -> float:
        """What it takes."""
        return float(self._held(test)["seconds"])

    def reach(self, source: str, mutant: Mutant) -> Reach:
        """The tests that run what ``mutant`` changes; of what runs at import, all of the files that know its file."""
        lines = self._by_line(source)
        if mutant.at_import:
            return Reach((), more=self._quickest(self._knowing(source)))
        found = set().union(*(lines.get(line, set()) for line in mutant.lines))
        if not found:
            found = set().union(*(lines.get(line, set()) for line in mutant.statement))
        at_import = set(self._imported.get(source, {"lines": ()})["lines"])
        again = bool(at_import & {*mutant.lines, *mutant.statement})
        return Reach(self._quickest(found), more=self._quickest(self._knowing(source)) if again else ())

    def breadth(self, source: str, file: str) -> int:
        """How many lines of ``source`` the tests of ``file`` run."""
        return len(set().union(*(held["lines"].get(source, ()) for held in self._files[file]["tests"].values())))

    def nearness(self, source: str, file: str) -> tuple[int, int, int, int]:
        """How well the tests of ``file`` know ``source``: by its name and lines, then by those of what imports it."""
        users = layout.importers(source)
        return (
            _alike(source, file),
            self.breadth(source, file),
            max((_alike(each, file) for each in users), default=0),
            sum(self.breadth(each, file) for each in users),
        )

    def digest(self, file: str) -> str:
        """What a test file was when it was recorded."""
        return str(self._files[file]["digest"]) if file in self._files else ""

    def _knowing(self, source: str) -> set[str]:
        """The tests of the files that know ``source``, whether they run a line of it themselves or not."""
        files = [file for file in self._files if any(self.nearness(source, file))]
        usable = {test for test in self.tests(files or None) if not self._held(test).get("fails")}
        return usable - set(layout.TIMED)

    def _by_line(self, source: str) -> dict[int, set[str]]:
        if source not in self._lines:
            lines: dict[int, set[str]] = {}
            for held in self._files.values():
                for test, each in held["tests"].items():
                    if not each.get("fails") and test not in layout.TIMED:
                        for line in each["lines"].get(source, ()):
                            lines.setdefault(line, set()).add(test)
            self._lines[source] = lines
        return self._lines[source]

    def _quickest(self, tests: set[str]) -> tuple[str, ...]:
        return tuple(sorted(tests, key=lambda test: (self.seconds(test), test)))

    def _held(self, test: str) -> dict[str, Any]:
        held: dict[str, Any] = self._files[test.partition("::")[0]]["tests"][test]
        return held

    def _holds(self, name: str, sources: set[str]) -> bool:
        held = self._files.get(name)
        if held is None or held["digest"] != _test_digest(name):
            return False
        changed = {source for source, was in held["covers"].items() if layout.digest(layout.CORE / source) != was}
        # what failed may have been the fault of what was changed since
        return not changed or not (changed & sources or any(each.get("fails") for each in held["tests"].values()))


def _alike(source: str, file: str) -> int:
    """How many words the names begin with in common: one for ``_breaker_windows.py`` and ``test_breaker.py``."""
    words, others = (Path(name).stem.removeprefix("test").strip("_").split("_") for name in (source, file))
    pairs = enumerate(zip(words, others, strict=False))
    return next((place for place, (word, other) in pairs if word != other), min(len(words), len(others)))


def _test_digest(name: str) -> str:
    return layout.digest(layout.ROOT / name) + layout.helpers_digest()
