"""Circuit breakers: which outcomes count, and which do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.testing.policies.adapters import FAILURES_TO_OPEN
from holdfast.testing.policies.calls import (
    Held,
    answer,
    attempt,
    cancel,
    each_form,
    fail,
    guarded,
    is_open,
    settle,
    trip,
    trip_sync,
)
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import Breaker, BreakerAdapter
    from holdfast.testing.policies.calls import Form

__all__ = ["CASES"]

_cases = CaseList("breaker")


@_cases.add("breaker.sync", "Failures of a sync function open it, and a probe that succeeds after its time closes it.")
def _sync(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    calls = 0

    def call() -> str:
        nonlocal calls
        calls += 1
        return "answer"

    call_it = breaker.guard(call)
    trip_sync(breaker)
    try:
        call_it()
    except Exception as error:  # noqa: BLE001
        check(breaker.refused(error), f"an open breaker raises {error!r}")
    check(calls == 0, "an open breaker made the call")
    adapter.time.let_pass(breaker.recovery)
    check(call_it() == "answer", "the probe's result is lost")
    check(call_it() == "answer", "it is not closed after a good probe")


@_cases.add("breaker.async", "Failures of an async function open it, and a good probe after its time closes it.")
async def _async(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    await trip(breaker)
    adapter.time.let_pass(breaker.recovery)
    call_it = breaker.guard_async(answer)
    check(await attempt(call_it) == "answer", "no probe is let through after its recovery time")
    check(await attempt(call_it) == "answer", "it is not closed after a good probe")


@_cases.add(
    "breaker.async_def",
    "An async def that is decorated as it stands has its failures counted, or is refused at decoration.",
)
async def _async_def(adapter: BreakerAdapter) -> str | None:
    breaker = adapter.breaker()
    try:
        call_it = breaker.guard(fail)
    except (TypeError, ValueError):
        return "refused at decoration"
    for _ in range(FAILURES_TO_OPEN):
        await attempt(call_it)
    check(breaker.refused(await attempt(call_it)), f"{FAILURES_TO_OPEN} failures of an async def are not seen")
    return None


@_cases.add("breaker.stale_success.open", "A success of a call that began before it opened does not close it.")
async def _stale_success_open(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    early = Held()
    task = asyncio.create_task(attempt(breaker.guard_async(early.call)))
    await settle()
    await trip(breaker)
    early.let_go()
    await task
    check(await is_open(breaker), "the late success closed the open breaker")


@_cases.add(
    "breaker.stale_success.half_open",
    "A success of a call that began before it opened does not close it while a probe is under way.",
)
async def _stale_success_half_open(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    early, probe = Held(), Held(failing=True)
    first = asyncio.create_task(attempt(breaker.guard_async(early.call)))
    await settle()
    await trip(breaker)
    adapter.time.let_pass(breaker.recovery)
    second = asyncio.create_task(attempt(breaker.guard_async(probe.call)))
    await settle()
    check(probe.inside == 1, "no probe is let through after its recovery time")
    early.let_go()
    await first
    probe.let_go()
    await second
    check(await is_open(breaker), "the late success closed it: a failed probe did not open it again")


@_cases.add(
    "breaker.stale_failure", "A failure of a call that began before it opened does not count as the probe's failure."
)
async def _stale_failure(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    early, probe = Held(failing=True), Held()
    first = asyncio.create_task(attempt(breaker.guard_async(early.call)))
    await settle()
    await trip(breaker)
    adapter.time.let_pass(breaker.recovery)
    second = asyncio.create_task(attempt(breaker.guard_async(probe.call)))
    await settle()
    early.let_go()
    await first
    probe.let_go()
    check(await second == "answer", "the probe's result is lost")
    check(not await is_open(breaker), "the late failure opened it, though the probe succeeded")


@_cases.add("breaker.cancel.not_failure", "Calls that their caller cancels never open it.")
async def _cancel_not_failure(adapter: BreakerAdapter) -> None:
    async def trial(breaker: Breaker, form: Form) -> None:
        for _ in range(FAILURES_TO_OPEN + 2):
            await _cancelled_call(breaker, form, "cancelled calls opened it")
        check(not await is_open(breaker), "cancelled calls opened it")

    await each_form(adapter.breaker, trial)


@_cases.add(
    "breaker.cancel.not_success", "A call that its caller cancels is no success: the failures before it still count."
)
async def _cancel_not_success(adapter: BreakerAdapter) -> None:
    async def trial(breaker: Breaker, form: Form) -> None:
        for _ in range(FAILURES_TO_OPEN - 1):
            await attempt(breaker.guard_async(fail))
        await _cancelled_call(breaker, form)
        await attempt(breaker.guard_async(fail))
        check(await is_open(breaker), "a cancelled call made it forget the failures before it")

    await each_form(adapter.breaker, trial)


@_cases.add(
    "breaker.cancel.probe",
    "A probe that its caller cancels counts neither way: its place is free, and the next probe decides.",
)
async def _cancel_probe(adapter: BreakerAdapter) -> None:
    async def trial(breaker: Breaker, form: Form) -> None:
        await trip(breaker)
        adapter.time.let_pass(breaker.recovery)
        await _cancelled_call(breaker, form)
        error = await attempt(breaker.guard_async(fail))
        check(not breaker.refused(error) or _was_made(error), "after a cancelled probe no other is let through")
        check(await is_open(breaker), "the cancelled probe closed it: a failed probe after it did not open it again")

    await each_form(adapter.breaker, trial)


async def _cancelled_call(breaker: Breaker, form: Form, seen: str = "a call is not let through") -> None:
    held = Held()
    task = asyncio.ensure_future(guarded(breaker, held.call, form))
    await settle()
    check(held.inside == 1, seen)
    check(await cancel(task), "a cancelled call does not end as cancelled")


def _was_made(error: object) -> bool:
    """Whether an error that says "open" was raised for a call that was made (some raise it when a probe fails)."""
    return isinstance(getattr(error, "__cause__", None), ConnectionError)


CASES = _cases.cases
