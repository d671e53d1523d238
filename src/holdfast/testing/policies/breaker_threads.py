"""Circuit breakers: what is done under their locks, and what is not."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from holdfast.testing.policies.adapters import FAILURES_TO_OPEN, UnsupportedError
from holdfast.testing.policies.calls import Held, answer, attempt, fail, fail_sync, settle, trip
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import BreakerAdapter, Fn

__all__ = ["CASES"]

_cases = CaseList("breaker")

_CALLERS = 8
_LONG = 2.0  # seconds of real time; what is waited for takes less than a thousandth of it


@_cases.add("breaker.no_lock.threads", "Eight threads can be inside the guarded function at once.")
def _no_lock_threads(adapter: BreakerAdapter) -> None:
    _meet(adapter.breaker().guard, _CALLERS)


@_cases.add("breaker.no_lock.tasks", "Eight tasks can be inside the guarded function at once.")
async def _no_lock_tasks(adapter: BreakerAdapter) -> None:
    held = Held()
    guarded = adapter.breaker().guard_async(held.call)
    tasks = [asyncio.create_task(attempt(guarded)) for _ in range(_CALLERS)]
    await settle()
    inside = held.inside
    held.let_go()
    await asyncio.gather(*tasks)
    check(inside == _CALLERS, f"{inside} of {_CALLERS} tasks were inside at once")


@_cases.add(
    "breaker.listener.no_lock", "A listener of its transitions may wait for another thread that calls the breaker."
)
def _listener(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    heard = threading.Event()
    ended: list[bool] = []

    def listener() -> None:
        if heard.is_set():
            return  # the call below may cause transitions of its own
        heard.set()
        thread = threading.Thread(target=_call, args=(guarded,), daemon=True)
        thread.start()
        thread.join(_LONG)
        ended.append(not thread.is_alive())

    breaker.on_transition(listener)
    guarded = breaker.guard(fail_sync)
    for _ in range(FAILURES_TO_OPEN):
        _call(guarded)
    check(ended, "no listener heard that it opened")
    check(all(ended), "a call in another thread hung while a listener ran: the listener is called under the lock")


@_cases.add("breaker.listener.raises", "An error of a listener does not reach the caller in the place of the call's.")
def _listener_raises(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    heard: list[bool] = []

    def listener() -> None:
        heard.append(True)
        raise LookupError("the listener is broken")

    breaker.on_transition(listener)
    guarded = breaker.guard(fail_sync)
    errors = [_call(guarded) for _ in range(FAILURES_TO_OPEN + 1)]
    check(heard, "no listener heard that it opened")
    check(not any(isinstance(error, LookupError) for error in errors), "the caller got the listener's error")
    check(breaker.refused(errors[-1]), "it did not open when its listener failed")


@_cases.add("breaker.rejection.fresh", "Each refusal is an error of its own, whose traceback does not grow.")
async def _fresh(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    await trip(breaker)
    guarded = breaker.guard_async(answer)
    first, second = await attempt(guarded), await attempt(guarded)
    check(breaker.refused(first) and breaker.refused(second), "an open breaker let a call through")
    check(first is not second, "the same error is raised again and again")


@_cases.add("breaker.shared.no_lock", "Breakers that share their state hold no shared lock during the caller's work.")
def _shared_lock(adapter: BreakerAdapter) -> None:
    replicas = iter(adapter.fleet(2, 0.0))
    _meet(lambda fn: next(replicas).guard(fn), 2)


@_cases.add("breaker.shared.loop", "An async call of a breaker with shared state does not block the event loop.")
async def _shared_loop(adapter: BreakerAdapter) -> None:
    store_seconds = 0.2
    (breaker,) = adapter.fleet(1, store_seconds)
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.005)
            longest, last = max(longest, loop.time() - last), loop.time()

    ticker = asyncio.create_task(tick())
    for call in (answer, fail, answer):
        await attempt(breaker.guard_async(call))
    await asyncio.sleep(0.02)
    ticker.cancel()
    await asyncio.wait([ticker])
    check(longest < store_seconds / 2, f"the event loop stood still for {longest:.2f} s")


def _call(guarded: Fn) -> object:
    try:
        return guarded()
    except UnsupportedError:
        raise
    except Exception as error:  # noqa: BLE001  the caller looks at it
        return error


def _meet(guard: Fn, callers: int) -> None:
    """Fail unless so many threads can be inside guarded functions at once."""
    together = threading.Barrier(callers)

    def call() -> None:
        together.wait(_LONG)

    errors: list[object] = []
    functions = [guard(call) for _ in range(callers)]
    threads = [threading.Thread(target=lambda fn=fn: errors.append(_call(fn)), daemon=True) for fn in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * callers * _LONG)
    check(not together.broken, "a lock is held during the call: the threads were not inside at once")
    check(len(errors) == callers, "a thread did not come back")


CASES = _cases.cases
