"""The calls that the cases make: some that fail, some that wait inside until they are let go."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from holdfast.testing.policies.adapters import FAILURES_TO_OPEN, UnsupportedError
from holdfast.testing.policies.case import CaseFailedError, check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.testing.policies.adapters import Breaker, Bulkhead, Fn

__all__ = [
    "Form",
    "Held",
    "HeldThread",
    "answer",
    "attempt",
    "cancel",
    "each_form",
    "fail",
    "fail_sync",
    "guarded",
    "is_open",
    "settle",
    "trip",
    "trip_sync",
]

Form: TypeAlias = Literal["function", "block"]
"""How an async call is guarded: as a function, or in an ``async with`` block."""

PolicyT = TypeVar("PolicyT", "Breaker", "Bulkhead")


_TURNS = 100
_LONG = 5.0  # seconds of real time after which a thread of a case gives up


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def answer() -> str:
    """A call that works."""
    return "answer"


async def fail() -> None:
    """A call that fails."""
    raise ConnectionError("the dependency is down")


def fail_sync() -> None:
    """A call that fails."""
    raise ConnectionError("the dependency is down")


async def attempt(call: Fn) -> object:
    """The result of a call, or its error."""
    try:
        result = call()
        return await result if inspect.isawaitable(result) else result
    except UnsupportedError:
        raise
    except Exception as error:  # noqa: BLE001  the caller looks at it
        return error


async def trip(breaker: Breaker) -> None:
    """Open the breaker with failures of an async function."""
    failing = breaker.guard_async(fail)
    for _ in range(FAILURES_TO_OPEN):
        await attempt(failing)
    check(await is_open(breaker), f"{FAILURES_TO_OPEN} failures in a row do not open it")


async def is_open(breaker: Breaker) -> bool:
    """Whether it refuses a call now. Where it does not, the call succeeds."""
    return breaker.refused(await attempt(breaker.guard_async(answer)))


def trip_sync(breaker: Breaker) -> None:
    """Open the breaker with failures of a sync function."""
    failing = breaker.guard(fail_sync)
    for _ in range(FAILURES_TO_OPEN):
        with contextlib.suppress(Exception):
            failing()
    try:
        failing()
    except Exception as error:  # noqa: BLE001  whatever it is
        if breaker.refused(error):
            return
    check(False, f"{FAILURES_TO_OPEN} failures in a row do not open it")  # noqa: FBT003


async def cancel(task: asyncio.Task[Any]) -> bool:
    """Cancel the task and wait for its end; whether it ended by the cancellation."""
    task.cancel()
    await asyncio.wait([task], timeout=_LONG)
    return task.cancelled()


async def guarded(policy: Breaker | Bulkhead, call: Fn, form: Form) -> object:
    """Await ``call`` under the policy."""
    if form == "function":
        return await policy.guard_async(call)()
    async with policy.block():
        return await call()


async def each_form(make: Callable[[], PolicyT], trial: Callable[[PolicyT, Form], Awaitable[None]]) -> None:
    """Try it with each form that the library has, and a policy of its own for each.

    Raises:
        UnsupportedError: it has neither form.
        CaseFailedError: it is not true of one of them.
    """
    lacks: list[UnsupportedError] = []
    for form in get_args(Form):
        try:
            if form == "function":
                make().guard_async(answer)
            else:
                make().block()
        except UnsupportedError as lack:
            lacks.append(lack)
            continue
        try:
            await trial(make(), form)
        except CaseFailedError as seen:
            raise CaseFailedError(f"with a {form}: {seen}") from None
    if len(lacks) == len(get_args(Form)):
        raise lacks[0]


class Held:
    """An async call that waits inside until it is let go: :meth:`call` is the function to guard.

    Attributes:
        inside: how many calls wait inside now.
        calls: how many ever came in.
        failing: whether they fail when they are let go.
    """

    def __init__(self, *, failing: bool = False) -> None:
        self.inside = 0
        self.calls = 0
        self.failing = failing
        self._gate = asyncio.Event()

        async def call() -> str:
            self.inside += 1
            self.calls += 1
            try:
                await self._gate.wait()
            finally:
                self.inside -= 1
            if self.failing:
                raise ConnectionError("the dependency is down")
            return "answer"

        self.call = call

    def let_go(self) -> None:
        """Let everybody out, now and later."""
        self._gate.set()


class HeldThread:
    """The same for threads: a sync call that waits inside."""

    def __init__(self) -> None:
        self.inside = 0
        self._lock = threading.Lock()
        self._gate = threading.Event()

        def call() -> str:
            with self._lock:
                self.inside += 1
            self._gate.wait(_LONG)
            return "answer"

        self.call = call

    def let_go(self) -> None:
        """Let everybody out."""
        self._gate.set()
