"""How a cost is measured: CPU time of the thread, in rounds in which every candidate has its turn.

The unit is a bare call: the same function, unguarded, measured in the same round. A round that something else disturbs
disturbs all of its candidates; the median over the rounds, and the best round, are reported. What is *added* is a
candidate's time minus the bare call's of its round.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Candidate", "Figure", "Group", "kept_blocks", "measure_group"]

Fn: TypeAlias = Callable[[], Any]

_CALIBRATION = 200


@dataclass(slots=True)
class Candidate:
    """One guarded function.

    Attributes:
        name: of the library, or of the combination.
        make: gives the guarded function; called inside the running loop where the group is async.
        refuses: whether each call raises, as an open breaker does. Such a one is made anew for each round: a library
            that raises the same error again and again makes its traceback, and so the heap of all, grow.
    """

    name: str
    make: Callable[[], Fn]
    refuses: bool = False


@dataclass(slots=True)
class Group:
    """Candidates that do the same, and the bare call that they are compared with.

    Attributes:
        key, title: its name in the results, and in the table.
        bare: the unguarded function.
        is_async: whether the functions are to be awaited.
    """

    key: str
    title: str
    bare: Fn
    is_async: bool
    candidates: list[Candidate] = field(default_factory=list)


@dataclass(slots=True)
class Figure:
    """What a candidate costs.

    Attributes:
        median_ns, best_ns: a call, over the rounds.
        added_median_ns, added_best_ns: that, without the bare call of the same round.
        ratio: the median, in bare calls.
        peak_bytes: memory that one call allocates at once, at its peak.
    """

    median_ns: float
    best_ns: float
    added_median_ns: float
    added_best_ns: float
    ratio: float
    peak_bytes: int


def measure_group(group: Group, *, rounds: int, sample_seconds: float) -> dict[str, Figure]:
    """The figures of each candidate by name, the bare call's among them."""
    candidates = [Candidate("bare call", lambda: group.bare), *group.candidates]
    if group.is_async:
        return asyncio.run(_measure_async(candidates, rounds, sample_seconds))
    functions = [each.make() for each in candidates]
    timers = [_sync_timer(fn, refuses=each.refuses) for fn, each in zip(functions, candidates, strict=True)]
    calls = [_calls(timer(_CALIBRATION), sample_seconds) for timer in timers]
    samples: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for index, each in enumerate(candidates):
            if each.refuses:
                timers[index] = _sync_timer(each.make(), refuses=True)
        gc.collect()
        for timer, count, into in zip(timers, calls, samples, strict=True):
            into.append(timer(count) / count)
    peaks = [_peak(timer) for timer in timers]
    return _figures(candidates, samples, peaks)


async def _measure_async(candidates: list[Candidate], rounds: int, sample_seconds: float) -> dict[str, Figure]:
    functions = [each.make() for each in candidates]
    timers = [_async_timer(fn, refuses=each.refuses) for fn, each in zip(functions, candidates, strict=True)]
    calls = [_calls(await timer(_CALIBRATION), sample_seconds) for timer in timers]
    samples: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for index, each in enumerate(candidates):
            if each.refuses:
                timers[index] = _async_timer(each.make(), refuses=True)
        gc.collect()
        for timer, count, into in zip(timers, calls, samples, strict=True):
            into.append(await timer(count) / count)
    peaks = [await _peak_async(timer) for timer in timers]
    return _figures(candidates, samples, peaks)


def _figures(candidates: list[Candidate], samples: list[list[float]], peaks: list[int]) -> dict[str, Figure]:
    bare = samples[0]
    figures = {}
    for candidate, own, peak in zip(candidates, samples, peaks, strict=True):
        added = [ns - unit for ns, unit in zip(own, bare, strict=True)]
        figures[candidate.name] = Figure(
            median_ns=round(statistics.median(own), 1),
            best_ns=round(min(own), 1),
            added_median_ns=round(statistics.median(added), 1),
            added_best_ns=round(min(own) - min(bare), 1),
            ratio=round(statistics.median(ns / unit for ns, unit in zip(own, bare, strict=True)), 2),
            peak_bytes=max(0, peak - peaks[0]),
        )
    return figures


def _calls(calibration_ns: float, sample_seconds: float) -> int:
    """How many calls fill a sample."""
    return max(20, round(sample_seconds * 1e9 / max(1.0, calibration_ns / _CALIBRATION)))


def _sync_timer(fn: Fn, *, refuses: bool) -> Callable[[int], int]:
    """A function that makes so many calls and gives their nanoseconds of CPU time."""
    clock = time.thread_time_ns

    def plain(count: int) -> int:
        begun = clock()
        for _ in range(count):
            fn()
        return clock() - begun

    def refused(count: int) -> int:
        begun = clock()
        for _ in range(count):
            try:  # noqa: SIM105  suppress() has a cost of its own
                fn()
            except Exception:  # noqa: BLE001  every library has an error of its own
                pass
        return clock() - begun

    return refused if refuses else plain


def _async_timer(fn: Fn, *, refuses: bool) -> Callable[[int], Awaitable[int]]:
    clock = time.thread_time_ns

    async def plain(count: int) -> int:
        begun = clock()
        for _ in range(count):
            await fn()
        return clock() - begun

    async def refused(count: int) -> int:
        begun = clock()
        for _ in range(count):
            try:  # noqa: SIM105  suppress() has a cost of its own
                await fn()
            except Exception:  # noqa: BLE001  every library has an error of its own
                pass
        return clock() - begun

    return refused if refuses else plain


def _peak(timer: Callable[[int], object]) -> int:
    """Bytes that are allocated at the peak of one call."""
    timer(100)
    tracemalloc.start()
    try:
        timer(20)
        peaks = []
        for _ in range(20):
            before = _mark()
            timer(1)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return round(statistics.median(peaks))


async def _peak_async(timer: Callable[[int], Awaitable[object]]) -> int:
    await timer(100)
    tracemalloc.start()
    try:
        await timer(20)
        peaks = []
        for _ in range(20):
            before = _mark()
            await timer(1)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return round(statistics.median(peaks))


def _mark() -> int:
    tracemalloc.reset_peak()
    return tracemalloc.get_traced_memory()[0]


def kept_blocks() -> int:
    """The blocks of memory that are in use after everything unreachable is gone."""
    for _ in range(3):
        gc.collect()
    return sys.getallocatedblocks()
