"""How often a breaker opened, and for how long: the figures that tell a good breaker from a nervous one.

An *outage* lasts from leaving CLOSED until it is closed again; a failed probe opens the breaker again within the same
outage. What an operator isolated is no outage.
"""

from __future__ import annotations

from collections import deque

from holdfast.core.clock import NS_PER_SECOND

__all__ = ["History"]

_HOUR_NS = 3600 * NS_PER_SECOND
_REMEMBERED = 1000


class History:
    """Openings and outages. Touched under the breaker's lock only."""

    __slots__ = ("_began_ns", "_ended_ns", "_opened", "_outages", "openings")

    def __init__(self) -> None:
        self.openings = 0
        self._opened: deque[int] = deque(maxlen=_REMEMBERED)
        self._outages: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._began_ns: int | None = None
        self._ended_ns = 0  # the length of all outages that are over

    def opened(self, now_ns: int) -> None:
        """It opened; the first time since it was closed, an outage begins."""
        self.openings += 1
        self._opened.append(now_ns)
        if self._began_ns is None:
            self._began_ns = now_ns

    def over(self, now_ns: int) -> None:
        """The outage is over, if there was one."""
        if self._began_ns is not None:
            self._ended_ns += now_ns - self._began_ns
            self._outages.append((self._began_ns, now_ns))
            self._began_ns = None

    def openings_last_hour(self, now_ns: int) -> int:
        """How often it opened in the last hour; 1,000 at most."""
        return sum(opened > now_ns - _HOUR_NS for opened in self._opened)

    def outages_last_hour(self, now_ns: int) -> int:
        """How many outages began in the last hour; 1,000 at most."""
        return sum(began > now_ns - _HOUR_NS for began, _ in self._recent(now_ns))

    def open_ns(self, now_ns: int) -> int:
        """The length of all outages, the present one included."""
        return self._ended_ns + (0 if self._began_ns is None else now_ns - self._began_ns)

    def mean_open_ns(self, now_ns: int) -> float:
        """The mean length of the outages of which any part fell into the last hour; 0 without one."""
        lengths = [ended - began for began, ended in self._recent(now_ns)]
        return sum(lengths) / len(lengths) if lengths else 0.0

    def _recent(self, now_ns: int) -> list[tuple[int, int]]:
        """The outages of which any part fell into the last hour; the present one ends now."""
        recent = [each for each in self._outages if each[1] > now_ns - _HOUR_NS]
        return recent if self._began_ns is None else [*recent, (self._began_ns, now_ns)]
