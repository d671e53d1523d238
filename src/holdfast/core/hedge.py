"""Hedging: when a call takes longer than most, make it a second time and take the first answer.

This module decides when; :mod:`~holdfast.core._race` runs the calls. With latencies X and a delay d the slowest calls
get faster, P(T > t) = P(X > t) P(X > t - d) for t > d, for P(X > d) more calls (J. Dean, L. A. Barroso, "The Tail at
Scale", CACM 56(2), 2013).

The delay is a percentile of the latest latencies, exact, from a bounded window. What goes into the window is the
original call's time, also when a hedge wins and the original is cancelled: then only a lower bound of its time is
known, but one above the delay, and a percentile asks no more of a value than on which side it is. Leaving those out
would lower the delay with every hedge that wins.

Two caps bound the load. ``max_share`` is a bucket that every call fills with its share of a hedge and every hedge
empties by one, so in the long run hedges are at most this share of the calls. A ``RetryBudget`` bounds hedges and
retries of the target together.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, TypeAlias, TypeVar, cast

from holdfast.core._functions import is_async
from holdfast.core._latencies import LatencyWindow
from holdfast.core._options import duration, function, not_negative, number, options_by_name, retry_budget, whole
from holdfast.core._place import Place
from holdfast.core._race import INDEX, Race, Stray
from holdfast.core.classify import classify as default_classify
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.events import HedgeRefused
from holdfast.core.faults import FaultKind
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef, Site
    from holdfast.core.retry_budget import RetryBudget

__all__ = ["Hedge", "HedgeOptions", "HedgeRefusal", "HedgeSnapshot", "hedge_index"]

P = ParamSpec("P")
R = TypeVar("R")

HedgeDelay: TypeAlias = float | Literal["percentile", "on_failure"]

_BURST = 10.0  # hedges that a quiet time may save up
_ROUNDING = 1e-9  # twenty times 0.05 shall buy one
_STREAMS = "two streams cannot be told apart by their first answer; hedge the function that opens it"


class HedgeRefusal(StrEnum):
    """Why a hedge that was due is not made."""

    USED = "used"
    """``max_hedges`` were made."""
    NOT_TRANSIENT = "not_transient"
    """The call failed, and the same call would fail the same way."""
    ASKED_TO_WAIT = "asked_to_wait"
    """It failed because the target has too much to do, or it said when to come back: a hedge is one call more."""
    NO_TIME = "no_time"
    """The deadline has passed."""
    SHARE = "share"
    """``max_share`` of the calls were hedged."""
    BUDGET = "budget"
    """The retry budget grants none."""
    STRAYS = "strays"
    """``max_strays`` losers ignored their cancellation and still run."""


_BUSY = frozenset({FaultKind.THROTTLED, FaultKind.OVERLOADED})
_BOUNDS = frozenset(HedgeRefusal) - {HedgeRefusal.USED, HedgeRefusal.NOT_TRANSIENT, HedgeRefusal.ASKED_TO_WAIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeOptions:
    """What a hedge was built with; see :class:`Hedge`."""

    delay: HedgeDelay = "percentile"
    percentile: float = 95.0
    window: int = 1000
    min_samples: int = 100
    warm_up_delay: float | None = None
    max_hedges: int = 1
    max_share: float | None = 0.1
    max_strays: int = 100

    def __post_init__(self) -> None:
        if self.delay not in ("percentile", "on_failure"):  # no set: it could not be asked for a list
            try:
                duration("delay", self.delay, or_zero=True)
            except ConfigError as refused:
                rule = f'must be seconds, "percentile" or "on_failure"; a number {refused.rule}'
                raise ConfigError("delay", self.delay, rule) from None
        if not 0 < number("percentile", self.percentile) < 100:
            raise ConfigError("percentile", self.percentile, "must be above 0 and below 100")
        whole("window", self.window, least=1)
        if whole("min_samples", self.min_samples, least=1) > self.window:
            raise ConfigError("min_samples", self.min_samples, f"must be at most window ({self.window})")
        if self.warm_up_delay is not None:
            duration("warm_up_delay", self.warm_up_delay, or_zero=True)
        whole("max_hedges", self.max_hedges, least=1)
        if self.max_share is not None and not_negative("max_share", self.max_share) > self.max_hedges:
            raise ConfigError("max_share", self.max_share, f"must be at most max_hedges ({self.max_hedges})")
        whole("max_strays", self.max_strays, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSnapshot:
    """A hedge policy at one moment.

    Attributes:
        calls: the calls that were made through it, hedges not counted.
        hedges: the hedges that were started; ``won`` of them answered first.
        refused: hedges that were due and not made, by reason.
        delay: seconds until a hedge is due now; None while only a failure makes one due.
        samples: the latencies in the window.
        strays: cancelled losers that still run.
    """

    calls: int
    hedges: int
    won: int
    refused: dict[HedgeRefusal, int]
    delay: float | None
    samples: int
    strays: int


@options_by_name
class Hedge:
    """A policy: a call that is slow is made again, and the first success wins; the losers are cancelled.

    For async functions whose calls may run twice. A plain function is refused: a thread cannot be stopped, so a loser
    would hold its thread to the end. Run it on a pool of your own inside an async function
    (:class:`~holdfast.core.blocking.ThreadBlocking` is bounded, and counts what was abandoned), and hedge that.

    Every call runs in a task and a copy of the caller's context of its own. When a call fails in a way that may pass,
    the next hedge is made at once. When all fail the caller gets the original call's error, with a note for each
    hedge. The context's deadline ends the race.

    Args:
        delay: seconds from the start of one call to the next; 0 makes them in parallel; ``"percentile"`` waits for
            ``percentile`` % of the latest latencies; ``"on_failure"`` waits for no time, only for a failure.
        percentile: above 0 and below 100.
        window: latencies that the percentile is taken of, 1 or more.
        min_samples: latencies before the percentile is trusted, 1 to ``window``.
        warm_up_delay: the delay until then in seconds; None makes no hedge for slowness until then.
        max_hedges: calls beside the original one, 1 or more.
        max_share: hedges for each call in the long run (10 may be saved up), 0 to ``max_hedges``; None is no cap. It
            must leave room above the share that ``percentile`` makes slow (5% for 95), or it cuts some of those.
        max_strays: cancelled losers that still run at which hedging stops, 1 or more.
        budget: a retry budget that every hedge is charged to.
        classify: tells what an exception means; by default :func:`holdfast.core.classify.classify`.
        clock, events: where the policy is used outside a pipeline; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "hedge"

    def __init__(
        self,
        *,
        delay: HedgeDelay = "percentile",
        percentile: float = 95.0,
        window: int = 1000,
        min_samples: int = 100,
        warm_up_delay: float | None = None,
        max_hedges: int = 1,
        max_share: float | None = 0.1,
        max_strays: int = 100,
        budget: RetryBudget | None = None,
        classify: Callable[[BaseException], Fault] | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = HedgeOptions(
            delay=delay,
            percentile=percentile,
            window=window,
            min_samples=min_samples,
            warm_up_delay=warm_up_delay,
            max_hedges=max_hedges,
            max_share=max_share,
            max_strays=max_strays,
        )
        retry_budget("budget", budget)
        function("classify", classify)
        self.budget = budget
        self.classify = classify or default_classify
        self.place = Place(self.label, clock=clock, events=events, name=name)
        self.strays: set[Stray] = set()
        self._lock = threading.Lock()
        self._latencies = LatencyWindow(window)
        self._credit = 0.0 if max_share is None else min(1.0, max_share * _BURST)
        self._calls = self._hedges = self._won = 0
        self._refused: dict[HedgeRefusal, int] = {}

    def reconfigure(self, options: HedgeOptions) -> None:
        """Take other options from the next decision on, for calls under way too.

        Latencies that were measured stay, unless ``window`` is another one.

        Raises:
            ConfigError: ``options`` are no :class:`HedgeOptions`.
        """
        given: object = options
        if not isinstance(given, HedgeOptions):
            raise ConfigError("options", given, "must be HedgeOptions")
        with self._lock:
            if options.window != self.options.window:
                self._latencies = LatencyWindow(options.window)
            self.options = options

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        self.place.attach(site)
        if self.budget is not None:
            self.budget.attach(site)

    def __call__(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorate ``fn``, an async function.

        Raises:
            ConfigError: ``fn`` cannot be hedged.
        """
        _check(fn)

        async def hedged(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self._run(fn, args, kwargs)

        return update_wrapper(hedged, fn)

    def call(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call ``fn(*args, **kwargs)``, hedged; await what it gives.

        Raises:
            ConfigError: ``fn`` cannot be hedged.
        """
        _check(fn)
        return self._run(fn, args, kwargs)

    def snapshot(self) -> HedgeSnapshot:
        """Everything about it, at one moment."""
        with self._lock:
            delay = self._delay_ns()
            return HedgeSnapshot(
                calls=self._calls,
                hedges=self._hedges,
                won=self._won,
                refused=dict(self._refused),
                delay=None if delay is None else delay / NS_PER_SECOND,
                samples=len(self._latencies),
                strays=len(self.strays),
            )

    # --- the decisions: no tasks, no waiting ------------------------------------------------------------------------

    def begin(self) -> int | None:
        """Count a call; the nanoseconds until its first hedge is due, None when only a failure makes one due."""
        with self._lock:
            self._calls += 1
            if self.options.max_share is not None:
                self._credit = min(_BURST, self._credit + self.options.max_share)
            return self._delay_ns()

    def decide(
        self, hedges: int, fault: Fault | None, remaining_ns: int | None, call: CallRef | None = None
    ) -> HedgeRefusal | None:
        """Whether to make the next hedge now: None is yes, and charges it.

        Args:
            hedges: those made so far for this call.
            fault: how the latest call failed; None when it is slow.
            remaining_ns: what is left until the deadline, None without one.
            call: on whose behalf.
        """
        refusal = None
        if hedges >= self.options.max_hedges:
            refusal = HedgeRefusal.USED
        elif fault is not None and not fault.transient:
            refusal = HedgeRefusal.NOT_TRANSIENT
        elif fault is not None and (fault.retry_after is not None or fault.kind in _BUSY):
            refusal = HedgeRefusal.ASKED_TO_WAIT
        elif remaining_ns is not None and remaining_ns <= 0:
            refusal = HedgeRefusal.NO_TIME
        elif self._too_many_strays():
            refusal = HedgeRefusal.STRAYS
        elif not self._take_credit():
            refusal = HedgeRefusal.SHARE
        elif self.budget is not None and not self.budget.try_spend("hedge", call):
            refusal = HedgeRefusal.BUDGET
        with self._lock:
            if refusal is None:
                self._hedges += 1
            elif refusal in _BOUNDS:
                self._refused[refusal] = self._refused.get(refusal, 0) + 1
            if refusal is HedgeRefusal.BUDGET:
                self._credit += 1
        if refusal in _BOUNDS and self.place.heard:
            self.place.emit(HedgeRefused, call, reason=refusal)
        return refusal

    def ended(self, ns: int, *, failed: bool = False, cut: bool = False, winner: int = 0) -> None:
        """Hear of the original call: how long it ran, and how that ended.

        Args:
            ns: its duration so far.
            failed: it failed, and says nothing of latency.
            cut: it was cancelled, and would have taken longer; counts when it took longer than the delay by then.
            winner: which call answered; 0 is the original one.
        """
        with self._lock:
            if winner:
                self._won += 1
            if self.options.delay == "percentile" and not failed:
                delay = self._delay_ns()
                if not cut or (delay is not None and ns >= delay):
                    self._latencies.add(ns)

    def _delay_ns(self) -> int | None:
        """Under the lock."""
        options = self.options
        if options.delay == "on_failure":
            return None
        if options.delay != "percentile":
            return to_ns(options.delay)
        if len(self._latencies) >= options.min_samples:
            return self._latencies.percentile(options.percentile)
        return None if options.warm_up_delay is None else to_ns(options.warm_up_delay)

    def _too_many_strays(self) -> bool:
        if len(self.strays) < self.options.max_strays:
            return False
        self.strays.difference_update([each for each in tuple(self.strays) if each.gone])
        return len(self.strays) >= self.options.max_strays

    def _take_credit(self) -> bool:
        if self.options.max_share is None:
            return True
        with self._lock:
            if self._credit < 1 - _ROUNDING:
                return False
            self._credit -= 1
            return True

    async def _run(self, fn: Callable[..., Awaitable[R]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        if self.budget is not None:
            self.budget.request()
        make = cast("Callable[..., Coroutine[Any, Any, R]]", fn)  # which is what _check has found it to be
        return await Race(self, lambda: make(*args, **kwargs)).run()


def hedge_index() -> int:
    """Inside a hedged call: 0 in the original, 1 in the first hedge, ...; for choosing a replica. 0 outside of any."""
    return INDEX.get()


def _check(fn: Callable[..., object]) -> None:
    if not is_async(fn, streams=_STREAMS):
        rule = (
            "is a plain function, whose slow call cannot be cancelled: hedge an async function that runs it on a pool "
            "of threads, as ThreadBlocking.run does"
        )
        raise ConfigError("fn", fn, rule)
