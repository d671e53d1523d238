"""What a breaker counts while it is closed: failures in a row, rates over calls or over time, or both.

Weights are whole millionths here, so that sums and comparisons are exact: ten times 0.1 is 1, and what leaves a window
takes away just what it brought. A window is touched under its breaker's lock only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.core.clock import to_ns

if TYPE_CHECKING:
    from holdfast.core.breaker_options import BreakerOptions

__all__ = [
    "ONE",
    "Combined",
    "Consecutive",
    "CountWindow",
    "Counts",
    "FailureWindow",
    "TimeWindow",
    "units",
    "window_for",
]

ONE = 1_000_000
"""The weight of a whole failure."""

_BUCKETS = 10


def units(weight: float) -> int:
    """``weight`` in millionths; what is above 0 stays above 0."""
    return max(1, round(weight * ONE)) if weight > 0 else 0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a window holds: calls, the weight of their failures in millionths, and how many were slow."""

    calls: int
    failures: int
    slow: int


class FailureWindow(Protocol):
    """Counts the outcomes of calls, and says when they are too bad."""

    @property
    def heeds_success(self) -> bool:
        """Whether a success would change anything now."""
        ...

    def note(self, now_ns: int, failure: int, *, slow: bool) -> str | None:
        """Count one call whose failure weighs ``failure`` millionths, 0 for a success; why to open, or None.

        After a reason comes :meth:`clear`, for the breaker opens.
        """
        ...

    def retune(self, options: BreakerOptions) -> bool:
        """Judge what was counted by other options; False when they count something else, and nothing was changed."""
        ...

    def verdict(self, now_ns: int) -> str | None:
        """Why to open now, or None."""
        ...

    def counts(self, now_ns: int) -> Counts:
        """What it holds now."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class Consecutive:
    """Failures in a row; a success sets them back."""

    def __init__(self, options: BreakerOptions) -> None:
        self._threshold = units(options.failure_threshold)
        self._failures = 0

    @property
    def heeds_success(self) -> bool:
        """Only when there is something to set back."""
        return self._failures > 0

    def note(self, now_ns: int, failure: int, *, slow: bool) -> str | None:  # noqa: ARG002  the others need all
        """See :class:`FailureWindow`."""
        self._failures = self._failures + failure if failure else 0
        return "failures" if self._failures >= self._threshold else None

    def retune(self, options: BreakerOptions) -> bool:
        """See :class:`FailureWindow`."""
        if options.window != "consecutive":
            return False
        self.go_by(options)
        return True

    def go_by(self, options: BreakerOptions) -> None:
        """Judge by another threshold from now on."""
        self._threshold = units(options.failure_threshold)

    def verdict(self, now_ns: int) -> str | None:  # noqa: ARG002
        """Whether there are too many in a row."""
        return "failures" if self._failures >= self._threshold else None

    def counts(self, now_ns: int) -> Counts:  # noqa: ARG002
        """The failures in a row."""
        return Counts(0, self._failures, 0)

    def clear(self) -> None:
        """Begin at 0."""
        self._failures = 0


class _Rates:
    """Which rates over how many calls open a breaker."""

    heeds_success = True

    def __init__(self, options: BreakerOptions) -> None:
        self._calls = self._failures = self._slow = 0
        self._go_by(options)

    def retune(self, options: BreakerOptions) -> bool:
        """See :class:`FailureWindow`. Calls that were slow by another measure cannot be told apart any more."""
        if _extent(options) != self._extent:
            return False
        self._go_by(options)
        return True

    def _go_by(self, options: BreakerOptions) -> None:
        self._extent = _extent(options)
        self._minimum = options.minimum_calls
        self._failure_rate = units(options.failure_rate)
        self._slow_rate = units(options.slow_call_rate)

    def _verdict(self) -> str | None:
        calls = self._calls
        if calls < self._minimum:
            return None
        if self._failures >= self._failure_rate * calls:
            return "failure_rate"
        return "slow_call_rate" if self._slow * ONE >= self._slow_rate * calls else None


def _extent(options: BreakerOptions) -> tuple[object, ...]:
    """What a window counts, and over how much."""
    return options.window, options.window_calls, options.window_seconds, options.slow_call_duration


class CountWindow(_Rates):
    """The last so many calls, in a ring; each is one number: twice the failure's weight, plus 1 if it was slow."""

    def __init__(self, options: BreakerOptions) -> None:
        super().__init__(options)
        self._size = options.window_calls
        self._ring: list[int] = []
        self._next = 0

    def note(self, now_ns: int, failure: int, *, slow: bool) -> str | None:  # noqa: ARG002
        """See :class:`FailureWindow`."""
        outcome = failure << 1 | slow
        if self._calls < self._size:
            self._calls += 1
            self._ring.append(outcome)
        else:
            place = self._next
            self._next = (place + 1) % self._size
            old = self._ring[place]
            if old == outcome:
                return None  # nothing changed
            self._ring[place] = outcome
            self._failures -= old >> 1
            self._slow -= old & 1
        self._failures += failure
        self._slow += slow
        return self._verdict()

    def verdict(self, now_ns: int) -> str | None:  # noqa: ARG002
        """Whether a rate is too high."""
        return self._verdict()

    def counts(self, now_ns: int) -> Counts:  # noqa: ARG002
        """What the ring holds."""
        return Counts(self._calls, self._failures, self._slow)

    def clear(self) -> None:
        """Empty the ring."""
        self._ring.clear()
        self._next = self._calls = self._failures = self._slow = 0


class TimeWindow(_Rates):
    """The last so many seconds, in a ring of ten buckets; the tenth is the one that is being filled."""

    def __init__(self, options: BreakerOptions) -> None:
        super().__init__(options)
        self._width_ns = max(1, to_ns(options.window_seconds) // _BUCKETS)
        self._ring = [[0, 0, 0] for _ in range(_BUCKETS)]
        self._bucket = self._ring[0]
        self._epoch = 0
        self._over_ns = self._width_ns  # when the bucket that is being filled ends

    def note(self, now_ns: int, failure: int, *, slow: bool) -> str | None:
        """See :class:`FailureWindow`."""
        self.count(now_ns, failure, slow=slow)
        return self._verdict()

    def count(self, now_ns: int, failure: int, *, slow: bool) -> None:
        """Count one call as :meth:`note` does, for whoever judges only some of them."""
        if now_ns >= self._over_ns:
            self._advance(now_ns)
        bucket = self._bucket
        bucket[0] += 1
        self._calls += 1
        if failure:
            bucket[1] += failure
            self._failures += failure
        if slow:
            bucket[2] += 1
            self._slow += 1

    def verdict(self, now_ns: int) -> str | None:
        """Whether a rate is too high over what the ring still holds."""
        self._advance(now_ns)
        return self._verdict()

    def counts(self, now_ns: int) -> Counts:
        """What the ring still holds."""
        self._advance(now_ns)
        return Counts(self._calls, self._failures, self._slow)

    def clear(self) -> None:
        """Empty every bucket."""
        for bucket in self._ring:
            bucket[:] = 0, 0, 0
        self._calls = self._failures = self._slow = 0

    def _advance(self, now_ns: int) -> None:
        """Empty the buckets whose time is over. A thread may come with a time that is older than the last one's."""
        epoch = now_ns // self._width_ns
        if epoch <= self._epoch:
            return
        for late in range(self._epoch + 1, min(epoch, self._epoch + _BUCKETS) + 1):
            bucket = self._ring[late % _BUCKETS]
            self._calls -= bucket[0]
            self._failures -= bucket[1]
            self._slow -= bucket[2]
            bucket[:] = 0, 0, 0
        self._bucket = self._ring[epoch % _BUCKETS]
        self._epoch = epoch
        self._over_ns = (epoch + 1) * self._width_ns


class Combined:
    """Failures in a row that the rate of the last seconds bears out.

    Among calls that run side by side failures end first, for to fail takes no time: five calls of a hundred that fail
    at once are five in a row, with nobody wrong but those. Where the last seconds know enough calls, the share of those
    that failed decides whether the dependency is to blame; of whatever weight, for a dependency that hangs fails in
    timeouts only.
    """

    heeds_success = True

    def __init__(self, options: BreakerOptions) -> None:
        self._row = Consecutive(options)
        self._rates = TimeWindow(options)
        self._minimum = options.minimum_calls

    def note(self, now_ns: int, failure: int, *, slow: bool) -> str | None:
        """See :class:`FailureWindow`."""
        if not failure:  # it ends the row, and makes no rate worse
            self._rates.count(now_ns, 0, slow=False)
            self._row.clear()
            return None
        self._rates.count(now_ns, ONE, slow=False)
        return self._row.note(now_ns, failure, slow=slow) and self._borne_out(now_ns)

    def retune(self, options: BreakerOptions) -> bool:
        """See :class:`FailureWindow`."""
        if options.window != "combined" or not self._rates.retune(options):
            return False
        self._row.go_by(options)
        self._minimum = options.minimum_calls
        return True

    def verdict(self, now_ns: int) -> str | None:
        """Whether there are too many in a row, and of all."""
        return self._row.verdict(now_ns) and self._borne_out(now_ns)

    def counts(self, now_ns: int) -> Counts:
        """The calls of the last seconds, and those of them that failed, as whole failures."""
        return self._rates.counts(now_ns)

    def clear(self) -> None:
        """Begin at 0."""
        self._row.clear()
        self._rates.clear()

    def _borne_out(self, now_ns: int) -> str | None:
        few = self._rates.counts(now_ns).calls < self._minimum
        return "failures" if few or self._rates.verdict(now_ns) == "failure_rate" else None


_WINDOWS: dict[str, type[Consecutive | CountWindow | TimeWindow | Combined]] = {
    "consecutive": Consecutive,
    "combined": Combined,
    "count": CountWindow,
    "time": TimeWindow,
}


def window_for(options: BreakerOptions) -> FailureWindow:
    """The window that ``options`` ask for."""
    return _WINDOWS[options.window](options)
