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

from holdfast.core._options import text
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "AttemptFailed",
    "AttemptTimedOut",
    "BreakerRejected",
    "BreakerTransition",
    "BudgetRefused",
    "BulkheadRejected",
    "CallFailed",
    "CallSucceeded",
    "DeadlineExceeded",
    "Event",
    "Events",
    "FallbackUsed",
    "FlightShared",
    "FlightsFull",
    "HedgeLoserLeft",
    "HedgeRefused",
    "HedgeStarted",
    "HedgeWon",
    "LastGoodGiven",
    "LastGoodMissing",
    "LimitChanged",
    "LimitRejected",
    "QueueDropped",
    "QueueEntered",
    "QueueRefused",
    "QueueStarted",
    "QuotaLow",
    "QuotaRejected",
    "RateAdjusted",
    "RateLimitWaited",
    "RateLimited",
    "RetriesExhausted",
    "RetriesSwitched",
    "RetryScheduled",
    "RetrySucceeded",
    "correlation_id",
    "correlation_scope",
]

_log = logging.getLogger("holdfast.events")


class _Entry:
    """One entry of a scope; they are kept in the context and not in the scope, which several may have entered."""

    __slots__ = ("correlation_id", "outer", "scope", "token")

    token: Token[_Entry | None]

    def __init__(self, scope: correlation_scope, correlation_id: str, outer: _Entry | None) -> None:
        self.scope = scope
        self.correlation_id = correlation_id
        self.outer = outer


_innermost: ContextVar[_Entry | None] = ContextVar("holdfast_correlation", default=None)


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
        reason: ``"failures"``, ``"failure_rate"``, ``"slow_call_rate"``, ``"recovery_timeout"``, ``"probe_allowed"``,
            ``"probe_failed"``, ``"probe_slow"``, ``"probes_succeeded"``, ``"forced"``, ``"isolated"`` or ``"reset"``.
        generation: grows by one with every transition of this breaker.
        shadow: whether the breaker only counts, and refuses nothing.
    """

    from_state: str
    to_state: str
    reason: str
    generation: int
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRejected(Event):
    """A breaker refused a call.

    Attributes:
        state: ``"open"``, ``"half_open"``, or ``"closed"`` when it lets a growing share of the calls in again.
        retry_after: seconds after which a new try makes sense, where that is known.
        shadow: whether it only would have refused it: the call was made.
    """

    state: str
    retry_after: float | None
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(Event):
    """A rate limiter refused a call.

    Attributes:
        limit: what left no room: ``"request"``, ``"token"``, ``"window"``, or ``"hold"`` for a Retry-After.
        cost: what the call asked for, in the limiter's unit.
        low: whether its priority is below those that have a share of their own.
        retry_after: seconds until there is room.
    """

    limit: str
    cost: float
    low: bool
    retry_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitWaited(Event):
    """A rate limiter let a call in that had waited in line for ``waited_ns``; ``cost`` as in :class:`RateLimited`."""

    waited_ns: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateAdjusted(Event):
    """An adaptive limiter changed its rate, in requests a minute.

    Attributes:
        from_rate, to_rate: before and after.
        reason: ``"throttled"`` (a 429), ``"failures"``, ``"successes"`` or ``"reset"``.
    """

    from_rate: float
    to_rate: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRejected(Event):
    """A quota refused a call: ``cost`` is more than is ``remaining``; the next period begins in ``retry_after`` s."""

    cost: float
    remaining: float
    retry_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLow(Event):
    """The headroom of a quota fell below its alert, once a period.

    Attributes:
        headroom_percent: what is left of the allowance, in percent.
        runs_out_in: seconds until it is used up at the present rate; None when it lasts.
    """

    headroom_percent: float
    runs_out_in: float | None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRefused(Event):
    """A retry budget refused a repetition.

    Attributes:
        kind: ``"retry"`` or ``"hedge"``.
        reason: ``"share"`` or ``"switched_off"`` (the values of ``BudgetRefusal``).
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriesSwitched(Event):
    """A retry budget switched the repetitions of its target off, or on again.

    Attributes:
        on: whether repetitions are granted from now on.
        retry_ratio: the retries that were asked for over the requests, in the budget's ``switch_window``.
    """

    on: bool
    retry_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """A second call of the same thing was started while the first one runs, or because it failed.

    Attributes:
        hedge: 1 for the first call beside the original one.
        reason: ``"late"`` or ``"failed"``.
        waited_ns: since the original call began.
    """

    hedge: int
    reason: str
    waited_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeRefused(Event):
    """A hedge was due and was not made; ``reason`` is one of the values of ``HedgeRefusal``."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeWon(Event):
    """A hedge answered first.

    Attributes:
        hedge: which one, from 1.
        waited_ns: since the original call began.
    """

    hedge: int
    waited_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeLoserLeft(Event):
    """A call that was cancelled because another one answered first goes on all the same; nobody waits for it.

    Attributes:
        hedge: which one; 0 is the original call.
        lingered_ns: since it was cancelled.
    """

    hedge: int
    lingered_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightShared(Event):
    """A call joined an identical one that was under way; ``waiting`` callers share it now, this one included."""

    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightsFull(Event):
    """A call was made by itself, because ``flights`` different ones are under way, which is the limit."""

    flights: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGoodGiven(Event):
    """An older result was given in the place of a failed call.

    Attributes:
        age_ns: how old it is.
        kind: the kind of the fault that made it necessary.
    """

    age_ns: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGoodMissing(Event):
    """A call failed and no older result can be given.

    Attributes:
        expired: whether there was one, and it was too old.
        kind: the kind of the fault.
    """

    expired: bool
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadRejected(Event):
    """A bulkhead refused a call.

    Attributes:
        reason: ``"full"``, or ``"max_wait"`` when it had waited that long.
        max_concurrent: the bulkhead's limit.
        waiting: callers in its line.
    """

    reason: str
    max_concurrent: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged(Event):
    """An adaptive concurrency limit moved from ``previous`` to ``limit``; ``baseline_ns`` is the latency it aims at."""

    limit: int
    previous: int
    baseline_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRejected(Event):
    """An adaptive concurrency limit refused a call: ``inflight`` are under way and ``limit`` is allowed."""

    limit: int
    inflight: int
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntered(Event):
    """A request waits in the queue; ``waiting`` and ``waiting_bytes`` include it."""

    priority: int
    size: int
    waiting: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStarted(Event):
    """A request's turn has come, after ``waited_ns``."""

    priority: int
    waited_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRefused(Event):
    """A request was not let into the queue.

    Attributes:
        priority: the request's.
        reason: ``"full"``, ``"memory"``, ``"expired"`` (its deadline had passed), ``"closed"``, or ``"busy"`` (it
            was not to wait).
        waiting: requests in the queue.
        retry_after: seconds after which there may be room, where that is known.
    """

    priority: int
    reason: str
    waiting: int
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDropped(Event):
    """A request left the queue without its turn.

    Attributes:
        priority: the request's.
        reason: ``"evicted"``, ``"expired"``, ``"overload"``, ``"max_wait"``, ``"closed"``, or ``"abandoned"`` when its
            caller gave up.
        waited_ns: how long it had waited.
    """

    priority: int
    reason: str
    waited_ns: int


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

        Raises:
            ConfigError: that is no function, or those are no classes of events.
        """
        if not callable(callback):
            raise ConfigError("callback", callback, "must be a function of one event")
        wanted: tuple[object, ...] = types
        for each in wanted:
            if not isinstance(each, type) or not issubclass(each, Event):
                raise ConfigError("types", each, "must be classes of events")
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
            route = self._route(kind)
        for registration in route:
            try:
                registration.callback(event)
            except Exception:  # noqa: BLE001  a listener is a guest: its bug must not become the caller's
                if not registration.complained:
                    registration.complained = True
                    _log.exception("A listener failed on %s; its further failures are not logged.", kind.__name__)

    def hears(self, kind: type[Event]) -> bool:
        """Whether anybody wants events of this very class; ask before building one that is told for every call."""
        route = self._routes.get(kind)
        return bool(self._route(kind) if route is None else route)

    def next_call_id(self) -> str:
        """A call id that this hub has not given out before."""
        return format(next(self._calls), "x")

    def _route(self, kind: type[Event]) -> tuple[_Registration, ...]:
        with self._lock:
            route = tuple(each for each in self._listeners if issubclass(kind, each.types))
            self._routes[kind] = route
        return route

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
    entry = _innermost.get()
    return "" if entry is None else entry.correlation_id


class correlation_scope:  # noqa: N801  a context manager, used like a function
    """``with correlation_scope("req-1"):`` stamps every event inside, tasks started inside included.

    One object may be entered any number of times, also in itself and by several tasks or threads at once. Leaving an
    entry leaves those that were made inside it, too.
    """

    __slots__ = ("_id",)

    def __init__(self, correlation_id: str, /) -> None:
        self._id = text("correlation_id", correlation_id)

    def __enter__(self) -> str:
        entry = _Entry(self, self._id, _innermost.get())
        entry.token = _innermost.set(entry)
        return self._id

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = _innermost.get()
        while entry is not None and entry.scope is not self:  # a generator may have left its own scope open
            entry = entry.outer
        if entry is not None:
            try:  # noqa: SIM105  suppress() would cost every request
                _innermost.reset(entry.token)
            except ValueError:  # it is left in another context than it was entered in
                pass
