"""Where everything is, and what the tests of the core are."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

__all__ = [
    "CORE",
    "RESULTS",
    "ROOT",
    "STORE",
    "TIMED",
    "digest",
    "helpers_digest",
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
_MORE_TESTS = ("tests/conformance/test_policies.py",)


def sources() -> list[str]:
    """The names of the files of the core."""
    return sorted(path.name for path in CORE.glob("*.py") if path.name != "__init__.py")


def module_of(source: str) -> str:
    """The module of a file of the core."""
    return f"holdfast.core.{source.removesuffix('.py')}"


def test_files() -> list[str]:
    """The test files of the core, relative to the project."""
    found = {path.relative_to(ROOT).as_posix() for pattern in _TESTS for path in ROOT.glob(pattern)}
    return sorted(found | set(_MORE_TESTS))


def digest(path: Path) -> str:
    """Of what a file holds; of nothing when it is not there."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()[:16]


@cache
def helpers_digest() -> str:
    """Of what every test stands on."""
    paths = [ROOT / "tests" / "conftest.py", *sorted((ROOT / "src" / "holdfast" / "testing").rglob("*.py"))]
    return hashlib.sha256("".join(map(digest, paths)).encode()).hexdigest()[:16]
