"""The garbage collector during a run."""

from __future__ import annotations

import gc
import weakref

import pytest

from holdfast.lab.runs.collector import seldom_collected


class _Node:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_afterwards_all_is_as_it_was() -> None:
    """Thresholds and what is frozen come back, also when the block fails and when blocks stand in blocks."""
    before = gc.get_threshold(), gc.get_freeze_count()

    def failing() -> None:
        with seldom_collected():
            assert gc.get_threshold()[0] > before[0][0]
            with seldom_collected():
                pass
            assert gc.get_freeze_count() > before[1]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_cycles_are_found() -> None:
    """What the block leaves in cycles is collected while it runs: memory stays flat."""
    with seldom_collected():
        lost = weakref.ref(_Node())
        kept: list[list[int]] = []
        while lost() is not None and len(kept) < 10_000_000:
            kept.append([])
    assert lost() is None
