"""Where everything is, and what the tests of the core are."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

__all__ = [
    "CORE",
    "RESULTS",
    "ROOT",
    "STORE",
    "TIMED",
    "digest",
    "helpers",
    "helpers_digest",
    "importers",
    "module_of",
    "sources",
    "test_files",
]

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "holdfast" / "core"
STORE = ROOT / ".mutation"
"""What a run keeps for the next one; not in the repository."""
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"

TIMED = ("tests/unit/core/test_request_queue.py::test_a_deep_queue_costs_no_more_than_a_shallow_one",)
"""Tests that measure time: on a busy machine they would notice the machine, so they are not asked."""

_TESTS = ("tests/unit/core/test_*.py", "tests/unit/testing/test_*.py", "tests/issues/test_core_*.py")
_TESTING = ROOT / "src" / "holdfast" / "testing"
_HELPER = re.compile(r"^ *from holdfast\.testing\.(\w+)", re.MULTILINE)
_MORE_TESTS = ("tests/conformance/test_policies.py",)


def sources() -> list[str]:
    """The names of the files of the core."""
    return sorted(path.name for path in CORE.glob("*.py") if path.name != "__init__.py")


def module_of(source: str) -> str:
    """The module of a file of the core."""
    return f"holdfast.core.{source.removesuffix('.py')}"


@cache
def importers(source: str) -> tuple[str, ...]:
    """The files of the core that import something from this one."""
    line = f"from {module_of(source)} import "
    return tuple(name for name in sources() if line in (CORE / name).read_text(encoding="utf-8"))


def test_files() -> list[str]:
    """The test files of the core, relative to the project."""
    found = {path.relative_to(ROOT).as_posix() for pattern in _TESTS for path in ROOT.glob(pattern)}
    return sorted(found | set(_MORE_TESTS))


def digest(path: Path) -> str:
    """Of what a file holds; of nothing when it is not there."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()[:16]


@cache
def helpers() -> tuple[Path, ...]:
    """What the tests stand on: what pytest loads for all, and what one of them imports of ``holdfast.testing``."""
    found = {ROOT / "tests" / "conftest.py"}
    unread = [ROOT / name for name in test_files()] + sorted(found)
    while unread:
        for name in _HELPER.findall(unread.pop().read_text(encoding="utf-8")):
            files = {_TESTING / f"{name}.py", *(_TESTING / name).rglob("*.py")}
            new = {path for path in files if path.exists()} - found
            found |= new
            unread += new
    return tuple(sorted(found))


@cache
def helpers_digest() -> str:
    """Of what the tests stand on."""
    return hashlib.sha256("".join(map(digest, helpers())).encode()).hexdigest()[:16]
