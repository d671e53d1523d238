"""Work that a store does for itself in the background."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

from holdfast.errors import RejectedError, StoreUnavailableError
from holdfast.rag.store.repeating import Repeating
from holdfast.testing.clock import FakeClock


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class _Work:
    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


async def test_it_is_done_after_every_pause_and_when_asked_for() -> None:
    """Not at the start; then every so often, and once for many requests."""
    clock, work = FakeClock(), _Work()
    repeating = Repeating(work, every=30.0, clock=clock, what="Work")
    repeating.start()
    repeating.start()
    await _settle()
    assert work.calls == 0
    for n in range(1, 4):
        clock.advance(30.0)
        await _settle()
        assert work.calls == n
    clock.advance(29.0)
    await _settle()
    assert work.calls == 3
    repeating.soon()
    repeating.soon()
    await _settle()
    assert work.calls == 4
    clock.advance(29.0)
    await _settle()
    assert work.calls == 4, "the pause begins anew after each time"
    await repeating.stop()
    await repeating.stop()
    clock.advance(60.0)
    await _settle()
    assert work.calls == 4


async def test_the_pauses_of_several_processes_drift_apart() -> None:
    """With a source of chance each pause is up to a fifth shorter, drawn anew."""
    clock = FakeClock(auto=False)
    times = [0.0]

    async def work() -> None:
        times.append(clock.now_ns() / 1e9)

    repeating = Repeating(work, every=15.0, clock=clock, what="Work", rng=random.Random(7))
    repeating.start()
    for _ in range(600):
        await _settle()
        clock.advance(0.1)
    await repeating.stop()
    pauses = [after - before for before, after in pairwise(times)]
    assert len(pauses) >= 4
    assert all(11.9 <= pause <= 15.2 for pause in pauses)
    assert len({round(pause, 1) for pause in pauses}) > 1


@pytest.mark.parametrize("error", [StoreUnavailableError("The store is away."), RejectedError("Too busy.")])
async def test_a_failure_is_told_and_it_goes_on(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what failed and why, and the next time comes."""
    clock, work = FakeClock(), _Work()
    repeating = Repeating(work, every=1.0, clock=clock, what="Tidying up")
    repeating.start()
    await _settle()
    work.error = error
    for _ in range(2):
        clock.advance(1.0)
        await _settle()
    assert work.calls == 2
    assert caplog.messages == [f"Tidying up failed, and is tried again later: {error}"] * 2
    await repeating.stop()
