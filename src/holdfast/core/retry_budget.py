"""A retry budget: repeats and hedges of one target may be a share of its requests, and no more.

Retries help against failures that strike few calls. When most calls fail they multiply the load on a target that has
too much of it, and keep it down after the cause is gone. So the repetitions of a target are bounded by its requests:
``share`` of those in a sliding window, or ``floor`` a second where traffic is low. A repetition is charged when it is
*scheduled*, so that those who wait in backoff are counted, and refunded when it is cancelled before it starts. Failing
over to another target is not charged.

With a share R of repetitions for each request and a failure rate p, a budget that binds leaves 1 - (1 - p)(1 + R) of
the requests without an answer.

The switch: the *retry ratio* is the repetitions that callers asked for, granted or not, over the requests, in a longer
window. Above ``off_above`` nothing is granted, until it is below ``on_below``. Counting what was asked for, it measures
the target and not the budget: what is granted stays near the share by itself, and falls to nothing when switched off.

Counting a request takes no lock: it compares two times and steps a counter that is written in C. The window moves on
under the lock, once a slot.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from holdfast.core._options import duration, not_negative, number, options_by_name, positive
from holdfast.core._place import Place
from holdfast.core.clock import to_ns
from holdfast.core.events import BudgetRefused, RetriesSwitched
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.policy import CallRef, Site

__all__ = ["BudgetOptions", "BudgetRefusal", "BudgetSnapshot", "Charge", "RetryBudget", "Spend"]

Spend: TypeAlias = Literal["retry", "hedge"]

_SLOTS = 20
_ROUNDING = 1e-9  # 0.29 * 100 shall allow 29


class BudgetRefusal(StrEnum):
    """Why a repetition is not granted."""

    SHARE = "share"
    """The share of requests, and the floor, are used up."""
    SWITCHED_OFF = "switched_off"
    """The retry ratio was too high."""


class Charge(NamedTuple):
    """A granted repetition; true, so that it reads as the answer to "may I?". Hand it to :meth:`RetryBudget.refund`."""

    kind: Spend
    slot: int
    epoch: int
    """Grows whenever the budget begins to count anew: what was charged before gives nothing back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOptions:
    """What a budget was built with; see :class:`RetryBudget`."""

    share: float = 0.2
    floor: float = 1.0
    window: float = 10.0
    off_above: float | None = 0.3
    on_below: float = 0.2
    switch_window: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= number("share", self.share) <= 1:
            raise ConfigError("share", self.share, "must be between 0 and 1")
        not_negative("floor", self.floor)
        for field, value in (("window", self.window), ("switch_window", self.switch_window)):
            if to_ns(duration(field, value)) < _SLOTS:
                raise ConfigError(field, value, f"must be at least {_SLOTS} nanoseconds")
        positive("on_below", self.on_below)
        if self.off_above is not None and number("off_above", self.off_above) < self.on_below:
            raise ConfigError("off_above", self.off_above, f"must be at least on_below ({self.on_below:g})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSnapshot:
    """A budget at one moment.

    Attributes:
        requests: the requests in the window.
        spent: the repetitions charged in the window, refunds taken off.
        limit: the repetitions that the window allows now.
        retry_ratio: retries asked for over requests, in the longer window; 0 without requests.
        switched_off: whether nothing is granted because of it.
        granted: what was ever granted, by kind; ``refused`` and ``refunded`` likewise.
    """

    requests: int
    spent: int
    limit: float
    retry_ratio: float
    switched_off: bool
    granted: dict[Spend, int]
    refused: dict[Spend, int]
    refunded: dict[Spend, int]


@options_by_name
class RetryBudget:
    """How many repetitions a target gets; one object serves every pipeline that calls the target.

    Args:
        share: repetitions for each request in the window, 0 to 1.
        floor: repetitions a second that are granted whatever the traffic, 0 or more.
        window: seconds, above 0. It slides in 20 steps: the present one and the 19 before it count.
        off_above: the retry ratio above which nothing is granted, at least ``on_below``; None never switches off.
            Demand within the floor never switches it off.
        on_below: the retry ratio below which the budget works again, above 0.
        switch_window: the seconds over which the ratio is taken, above 0; it slides in 20 steps.
        clock, events: where the budget is used outside a pipeline; a pipeline brings its own.
        name: the target's name in events; a pipeline brings its own.

    Attributes:
        request: count one request, the first attempt of a call. Takes the monotonic time in nanoseconds where the
            caller has just read it, else nothing.
    """

    label: ClassVar[str] = "retry_budget"

    request: Callable[..., None]

    def __init__(
        self,
        *,
        share: float = 0.2,
        floor: float = 1.0,
        window: float = 10.0,
        off_above: float | None = 0.3,
        on_below: float = 0.2,
        switch_window: float = 60.0,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = BudgetOptions(
            share=share,
            floor=floor,
            window=window,
            off_above=off_above,
            on_below=on_below,
            switch_window=switch_window,
        )
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._floor = floor * window
        self._switch_floor = floor * switch_window
        self._lock = threading.Lock()
        self._ticks = itertools.count()
        self._read = 0  # what the counter had told, our own looks at it included
        self._requests = _Ring(to_ns(window))
        self._spent = _Ring(to_ns(window))
        self._all_requests = _Ring(to_ns(switch_window))
        self._asked = _Ring(to_ns(switch_window))
        self._off = False
        self._epoch = 0
        self._granted: dict[Spend, int] = dict.fromkeys(get_args(Spend), 0)
        self._refused = dict(self._granted)
        self._refunded = dict(self._granted)
        self._start()

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        if self._place.attach(site):
            with self._lock:
                self._start()

    def counter(self, clock: Clock) -> Callable[[int], None]:
        """``request`` for whoever knows the time of ``clock``: it says nothing to a budget that has another one."""
        request = self.request
        return request if clock is self._place.clock else lambda _: request()

    def try_spend(self, kind: Spend, call: CallRef | None = None) -> Charge | None:
        """Ask for one repetition when it is scheduled, not when it starts; None when there is none.

        Raises:
            ConfigError: ``kind`` is neither ``"retry"`` nor ``"hedge"``.
        """
        if kind not in self._granted:
            raise ConfigError("kind", kind, f"must be one of {', '.join(get_args(Spend))}")
        with self._lock:
            self._catch_up()
            if kind == "retry":
                self._asked.add(1)
            switched = self._switch()
            charge = reason = None
            if self._off:
                reason = BudgetRefusal.SWITCHED_OFF
            elif self._spent.total + 1 > self._limit() + _ROUNDING:
                reason = BudgetRefusal.SHARE
            else:
                charge = Charge(kind, self._spent.add(1), self._epoch)
                self._granted[kind] += 1
            if reason is not None:
                self._refused[kind] += 1
        self._tell(switched, call)
        if reason is not None and self._place.heard:
            self._place.emit(BudgetRefused, call, kind=kind, reason=reason)
        return charge

    def refund(self, charge: Charge) -> None:
        """Give back a repetition that was cancelled before it started; once for each charge."""
        with self._lock:
            self._refunded[charge.kind] += 1
            if charge.epoch == self._epoch:
                self._spent.take_back(charge.slot)

    def snapshot(self) -> BudgetSnapshot:
        """Everything about it, at one moment."""
        with self._lock:
            self._catch_up()
            switched = self._switch()
            requests = self._all_requests.total
            state = BudgetSnapshot(
                requests=self._requests.total,
                spent=self._spent.total,
                limit=self._limit(),
                retry_ratio=self._asked.total / requests if requests else 0.0,
                switched_off=self._off,
                granted=dict(self._granted),
                refused=dict(self._refused),
                refunded=dict(self._refunded),
            )
        self._tell(switched, None)
        return state

    def _start(self) -> None:
        """Begin to count with the clock that holds now; nothing that was counted with another can be dated."""
        self._epoch += 1
        now = self._place.clock.now_ns()
        for ring in self._rings():
            ring.clear(now)
        self.request = _request_counter(self._place.clock.now_ns, self._ticks.__next__, self._turn, self._turn_at())

    def _turn(self) -> int:
        """Move the windows on; gives the time of the next turn."""
        with self._lock:
            self._catch_up()
            switched = self._switch() if self._off else None
            until = self._turn_at()
        self._tell(switched, None)
        return until

    def _catch_up(self) -> None:
        """Date the requests that were counted since the last look, then move the windows to now. Under the lock."""
        told = next(self._ticks)
        fresh, self._read = told - self._read, told + 1
        self._requests.add(fresh)
        self._all_requests.add(fresh)
        now = self._place.clock.now_ns()
        for ring in self._rings():
            ring.turn(now)

    def _rings(self) -> tuple[_Ring, ...]:
        return self._requests, self._spent, self._all_requests, self._asked

    def _turn_at(self) -> int:
        return min(self._requests.ends_ns, self._all_requests.ends_ns)

    def _limit(self) -> float:
        return max(self._floor, self.options.share * self._requests.total)

    def _switch(self) -> tuple[bool, float] | None:
        """Switch off or on; gives the news. Under the lock."""
        off_above, asked, requests = self.options.off_above, self._asked.total, self._all_requests.total
        if off_above is None:
            return None
        base = max(requests, self._switch_floor / off_above)  # what the floor grants is no reason to switch off
        if self._off:
            change = asked == 0 or asked < self.options.on_below * base - _ROUNDING
        else:
            change = asked > off_above * base + _ROUNDING
        if not change:
            return None
        self._off = not self._off
        return self._off, asked / requests if requests else float(asked)

    def _tell(self, switched: tuple[bool, float] | None, call: CallRef | None) -> None:
        if switched is not None and self._place.heard:
            off, ratio = switched
            self._place.emit(RetriesSwitched, call, on=not off, retry_ratio=ratio)


def _request_counter(
    now_ns: Callable[[], int], tick: Callable[[], int], turn: Callable[[], int], until: int
) -> Callable[..., None]:
    """The way in for requests: a closure, because a method that looks up the same things costs half as much again."""

    def request(now: int = 0, /) -> None:
        nonlocal until
        if (now or now_ns()) >= until:
            until = turn()
        tick()

    return request


class _Ring:
    """Counts in slots of time, the oldest of which is forgotten when a new one begins."""

    __slots__ = ("_counts", "_slot", "_width", "ends_ns", "total")

    def __init__(self, window_ns: int) -> None:
        self._width = window_ns // _SLOTS  # it counts from when it was first cleared

    def clear(self, now: int) -> None:
        self._slot = now // self._width
        self._counts = [0] * _SLOTS
        self.total = 0
        self.ends_ns = (self._slot + 1) * self._width

    def add(self, count: int) -> int:
        """Count in the present slot; gives its number."""
        self._counts[self._slot % _SLOTS] += count
        self.total += count
        return self._slot

    def take_back(self, slot: int) -> None:
        """One less in ``slot``, unless it is forgotten."""
        if 0 <= self._slot - slot < _SLOTS and self._counts[slot % _SLOTS]:
            self._counts[slot % _SLOTS] -= 1
            self.total -= 1

    def turn(self, now: int) -> None:
        """Move on to the slot of ``now``; never back."""
        slot = now // self._width
        for each in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self.total -= self._counts[each % _SLOTS]
            self._counts[each % _SLOTS] = 0
        if slot > self._slot:
            self._slot = slot
            self.ends_ns = (slot + 1) * self._width
