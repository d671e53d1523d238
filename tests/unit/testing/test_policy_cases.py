"""The conformance cases can fail: each finds the defect that it is for."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.testing.clock import FakeClock
from holdfast.testing.policies import CASES, FakeTime, UnsupportedError, Verdict
from holdfast.testing.policies.ours import Holdfast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Fn = Any
TIME = FakeTime(FakeClock())


class Through:
    """A policy that does nothing."""

    recovery = patience = 0.0

    def guard(self, fn: Fn) -> Fn:
        return fn

    guard_async = guard

    @asynccontextmanager
    async def block(self) -> AsyncIterator[None]:
        yield

    def refused(self, error: object) -> bool:
        return isinstance(error, PermissionError)


class OneTaskAtATime(Through):
    def __init__(self) -> None:
        self.lock = asyncio.Lock()

    def guard_async(self, fn: Fn) -> Fn:
        async def guarded() -> object:
            async with self.lock:
                return await fn()

        return guarded


class OneThreadAtATime(Through):
    lock = threading.Lock()

    def guard(self, fn: Fn) -> Fn:
        def guarded() -> object:
            with self.lock:
                return fn()

        return guarded


class Blocking(Through):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def guard_async(self, fn: Fn) -> Fn:
        async def guarded() -> object:
            time.sleep(self.seconds)  # noqa: ASYNC251  that is the defect
            return await fn()

        return guarded


class SharedAttempts(Through):
    """Counts the attempts of all its callers together."""

    def __init__(self) -> None:
        self.left = 3

    def guard(self, fn: Fn) -> Fn:
        async def guarded(*args: object) -> object:
            while True:
                self.left -= 1
                try:
                    return await fn(*args)
                except ConnectionError:
                    if self.left <= 0:
                        raise

        return guarded


class Stubborn(Through):
    """Takes a cancellation for an answer."""

    def guard(self, fn: Fn) -> Fn:
        async def guarded() -> object:
            try:
                try:
                    return await fn()
                except ConnectionError:
                    await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
            return None

        return guarded


class Purse:
    """A budget of a number of retries, which never comes back."""

    def __init__(self, granted: int) -> None:
        self.left = granted
        self.empty = asyncio.Event()

    def request(self) -> None:
        pass

    def spend(self) -> object | None:
        if not self.left:
            self.empty.set()
            return None
        self.left -= 1
        return self

    def refund(self, spent: object) -> None:
        pass

    def hedge(self, fn: Fn, *, delay: float) -> Fn:
        async def guarded() -> object:
            calls = [asyncio.ensure_future(fn())]
            await TIME.sleep(delay)
            calls.append(asyncio.ensure_future(fn()))
            await self.empty.wait()
            for call in calls:
                call.cancel()
            raise PermissionError

        return guarded


class Leaky(Through):
    """A bulkhead of three slots that a failing call takes with it."""

    def __init__(self) -> None:
        self.free = 3

    def guard_async(self, fn: Fn) -> Fn:
        async def guarded() -> object:
            if not self.free:
                raise PermissionError
            self.free -= 1
            result = await fn()
            self.free += 1
            return result

        return guarded

    def block(self) -> Any:
        raise UnsupportedError("it has no form for blocks")


class Bucket(Through):
    """A bucket whose places in line are never given back; without a line, one that counts the calls of everybody."""

    def __init__(self, *, waits: bool) -> None:
        self.left = 10
        self.waits = waits

    def guard_async(self, fn: Fn) -> Fn:
        async def guarded() -> object:
            self.left -= 1
            if self.left < 0 and not self.waits:
                raise PermissionError
            await TIME.sleep(max(0.0, -0.1 * self.left))
            return await fn()

        return guarded


def breaker(make: Callable[[], Any]) -> dict[str, Any]:
    fleet = {"fleet": lambda replicas, seconds: [Blocking(seconds) if seconds else make() for _ in range(replicas)]}
    return {"breaker": SimpleNamespace(time=TIME, breaker=make, **fleet)}


def retry(make: Callable[[], Any]) -> dict[str, Any]:
    return {"retry": SimpleNamespace(time=TIME, retrier=lambda **_: make())}


def budget(granted: int) -> dict[str, Any]:
    return {"budget": SimpleNamespace(time=TIME, budget=lambda **_: Purse(granted))}


def limiter(make: Callable[[], Any]) -> dict[str, Any]:
    return {"limiter": SimpleNamespace(time=TIME, limiter=lambda name="", **_: make())}


def bulkhead(make: Callable[[], Any]) -> dict[str, Any]:
    return {"bulkhead": SimpleNamespace(bulkhead=lambda **_: make())}


COMMON = Bucket(waits=False)
DEFECTS: list[tuple[str, dict[str, Any]]] = [
    ("breaker.sync", breaker(Through)),
    ("breaker.async", breaker(Through)),
    ("breaker.async_def", breaker(Through)),
    ("breaker.no_lock.tasks", breaker(OneTaskAtATime)),
    ("breaker.shared.no_lock", breaker(OneThreadAtATime)),
    ("breaker.shared.loop", breaker(Through)),
    ("retry.sync", retry(Through)),
    ("retry.async_def", retry(Through)),
    ("retry.shared.function", retry(SharedAttempts)),
    ("retry.cancel.attempt", retry(Stubborn)),
    ("retry.cancel.backoff", retry(Stubborn)),
    ("budget.floor", budget(0)),
    ("budget.share", budget(5)),
    ("budget.window", budget(5)),
    ("budget.refund", budget(5)),
    ("budget.live_hedge", budget(5)),
    ("limiter.burst", limiter(Through)),
    ("limiter.refill", limiter(Through)),
    ("limiter.threads", limiter(Through)),
    ("limiter.cancel", limiter(lambda: Bucket(waits=True))),
    ("limiter.apart", limiter(lambda: COMMON)),
    ("bulkhead.cap.tasks", bulkhead(Through)),
    ("bulkhead.cap.threads", bulkhead(Through)),
    ("bulkhead.failure", bulkhead(Leaky)),
]


@pytest.mark.parametrize(("case_id", "parts"), DEFECTS, ids=[case_id for case_id, _ in DEFECTS])
def test_a_defect_is_found(case_id: str, parts: dict[str, Any]) -> None:
    """A policy that has the defect fails the case, with a reason."""
    case = next(case for case in CASES if case.id == case_id)
    outcome = case.run(SimpleNamespace(name="defective", **parts))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.reason
    assert "it raised" not in outcome.reason


def test_what_a_library_lacks_is_no_failure() -> None:
    """A library without limiters fails no case of limiters."""
    library = Holdfast()
    library.limiter = None  # type: ignore[assignment]
    outcomes = [case.run(library) for case in CASES if case.subject == "limiter"]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.UNSUPPORTED}


def test_shared_state_is_tried_where_there_is_some() -> None:
    """Breakers that share their state without a lock during the call, and without blocking the loop, pass."""
    ours = Holdfast().breaker
    shared = ours.breaker()
    adapter = SimpleNamespace(time=ours.time, fleet=lambda replicas, _: [shared] * replicas)
    library = SimpleNamespace(name="sharing", breaker=adapter)
    outcomes = [case.run(library) for case in CASES if case.id.startswith("breaker.shared")]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.PASSED, Verdict.PASSED]
