"""The loop form of a retry: ``for attempt in retry:`` ``with attempt:`` the work, sync or async.

Each loop has a state of its own, so that one ``Retry`` serves any number of threads and tasks at once.
"""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, TypeVar, cast

from holdfast.core._flight import Attempts, Flight
from holdfast.core._limits import deadline_passed
from holdfast.core._plan import Plan
from holdfast.core.classify import classify
from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.core.deadline import CURRENT
from holdfast.core.events import Events
from holdfast.core.policy import Site
from holdfast.errors import ConfigError

if TYPE_CHECKING:
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
        site = Site(
            pipeline=name,
            dependency=name,
            clock=clock,
            rng=random.Random() if rng is None else rng,  # noqa: S311  jitter is no secret
            events=Events() if events is None else events,
        )
        self._layer = Attempts(site=site, classify=functools.partial(classify, clock=clock), plan=Plan(retry=retry))

    def __iter__(self) -> Iterator[Attempt]:
        """Attempts until one works; the waits between them block the thread."""
        attempt = Attempt(self._layer)
        while attempt.go_on():
            if attempt.delay_ns:
                with attempt.waiting:
                    self._layer.site.clock.sleep_ns(attempt.delay_ns)
            attempt.begin()
            yield attempt

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        """Attempts until one works; the task waits between them."""
        attempt = Attempt(self._layer)
        while attempt.go_on():
            if attempt.delay_ns:
                with attempt.waiting:
                    await self._layer.site.clock.asleep_ns(attempt.delay_ns)
            attempt.begin()
            yield attempt


class Attempt:
    """One attempt, as a context manager: a failure inside that may pass ends the block, and the loop goes on.

    What is not worth another attempt leaves the block: the error itself, ``RetriesExhaustedError`` or
    ``DeadlineExceededError``, as from a function that the policy decorates.

    Attributes:
        number: from 1.
    """

    def __init__(self, layer: Attempts) -> None:
        self._layer = layer
        self._flight = Flight(layer)
        self._used = False
        self._over = False
        self.delay_ns = 0
        self.number = 0
        self.waiting = _Waiting(self._flight)

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
        if self.number and not self._used:
            raise ConfigError("attempt", self.number, "was not used: put the work of the loop into `with attempt:`")
        return not self._over

    def begin(self) -> None:
        """For the loop: the wait is over."""
        self._used = False
        self.number = self._flight.attempt
        until = CURRENT.get()
        if until is not None and until <= self._layer.site.clock.now_ns():
            error = deadline_passed(self._layer.site)
            raise _as_error(self._flight, error)
        if self.number == 1 and self._layer.count is not None:
            self._layer.count(0)

    def __enter__(self) -> Attempt:
        self._used = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self._over = True
            self._flight.ended_well()
            return False
        verdict = self._flight.failed(error, None)
        try:
            if isinstance(verdict, int):
                self.delay_ns = verdict
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

    def __init__(self, flight: Flight) -> None:
        self._flight = flight

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            _as_error(self._flight, error)


def _as_error(flight: Flight, error: BaseException) -> BaseException:
    """What the caller gets when ``error`` ends the loop before an attempt has begun; charges go back."""
    verdict = flight.failed(error, None, started=False, final=True)
    error = cast("BaseException", verdict)  # a final failure has no delay
    flight.ended_badly(error)
    return error
