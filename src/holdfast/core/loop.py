"""The loop form of a retry: ``for attempt in retry:`` ``with attempt:`` the work, sync or async.

Each loop has a state of its own, so that one ``Retry`` serves any number of threads and tasks at once. The iterators
are classes and no generators: a loop that is left by ``return`` or ``break`` is over in that moment, and leaves nothing
for the event loop to close.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar, cast

from holdfast.core._attempts import Attempts
from holdfast.core._chance import JITTER
from holdfast.core._flight import Flight
from holdfast.core._limits import deadline_passed
from holdfast.core._place import check_clock, check_doors
from holdfast.core._plan import Plan
from holdfast.core.classify import classify
from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.core.deadline import CURRENT
from holdfast.core.events import Events
from holdfast.core.policy import Site
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from holdfast.core.retry import Retry

__all__ = ["Attempt", "Attempting"]

R = TypeVar("R")


class Attempting:
    """What :meth:`Retry.loop` gives: to be iterated with ``for`` or ``async for``, any number of times."""

    def __init__(
        self,
        retry: Retry,
        *,
        name: str = "loop",
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        events: Events | None = None,
    ) -> None:
        if clock is not SYSTEM_CLOCK or rng is not None or events is not None or name != "loop":
            check_clock(clock)  # nothing is wrong with the defaults
            check_doors(clock=None, rng=rng, events=events, name=name)
        site = Site(
            pipeline=name,
            dependency=name,
            clock=clock,
            rng=JITTER if rng is None else rng,
            events=Events() if events is None else events,
        )
        self._layer = Attempts(site=site, classify=functools.partial(classify, clock=clock), plan=Plan(retry=retry))

    def __iter__(self) -> Iterator[Attempt]:
        """Attempts until one works; the waits between them block the thread."""
        return _Attempts(Attempt(self._layer), self._layer.site.clock)

    def __aiter__(self) -> AsyncIterator[Attempt]:
        """Attempts until one works; the task waits between them."""
        return _AsyncAttempts(Attempt(self._layer), self._layer.site.clock)


class _Loop:
    """One loop, which gives the same attempt again and again. Nothing refers to it: it ends as soon as it is left."""

    __slots__ = ("_attempt", "_clock")

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock

    def __del__(self) -> None:
        self._attempt.abandon()


class _Attempts(_Loop):
    __slots__ = ()

    def __iter__(self) -> _Attempts:
        return self

    def __next__(self) -> Attempt:
        attempt = self._attempt
        if not attempt.go_on():
            raise StopIteration
        if attempt.delay_ns:
            with _Waiting(attempt):
                self._clock.sleep_ns(attempt.delay_ns)
        attempt.begin()
        return attempt


class _AsyncAttempts(_Loop):
    __slots__ = ()

    def __aiter__(self) -> _AsyncAttempts:
        return self

    async def __anext__(self) -> Attempt:
        attempt = self._attempt
        if not attempt.go_on():
            raise StopAsyncIteration
        if attempt.delay_ns:
            with _Waiting(attempt):
                await self._clock.asleep_ns(attempt.delay_ns)
        attempt.begin()
        return attempt


class Attempt:
    """One attempt, as a context manager: a failure inside that may pass ends the block, and the loop goes on.

    What is not worth another attempt leaves the block: the error itself, ``RetriesExhaustedError`` or
    ``DeadlineExceededError``, as from a function that the policy decorates.

    Attributes:
        number: from 1.
    """

    number: int

    def __init__(self, layer: Attempts) -> None:
        self._layer = layer
        self._flight = Flight(layer, layer.site.clock.now_ns())
        self._used = True  # there is none before the first one that could have been left unused
        self._over = False
        self._scheduled = False  # a failure was let pass: the next attempt is promised, and charged to the budget
        self.delay_ns = 0

    def check(self, result: R) -> R:
        """``result``, unless the policy's ``on_result`` refuses it: then this attempt fails.

        Raises:
            UnacceptableResultError: it does; inside the block that is a failure like any other.
        """
        if self._layer.judge is not None:
            self._layer.judge(result)
        return result

    def go_on(self) -> bool:
        """For the loop: whether there is another attempt.

        Raises:
            ConfigError: the body of the loop has no ``with attempt:``.
        """
        if self._over:
            return False
        if not self._used:
            raise ConfigError("attempt", self.number, "was not used: put the work of the loop into `with attempt:`")
        return True

    def begin(self) -> None:
        """For the loop: the wait is over."""
        self._used = False
        self.number = self._flight.attempt
        until = CURRENT.get()
        if until is not None and until <= self._layer.site.clock.now_ns():
            raise self.end(deadline_passed(self._layer.site))
        if self.number == 1 and self._layer.count is not None:
            self._layer.count(0)

    def end(self, error: BaseException) -> BaseException:
        """What the caller gets when ``error`` ends the loop before an attempt has begun; charges go back."""
        self._over = True
        self._scheduled = False
        verdict = self._flight.failed(error, None, 0, started=False, final=True)
        error = cast("BaseException", verdict)  # a final failure has no delay
        self._flight.ended_badly(error)
        return error

    def abandon(self) -> None:
        """For the loop: it was left. An attempt that was promised is never made, and its charge goes back."""
        if self._scheduled:
            self.end(GeneratorExit())

    def __enter__(self) -> Attempt:
        self._used = True
        self._scheduled = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self._over = True
            self._flight.ended_well()
            return False
        verdict = self._flight.failed(error, None, 0, started=True)
        try:
            if isinstance(verdict, int):
                self.delay_ns = verdict
                self._scheduled = True
                return True
            self._over = True
            self._flight.ended_badly(verdict)
            if verdict is error:
                return False
            raise verdict
        finally:
            del verdict


class _Waiting:
    """Around a wait between attempts: what ends it early (a cancellation) gives the charge of the next one back."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._attempt.end(error)
