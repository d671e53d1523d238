"""Rate limiters and adaptive limits."""

from __future__ import annotations

import asyncio
import heapq
import threading
from typing import TYPE_CHECKING

from holdfast.testing.policies.calls import answer, attempt
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import Limiter, LimiterAdapter

__all__ = ["CASES"]

_cases = CaseList("limiter")

_BURST = 10
_WORKERS = 10  # that the simulated server has
_SERVICE = 0.1  # seconds of each of its calls
_OVERLOAD = 1.3  # the load, as a multiple of what it can do


async def _admitted(limiter: Limiter, calls: int) -> int:
    guarded = limiter.guard_async(answer)
    results = [await attempt(guarded) for _ in range(calls)]
    others = [each for each in results if each != "answer" and not limiter.refused(each)]
    check(not others, f"it raised {others[:1]!r}")
    return results.count("answer")


@_cases.add("limiter.burst", "A full bucket of ten lets ten calls through and refuses the others.")
async def _burst(adapter: LimiterAdapter) -> None:
    admitted = await _admitted(adapter.limiter(), 2 * _BURST)
    check(admitted == _BURST, f"{admitted} calls were let through")


@_cases.add("limiter.refill", "An empty bucket lets three to five calls through after 0.4 s at ten a second.")
async def _refill(adapter: LimiterAdapter) -> None:
    limiter = adapter.limiter()
    await _admitted(limiter, 2 * _BURST)
    begun = adapter.time.now()
    adapter.time.let_pass(0.35)
    admitted = await _admitted(limiter, 2 * _BURST)
    most = int(10 * (adapter.time.now() - begun)) + 1
    check(3 <= admitted <= most, f"{admitted} calls were let through, where 3 to {most} are due")


@_cases.add("limiter.threads", "Of 50 threads that call at once, a bucket of ten lets ten through.")
def _threads(adapter: LimiterAdapter) -> None:
    limiter = adapter.limiter()
    admitted: list[int] = []
    others: list[Exception] = []
    start = threading.Barrier(50)
    guarded = limiter.guard(lambda: admitted.append(1))

    def caller() -> None:
        start.wait(5)
        try:
            guarded()
        except Exception as error:  # noqa: BLE001  told apart here
            if not limiter.refused(error):
                others.append(error)

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(50)]
    begun = adapter.time.now()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    check(not others, f"it raised {others[:1]!r}")
    most = _BURST + int(10 * (adapter.time.now() - begun))
    check(_BURST <= len(admitted) <= most, f"{len(admitted)} calls were let through, where {_BURST} to {most} are due")


@_cases.add("limiter.cancel", "A caller that is cancelled while it waits leaves the line: the next is not held up.")
async def _cancel(adapter: LimiterAdapter) -> None:
    limiter = adapter.limiter(max_wait=5.0)
    guarded = limiter.guard_async(answer)
    for _ in range(_BURST):
        await attempt(guarded)
    waiting = [asyncio.ensure_future(attempt(guarded)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    check(all(task.cancelled() for task in waiting), "a waiting call does not end as cancelled")
    begun = adapter.time.now()
    check(await attempt(guarded) == "answer", "a call after the cancelled ones was refused")
    took = adapter.time.now() - begun
    check(took < 1.0, f"a call after the cancelled ones waited for {took:.1f} s")


@_cases.add("limiter.apart", "A limiter that is used up does not hold up the calls of another dependency.")
async def _apart(adapter: LimiterAdapter) -> None:
    one, other = adapter.limiter("one"), adapter.limiter("other")
    await _admitted(one, 2 * _BURST)
    admitted = await _admitted(other, _BURST)
    check(admitted == _BURST, f"the other let {admitted} of {_BURST} calls through")


@_cases.add(
    "limiter.adaptive.bounded",
    "An adaptive limit does not rise for ever when the load is a third above what the server can do.",
)
def _bounded(adapter: LimiterAdapter) -> str:
    limit = adapter.adaptive_limit(max_limit=1_000)
    gap = _SERVICE / _WORKERS / _OVERLOAD
    now, admitted, most = 0.0, 0, 0
    free = [0.0] * _WORKERS  # when each worker is
    under_way: list[tuple[float, int, object]] = []
    arrivals = 40_000
    for number in range(arrivals):
        arrival = number * gap
        while under_way and under_way[0][0] <= arrival:
            end, _, entered = heapq.heappop(under_way)
            limit.advance(max(0.0, end - now))
            now = max(now, end)
            limit.leave(entered)
        limit.advance(max(0.0, arrival - now))
        now = arrival
        entered_now = limit.enter()
        if entered_now is None:
            continue
        admitted += 1
        begins = max(arrival, heapq.heappop(free))
        heapq.heappush(free, begins + _SERVICE)
        heapq.heappush(under_way, (begins + _SERVICE, number, entered_now))
        if number > arrivals / 2:
            most = max(most, len(under_way))
    check(most < 5 * _WORKERS, f"{most} calls at once to a server that works on {_WORKERS}")
    useful = _OVERLOAD * admitted / arrivals
    check(useful > 0.7, f"it let only {useful:.0%} of what the server can do through")
    return f"at most {most} calls at once to a server that works on {_WORKERS}"


CASES = _cases.cases
