"""tenacity and pybreaker around a plain program, on the world's time and chance.

The libraries are no dependency of the project. Here stand-ins take their place that do what the adapter relies on: the
comparison itself runs with the real ones.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.lab.configurations.peers import PeerMissingError
from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.world import World, run_world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

NAME = "tenacity-pybreaker"
QUESTION = "How many days do I have to send back a toaster I don't like?"


class AsyncRetrying:
    """As tenacity's: calls, asks whether to go on, and sleeps."""

    def __init__(
        self,
        *,
        sleep: Any,
        stop: int,
        wait: Any,
        retry: Callable[[BaseException], bool],
        before_sleep: Any,
        reraise: bool,
    ) -> None:
        assert reraise
        self._sleep, self._stop, self._wait, self._retry, self._told = sleep, stop, wait, retry, before_sleep

    async def __call__(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        """Up to ``stop`` attempts."""
        number = 0
        while True:
            number += 1
            try:
                return await fn()
            except BaseException as raised:
                if number >= self._stop or not self._retry(raised):
                    raise
                error = raised
            state = SimpleNamespace(attempt_number=number, outcome=SimpleNamespace(exception=lambda kept=error: kept))
            seconds = self._wait(state)
            state.next_action = SimpleNamespace(sleep=seconds)
            self._told(state)
            await self._sleep(seconds)


class CircuitBreakerError(Exception):
    """The breaker is open."""


class CircuitBreaker:
    """As pybreaker's: it compares what its storage says with the machine's time."""

    def __init__(self, *, fail_max: int, reset_timeout: float, name: str, state_storage: Any, listeners: Any) -> None:
        self._most, self._timeout, self.name = fail_max, dt.timedelta(seconds=reset_timeout), name
        self._storage, self._listeners = state_storage, listeners
        self._state, self._failures = "closed", 0

    @contextmanager
    def calling(self) -> Iterator[None]:
        """One call."""
        if self._state == "open":
            if dt.datetime.now(dt.UTC) < self._storage.opened_at + self._timeout:
                raise CircuitBreakerError("Timeout not elapsed yet, circuit breaker still open")
            self._move("half-open")
        try:
            yield
        except BaseException:
            self._failures += 1
            if self._state == "half-open" or self._failures >= self._most:
                self._storage.opened_at = dt.datetime.now(dt.UTC)
                self._move("open")
                raise CircuitBreakerError("Failures threshold reached, circuit breaker opened") from None
            raise
        self._failures = 0
        if self._state == "half-open":
            self._move("closed")

    def _move(self, to: str) -> None:
        before, self._state = self._state, to
        for listener in self._listeners:
            listener.state_change(self, SimpleNamespace(name=before), SimpleNamespace(name=to))


class CircuitMemoryStorage:
    """Where a breaker of pybreaker keeps its state."""

    def __init__(self, state: str) -> None:
        assert state == "closed"


@pytest.fixture(autouse=True)
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    tenacity, pybreaker = ModuleType("tenacity"), ModuleType("pybreaker")
    vars(tenacity).update(
        AsyncRetrying=AsyncRetrying,
        stop_after_attempt=lambda attempts: attempts,
        retry_if_exception_type=lambda: lambda error: isinstance(error, Exception),
        retry_if_not_exception_type=lambda kind: lambda error: not isinstance(error, kind),
        retry_all=lambda *rules: lambda error: all(rule(error) for rule in rules),
    )
    vars(pybreaker).update(
        CircuitBreaker=CircuitBreaker,
        CircuitBreakerError=CircuitBreakerError,
        CircuitBreakerListener=object,
        CircuitMemoryStorage=CircuitMemoryStorage,
        STATE_CLOSED="closed",
    )
    monkeypatch.setitem(sys.modules, "tenacity", tenacity)
    monkeypatch.setitem(sys.modules, "pybreaker", pybreaker)


def options(*faults: Fault) -> WorldOptions:
    """A world with these faults."""
    return configuration_of(NAME).options(
        WorldOptions(faults=FaultPlan(faults), provider=SimulatorOptions(speed=0), settings={"cache_size": 0})
    )


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a library the configuration says so before a world is made, and what to install."""
    monkeypatch.setitem(sys.modules, "pybreaker", None)
    with pytest.raises(
        PeerMissingError, match="needs pybreaker, which is not installed: pip install tenacity pybreaker"
    ):
        options()


def test_attempts_wait_in_the_worlds_time() -> None:
    """A call that fails is made three times at most, with waits of the world's time and chance; the same each run."""

    async def main(world: World) -> tuple[str, float, int]:
        asked = await world.ask(QUESTION)
        return asked.error, asked.seconds, world.record.retries["store:sqlite"]

    gone = Fault(component="store", kind=Kind.DOWN)
    first, second = run_world(main, options(gone)), run_world(main, options(gone))
    error, seconds, retries = first.value
    assert (error, retries) == ("StoreUnavailableError", 2)
    assert 0 < seconds < 3.1
    assert (first.value, first.trace) == (second.value, second.trace)


def test_a_breaker_opens_and_closes_in_the_worlds_time() -> None:
    """Five failures open a breaker; it refuses for a minute of the world's time, and closes with a call that works."""

    async def main(world: World) -> list[str]:
        errors = [(await world.ask(QUESTION)).error for _ in range(3)]
        await world.wait(50.0)
        errors.append((await world.ask(QUESTION)).error)
        await world.wait(15.0)
        errors.append((await world.ask(QUESTION)).error)
        moves = [(move.before, move.after) for move in world.record.breakers if move.dependency == "store:sqlite"]
        assert moves == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
        return errors

    gone = Fault(component="store", kind=Kind.DOWN, end=30.0)
    errors = run_world(main, options(gone)).value
    assert errors == ["StoreUnavailableError", "RejectedError", "RejectedError", "RejectedError", ""]


def test_what_hangs_is_cancelled_and_not_repeated() -> None:
    """The gateway's limit ends a call that hangs, once and for all."""

    async def main(world: World) -> tuple[str, float]:
        asked = await world.ask(QUESTION)
        return asked.error, asked.seconds

    hang = Fault(component="store", kind=Kind.HANG)
    assert run_world(main, options(hang)).value == ("AttemptTimeoutError", 30.0)


def test_a_cancellation_that_opens_a_breaker_is_one_still() -> None:
    """The calls that hang open the breaker when the gateway ends them, and each question ends at its limit."""

    async def main(world: World) -> list[tuple[str, float]]:
        async with asyncio.TaskGroup() as users:
            tasks = [users.create_task(world.ask(QUESTION, request=f"user-{number}")) for number in range(5)]
        assert [move.after for move in world.record.breakers] == ["open"]
        return [(asked.error, asked.seconds) for asked in (task.result() for task in tasks)]

    for component in ("model", "store"):
        ended = run_world(main, options(Fault(component=component, kind=Kind.HANG)), max_seconds=600).value
        assert ended == [("AttemptTimeoutError", 30.0)] * 5


def test_every_error_is_repeated() -> None:
    """By tenacity's default nothing is told apart: rate limits and wrong keys are repeated as lost connections are."""

    async def main(world: World) -> int:
        await world.ask(QUESTION)
        return len(world.providers["openai"].calls)

    for way in ("rate_limited", "auth", "reset"):
        failing = Fault(component="model:openai", kind=Kind.ERRORS, way=way)
        assert run_world(main, options(failing)).value == 3, way


def test_the_second_model_is_asked_when_attempts_are_used_up() -> None:
    """The next provider answers after three calls of the first."""

    async def main(world: World) -> tuple[str, int]:
        asked = await world.ask(QUESTION)
        return asked.source, len(world.providers["openai"].calls)

    source, _ = run_world(main, options(Fault(component="model:openai", kind=Kind.DOWN))).value
    assert source == "other_provider"
