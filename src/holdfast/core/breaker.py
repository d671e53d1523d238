"""A circuit breaker: stop calling what is down, and find out gently when it is back.

CLOSED counts failures by their weight: in a row, or as a rate over calls or over time. When they are too many it goes
OPEN and refuses calls for ``recovery_timeout``; then HALF_OPEN lets a few probes through. ``success_threshold``
successes close it, one failure opens it again.

Races are settled by what a permit knows. It carries the *generation* it was given in, which grows with every
transition: an outcome that arrives late, from before the last transition, is dropped. A probe's permit is a lease: one
that is never settled runs out and frees its place. A cancelled call gives its permit back and counts neither way.

Counting and transitions happen under a lock that is held for a few instructions, never during the caller's work and
never while an event is delivered; entering a closed breaker, leaving it with a success that changes nothing, and being
refused by an open one take no lock at all. The states themselves are in ``_breaker_machine``.
"""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from holdfast.core._admission import Admission
from holdfast.core._breaker_machine import Machine, News, refusal
from holdfast.core._breaker_probes import Permit
from holdfast.core._breaker_windows import units
from holdfast.core._chance import JITTER
from holdfast.core._options import refuse_unknown
from holdfast.core._place import check_doors
from holdfast.core.breaker_options import CACHE, MODEL, VECTOR_STORE, BreakerOptions
from holdfast.core.breaker_snapshot import BreakerSnapshot, BreakerState, RedFlag
from holdfast.core.clock import NS_PER_SECOND, SYSTEM_CLOCK, Clock
from holdfast.core.events import BreakerRejected, BreakerTransition, Events
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.policy import CallRef, Shortcut, Site, Stamp, stamp
from holdfast.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from typing import Unpack

    from holdfast.core.breaker_options import BreakerChanges
    from holdfast.core.pipeline import Pipeline

__all__ = [
    "CACHE",
    "MODEL",
    "VECTOR_STORE",
    "BreakerOptions",
    "BreakerSnapshot",
    "BreakerState",
    "CircuitBreaker",
    "Permit",
    "RedFlag",
]

P = ParamSpec("P")
R = TypeVar("R")

_KNOWN = tuple(each.name for each in fields(BreakerOptions))
_OUTSIDE = Permit(0)  # of a call that a shadow breaker would have refused: its outcome says nothing


class CircuitBreaker:
    """A policy: refuse calls to a dependency that keeps failing.

    In a pipeline, or alone: ``@breaker``, ``breaker.call(fn, ...)``, ``with breaker.admit(): ...``.

    Args:
        options: a preset, e.g. :data:`~holdfast.core.breaker_options.MODEL`; the defaults where there is none.
        clock, rng, events: where the breaker is used outside a pipeline, or with others; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
        changes: options by keyword, see :class:`~holdfast.core.breaker_options.BreakerOptions`; they win over
            ``options``.

    Raises:
        ConfigError: an option is out of its range.
    """

    label: ClassVar[str] = "circuit_breaker"

    def __init__(
        self,
        options: BreakerOptions | None = None,
        /,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        events: Events | None = None,
        name: str = "",
        **changes: Unpack[BreakerChanges],
    ) -> None:
        _check_options(options)
        refuse_unknown("CircuitBreaker", changes, (*_KNOWN, "clock", "rng", "events", "name"))
        check_doors(clock=clock, rng=rng, events=events, name=name)
        self.options = (options or BreakerOptions()).changed(changes)
        self._clock_given = clock
        self._clock: Clock = clock or SYSTEM_CLOCK
        self._rng_given = rng
        self._rng = rng or JITTER
        self._events = events
        self._site: Site | None = None
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._shortcut = Shortcut()
        self._machine = Machine(self.options, self._shortcut, self._clock.now_ns(), name)

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, rng, events and name, where none were given at construction.

        By another clock it begins anew, but for being held open: times of the old one mean nothing by it.

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
                self._machine.restart(self._clock.now_ns())
            self._rng = self._rng_given or site.rng
            self._events = self._events or site.events
            if not self._machine.name:
                self._machine.name = site.dependency
                self._machine.publish()  # an error names it
            self._site = site

    def shortcut(self, site: Site) -> Shortcut | None:
        """What the drivers of ``site`` may look at; None when they read another clock."""
        return self._shortcut if self._clock is site.clock else None

    def enter(self, call: CallRef | None = None) -> Permit:
        """A permit for one call; hand it to :meth:`leave`.

        Raises:
            CircuitOpenError: the breaker is open, or half-open with all its probes under way, or closed again and
                letting only a share of the calls in.
        """
        permit: Permit | None = self._shortcut.permit
        return permit if permit is not None else self._knock(call)

    def leave(self, permit: Permit, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Say how the call ended: None is a success."""
        if fault is None:
            if not self._shortcut.heeds_success:
                return
            failure: int | None = 0
        else:
            failure = units(self._weight(fault)) or None
        with self._lock:
            news = self._machine.settle(permit, failure, self._clock.now_ns(), self._rng)
        if news is not None:
            self._tell(news, call)

    def reset(self) -> None:
        """Close it and forget the failures, whoever holds it open; outcomes of calls under way are dropped."""
        with self._lock:
            news = self._machine.close("reset", self._clock.now_ns(), ramp=False)
        self._tell(news, None)

    def force_open(self) -> None:
        """Refuse every call until :meth:`reset`, as though the dependency had failed: it counts as an opening."""
        with self._lock:
            news = self._machine.hold("forced", self._clock.now_ns())
        self._tell(news, None)

    def isolate(self) -> None:
        """Refuse every call until :meth:`reset`, on purpose: for the time of a maintenance; it counts as no opening."""
        with self._lock:
            news = self._machine.hold("isolated", self._clock.now_ns())
        self._tell(news, None)

    def reconfigure(self, options: BreakerOptions | None = None, **changes: Unpack[BreakerChanges]) -> None:
        """Take other options from now on, while calls are under way.

        The state, the permits that are out, an opening under way and the history stay. What was counted stays too,
        unless it was counted over something else: another ``window``, ``window_calls``, ``window_seconds`` or
        ``slow_call_duration`` begins to count anew. A closed breaker whose counts are too bad by the new options opens.

        Args:
            options: all of them; by default those that it has.
            changes: single options by keyword; they win over ``options``.

        Raises:
            ConfigError: an option is unknown or out of its range: then nothing is changed.
        """
        _check_options(options)
        refuse_unknown("CircuitBreaker", changes, _KNOWN)
        with self._lock:
            self.options = (options or self.options).changed(changes)
            news = self._machine.reconfigure(self.options, self._clock.now_ns(), self._rng)
        self._tell(news, None)

    def allow_probe(self) -> bool:
        """Let an open breaker go half-open before its time, because something else saw the dependency alive.

        For a background check that asks the dependency past the breaker: when it was answered, the next call may be
        the probe. One that is held open stays as it is.

        Returns:
            whether the breaker is half-open now.
        """
        with self._lock:
            news = self._machine.allow_probe(self._clock.now_ns())
            allowed = self._machine.state is BreakerState.HALF_OPEN
        self._tell(news, None)
        return allowed

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker whose time is over is open until the next call asks."""
        return self._machine.state

    def snapshot(self) -> BreakerSnapshot:
        """Everything about it, at one moment."""
        with self._lock:
            return self._machine.snapshot(self._clock.now_ns(), self._clock.wall_ns())

    # --- used alone -------------------------------------------------------------------------------------------------

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a sync function, an async function or an async generator function. Its type stays."""
        return self._alone()(fn)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)``; gives what the decorated ``fn`` would."""
        return self._alone().call(fn, *args, **kwargs)

    def admit(self) -> Admission[Permit]:
        """``with breaker.admit():`` or ``async with breaker.admit():``; one for each entry.

        Raises:
            CircuitOpenError: on entering, as :meth:`enter` does.
        """
        return Admission(self)

    def admitted(self, **demand: Any) -> Permit:  # noqa: ANN401, ARG002
        """A permit, for an admission."""
        return self.enter()

    async def admitted_async(self, **demand: Any) -> Permit:  # noqa: ANN401, ARG002
        """A permit, for an admission; it never waits."""
        return self.enter()

    def first_item(self, permit: Permit) -> None:
        """Nothing: a stream is a success when it ends, not when it begins."""

    def _alone(self) -> Pipeline:
        """A pipeline of nothing but this breaker."""
        if self._pipeline is None:
            from holdfast.core.pipeline import Pipeline  # noqa: PLC0415  a pipeline is made of policies like this one

            self._pipeline = Pipeline(
                self,
                name=self._machine.name or "call",
                dependency=self._machine.name,
                clock=self._clock,
                events=self._events,
            )
        return self._pipeline

    # ----------------------------------------------------------------------------------------------------------------

    def _weight(self, fault: Fault) -> float:
        """How much it says against the dependency; nothing, when the call was not made or a policy of ours refused."""
        if fault.kind is FaultKind.CANCELLED or not fault.made or isinstance(fault.cause, RejectedError):
            return 0.0
        expected = self.options.expected
        if expected is None:
            return fault.weight
        return (fault.weight or 1.0) if fault.kind in expected else 0.0

    def _knock(self, call: CallRef | None) -> Permit:
        """Enter where the shortcut holds no permit."""
        machine, shown = self._machine, self._shortcut
        generation = machine.permit.generation
        now = self._clock.now_ns()
        if machine.timed:
            return Permit(generation, now)
        hub = self._events
        if hub is not None and not hub.active:
            hub = None
        if now < shown.shut_until_ns and hub is None:
            raise shown.refusal(now)
        with self._lock:
            now = self._clock.now_ns()
            permit, news = machine.ask(now)
            why = machine.held or machine.state.value
            state = machine.state
            wait_ns = machine.retry_after_ns(now)
            shadow = self.options.shadow
        self._tell(news, call)
        if permit is not None:
            return permit
        if hub is not None:
            wait = None if wait_ns is None else wait_ns / NS_PER_SECOND
            hub.emit(BreakerRejected(**self._stamp(call), state=state, retry_after=wait, shadow=shadow))
        if shadow:
            return _OUTSIDE
        raise refusal(machine.name, why, wait_ns)

    def _tell(self, news: News | None, call: CallRef | None) -> None:
        """Emit a transition, after the lock is released."""
        if news is not None and self._events is not None and self._events.active:
            before, to, reason, generation = news
            fields = self._stamp(call)
            shadow = self.options.shadow
            self._events.emit(
                BreakerTransition(
                    **fields, from_state=before, to_state=to, reason=reason, generation=generation, shadow=shadow
                )
            )

    def _stamp(self, call: CallRef | None) -> Stamp:
        pipeline = "" if self._site is None else self._site.pipeline
        return stamp(self._clock, call, pipeline=pipeline, policy=self.label, dependency=self._machine.name)


def _check_options(given: object) -> None:
    if given is not None and not isinstance(given, BreakerOptions):
        raise ConfigError("options", given, "must be BreakerOptions; single options are given by keyword")
