"""What the policies did, as typed events, and the hub that hands them on.

Everything that watches the library (logs, metrics, traces, health, the lab) listens here. A policy asks
``events.active`` before it builds an event, so that nobody pays when nobody listens. Events are delivered in the
thread or task that caused them, outside every lock; what a listener raises never reaches the caller.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "AttemptFailed",
    "AttemptTimedOut",
    "BreakerRejected",
    "BreakerTransition",
    "CallFailed",
    "CallSucceeded",
    "DeadlineExceeded",
    "Event",
    "Events",
    "FallbackUsed",
    "RetriesExhausted",
    "RetryScheduled",
    "RetrySucceeded",
    "correlation_id",
    "correlation_scope",
]

_log = logging.getLogger("holdfast.events")
_correlation: ContextVar[str] = ContextVar("holdfast_correlation_id", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event says.

    Attributes:
        time_ns: when, in Unix nanoseconds.
        correlation_id: the request on whose behalf it happened (see :func:`correlation_scope`), or empty.
        call_id: one guarded call with all its attempts; unique within one :class:`Events`; empty outside a call.
        pipeline: the pipeline's name.
        policy: the policy that speaks, e.g. ``"retry"``; ``"pipeline"`` for the call as a whole.
        dependency: what was called, e.g. ``"store:sqlite"``.
        attempt: the number of the attempt within the call, from 1; 0 outside a call.
    """

    time_ns: int
    correlation_id: str
    call_id: str
    pipeline: str
    policy: str
    dependency: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(Event):
    """One attempt failed.

    Attributes:
        kind: the fault's kind.
        transient: whether the same call may work a moment later.
        error_type: the exception's class, with its module.
    """

    kind: str
    transient: bool
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTimedOut(Event):
    """One attempt was cancelled because it took longer than ``limit_ns``."""

    limit_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """The call will be made again.

    Attributes:
        retry: 1 for the first repetition.
        max_retries: the policy's limit.
        delay_ns: the wait before it.
        kind: the kind of fault that is retried.
        error_type: the class of the exception that is retried.
    """

    retry: int
    max_retries: int
    delay_ns: int
    kind: str
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySucceeded(Event):
    """A repetition worked: ``attempts`` calls in all, ``waited_ns`` spent between them."""

    attempts: int
    waited_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriesExhausted(Event):
    """Retrying was given up.

    Attributes:
        attempts: calls that were made.
        reason: why, e.g. ``"attempts_used"`` or ``"no_time"`` (the values of ``GiveUp``).
        kind: the kind of the last fault.
    """

    attempts: int
    reason: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTransition(Event):
    """A breaker changed its state.

    Attributes:
        from_state, to_state: ``"closed"``, ``"open"`` or ``"half_open"``.
        reason: ``"failures"``, ``"recovery_timeout"``, ``"probe_failed"``, ``"probes_succeeded"``, ``"forced"`` or
            ``"reset"``.
        generation: grows by one with every transition of this breaker.
    """

    from_state: str
    to_state: str
    reason: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRejected(Event):
    """A breaker refused a call; ``state`` is ``"open"`` or ``"half_open"``."""

    state: str
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineExceeded(Event):
    """The deadline of the whole operation cut the call; ``limit_ns`` is what this pipeline was given at most."""

    limit_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackUsed(Event):
    """An alternative answered in the place of the call.

    Attributes:
        alternative: the function's name.
        index: its place among the alternatives, from 0.
        kind: the kind of the fault that made it necessary.
    """

    alternative: str
    index: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSucceeded(Event):
    """The caller got a result after ``attempts`` attempts and ``duration_ns``."""

    attempts: int
    duration_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed(Event):
    """The caller got an error, or was cancelled (kind ``"cancelled"``)."""

    attempts: int
    duration_ns: int
    kind: str
    error_type: str


EventT = TypeVar("EventT", bound=Event)
_Listener = Callable[[Any], object]


class Events:
    """A hub: policies emit, listeners hear.

    Attributes:
        active: whether anybody listens; ask before building an event.
    """

    __slots__ = ("_calls", "_listeners", "_lock", "_routes", "active")

    def __init__(self) -> None:
        self.active = False
        self._lock = threading.Lock()
        self._listeners: tuple[_Registration, ...] = ()
        self._routes: dict[type[Event], tuple[_Registration, ...]] = {}
        self._calls = itertools.count(1)

    def listen(self, callback: Callable[[Any], object], *types: type[Event]) -> Callable[[], None]:
        """Hand every later event to ``callback``; call the returned function to stop.

        Args:
            callback: a plain, quick function; it runs in the thread or task that caused the event.
            types: the events it wants, subclasses included; none means all.
        """
        registration = _Registration(callback, types or (Event,))
        with self._lock:
            self._set((*self._listeners, registration))

        def stop() -> None:
            with self._lock:
                self._set(tuple(each for each in self._listeners if each is not registration))

        return stop

    def emit(self, event: Event) -> None:
        """Hand ``event`` to those who want it; what they raise is logged, once a listener, and goes no further."""
        kind = type(event)
        route = self._routes.get(kind)
        if route is None:
            with self._lock:
                route = tuple(each for each in self._listeners if issubclass(kind, each.types))
                self._routes[kind] = route
        for registration in route:
            try:
                registration.callback(event)
            except Exception:  # noqa: BLE001  a listener is a guest: its bug must not become the caller's
                if not registration.complained:
                    registration.complained = True
                    _log.exception("A listener failed on %s; its further failures are not logged.", kind.__name__)

    def next_call_id(self) -> str:
        """A call id that this hub has not given out before."""
        return format(next(self._calls), "x")

    def _set(self, listeners: tuple[_Registration, ...]) -> None:
        self._listeners = listeners
        self._routes = {}
        self.active = bool(listeners)


class _Registration:
    __slots__ = ("callback", "complained", "types")

    def __init__(self, callback: _Listener, types: tuple[type[Event], ...]) -> None:
        self.callback = callback
        self.types = types
        self.complained = False


def correlation_id() -> str:
    """The correlation id of the running request, or an empty string."""
    return _correlation.get()


class correlation_scope:  # noqa: N801  a context manager, used like a function
    """``with correlation_scope("req-1"):`` stamps every event inside, tasks started inside included."""

    __slots__ = ("_id", "_token")

    def __init__(self, correlation_id: str, /) -> None:
        self._id = correlation_id
        self._token: Token[str] | None = None

    def __enter__(self) -> str:
        self._token = _correlation.set(self._id)
        return self._id

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _correlation.reset(self._token)
            self._token = None
