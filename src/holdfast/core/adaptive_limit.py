"""Adaptive concurrency limit: how many calls a dependency bears at once is measured, not configured.

The algorithm is :mod:`holdfast.core._gradient`; this module admits by it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from holdfast.core._admission import Admission
from holdfast.core._gradient import AdaptiveLimitOptions, Gradient
from holdfast.core._options import duration, options_by_name
from holdfast.core._place import Place
from holdfast.core._reconfigure import options_of
from holdfast.core.clock import NS_PER_SECOND, Clock, to_ns
from holdfast.core.events import Events, LimitChanged, LimitRejected
from holdfast.core.faults import Fault, FaultKind
from holdfast.errors import ConcurrencyLimitError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.policy import CallRef, Site

__all__ = ["AdaptiveLimit", "AdaptiveLimitOptions", "AdaptiveLimitSnapshot", "LimitPermit"]

P = ParamSpec("P")
R = TypeVar("R")

_TOO_MUCH = frozenset({FaultKind.THROTTLED, FaultKind.OVERLOADED, FaultKind.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimitSnapshot:
    """An adaptive limit at one moment.

    Attributes:
        limit: calls that may be under way now; half of ``estimate`` while it probes.
        estimate: the limit apart from probes.
        inflight: calls under way.
        baseline: seconds that a call takes when none waits behind another; None before the first round.
        probing: whether a probe is under way.
        rejected: how many calls were refused since construction.
    """

    limit: int
    estimate: float
    inflight: int
    baseline: float | None
    probing: bool
    rejected: int


class LimitPermit:
    """One call under the limit.

    A call whose length depends on its answer (a model call) says when the time that counts is over: at its first
    token. Without that the limit takes the time from :meth:`AdaptiveLimit.enter` to :meth:`AdaptiveLimit.leave`.
    """

    __slots__ = ("_clock", "begun_ns", "latency_ns", "number", "settled")

    number: int

    def __init__(self, clock: Clock, begun_ns: int) -> None:
        self._clock = clock
        self.begun_ns = begun_ns
        self.latency_ns: int | None = None
        self.settled = False

    def mark(self) -> None:
        """The time that counts is over now; only the first mark counts."""
        if self.latency_ns is None:
            self.latency_ns = self._clock.now_ns() - self.begun_ns

    def took(self, seconds: float) -> None:
        """The call's latency as the caller measured it, 0 or more: to its first token, or for each token."""
        self.latency_ns = to_ns(duration("seconds", seconds, or_zero=True))


@options_by_name
class AdaptiveLimit:
    """A policy: at most as many calls at once as the dependency bears, found out from its latency.

    The limit settles near ``tolerance`` times the number of calls that the dependency works on at once, plus
    ``queue_size``, and stays there for as long as an overload lasts. Throttling, overload and timeouts lower it by a
    tenth, once a round. Other failures say nothing of its speed and are left out.

    It never waits. Alone it is used as ``with limit.admit() as permit:``, ``async with limit.admit() as permit:``,
    ``limit.call(fn, ...)`` or ``@limit``; an async generator that is called or decorated so counts the time to its
    first item.

    Args:
        initial_limit: calls at once to begin with, from ``min_limit`` to ``max_limit``.
        min_limit: 1 or more.
        max_limit: ``min_limit`` or more.
        tolerance: how many times the baseline a latency may be before the limit goes down, from 1 to below 2.
        queue_size: calls that may wait in the dependency, 1 or more; also how fast the limit grows.
        smoothing: how much of each step is taken, above 0 and at most 1.
        min_samples: calls in a round at least, 1 or more.
        probe_every: rounds near the limit from one probe to the next, 1 or more. A probe costs up to half of the
            throughput for a few round trips.
        clock, events: where it is used outside a pipeline, or with another clock; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "adaptive_limit"

    def __init__(
        self,
        *,
        initial_limit: int = 20,
        min_limit: int = 1,
        max_limit: int = 200,
        tolerance: float = 1.5,
        queue_size: int = 4,
        smoothing: float = 0.2,
        min_samples: int = 10,
        probe_every: int = 30,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = AdaptiveLimitOptions(
            initial_limit=initial_limit,
            min_limit=min_limit,
            max_limit=max_limit,
            tolerance=tolerance,
            queue_size=queue_size,
            smoothing=smoothing,
            min_samples=min_samples,
            probe_every=probe_every,
        )
        self._gradient = Gradient(self.options)
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._lock = threading.Lock()
        self._inflight = 0
        self._rejected = 0

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        self._place.attach(site)

    def enter(self, call: CallRef | None = None) -> LimitPermit:
        """A permit for one call; hand it to :meth:`leave`.

        Raises:
            ConcurrencyLimitError: as many calls are under way as are allowed now.
        """
        clock = self._place.clock
        permit = LimitPermit(clock, clock.now_ns())
        gradient = self._gradient
        with self._lock:
            if self._inflight < gradient.limit:
                self._inflight += 1
                permit.number = gradient.begin(self._inflight)
                return permit
            self._rejected += 1
            limit, inflight, baseline_ns = gradient.limit, self._inflight, gradient.baseline_ns
        retry_after = baseline_ns / limit / NS_PER_SECOND if baseline_ns else None
        if self._place.heard:
            self._place.emit(LimitRejected, call, limit=limit, inflight=inflight, retry_after=retry_after)
        raise ConcurrencyLimitError(
            f"{self._place.name or 'The dependency'} has {inflight} calls under way and bears {limit} at once now: "
            "try again later.",
            dependency=self._place.name,
            retry_after=retry_after,
        )

    def leave(self, permit: LimitPermit, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Give the permit back and learn from how the call went; a permit that was given back stays so."""
        if fault is None:
            permit.mark()
        dropped = (
            fault is not None and fault.kind in _TOO_MUCH and fault.made and not isinstance(fault.cause, RejectedError)
        )
        latency_ns = permit.latency_ns if fault is None else None
        with self._lock:
            if permit.settled:
                return
            permit.settled = True
            self._inflight -= 1
            before = self._gradient.limit
            self._gradient.end(permit.number, latency_ns, dropped=dropped)
            limit, baseline_ns = self._gradient.limit, self._gradient.baseline_ns
        if limit != before and self._place.heard:
            self._place.emit(LimitChanged, call, limit=limit, previous=before, baseline_ns=round(baseline_ns))

    def reconfigure(self, options: AdaptiveLimitOptions) -> None:
        """Take these options from now on; the limit and the baseline that were found stay, within the new bounds.

        Calls under way keep their permits; ``initial_limit`` has no effect any more.

        Raises:
            ConfigError: they are not an adaptive limit's.
        """
        options_of(AdaptiveLimitOptions, options)
        with self._lock:
            self.options = options
            self._gradient.reconfigure(options)

    def snapshot(self) -> AdaptiveLimitSnapshot:
        """Its state now."""
        with self._lock:
            gradient = self._gradient
            return AdaptiveLimitSnapshot(
                limit=gradient.limit,
                estimate=gradient.estimate,
                inflight=self._inflight,
                baseline=gradient.baseline_ns / NS_PER_SECOND if gradient.baseline_ns else None,
                probing=gradient.probing,
                rejected=self._rejected,
            )

    def admit(self) -> Admission[LimitPermit]:
        """``with limit.admit() as permit:`` or ``async with limit.admit() as permit:``.

        Raises:
            ConcurrencyLimitError: on entering: as many calls are under way as are allowed now.
        """
        return Admission(self)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` under the limit; raises what :meth:`admit` does."""
        return Admission(self).call(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a sync function, an async function or an async generator function."""
        return Admission(self)(fn)

    def admitted(self, **demand: Any) -> LimitPermit:  # noqa: ANN401, ARG002
        """A permit at once."""
        return self.enter()

    async def admitted_async(self, **demand: Any) -> LimitPermit:  # noqa: ANN401, ARG002
        """A permit at once."""
        return self.enter()

    def first_item(self, permit: LimitPermit) -> None:
        """The time to a stream's first item is its latency."""
        permit.mark()
