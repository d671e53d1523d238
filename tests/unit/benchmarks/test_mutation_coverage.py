"""Which tests are asked about a mutant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.mutation.coverage_map import CoverageMap, Reach
from benchmarks.mutation.mutants import Key, Mutant

if TYPE_CHECKING:
    from pathlib import Path

TABLES, CLASSIFY, RETRY = (f"tests/unit/core/test_{name}.py" for name in ("classify_tables", "classify", "retry"))


def recorded(folder: Path, lines: dict[str, dict[str, list[int]]]) -> CoverageMap:
    """A map in which each file has a test that runs ``lines``, and one that runs nothing of the core."""
    files: dict[str, Any] = {}
    for file, each in lines.items():
        tests = {f"{file}::runs": {"seconds": 0.2, "lines": each}, f"{file}::reads": {"seconds": 0.1, "lines": {}}}
        files[file] = {"digest": file, "covers": {}, "tests": tests}
    path = folder / "coverage.json"
    path.write_text(json.dumps({"files": files, "imported": {}, "modules": []}), encoding="utf-8")
    return CoverageMap(path)


def mutant(*, at_import: bool) -> Mutant:
    return Mutant(Key("", "constant", "1", "2", 0), range(5, 6), range(5, 6), at_import)


def test_who_runs_the_line_is_asked(tmp_path: Path) -> None:
    """A change within a function is shown to the tests that run its line, and to no other."""
    known = recorded(tmp_path, {CLASSIFY: {"classify.py": [5]}, RETRY: {"classify.py": [6]}})
    assert known.reach("classify.py", mutant(at_import=False)) == Reach((f"{CLASSIFY}::runs",))


def test_who_only_reads_a_constant_is_asked(tmp_path: Path) -> None:
    """A constant is shown to all tests of a file that knows its module, also to those that run no line of it."""
    known = recorded(tmp_path, {CLASSIFY: {"classify.py": [5]}, RETRY: {"retry.py": [5]}})
    assert known.reach("classify.py", mutant(at_import=True)).more == (f"{CLASSIFY}::reads", f"{CLASSIFY}::runs")


def test_a_module_without_lines_is_known_through_what_imports_it(tmp_path: Path) -> None:
    """Tables in which nothing runs are shown to the tests of what reads them."""
    known = recorded(tmp_path, {TABLES: {"classify.py": [5, 6]}, RETRY: {"retry.py": [5]}})
    assert {test.partition("::")[0] for test in known.reach("_fault_tables.py", mutant(at_import=True)).more} == {
        TABLES
    }


@pytest.mark.parametrize(
    ("source", "nearer", "farther"),
    [
        ("retry.py", RETRY, CLASSIFY),
        ("_breaker_windows.py", "tests/unit/core/test_breaker.py", CLASSIFY),
        ("breaker_options.py", "tests/unit/core/test_breaker_options.py", "tests/unit/core/test_breaker.py"),
        ("_fault_tables.py", TABLES, RETRY),
    ],
)
def test_nearness(tmp_path: Path, source: str, nearer: str, farther: str) -> None:
    """The nearest test file is named as the source is, or as what imports it."""
    known = recorded(tmp_path, {nearer: {}, farther: {}})
    assert known.nearness(source, nearer) > known.nearness(source, farther)
