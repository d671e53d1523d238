"""The generic cell rate algorithm (GCRA): a token bucket whose whole state is one integer.

After ITU-T I.371 and ATM Forum TM 4.1: the theoretical arrival time (TAT) is when the bucket will be empty again if
nothing more comes. A cost of n moves it by n emission intervals T: ``TAT' = max(now, TAT) + n*T``, and n is let in when
``TAT' - now`` is at most the capacity, ``burst * T``. ``TAT - now`` is the level of the bucket, in nanoseconds.

T is rounded up to whole nanoseconds, so that costs add up exactly and the rate is never exceeded; it falls short by
less than ``rate / 6e10`` of itself (0.002% at a million a minute).

Giving back. A reservation that used less than was reserved gives back what the bucket would still hold more because of
it: water that would have run out meanwhile is gone. If ``L(s)`` is the level just before each later arrival, and
now, that is ``min(difference, min L(s))`` (Skorokhod's reflection): the bucket is then exactly where it would be had
the smaller cost been charged from the start. The minimum is kept only while reservations are open, for the stretches
from one's opening to the next (:mod:`holdfast.core._floors`), so that it is found in a few steps however many are open.

What was charged without a reservation gives back less exactly, but never too much: the part that would not have run out
yet had everything run out in the order in which it came in.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from holdfast.core._floors import NONE_YET, Floors

__all__ = ["MINUTE_NS", "Gcra", "Open"]

MINUTE_NS = 60_000_000_000

_NEVER = -(1 << 62)
_LEAST_ROOM = 32  # stretches, below which it is not worth counting


class Open:
    """A reservation that may still give something back.

    Attributes:
        stretch: that which begins with its opening.
        until_ns: when it is taken as used as reserved.
    """

    __slots__ = ("stretch", "until_ns")

    def __init__(self, stretch: int, until_ns: int) -> None:
        self.stretch = stretch
        self.until_ns = until_ns


class Gcra:
    """One bucket. Not thread-safe: its owner holds a lock.

    Args:
        per_minute: the rate.
        burst: the bucket's size, in the unit of the rate.
        kept_share: the share of the size that low priorities leave free.

    Attributes:
        tat_ns: the state.
        unit_ns: T, the charge of a cost of 1.
        capacity_ns: the size; ``common_ns`` is the part that low priorities may fill.
        reservations: those that may still give something back, in the order in which they were opened.
    """

    __slots__ = (
        "_floors",
        "burst",
        "capacity_ns",
        "common_ns",
        "kept_share",
        "per_minute",
        "reservations",
        "returned_ns",
        "tat_ns",
        "unit_ns",
    )

    def __init__(self, per_minute: float, burst: float, kept_share: float) -> None:
        self.burst = burst
        self.kept_share = kept_share
        self.tat_ns = _NEVER
        self.returned_ns = 0  # all that was ever given back: what came in later lies that much earlier in the bucket
        self.reservations: OrderedDict[Open, None] = OrderedDict()
        self._floors = Floors(_LEAST_ROOM)
        self._set(per_minute)

    def _set(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self.unit_ns = math.ceil(MINUTE_NS / per_minute)
        self.capacity_ns = self.charge_ns(self.burst)
        self.common_ns = math.floor(self.capacity_ns * (1 - self.kept_share))

    def set_rate(self, now_ns: int, per_minute: float) -> None:
        """Change the rate; what is in the bucket stays the same in the unit of the rate."""
        before, level = self.unit_ns, self.level_ns(now_ns)
        self._set(per_minute)
        self.returned_ns += level  # no older receipt is worth anything
        self.tat_ns = now_ns - (-level * self.unit_ns // before)
        if self.reservations:
            self._renumber(self.unit_ns, before)

    def resize(self, burst: float, kept_share: float) -> None:
        """Change the size; what is in the bucket stays, though it may be more than fits now."""
        self.burst = burst
        self.kept_share = kept_share
        self._set(self.per_minute)

    def reset(self, now_ns: int) -> None:
        """Empty the bucket; nothing that was charged will give anything back."""
        self.returned_ns += self.level_ns(now_ns)
        self.tat_ns = _NEVER
        self.reservations.clear()

    def charge_ns(self, cost: float) -> int:
        """``cost`` as time at the rate."""
        return math.ceil(cost * self.unit_ns)

    def level_ns(self, now_ns: int) -> int:
        """What is in the bucket, as the time until it is empty."""
        level = self.tat_ns - now_ns
        return max(0, level)

    def wait_ns(self, now_ns: int, charge_ns: int, *, low: bool, ahead_ns: int = 0) -> int:
        """How long until ``charge_ns`` fits, after ``ahead_ns`` of others; 0 when it fits now.

        A low priority leaves the kept share free. What is larger than the rest of the bucket is let in when the
        bucket is empty: it would never be otherwise.
        """
        limit = max(self.common_ns, charge_ns) if low else self.capacity_ns
        over = self.level_ns(now_ns) + ahead_ns + charge_ns - limit
        return max(0, over)

    def take(self, now_ns: int, charge_ns: int) -> None:
        """Charge, whether it fits or not."""
        tat = self.tat_ns
        tat = max(tat, now_ns)
        if self.reservations:
            self._floors.see(tat - now_ns)
        self.tat_ns = tat + charge_ns

    @property
    def receipt(self) -> int:
        """For :meth:`refund`: where in the bucket the last charge lies. Never decreases while time goes on."""
        return self.tat_ns + self.returned_ns

    def refund(self, now_ns: int, receipt: int, ns: int) -> None:
        """Take back a charge of ``ns``, as far as it surely has not run out."""
        back = min(ns, receipt - self.returned_ns - now_ns)
        if back > 0:
            self.tat_ns -= back
            self.returned_ns += back
            self._floors.lower_all(back)

    def open(self, now_ns: int, charge_ns: int, lease_ns: int) -> Open:
        """Charge, and remember that some of it may be given back within ``lease_ns``; gives the key for it."""
        self.take(now_ns, charge_ns)
        reservations = self.reservations
        while reservations and (first := next(iter(reservations))).until_ns <= now_ns:
            del reservations[first]
        if self._floors.count == self._floors.size:
            self._renumber()
        opened = Open(self._floors.begin(), now_ns + lease_ns)
        reservations[opened] = None
        return opened

    def give_back(self, now_ns: int, key: Open, ns: int) -> int:
        """Take ``ns`` of an open reservation out of the bucket, as far as it is still in; gives how much that was."""
        if key not in self.reservations or key.until_ns <= now_ns:
            return 0
        back = min(ns, self.level_ns(now_ns), self._floors.since(key.stretch))
        if back <= 0:
            return 0
        self.tat_ns -= back
        self.returned_ns += back
        self._floors.lower_since(key.stretch, back)
        return back

    def close(self, key: Open) -> None:
        """Forget a reservation; what was seen in its stretch still holds for those before it."""
        self.reservations.pop(key, None)

    def _renumber(self, times: int = 1, over: int = 1) -> None:
        """Forget the stretches that no open reservation begins, and scale the levels, rounded down.

        It takes a step for each stretch, and happens once in as many openings as there were stretches to forget: there
        is room for as many again as are open.
        """
        keys = list(self.reservations)
        floors = self._floors.kept([each.stretch for each in keys])
        if times != over:
            floors = [each if each == NONE_YET else each * times // over for each in floors]
        self._floors = Floors(max(_LEAST_ROOM, 2 * len(keys)), floors)
        for number, each in enumerate(keys):
            each.stretch = number
