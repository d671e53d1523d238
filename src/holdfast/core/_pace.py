"""How fast something is used at present, and when a calendar's day or month is over."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal, TypeAlias

from holdfast.core.clock import NS_PER_SECOND

__all__ = ["Pace", "QuotaPeriod", "next_reset_ns"]

QuotaPeriod: TypeAlias = Literal["day", "month"]

_LEAST_AGE = 1 / 60  # of the window


class Pace:
    """An exponentially weighted rate: a use loses its weight with the time constant ``window_ns``.

    The weights of a constant rate r add up to ``r * window * (1 - exp(-age / window))``; dividing by that finds r from
    the beginning on. In the first sixtieth of the window hardly anything is known: it is taken as a whole sixtieth, so
    that a first call is no flood.
    """

    __slots__ = ("_at_ns", "_first_ns", "_weighed", "_window_ns")

    def __init__(self, window_ns: int, now_ns: int) -> None:
        self._window_ns = window_ns
        self._first_ns = self._at_ns = now_ns
        self._weighed = 0.0

    def add(self, now_ns: int, amount: float) -> None:
        """Count a use, or take some of one back."""
        self._weighed = max(0.0, self._decayed(now_ns) + amount)
        self._at_ns = now_ns

    def widen(self, window_ns: int, now_ns: int) -> None:
        """Take another time constant; the rate now stays."""
        rate = self.per_second(now_ns)
        self._window_ns, self._at_ns = window_ns, now_ns
        self._weighed = rate * self._weights(now_ns) / NS_PER_SECOND

    def per_second(self, now_ns: int) -> float:
        """The rate."""
        return self._decayed(now_ns) / self._weights(now_ns) * NS_PER_SECOND

    def _weights(self, now_ns: int) -> float:
        """What the weights of a constant rate of one a nanosecond add up to."""
        age = max((now_ns - self._first_ns) / self._window_ns, _LEAST_AGE)
        return self._window_ns * -math.expm1(-age)

    def _decayed(self, now_ns: int) -> float:
        return self._weighed * math.exp((self._at_ns - now_ns) / self._window_ns)


def next_reset_ns(wall_ns: int, period: QuotaPeriod, zone: tzinfo) -> int:
    """The midnight, in Unix nanoseconds, at which the day or the month of ``wall_ns`` is over in ``zone``."""
    today = datetime.fromtimestamp(wall_ns // NS_PER_SECOND, zone).date()
    if period == "day":
        following = today + timedelta(days=1)
    else:
        following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    midnight = datetime(following.year, following.month, following.day, tzinfo=zone)
    return int(midnight.timestamp()) * NS_PER_SECOND
