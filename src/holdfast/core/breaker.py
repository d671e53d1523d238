"""A circuit breaker: stop calling what is down, and find out gently when it is back.

CLOSED counts consecutive failures by their weight; a success sets the count back to 0. At ``failure_threshold`` it goes
OPEN and refuses calls for ``recovery_timeout``; then HALF_OPEN lets a few probes through. ``success_threshold``
successes close it, one failure opens it again.

Races are settled by what a permit knows. It carries the *generation* it was given in, which grows with every
transition: an outcome that arrives late, from before the last transition, is dropped. A probe's permit is a lease: one
that is never settled runs out and frees its place. A cancelled call gives its permit back and counts neither way.

Counting and transitions happen under a lock that is held for a few instructions, never during the caller's work and
never while an event is delivered; entering a closed breaker, and leaving it with a success that has nothing to set
back, take no lock at all.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from holdfast.core._options import positive, whole
from holdfast.core.clock import NS_PER_SECOND, SYSTEM_CLOCK, Clock, to_ns
from holdfast.core.events import BreakerRejected, BreakerTransition, Events
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.policy import CallRef, Site, Stamp, stamp
from holdfast.errors import CircuitOpenError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BreakerOptions", "BreakerSnapshot", "BreakerState", "CircuitBreaker"]

Permit: TypeAlias = int
"""Positive: the generation of a closed breaker. Negative: the number of a probe. Never 0."""

_HOUR_NS = 3600 * NS_PER_SECOND
_REMEMBERED_OPENINGS = 1000
_ROUNDING = 1e-9  # weights are floats: ten times 0.1 shall reach 1


class BreakerState(StrEnum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """What a breaker was built with; see :class:`CircuitBreaker`."""

    failure_threshold: float = 5
    recovery_timeout: float = 15.0
    success_threshold: int = 2
    half_open_max_calls: int = 1
    probe_lease: float = 60.0
    expected: frozenset[FaultKind] | None = None

    def __post_init__(self) -> None:
        positive("failure_threshold", self.failure_threshold)
        positive("recovery_timeout", self.recovery_timeout)
        whole("success_threshold", self.success_threshold, least=1)
        whole("half_open_max_calls", self.half_open_max_calls, least=1)
        positive("probe_lease", self.probe_lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """A breaker at one moment.

    Attributes:
        failures: the weight of the failures in a row (closed).
        successes: the probes that succeeded (half-open).
        probes: the probes under way (half-open).
        time_in_state: seconds since the last transition.
        retry_after: seconds until an open breaker lets a probe through; None when it does not (closed, half-open,
            forced open).
        forced: whether :meth:`CircuitBreaker.force_open` holds it open.
        last_failure_at: Unix seconds of the last counted failure, or None.
        openings: how often it opened; ``openings_last_hour`` in the last 3,600 seconds (1,000 at most).
        open_seconds: how long it was not closed, all in all, the present time included.
        generation: the number of transitions, plus 1.
    """

    state: BreakerState
    failures: float
    successes: int
    probes: int
    time_in_state: float
    retry_after: float | None
    forced: bool
    last_failure_at: float | None
    openings: int
    openings_last_hour: int
    open_seconds: float
    generation: int


class CircuitBreaker:
    """A policy: refuse calls to a dependency that keeps failing.

    Args:
        failure_threshold: opens when failures in a row weigh this much, above 0. Below 5 an ordinary bad second of a
            remote service opens it.
        recovery_timeout: seconds from opening to the first probe, above 0.
        success_threshold: probes that must succeed before it closes, 1 or more.
        half_open_max_calls: probes under way at once, 1 or more.
        probe_lease: seconds after which a probe that was never settled no longer holds its place, above 0.
        expected: the kinds of fault that count, each with its weight or 1 where that is 0; by default every kind
            counts with the weight of its fault.
        clock, events: where the breaker is used outside a pipeline, or with another clock; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "circuit_breaker"

    def __init__(
        self,
        *,
        failure_threshold: float = 5,
        recovery_timeout: float = 15.0,
        success_threshold: int = 2,
        half_open_max_calls: int = 1,
        probe_lease: float = 60.0,
        expected: Iterable[FaultKind] | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = BreakerOptions(
            failure_threshold=failure_threshold,
            recovery_timeout=recovery_timeout,
            success_threshold=success_threshold,
            half_open_max_calls=half_open_max_calls,
            probe_lease=probe_lease,
            expected=None if expected is None else frozenset(FaultKind(kind) for kind in expected),
        )
        self._recovery_ns = to_ns(recovery_timeout)
        self._lease_ns = to_ns(probe_lease)
        self._name = name
        self._clock_given = clock
        self._clock: Clock = clock or SYSTEM_CLOCK
        self._events = events
        self._site: Site | None = None
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._generation = 1
        self._closed: Permit = 1  # the generation while closed, else 0: all that the fast path looks at
        self._failures = 0.0
        self._successes = 0
        self._probes: dict[Permit, int] = {}  # the end of each probe's lease
        self._probe_numbers = itertools.count(-1, -1)
        self._since_ns = self._clock.now_ns()
        self._not_closed_since_ns = 0
        self._open_until_ns: int | None = 0  # None: until reset
        self._open_ns = 0
        self._openings = 0
        self._opened_ns: deque[int] = deque(maxlen=_REMEMBERED_OPENINGS)
        self._last_failure_ns: int | None = None

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        with self._lock:
            if self._site is not None:
                if self._clock_given is None and self._clock is not site.clock:
                    raise ConfigError(
                        "clock", site.clock, "a breaker in several pipelines needs the same clock in each"
                    )
                return
            if self._clock_given is None and self._clock is not site.clock:
                self._clock = site.clock
                self._since_ns = self._clock.now_ns()
            self._events = self._events or site.events
            self._name = self._name or site.dependency
            self._site = site

    def enter(self, call: CallRef | None = None) -> Permit:
        """A permit for one call; hand it to :meth:`leave`.

        Raises:
            CircuitOpenError: the breaker is open, or half-open with all its probes under way.
        """
        return self._closed or self._knock(call)

    def leave(self, permit: Permit, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Say how the call ended: None is a success."""
        if permit > 0:
            if fault is not None:
                weight = self._weight(fault)
                if weight > 0:
                    self._count(permit, weight, call)
            elif self._failures:
                with self._lock:
                    if permit == self._closed:
                        self._failures = 0.0
        else:
            self._settle(permit, fault, call)

    def reset(self) -> None:
        """Close it and forget the failures in a row; outcomes of calls under way are dropped."""
        with self._lock:
            news = self._move(BreakerState.CLOSED, "reset")
        self._tell(news, None)

    def force_open(self) -> None:
        """Refuse every call until :meth:`reset`."""
        with self._lock:
            news = self._move(BreakerState.OPEN, "forced")
            self._open_until_ns = None
        self._tell(news, None)

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker whose time is over is open until the next call asks."""
        return self._state

    def snapshot(self) -> BreakerSnapshot:
        """Everything about it, at one moment."""
        with self._lock:
            now = self._clock.now_ns()
            state = self._state
            is_open = state is BreakerState.OPEN
            until = self._open_until_ns
            ago = None if self._last_failure_ns is None else now - self._last_failure_ns
            return BreakerSnapshot(
                state=state,
                failures=self._failures,
                successes=self._successes,
                probes=sum(end > now for end in self._probes.values()),
                time_in_state=(now - self._since_ns) / NS_PER_SECOND,
                retry_after=max(0, until - now) / NS_PER_SECOND if is_open and until is not None else None,
                forced=is_open and until is None,
                last_failure_at=None if ago is None else (self._clock.wall_ns() - ago) / NS_PER_SECOND,
                openings=self._openings,
                openings_last_hour=sum(opened > now - _HOUR_NS for opened in self._opened_ns),
                open_seconds=(self._open_ns + self._not_closed_ns(now)) / NS_PER_SECOND,
                generation=self._generation,
            )

    def _weight(self, fault: Fault) -> float:
        if fault.kind is FaultKind.CANCELLED:
            return 0.0
        if self.options.expected is None:
            return fault.weight
        return (fault.weight or 1.0) if fault.kind in self.options.expected else 0.0

    def _knock(self, call: CallRef | None) -> Permit:
        """Enter a breaker that is not closed."""
        news = None
        retry_after: float | None = None
        with self._lock:
            now = self._clock.now_ns()
            if self._state is BreakerState.OPEN and self._open_until_ns is not None:
                left = self._open_until_ns - now
                if left <= 0:
                    news = self._move(BreakerState.HALF_OPEN, "recovery_timeout")
                else:
                    retry_after = left / NS_PER_SECOND
            permit = self._grant(now)
            state = self._state
        self._tell(news, call)
        if permit:
            return permit
        self._refused(state, retry_after, call)
        what = "is open" if state is BreakerState.OPEN else "is half-open and its probes are under way"
        when = f"; it lets a probe through in {retry_after:.1f} s" if retry_after is not None else ""
        raise CircuitOpenError(
            f"{self._name or 'The dependency'} keeps failing and is not called: its circuit breaker {what}{when}.",
            dependency=self._name,
            retry_after=retry_after,
        )

    def _grant(self, now: int) -> Permit:
        """A permit, or 0. Under the lock."""
        if self._state is BreakerState.HALF_OPEN:
            for probe in [each for each, end in self._probes.items() if end <= now]:
                del self._probes[probe]
            if len(self._probes) < self.options.half_open_max_calls:
                probe = next(self._probe_numbers)
                self._probes[probe] = now + self._lease_ns
                return probe
        return self._closed  # another thread closed it while we waited for the lock; 0 when not

    def _count(self, permit: Permit, weight: float, call: CallRef | None) -> None:
        """A failure of a call that was let in while closed."""
        news = None
        with self._lock:
            if permit != self._closed:
                return
            self._failures += weight
            self._last_failure_ns = self._clock.now_ns()
            if self._failures >= self.options.failure_threshold - _ROUNDING:
                news = self._move(BreakerState.OPEN, "failures")
        self._tell(news, call)

    def _settle(self, probe: Permit, fault: Fault | None, call: CallRef | None) -> None:
        """The end of a probe."""
        news = None
        with self._lock:
            if self._probes.pop(probe, None) is None:
                return  # its lease ran out, or the breaker moved on without it
            if fault is None:
                self._successes += 1
                if self._successes >= self.options.success_threshold:
                    news = self._move(BreakerState.CLOSED, "probes_succeeded")
            elif self._weight(fault) > 0:
                self._last_failure_ns = self._clock.now_ns()
                news = self._move(BreakerState.OPEN, "probe_failed")
        self._tell(news, call)

    def _move(self, to: BreakerState, reason: str) -> tuple[BreakerState, BreakerState, str, int]:
        """Change the state, and begin a new generation. Under the lock; gives what is to be told after it."""
        now = self._clock.now_ns()
        before = self._state
        if before is BreakerState.CLOSED:
            self._not_closed_since_ns = now
        elif to is BreakerState.CLOSED:
            self._open_ns += self._not_closed_ns(now)
        self._generation += 1
        self._state = to
        self._since_ns = now
        self._failures = 0.0
        self._successes = 0
        self._probes.clear()
        self._open_until_ns = now + self._recovery_ns
        if to is BreakerState.OPEN:
            self._openings += 1
            self._opened_ns.append(now)
        self._closed = self._generation if to is BreakerState.CLOSED else 0
        return before, to, reason, self._generation

    def _not_closed_ns(self, now: int) -> int:
        return 0 if self._state is BreakerState.CLOSED else now - self._not_closed_since_ns

    def _tell(self, news: tuple[BreakerState, BreakerState, str, int] | None, call: CallRef | None) -> None:
        """Emit a transition, after the lock is released."""
        if news is not None and self._events is not None and self._events.active:
            before, to, reason, generation = news
            self._events.emit(
                BreakerTransition(
                    **self._stamp(call), from_state=before, to_state=to, reason=reason, generation=generation
                )
            )

    def _refused(self, state: BreakerState, retry_after: float | None, call: CallRef | None) -> None:
        if self._events is not None and self._events.active:
            self._events.emit(BreakerRejected(**self._stamp(call), state=state, retry_after=retry_after))

    def _stamp(self, call: CallRef | None) -> Stamp:
        pipeline = "" if self._site is None else self._site.pipeline
        return stamp(self._clock, call, pipeline=pipeline, policy=self.label, dependency=self._name)
