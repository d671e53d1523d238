"""A sliding window: at most so much in any span of the window's length, wherever it begins.

A token bucket lets through its burst and then its rate, up to twice the limit in an unlucky minute; a sliding window
never lets through more than its limit, for dependencies that count that way.

An exact log needs a record for each call. The usual approximation (two buckets, the older weighted by its overlap)
assumes that calls were spread evenly, and lets through too much where they were not. Here the window is cut into
``slots``, and what came in during a slot is counted as if it all came at the slot's end. That errs on one side only:
**the limit is never exceeded in any window, and room comes free late by less than window / slots** (1% by default; so
at least ``limit`` fits into every ``window * (1 + 1/slots)``). Memory is at most ``slots + 2`` pairs of numbers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from holdfast.core._admission_options import AdmissionOptions
from holdfast.core._limiter import Limiter, Queued, Reservation
from holdfast.core._options import duration, options_by_name, positive, whole
from holdfast.core._reconfigure import options_of
from holdfast.core.clock import to_ns
from holdfast.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events

__all__ = ["Queued", "Reservation", "SlidingWindow", "SlidingWindowOptions", "SlidingWindowSnapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindowOptions(AdmissionOptions):
    """What a window was built with; see :class:`SlidingWindow`."""

    limit: float = 60
    window: float = 60.0
    slots: int = 100

    def __post_init__(self) -> None:
        super(SlidingWindowOptions, self).__post_init__()  # `slots` makes the class anew: the short form finds the old
        positive("limit", self.limit)
        duration("window", self.window)
        whole("slots", self.slots, least=1)
        if to_ns(self.window) < self.slots:
            raise ConfigError("window", self.window, "must be at least a nanosecond for each slot")
        if self.default_cost > self.limit:
            raise ConfigError("default_cost", self.default_cost, f"must be at most the limit ({self.limit:g})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindowSnapshot:
    """A window at one moment.

    Attributes:
        limit: what fits into a window.
        used: what counts now.
        available: what fits now for a high priority; negative after calls that used more than they had reserved.
        headroom_percent: ``available`` in percent of the limit, 0 to 100.
        waiting: calls in line.
        rejected: calls refused since it was made.
    """

    limit: float
    used: float
    available: float
    headroom_percent: float
    waiting: int
    rejected: int


class _Slot:
    """What came in during one slot."""

    __slots__ = ("counts", "number", "used")

    def __init__(self, number: int) -> None:
        self.number = number
        self.used: float = 0
        self.counts = True  # until it is out of the window, or forgotten: a late reservation changes nothing then


@options_by_name
class SlidingWindow(Limiter):
    """A policy: let through no more than ``limit`` in any ``window``.

    Args:
        limit: the most in one window, above 0, in requests or whatever costs are given in.
        window: seconds, above 0.
        slots: into how many parts the window is cut, 1 or more; room comes free late by less than one of them.
        kept_share, kept_for, max_wait, default_cost, clock, events, name: as for
            :class:`~holdfast.core.rate_limiter.RateLimiter`; the share is one of the limit.
    """

    label: ClassVar[str] = "sliding_window"

    options: SlidingWindowOptions

    def __init__(
        self,
        *,
        limit: float = 60,
        window: float = 60.0,
        slots: int = 100,
        kept_share: float = 0.2,
        kept_for: int = 5,
        max_wait: float = 0.0,
        default_cost: float = 1,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        options = SlidingWindowOptions(
            limit=limit,
            window=window,
            slots=slots,
            kept_share=kept_share,
            kept_for=kept_for,
            max_wait=max_wait,
            default_cost=default_cost,
        )
        self._set(options)
        self._slots: deque[_Slot] = deque()
        self._used: float = 0
        super().__init__(options, clock=clock, events=events, name=name)

    def snapshot(self) -> SlidingWindowSnapshot:
        """Everything about it, at one moment."""
        self._drop_gone()
        with self._lock:
            self._slide(self._now_ns())
            available = self._limit - self._used
            return SlidingWindowSnapshot(
                limit=self._limit,
                used=self._used,
                available=available,
                headroom_percent=100 * min(1.0, max(0.0, available / self._limit)),
                waiting=self._waiting,
                rejected=self._rejected,
            )

    def _set(self, options: SlidingWindowOptions) -> None:
        self._limit = options.limit
        self._common = options.limit * (1 - options.kept_share)
        self._window_ns = to_ns(options.window)
        self._slot_ns = -(-self._window_ns // options.slots)

    def _take(self, now_ns: int, options: Any) -> None:  # noqa: ANN401
        """Change the limits. What counts now goes on counting, each slot as if all came at the end of a new one."""
        options_of(SlidingWindowOptions, options)
        self._slide(now_ns)
        before = self._slot_ns
        self._set(options)
        for slot in self._slots:
            slot.number = -(-(slot.number + 1) * before // self._slot_ns) - 1

    def _check(self, cost: float) -> None:
        if cost > self._limit:
            raise InvalidInputError(
                "cost", f"{cost:g} is more than ever fits into a window (limit={self._limit:g}); split the call."
            )

    def _wait_ns(self, now_ns: int, cost: float, *, low: bool, ahead: float, calls_ahead: int) -> tuple[int, str]:  # noqa: ARG002
        self._slide(now_ns)
        limit = max(self._common, cost) if low else self._limit
        over = self._used + ahead + cost - limit
        wait = 0
        if over > 0:
            for slot in self._slots:
                wait = self._gone_ns(slot) - now_ns
                over -= slot.used
                if over <= 0:
                    break
            else:  # those before it fill a window of their own, and more: it is an estimate, and asked again in time
                wait += self._window_ns * int(over // self._limit + 1)
        return wait, "window"

    def _book(self, now_ns: int, cost: float) -> object:
        number = now_ns // self._slot_ns
        if not self._slots or self._slots[-1].number < number:
            self._slots.append(_Slot(number))
        slot = self._slots[-1]
        slot.used += cost
        self._used += cost
        return slot

    def _settle(self, now_ns: int, booking: object, cost: float, actual: float | None) -> None:  # noqa: ARG002
        slot = cast("_Slot", booking)
        if slot.counts:  # one that is over, and that nobody has dropped yet, takes it along
            difference = (actual or 0) - cost
            slot.used += difference
            self._used += difference

    def _empty(self) -> None:
        for slot in self._slots:
            slot.counts = False
        self._slots.clear()  # nothing is used then: `_slide` sees to it

    def _gone_ns(self, slot: _Slot) -> int:
        """When what came in during ``slot`` no longer counts."""
        return (slot.number + 1) * self._slot_ns + self._window_ns

    def _slide(self, now_ns: int) -> None:
        """Drop the slots that no longer count."""
        slots = self._slots
        while slots and self._gone_ns(slots[0]) <= now_ns:
            slot = slots.popleft()
            slot.counts = False
            self._used -= slot.used
        if not slots:
            self._used = 0  # or what rounding left over
