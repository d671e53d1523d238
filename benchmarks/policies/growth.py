"""Whether memory grows with the number of calls, and whether the cost grows with the number of tasks at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import time
from typing import Any

import holdfast as hf
from benchmarks.policies import candidates
from benchmarks.policies.measure import kept_blocks
from holdfast.errors import HoldfastError

__all__ = ["concurrency", "memory"]

_WARM = 20_000
_EVENLY = 2  # calls of each task, at least


def memory(calls: int) -> dict[str, dict[str, float]]:
    """What so many calls leave behind: blocks that Python's allocator keeps, and the process's peak in MB.

    A tenth as many calls fail in every attempt, or are refused by an open breaker.
    """
    return asyncio.run(_memory(calls))


async def _memory(calls: int) -> dict[str, dict[str, float]]:
    guard = candidates.holdfast_five()
    quick = hf.Pipeline(hf.Retry(max_retries=1, initial_delay=0), name="cost")
    breaker = hf.CircuitBreaker(failure_threshold=1, recovery_timeout=3_600)(candidates.fail_async)
    with contextlib.suppress(ConnectionError):
        await breaker()
    trials: list[tuple[str, Any, int]] = [
        ("five policies, success", guard(candidates.answer_async), calls),
        ("five policies, success, one suspension", guard(candidates.answer_suspended), calls // 10),
        ("retry, every attempt fails", quick(candidates.fail_async), calls // 10),
        ("open breaker, refusal", breaker, calls // 10),
    ]
    figures = {}
    for name, guarded, count in trials:
        await _call(guarded, _WARM)
        before, peak = kept_blocks(), _peak_mb()
        await _call(guarded, count)
        figures[name] = {
            "calls": count,
            "blocks": kept_blocks() - before,
            "peak_growth_mb": round(_peak_mb() - peak, 1),
        }
    return figures


async def _call(guarded: Any, count: int) -> None:  # noqa: ANN401
    for _ in range(count):
        with contextlib.suppress(ConnectionError, HoldfastError):
            await guarded()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def concurrency(most: int, calls: int, rounds: int) -> dict[str, dict[str, float]]:
    """Nanoseconds of CPU that a call of five policies adds, by the number of tasks that are inside at once."""
    table: dict[str, dict[str, float]] = {}
    tasks = 1
    while tasks <= most:
        each = max(_EVENLY, calls // tasks)
        table[str(tasks)] = asyncio.run(_at_once(tasks, each, rounds))
        tasks *= 10
    return table


async def _at_once(tasks: int, each: int, rounds: int) -> dict[str, float]:
    guards = {name: candidates.FIVE[name] for name in list(candidates.FIVE)[:2]}
    functions: dict[str, Any] = {"bare call": candidates.answer_suspended}
    functions |= {name: guard()(candidates.answer_suspended) for name, guard in guards.items()}
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, fn in functions.items():
            ns = await _round(fn, tasks, each)
            best[name] = min(best.get(name, ns), ns)
    bare = best.pop("bare call")
    return {"bare call": round(bare, 1), **{name: round(ns - bare, 1) for name, ns in best.items()}}


async def _round(fn: Any, tasks: int, each: int) -> float:  # noqa: ANN401
    """CPU nanoseconds of a call, when so many tasks make ``each`` calls side by side."""

    async def caller() -> None:
        for _ in range(each):
            await fn()

    gc.collect()
    begun = time.thread_time_ns()
    await asyncio.gather(*(caller() for _ in range(tasks)))
    return (time.thread_time_ns() - begun) / (tasks * each)
