"""tenacity and pybreaker around a plain program, as their users combine them.

Each dependency has a breaker, ``pybreaker.CircuitBreaker`` with its defaults (five failures, 60 s), and each call is
made up to three times by ``tenacity``, with its exponential backoff and full jitter from one second on. A refusal of
the breaker is not repeated. When the first model is out of attempts, the next one is asked; a cache that fails knows
nothing. There is no budget, no probe, and nothing stands in for an answer.

Both libraries read the time and chance of the machine; here they get the world's, through what they offer for it:
tenacity takes a function that sleeps and one that says how long, and pybreaker asks its storage when it was opened.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from holdfast.core.clock import to_ns
from holdfast.core.events import BreakerTransition, RetryScheduled
from holdfast.core.policy import stamp
from holdfast.errors import HoldfastError, RejectedError
from holdfast.lab.configurations.plain import PlainProgram

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.lab.world.program import Program
    from holdfast.lab.world.world import World

__all__ = ["PeerMissingError", "check_peers", "tenacity_pybreaker"]

P = ParamSpec("P")
T = TypeVar("T")

_PEERS = ("tenacity", "pybreaker")
_PIPELINE = "tenacity-pybreaker"
_ATTEMPTS = 3
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_FAIL_MAX = 5
_RESET_TIMEOUT = 60.0
_MODELS = 2
_EVER = dt.timedelta(days=1)


class PeerMissingError(HoldfastError, ImportError):
    """A library that Holdfast is compared with is not installed; it never is a dependency of Holdfast."""


def check_peers() -> None:
    """See whether the libraries are there.

    Raises:
        PeerMissingError: one is not.
    """
    for name in _PEERS:
        _load(name)


def tenacity_pybreaker(world: World) -> Program:
    """A plain program with both libraries around its calls.

    Raises:
        PeerMissingError: one is not installed.
    """
    return PlainProgram(world, calls=_Peers(world), models=_MODELS, spares_cache=True)


def _load(name: str) -> Any:  # noqa: ANN401 - a library that the project does not depend on
    try:
        return importlib.import_module(name)
    except ImportError as error:
        packages = " ".join(_PEERS)
        raise PeerMissingError(
            f"The configuration tenacity-pybreaker needs {name}, which is not installed: pip install {packages}"
        ) from error


class _Peers:
    """The calls of a program, with both libraries around them."""

    def __init__(self, world: World) -> None:
        self._tenacity, self._pybreaker = _load("tenacity"), _load("pybreaker")
        self._world = world
        self._rng = world.draws.stream("tenacity")
        self._breakers: dict[str, Any] = {}

    async def call(self, dependency: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The call, up to three times, each through the breaker.

        Raises:
            RejectedError: the breaker is open.
        """
        tenacity, refused = self._tenacity, self._pybreaker.CircuitBreakerError
        breaker = self._breaker(dependency)

        async def once() -> T:
            # pybreaker counts what was cancelled, and at its threshold raises its own error in the place of the
            # cancellation. The program would go on, for nobody: the gateway in front of it has given up.
            cancelled: asyncio.CancelledError | None = None
            try:
                with breaker.calling():
                    try:
                        return await fn(*args, **kwargs)
                    except asyncio.CancelledError as error:
                        cancelled = error
                        raise
            except refused:
                if cancelled is None:
                    raise
            raise cancelled

        # One for each call, as the decorator makes it: its state is not to be shared.
        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=self._wait,
            # The first half is tenacity's default; the second one alone would repeat calls that were cancelled.
            retry=tenacity.retry_all(tenacity.retry_if_exception_type(), tenacity.retry_if_not_exception_type(refused)),
            before_sleep=lambda state: self._told(dependency, state),
            reraise=True,
        )
        try:
            result: T = await retrying(once)
        except refused as error:
            raise RejectedError(f"{dependency}: {error}", dependency=dependency) from error
        return result

    async def _sleep(self, seconds: float) -> None:
        await self._world.clock.asleep_ns(to_ns(seconds))

    def _wait(self, state: Any) -> float:  # noqa: ANN401 - tenacity's
        """As ``tenacity.wait_random_exponential(multiplier=1, max=60)``, which draws from the machine's chance."""
        return self._rng.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (state.attempt_number - 1)))

    def _told(self, dependency: str, state: Any) -> None:  # noqa: ANN401 - tenacity's
        error = state.outcome.exception()
        self._world.events.emit(
            RetryScheduled(
                **stamp(self._world.clock, None, pipeline=_PIPELINE, policy="tenacity", dependency=dependency),
                retry=state.attempt_number,
                max_retries=_ATTEMPTS - 1,
                delay_ns=to_ns(state.next_action.sleep),
                kind="",
                error_type=type(error).__name__,
            )
        )

    def _breaker(self, dependency: str) -> Any:  # noqa: ANN401 - pybreaker's
        breaker = self._breakers.get(dependency)
        if breaker is None:
            breaker = self._breakers[dependency] = self._pybreaker.CircuitBreaker(
                fail_max=_FAIL_MAX,
                reset_timeout=_RESET_TIMEOUT,
                name=dependency,
                state_storage=_storage(self._pybreaker, self._world),
                listeners=[_listener(self._pybreaker, self._world, dependency)],
            )
        return breaker


def _storage(pybreaker: Any, world: World) -> Any:  # noqa: ANN401 - pybreaker's
    """Where a breaker keeps its state, in the world's time.

    pybreaker compares the time at which it was opened with the machine's. It is given one that is long past when the
    world's time for it is over, and one that is to come while it is not.
    """

    class Storage(pybreaker.CircuitMemoryStorage):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(pybreaker.STATE_CLOSED)
            self._opened_ns: int | None = None

        @property
        def opened_at(self) -> dt.datetime | None:
            if self._opened_ns is None:
                return None
            over = world.clock.now_ns() - self._opened_ns >= to_ns(_RESET_TIMEOUT)
            now = dt.datetime.now(dt.UTC)
            return now - _EVER if over else now + _EVER

        @opened_at.setter
        def opened_at(self, moment: dt.datetime) -> None:
            del moment  # the machine's
            self._opened_ns = world.clock.now_ns()

    return Storage()


def _listener(pybreaker: Any, world: World, dependency: str) -> Any:  # noqa: ANN401 - pybreaker's
    """Tells the world of a breaker's moves."""

    class Listener(pybreaker.CircuitBreakerListener):  # type: ignore[misc]
        moves = 0

        def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:  # noqa: ANN401
            del cb
            self.moves += 1
            world.events.emit(
                BreakerTransition(
                    **stamp(world.clock, None, pipeline=_PIPELINE, policy="pybreaker", dependency=dependency),
                    from_state=_name(old_state),
                    to_state=_name(new_state),
                    reason="failures" if _name(new_state) == "open" else "recovery_timeout",
                    generation=self.moves,
                )
            )

    return Listener()


def _name(state: Any) -> str:  # noqa: ANN401 - pybreaker's
    return "closed" if state is None else str(state.name).replace("-", "_")
