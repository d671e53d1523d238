"""Retries: shared policies, cancellation, deadlines and jitter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.testing.policies.calls import Held, attempt, cancel, settle
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.testing.policies.adapters import Fn, RetryAdapter

__all__ = ["CASES"]

_cases = CaseList("retry")

_ATTEMPTS = 3
_TASKS = 5
_DRAWS = 200


@_cases.add("retry.sync", "A sync function that fails twice and then works gives its result after three calls.")
def _sync(adapter: RetryAdapter) -> None:
    calls = 0

    def call() -> str:
        nonlocal calls
        calls += 1
        if calls < _ATTEMPTS:
            raise ConnectionError("the dependency is down")
        return "answer"

    try:
        result = adapter.retrier(attempts=_ATTEMPTS).guard(call)()
    except ConnectionError:
        result = None
    check(result == "answer", f"it gave up after {calls} calls")
    check(calls == _ATTEMPTS, f"{calls} calls were made")


@_cases.add("retry.async_def", "An async def that is decorated as it stands is retried, or refused at decoration.")
async def _async(adapter: RetryAdapter) -> str | None:
    calls = 0

    async def call() -> str:
        nonlocal calls
        calls += 1
        if calls < _ATTEMPTS:
            raise ConnectionError("the dependency is down")
        return "answer"

    try:
        guarded = adapter.retrier(attempts=_ATTEMPTS).guard(call)
    except (TypeError, ValueError):
        return "refused at decoration"
    check(await attempt(guarded) == "answer", f"it gave up after {calls} calls")
    check(calls == _ATTEMPTS, f"{calls} calls were made")
    return None


@_cases.add("retry.shared.function", "Five tasks that call one decorated function at once get three attempts each.")
async def _shared_function(adapter: RetryAdapter) -> None:
    retrier = adapter.retrier(attempts=_ATTEMPTS)
    await _shared(retrier.guard)


@_cases.add("retry.shared.loop", "Five tasks that iterate one retry object at once get three attempts each.")
async def _shared_loop(adapter: RetryAdapter) -> None:
    retrier = adapter.retrier(attempts=_ATTEMPTS)
    await _shared(lambda fn: lambda *args: retrier.loop(lambda: fn(*args)))


async def _shared(guard: Callable[[Fn], Callable[..., Awaitable[object]]]) -> None:
    made = [0] * _TASKS

    async def call(number: int) -> None:
        made[number] += 1
        await asyncio.sleep(0)
        raise ConnectionError("the dependency is down")

    guarded = guard(call)
    await asyncio.gather(*(attempt(lambda number=number: guarded(number)) for number in range(_TASKS)))
    check(made == [_ATTEMPTS] * _TASKS, f"they got {', '.join(map(str, made))} attempts")


@_cases.add("retry.cancel.attempt", "A call that is cancelled during an attempt ends, and is not made again.")
async def _cancel_attempt(adapter: RetryAdapter) -> None:
    held = Held()
    task = asyncio.create_task(_awaited(adapter.retrier(attempts=_ATTEMPTS).guard(held.call)))
    await settle()
    check(await cancel(task), "it does not end as cancelled")
    check(held.calls == 1, f"it was made {held.calls} times")


@_cases.add("retry.cancel.backoff", "A call that is cancelled between two attempts ends at once.")
async def _cancel_backoff(adapter: RetryAdapter) -> None:
    calls = 0
    begun = asyncio.Event()

    async def call() -> None:
        nonlocal calls
        calls += 1
        begun.set()
        raise ConnectionError("the dependency is down")

    task = asyncio.create_task(_awaited(adapter.retrier(attempts=_ATTEMPTS, delay=30.0).guard(call)))
    await begun.wait()
    await asyncio.sleep(0)
    check(await cancel(task), "it does not end as cancelled")
    check(calls == 1, f"it was made {calls} times")


@_cases.add("retry.deadline.attempt", "A deadline of 0.2 s ends an async attempt that would run for 2 s.")
async def _deadline_attempt(adapter: RetryAdapter) -> None:
    async def call() -> str:
        await adapter.time.sleep(2.0)
        return "answer"

    begun = adapter.time.now()
    result = await attempt(adapter.retrier(attempts=_ATTEMPTS, deadline=0.2).guard(call))
    took = adapter.time.now() - begun
    check(took < 1.0, f"it ran for {took:.1f} s")
    check(isinstance(result, Exception), "the caller was not told")


@_cases.add("retry.deadline.backoff", "No wait between attempts goes on beyond the deadline.")
async def _deadline_backoff(adapter: RetryAdapter) -> None:
    async def call() -> None:
        raise ConnectionError("the dependency is down")

    begun = adapter.time.now()
    await attempt(adapter.retrier(attempts=_ATTEMPTS, delay=2.0, deadline=0.5).guard(call))
    took = adapter.time.now() - begun
    check(took < 1.0, f"it waited for {took:.1f} s, with a deadline of 0.5 s")


@_cases.add("retry.jitter.spread", "Jitter works at the cap: of 200 waits there, at least 100 are distinct.")
def _spread(adapter: RetryAdapter) -> None:
    delays = adapter.delays(_DRAWS, cap=1.0)
    check(len(delays) == _DRAWS, f"{len(delays)} waits were seen")
    distinct = len({round(delay, 6) for delay in delays})
    check(distinct >= _DRAWS / 2, f"{distinct} distinct waits of {_DRAWS} draws, up to {max(delays):g} s")


@_cases.add("retry.jitter.inside_cap", "Jitter stays inside the cap: no wait is longer.")
def _inside(adapter: RetryAdapter) -> None:
    longest = max(adapter.delays(_DRAWS, cap=1.0))
    check(longest <= 1.000001, f"a wait of {longest:.3f} s with a cap of 1 s")


async def _awaited(guarded: Fn) -> object:
    result: object = await guarded()
    return result


CASES = _cases.cases
