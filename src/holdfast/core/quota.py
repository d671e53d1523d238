"""A quota: so much a day or a month, and when it will run out.

A rate limit forgives within a minute; a quota that is used up at noon means no service until midnight, and the only
help is to know it early. So it says all the time what is left (``headroom_percent``) and, at the present rate, when
that will be gone (``runs_out_in``).

The present rate is an exponentially weighted one, with the time constant ``rate_window``.

Periods follow the calendar of ``zone``. What the provider says of its own count (``observe``) wins over ours: others
may use the same key.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, get_args

from holdfast.core._admission import Admission
from holdfast.core._options import duration, not_negative, number, options_by_name, positive
from holdfast.core._pace import Pace, QuotaPeriod, next_reset_ns
from holdfast.core._place import Place
from holdfast.core._reconfigure import options_of
from holdfast.core._reservation import Reservation
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.demand import CURRENT
from holdfast.core.events import QuotaLow, QuotaRejected
from holdfast.errors import ConfigError, InvalidInputError, QuotaExhaustedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef, Site

__all__ = ["Quota", "QuotaOptions", "QuotaPeriod", "QuotaSnapshot"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaOptions:
    """What a quota was built with; see :class:`Quota`."""

    limit: float
    period: QuotaPeriod = "day"
    zone: tzinfo = UTC
    alert_below: float = 20.0
    rate_window: float = 3600.0
    default_cost: float = 1

    def __post_init__(self) -> None:
        positive("limit", self.limit)
        if self.period not in get_args(QuotaPeriod):
            raise ConfigError("period", self.period, f"must be one of {', '.join(get_args(QuotaPeriod))}")
        if not isinstance(self.zone, tzinfo):
            raise ConfigError("zone", self.zone, "must be a time zone, e.g. zoneinfo.ZoneInfo('America/Los_Angeles')")
        if not_negative("alert_below", self.alert_below) > 100:
            raise ConfigError("alert_below", self.alert_below, "must be a percentage, from 0 to 100")
        duration("rate_window", self.rate_window)
        positive("default_cost", self.default_cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSnapshot:
    """A quota at one moment.

    Attributes:
        limit: the allowance of the period.
        used: what is used of it, reservations included.
        remaining: what is left, 0 or more.
        headroom_percent: ``remaining`` in percent of the limit.
        per_hour: the present rate.
        runs_out_in: seconds until nothing is left at the present rate; None when it lasts to the end of the period.
        runs_out_at: the same in Unix seconds.
        resets_in: seconds until the next period; ``resets_at`` in Unix seconds.
        rejected: calls refused since it was made.
    """

    limit: float
    used: float
    remaining: float
    headroom_percent: float
    per_hour: float
    runs_out_in: float | None
    runs_out_at: float | None
    resets_in: float
    resets_at: float
    rejected: int


@options_by_name
class Quota:
    """A policy: no more than ``limit`` in a day or a month.

    Args:
        limit: the allowance, above 0, in requests, tokens, dollars, or whatever costs are given in.
        period: ``"day"`` or ``"month"``, by the calendar.
        zone: the time zone of that calendar, e.g. Pacific time for a provider that resets at its midnight.
        alert_below: percent of headroom below which ``QuotaLow`` is told, once a period, 0 to 100.
        rate_window: seconds over which the present rate is taken, above 0.
        default_cost: the cost of a call that names none, above 0.
        clock, events: where it is used outside a pipeline, or with another clock; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "quota"
    metered: ClassVar[bool] = True
    """It settles by what a call says it used; the drivers then give each call a demand of its own."""

    def __init__(
        self,
        *,
        limit: float,
        period: QuotaPeriod = "day",
        zone: tzinfo = UTC,
        alert_below: float = 20.0,
        rate_window: float = 3600.0,
        default_cost: float = 1,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = QuotaOptions(
            limit=limit,
            period=period,
            zone=zone,
            alert_below=alert_below,
            rate_window=rate_window,
            default_cost=default_cost,
        )
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._lock = threading.Lock()
        self._window_ns = to_ns(rate_window)
        self._rejected = 0
        self._limit: float = limit
        self._number = 0  # of the period; the rest is of this one
        self._used: float
        self._pending: float  # reserved and not settled
        self._told: bool
        self._observed: bool  # whether the provider told what is left
        self._empty()

    @property
    def clock(self) -> Clock:
        """The clock that it takes its time from."""
        return self._place.clock

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        if self._place.attach(site):
            with self._lock:
                self._empty()

    # --- admission --------------------------------------------------------------------------------------------------

    def reserve(self, cost: float | None = None, *, call: CallRef | None = None) -> Reservation:
        """Take ``cost`` out of the allowance; reconcile it with what was used after the call.

        Args:
            cost: above 0; by default what the context's demand says, else ``default_cost``.
            call: the call on whose behalf it happens.

        Raises:
            QuotaExhaustedError: less than that is left; ``retry_after`` is the time until the next period.
        """
        demand = CURRENT.get()
        if cost is None:
            cost = self.options.default_cost if demand is None or demand.cost is None else demand.cost
        if number("cost", cost) <= 0:
            raise InvalidInputError("cost", f"{cost:g} is not above 0.")
        with self._lock:
            wall = self._roll()
            remaining = self._limit - self._used
            refused = cost > remaining
            if refused:
                self._rejected += 1
                low = None
            else:
                self._pending += cost
                low = self._use(cost)
            period, end_ns = self._number, self._end_ns
        self._tell_low(low, call)
        if not refused:
            return Reservation(self, period, cost, demand)
        retry_after = (end_ns - wall) / NS_PER_SECOND
        if self._place.heard:
            self._place.emit(QuotaRejected, call, cost=cost, remaining=max(0, remaining), retry_after=retry_after)
        raise QuotaExhaustedError(
            f"The {self.options.period}'s allowance of {self._place.name or 'the dependency'} is used up"
            f" ({max(0, remaining):g} of {self._limit:g} left); the next begins in {retry_after:.0f} s.",
            dependency=self._place.name,
            retry_after=retry_after,
        )

    def enter(self, call: CallRef | None = None) -> Reservation:
        """A permit for one call of the context's demand; hand it to :meth:`leave`. Raises what :meth:`reserve` does."""
        return self.reserve(call=call)

    def leave(self, permit: Reservation, fault: Fault | None = None, call: CallRef | None = None) -> None:  # noqa: ARG002
        """Say how the call ended. It is settled by what the demand says was used; else it stands as reserved.

        A call that was never made, because another policy refused it or it was cancelled before, gives everything back.
        """
        self.settle(permit, permit.outcome(fault))

    def settle(self, reservation: Reservation, actual: float | None) -> bool:
        """Settle a reservation, None meaning that it was never used. False when it was settled before."""
        with self._lock:
            if reservation.settled:
                return False
            reservation.settled = True
            self._roll()
            low = None
            if reservation.booking == self._number:  # else its period is over, and its use with it
                self._pending -= reservation.cost
                low = self._use((actual or 0) - reservation.cost)
        self._tell_low(low, None)
        return True

    def record(self, cost: float) -> None:
        """Count a use that was not reserved, 0 or more; it counts even beyond the limit."""
        not_negative("cost", cost)
        with self._lock:
            self._roll()
            low = self._use(cost)
        self._tell_low(low, None)

    def observe(
        self, *, remaining: float | None = None, limit: float | None = None, reset: float | None = None
    ) -> None:
        """Believe what the provider says, e.g. in its response's headers.

        Args:
            remaining: what is left of the allowance, 0 or more. What is reserved for calls under way is taken off it,
                so settle a call before you hand on what its response said.
            limit: the allowance, above 0; it stays until the provider names another.
            reset: seconds until the allowance is whole again, 0 or more; by default the end of the period.
        """
        if limit is not None:
            positive("limit", limit)
        if remaining is not None:
            not_negative("remaining", remaining)
        if reset is not None:
            duration("reset", reset, or_zero=True)
        with self._lock:
            wall = self._roll()
            if limit is not None:
                self._limit = limit
            if reset is not None:
                self._end_ns = wall + to_ns(reset)
            if remaining is not None:
                used = max(0.0, self._limit - remaining) + self._pending
                if self._observed and used > self._used:  # others use it, too; before the first time it is no news
                    self._pace.add(self.clock.now_ns(), used - self._used)
                self._used, self._observed = used, True
            low = self._low(wall)
        self._tell_low(low, None)

    def admit(self, cost: float | None = None) -> Admission[Reservation]:
        """``with quota.admit(1200) as reservation:``, or with ``async with``: :meth:`reserve` for a block."""
        return Admission(self, cost=cost)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` if the allowance covers it: :meth:`reserve` by the context's demand."""
        return Admission(self).call(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a sync function, an async function or an async generator function."""
        return Admission(self)(fn)

    def admitted(self, **demand: Any) -> Reservation:  # noqa: ANN401
        """:meth:`reserve`, for an admission."""
        return self.reserve(**demand)

    async def admitted_async(self, **demand: Any) -> Reservation:  # noqa: ANN401
        """:meth:`reserve`, for an admission: it never waits."""
        return self.reserve(**demand)

    def first_item(self, permit: Reservation) -> None:
        """Nothing: a stream is one use."""

    # --- what it knows ----------------------------------------------------------------------------------------------

    def snapshot(self) -> QuotaSnapshot:
        """Everything about it, at one moment."""
        with self._lock:
            wall = self._roll()
            remaining = max(0.0, self._limit - self._used)
            runs_out = self._runs_out_in(wall)
            return QuotaSnapshot(
                limit=self._limit,
                used=self._used,
                remaining=remaining,
                headroom_percent=self._headroom(),
                per_hour=self._pace.per_second(self.clock.now_ns()) * 3600,
                runs_out_in=runs_out,
                runs_out_at=None if runs_out is None else wall / NS_PER_SECOND + runs_out,
                resets_in=(self._end_ns - wall) / NS_PER_SECOND,
                resets_at=self._end_ns / NS_PER_SECOND,
                rejected=self._rejected,
            )

    def reset(self) -> None:
        """Forget every use, the present rate, and what the provider said."""
        with self._lock:
            self._limit = self.options.limit
            self._empty()

    def reconfigure(self, options: QuotaOptions) -> None:
        """Take these options from now on.

        What is used in this period stays used, and reservations stay. A limit that the provider named holds until the
        options name another one than before. With another calendar this period ends when the new one says.

        Raises:
            ConfigError: they are not a quota's.
        """
        options_of(QuotaOptions, options)
        with self._lock:
            wall, before = self._roll(), self.options
            self.options = options
            if options.limit != before.limit:
                self._limit = options.limit
            if (options.period, options.zone) != (before.period, before.zone):
                self._end_ns = next_reset_ns(wall, options.period, options.zone)
            self._window_ns = to_ns(options.rate_window)
            self._pace.widen(self._window_ns, self.clock.now_ns())

    def _empty(self) -> None:
        self._used = self._pending = 0
        self._told = self._observed = False
        self._number += 1
        self._pace = Pace(self._window_ns, self.clock.now_ns())
        self._end_ns = next_reset_ns(self.clock.wall_ns(), self.options.period, self.options.zone)

    def _roll(self) -> int:
        """Begin the next period if it is time; gives the Unix time. Under the lock, like all below."""
        wall = self.clock.wall_ns()
        if wall >= self._end_ns:
            self._used = self._pending = 0
            self._told = self._observed = False
            self._number += 1
            self._end_ns = next_reset_ns(wall, self.options.period, self.options.zone)
        return wall

    def _use(self, cost: float) -> tuple[float, float | None] | None:
        """Count a use, or take some of one back; gives what is to be told of it."""
        self._pace.add(self.clock.now_ns(), cost)
        self._used = max(0.0, self._used + cost)
        return self._low(self.clock.wall_ns())

    def _runs_out_in(self, wall_ns: int) -> float | None:
        remaining, rate = self._limit - self._used, self._pace.per_second(self.clock.now_ns())
        if remaining <= 0:
            return 0.0
        left = (self._end_ns - wall_ns) / NS_PER_SECOND
        return remaining / rate if rate * left > remaining else None

    def _headroom(self) -> float:
        return 100 * min(1.0, max(0.0, (self._limit - self._used) / self._limit))

    def _low(self, wall_ns: int) -> tuple[float, float | None] | None:
        """The news that little is left, once a period."""
        headroom = self._headroom()
        if self._told or headroom >= self.options.alert_below:
            return None
        self._told = True
        return headroom, self._runs_out_in(wall_ns)

    def _tell_low(self, news: tuple[float, float | None] | None, call: CallRef | None) -> None:
        if news is not None and self._place.heard:
            headroom, runs_out = news
            self._place.emit(QuotaLow, call, headroom_percent=headroom, runs_out_in=runs_out)
