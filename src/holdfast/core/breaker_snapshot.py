"""A circuit breaker at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BreakerSnapshot", "BreakerState", "RedFlag"]

_LONG_MEAN = 30.0


class BreakerState(StrEnum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class RedFlag(StrEnum):
    """What a healthy breaker of a healthy dependency does not show."""

    LONG_OPEN = "long_open"
    """The outages of the last hour lasted longer than 30 s in the mean."""
    OPENS_OFTEN = "opens_often"
    """More than one outage began in the last hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """A breaker at one moment.

    Attributes:
        state: closed, open, or half-open. One whose time is over is open until the next call asks.
        failures: the weight of the failures in a row, or in the window (closed).
        calls: the calls in the window; 0 where failures in a row are counted.
        slow_calls: the slow ones among them.
        successes: the probes that succeeded (half-open).
        probes: the probes under way (half-open).
        time_in_state: seconds since the last transition.
        retry_after: seconds until an open breaker lets a probe through; None when it does not (closed, half-open,
            held open).
        admitted_share: the share of calls that it would let in now: below 1 in the time after closing in which that
            grows, 0 when it is open; of a half-open one 0 as well, for its probes are a number and no share.
        forced: whether :meth:`~holdfast.core.breaker.CircuitBreaker.force_open` holds it open.
        isolated: whether :meth:`~holdfast.core.breaker.CircuitBreaker.isolate` does.
        shadow: whether it only counts, and refuses nothing.
        would_reject: the calls that a shadow breaker would have refused.
        last_failure_at: Unix seconds of the last counted failure, or None.
        openings: how often it opened, by a failed probe too; ``openings_last_hour`` in the last 3,600 seconds (1,000
            at most).
        outages_last_hour: how often it left the closed state in the last hour because calls failed or it was forced.
        open_seconds: how long the outages were, all in all, the present one included.
        mean_open_seconds: how long they were in the mean, of those of the last hour; 0 without one.
        generation: the number of transitions, plus 1.
    """

    state: BreakerState
    failures: float
    calls: int
    slow_calls: int
    successes: int
    probes: int
    time_in_state: float
    retry_after: float | None
    admitted_share: float
    forced: bool
    isolated: bool
    shadow: bool
    would_reject: int
    last_failure_at: float | None
    openings: int
    openings_last_hour: int
    outages_last_hour: int
    open_seconds: float
    mean_open_seconds: float
    generation: int

    @property
    def failure_rate(self) -> float:
        """The weight of the failures by the calls in the window; 0 without calls."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_call_rate(self) -> float:
        """The share of slow calls in the window; 0 without calls."""
        return self.slow_calls / self.calls if self.calls else 0.0

    @property
    def red_flags(self) -> tuple[RedFlag, ...]:
        """What an operator should look into; empty when all is well."""
        signs = {
            RedFlag.LONG_OPEN: self.mean_open_seconds > _LONG_MEAN,
            RedFlag.OPENS_OFTEN: self.outages_last_hour > 1,
        }
        return tuple(flag for flag, shown in signs.items() if shown)
