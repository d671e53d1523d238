"""What the tests of all keepers of records share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import StoreError
from holdfast.rag.records.base import Turn
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from holdfast.core.clock import Clock
    from holdfast.rag.records.records import RecordPlace

__all__ = ["DAY", "RecordConformance", "now_of", "sample_turn"]

DAY = 86_400.0


def now_of(clock: Clock) -> float:
    """The clock's wall time, Unix seconds."""
    return clock.wall_ns() / 1e9


def sample_turn(number: int, *, asked_at: float) -> Turn:
    """A turn whose every field is its own."""
    return Turn(
        request_id=f"req_{number}",
        question=f"Question {number}?",
        answer=f"Answer {number}.",
        asked_at=asked_at,
        source="live",
        tier="full",
        standalone=f"Question {number} of the returns?",
    )


class RecordConformance(ABC):
    """A place for records, whatever is kept in it."""

    @abstractmethod
    def make_records(
        self, place: Path, *, clock: Clock, retention: float = 0.0
    ) -> AbstractAsyncContextManager[RecordPlace]:
        """Open records of a place, which keep everything for ``retention`` seconds (0: for ever).

        Two of one place share what is in it, and stand for two processes. The end of the block stands for the end of a
        process.
        """

    async def test_closed_records_say_so_and_open_again(self, tmp_path: Path) -> None:
        """Closing twice is closing; then every call fails with a sentence, until they are opened again."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            await records.ping()
            await records.close()
            await records.close()
            with pytest.raises(StoreError, match="closed"):
                await records.ping()
            await records.open()
            await records.open()
            await records.ping()
