"""What the tests of the core stand on."""

from __future__ import annotations

from benchmarks.mutation import layout


def test_only_the_helpers_that_they_use_count() -> None:
    """What was found holds when a helper of other tests changes, and no longer when one of theirs does."""
    names = {path.relative_to(layout.ROOT).as_posix() for path in layout.helpers()}
    used = {"tests/conftest.py", "src/holdfast/testing/clock.py", "src/holdfast/testing/policies/ours.py"}
    assert used <= names
    assert "src/holdfast/testing/embedder_conformance.py" not in names


def test_what_imports_a_file() -> None:
    """The files of the core that take something from another one are known."""
    assert layout.importers("_fault_tables.py") == ("classify.py",)
    assert {"breaker.py", "registry.py"} <= set(layout.importers("pipeline.py"))
