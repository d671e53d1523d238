"""Bulkheads: so many at once, and every slot comes back."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from holdfast.testing.policies.calls import Held, HeldThread, attempt, cancel, each_form, fail, guarded, settle
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import Bulkhead, BulkheadAdapter
    from holdfast.testing.policies.calls import Form

__all__ = ["CASES"]

_cases = CaseList("bulkhead")

_SLOTS = 3
_WAITING = 4
_LONG = 5.0  # seconds of real time


@_cases.add("bulkhead.cap.tasks", "Of 20 tasks that call at once, three are inside.")
async def _cap_tasks(adapter: BulkheadAdapter) -> None:
    async def trial(bulkhead: Bulkhead, form: Form) -> None:
        await _check_slots(bulkhead, form)

    await each_form(lambda: adapter.bulkhead(slots=_SLOTS, waiting=0), trial)


@_cases.add("bulkhead.cap.threads", "Of 20 threads that call at once, three are inside and the others are refused.")
def _cap_threads(adapter: BulkheadAdapter) -> None:
    bulkhead = adapter.bulkhead(slots=_SLOTS, waiting=0)
    held = HeldThread()
    call = bulkhead.guard(held.call)
    refused: list[bool] = []

    def caller() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  told apart here
            refused.append(bulkhead.refused(error))

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(0.02)
    inside = held.inside
    held.let_go()
    for thread in threads:
        thread.join(5)
    check(inside == _SLOTS, f"{inside} threads were inside at once")
    check(refused == [True] * (20 - _SLOTS), f"{sum(refused)} of {20 - _SLOTS} others were refused")


@_cases.add("bulkhead.cancel.waiting", "A caller that is cancelled while it waits for a slot takes none with it.")
async def _cancel_waiting(adapter: BulkheadAdapter) -> None:
    async def trial(bulkhead: Bulkhead, form: Form) -> None:
        held = Held()
        inside = [asyncio.ensure_future(guarded(bulkhead, held.call, form)) for _ in range(_SLOTS)]
        await settle()
        for turn in range(3):  # more often than there are places to leak
            waiting = [asyncio.ensure_future(guarded(bulkhead, held.call, form)) for _ in range(_WAITING)]
            await settle()
            for task in waiting:
                seen = f"after {turn * _WAITING} cancelled waiters a call may not wait, though {_WAITING} may"
                check(not task.done(), seen)
                check(await cancel(task), "a waiting call does not end as cancelled")
        held.let_go()
        await asyncio.gather(*inside)
        await _check_slots(bulkhead, form)

    await each_form(lambda: adapter.bulkhead(slots=_SLOTS, waiting=_WAITING), trial)


@_cases.add("bulkhead.cancel.running", "A call that is cancelled while it runs gives its slot back.")
async def _cancel_running(adapter: BulkheadAdapter) -> None:
    async def trial(bulkhead: Bulkhead, form: Form) -> None:
        for _ in range(3):
            held = Held()
            inside = [asyncio.ensure_future(guarded(bulkhead, held.call, form)) for _ in range(_SLOTS)]
            await settle()
            check(held.inside == _SLOTS, f"{held.inside} of {_SLOTS} calls got a slot")
            for task in inside:
                check(await cancel(task), "a call does not end as cancelled")
        await _check_slots(bulkhead, form)

    await each_form(lambda: adapter.bulkhead(slots=_SLOTS, waiting=0), trial)


@_cases.add("bulkhead.cancel.handed", "A caller that is cancelled just as a slot is handed to it hands it on.")
async def _cancel_handed(adapter: BulkheadAdapter) -> None:
    async def trial(bulkhead: Bulkhead, form: Form) -> None:
        for turns in range(4):
            held, late = Held(), Held()
            inside = [asyncio.ensure_future(guarded(bulkhead, held.call, form)) for _ in range(_SLOTS)]
            await settle()
            waiting = [asyncio.ensure_future(guarded(bulkhead, late.call, form)) for _ in range(_SLOTS)]
            await settle()
            held.let_go()
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            late.let_go()
            _, hung = await asyncio.wait([*inside, *waiting], timeout=_LONG)
            for task in hung:
                task.cancel()
            check(not hung, f"{len(hung)} callers waited for a slot that never came")
        await _check_slots(bulkhead, form)

    await each_form(lambda: adapter.bulkhead(slots=_SLOTS, waiting=_WAITING), trial)


@_cases.add("bulkhead.failure", "A call that fails gives its slot back.")
async def _failure(adapter: BulkheadAdapter) -> None:
    async def trial(bulkhead: Bulkhead, form: Form) -> None:
        for _ in range(2 * _SLOTS):
            error = await attempt(lambda: guarded(bulkhead, fail, form))
            check(isinstance(error, ConnectionError), f"the caller got {error!r} for the call's error")
        await _check_slots(bulkhead, form)

    await each_form(lambda: adapter.bulkhead(slots=_SLOTS, waiting=0), trial)


async def _check_slots(bulkhead: Bulkhead, form: Form) -> None:
    """Fail unless exactly so many of 20 callers are inside; those that wait end when they are let go."""
    held = Held()
    tasks = [asyncio.ensure_future(attempt(lambda: guarded(bulkhead, held.call, form))) for _ in range(20)]
    await settle()
    inside = held.inside
    held.let_go()
    await asyncio.wait(tasks, timeout=_LONG)
    hung = [task for task in tasks if not task.done()]
    for task in hung:
        await cancel(task)
    check(inside == _SLOTS, f"{inside} of {_SLOTS} slots could be used")
    check(not hung, f"{len(hung)} callers waited for a slot that never came")


CASES = _cases.cases
