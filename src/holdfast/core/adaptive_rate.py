"""A rate limiter that finds the rate by itself: additive increase, multiplicative decrease (AIMD).

After D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
Networks", 1989. A 429 cuts the rate at once; otherwise the outcomes of each ``period`` are judged together: above
``raise_above`` of them successful the rate grows by a step, below ``lower_below`` it is cut, in between it stays.

What keeps it honest:

- A cut answers calls that were let in since the last one. Those let in before it met the old rate, and a volley of 429s
  for one mistake is one mistake.
- The rate grows only where it is used: while fewer than half of the calls that it allows are made, their success says
  nothing about a higher one.
- A Retry-After is waited for by everybody, not only by the call that got it.
- There is a floor, so that there are always calls to learn from, and a ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from holdfast.core._buckets import Booking, BucketLimiter, Permit, RateLimiterOptions, RateLimiterSnapshot, drains
from holdfast.core._gcra import MINUTE_NS
from holdfast.core._options import duration, not_negative, options_by_name, per_minute, positive, whole
from holdfast.core.clock import to_ns
from holdfast.core.events import RateAdjusted
from holdfast.core.faults import FaultKind
from holdfast.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef

__all__ = ["AdaptiveRate", "AdaptiveRateOptions", "AdaptiveRateSnapshot"]

_NEVER = -(1 << 62)  # before every receipt
_USED = 0.5  # of what the rate allows must be made before it may grow


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveRateOptions(RateLimiterOptions):
    """What a limiter was built with; see :class:`AdaptiveRate`."""

    min_per_minute: float = 6
    max_per_minute: float = 600
    raise_above: float = 0.9
    lower_below: float = 0.7
    increase: float = 6
    decrease: float = 0.7
    period: float = 10.0
    min_calls: int = 10
    max_hold: float = 60.0

    def __post_init__(self) -> None:
        super(AdaptiveRateOptions, self).__post_init__()  # `slots` makes the class anew: the short form finds the old
        per_minute("min_per_minute", self.min_per_minute)
        per_minute("max_per_minute", self.max_per_minute)
        if not self.min_per_minute <= self.requests_per_minute <= self.max_per_minute:
            raise ConfigError(
                "requests_per_minute",
                self.requests_per_minute,
                f"must be from min_per_minute ({self.min_per_minute:g}) to max_per_minute ({self.max_per_minute:g})",
            )
        drains("burst", self.burst, self.min_per_minute)
        _share("raise_above", self.raise_above)
        _share("lower_below", self.lower_below)
        if self.lower_below > self.raise_above:
            raise ConfigError("lower_below", self.lower_below, f"must be at most raise_above ({self.raise_above:g})")
        positive("increase", self.increase)
        if positive("decrease", self.decrease) >= 1:
            raise ConfigError("decrease", self.decrease, "must be below 1: the rate is multiplied by it")
        duration("period", self.period)
        whole("min_calls", self.min_calls, least=1)
        duration("max_hold", self.max_hold, or_zero=True)


def _tokens_each(options: AdaptiveRateOptions) -> float:
    return 0.0 if options.tokens_per_minute is None else options.tokens_per_minute / options.requests_per_minute


def _share(field: str, value: object) -> None:
    if not_negative(field, value) > 1:
        raise ConfigError(field, value, "must be between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveRateSnapshot(RateLimiterSnapshot):
    """A limiter at one moment.

    Attributes:
        successes, failures: the outcomes in the period under way.
        raised, lowered: how often the rate changed; ``throttled`` of the cuts answered a 429.
    """

    successes: int
    failures: int
    raised: int
    lowered: int
    throttled: int


@options_by_name
class AdaptiveRate(BucketLimiter):
    """A policy: a :class:`~holdfast.core.rate_limiter.RateLimiter` that moves its rate with what the calls meet.

    Outcomes that say nothing of the load (cancellations, bugs, wrong requests, keys that are refused) do not count. A
    limit of tokens moves in proportion to that of requests.

    Args:
        requests_per_minute: the rate to begin with.
        min_per_minute, max_per_minute: the floor and the ceiling, from 0.000001 to 600 million.
        raise_above: the share of successes above which the rate grows, 0 to 1.
        lower_below: the share below which it is cut, 0 to ``raise_above``.
        increase: by how many requests a minute it grows, above 0.
        decrease: what it is multiplied by when it is cut, above 0 and below 1.
        period: seconds over which outcomes are judged, above 0.
        min_calls: outcomes without which nothing is judged, 1 or more; the period goes on until they are there.
        max_hold: the longest Retry-After in seconds that everybody waits for, 0 or more.
        burst, tokens_per_minute, token_burst, kept_share, kept_for, max_wait, default_cost, reservation_lease, clock,
            events, name: as for :class:`~holdfast.core.rate_limiter.RateLimiter`.
    """

    label: ClassVar[str] = "adaptive_rate"

    options: AdaptiveRateOptions

    def __init__(
        self,
        *,
        requests_per_minute: float = 60,
        min_per_minute: float = 6,
        max_per_minute: float = 600,
        raise_above: float = 0.9,
        lower_below: float = 0.7,
        increase: float = 6,
        decrease: float = 0.7,
        period: float = 10.0,
        min_calls: int = 10,
        max_hold: float = 60.0,
        burst: float = 10,
        tokens_per_minute: float | None = None,
        token_burst: float | None = None,
        kept_share: float = 0.2,
        kept_for: int = 5,
        max_wait: float = 0.0,
        default_cost: float = 1,
        reservation_lease: float = 600.0,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        options = AdaptiveRateOptions(
            requests_per_minute=requests_per_minute,
            min_per_minute=min_per_minute,
            max_per_minute=max_per_minute,
            raise_above=raise_above,
            lower_below=lower_below,
            increase=increase,
            decrease=decrease,
            period=period,
            min_calls=min_calls,
            max_hold=max_hold,
            burst=burst,
            tokens_per_minute=tokens_per_minute,
            token_burst=token_burst,
            kept_share=kept_share,
            kept_for=kept_for,
            max_wait=max_wait,
            default_cost=default_cost,
            reservation_lease=reservation_lease,
        )
        self._rates = options
        self._tokens_each = _tokens_each(options)
        self._cut_receipt = _NEVER  # calls with a later one were let in since the last cut
        self._begun_ns: int | None = None
        self._successes = self._failures = 0
        self._raised = self._lowered = self._throttled = 0
        super().__init__(options, clock=clock, events=events, name=name)

    @property
    def rate(self) -> float:
        """The rate now, in requests a minute."""
        return self._requests.per_minute

    def leave(self, permit: Permit, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Say how the call ended: None is a success. Settles the permit, and learns from it."""
        super().leave(permit, fault, call)
        throttled = fault is not None and fault.kind is FaultKind.THROTTLED
        if fault is not None and not (fault.made and (throttled or fault.weight > 0)):
            return
        if fault is not None and isinstance(fault.cause, RejectedError):
            return
        receipt = permit if isinstance(permit, int) else cast("Booking", permit.booking).receipt
        with self._lock:
            now = self._now_ns()
            if throttled and fault is not None and fault.retry_after is not None:
                self._hold(now + to_ns(min(fault.retry_after, self._rates.max_hold)))
            if receipt <= self._cut_receipt:
                return
            news = self._learn(now, failed=fault is not None, throttled=throttled)
        self._tell(news, call)

    def reset(self) -> None:
        """Go back to the rate that it began with, and forget everything that was charged and learned."""
        with self._lock:
            self._cut_receipt = max(self._cut_receipt, self._requests.receipt)  # what those still under way tell is old
        super().reset()
        with self._lock:
            news = self._move(self._now_ns(), self._rates.requests_per_minute, "reset")
        self._tell(news, None)

    def snapshot(self) -> AdaptiveRateSnapshot:
        """Everything about it, at one moment."""
        self._drop_gone()
        with self._lock:
            return AdaptiveRateSnapshot(
                **self._state(self._now_ns()),
                successes=self._successes,
                failures=self._failures,
                raised=self._raised,
                lowered=self._lowered,
                throttled=self._throttled,
            )

    def _take(self, now_ns: int, options: Any) -> None:  # noqa: ANN401
        """Change the limits; the rate that was found stays, within the new floor and ceiling."""
        super()._take(now_ns, options)
        self._rates = options
        self._tokens_each = _tokens_each(options)

    def _rates_of(self, options: Any) -> tuple[float, float]:  # noqa: ANN401
        rate = min(options.max_per_minute, max(options.min_per_minute, self.rate))
        return rate, rate * _tokens_each(options)

    def _empty(self) -> None:
        super()._empty()
        self._begun_ns = None
        self._successes = self._failures = 0

    def _learn(self, now: int, *, failed: bool, throttled: bool) -> tuple[float, float, str] | None:
        """Count an outcome, and judge when it is time to. Under the lock; gives what is to be told after it."""
        options = self._rates
        if self._begun_ns is None:
            self._begun_ns = now
        if throttled:
            self._throttled += 1
            return self._cut(now, "throttled")
        if failed:
            self._failures += 1
        else:
            self._successes += 1
        calls, elapsed = self._successes + self._failures, now - self._begun_ns
        if calls < options.min_calls or elapsed < to_ns(options.period):
            return None
        share = self._successes / calls
        if share < options.lower_below:
            return self._cut(now, "failures")
        used = calls * MINUTE_NS / (elapsed * self.rate)
        if share > options.raise_above and used >= _USED:
            return self._move(now, min(options.max_per_minute, self.rate + options.increase), "successes")
        self._begin(now)
        return None

    def _cut(self, now: int, reason: str) -> tuple[float, float, str] | None:
        self._cut_receipt = self._requests.receipt
        return self._move(now, max(self._rates.min_per_minute, self.rate * self._rates.decrease), reason)

    def _begin(self, now: int) -> None:
        """Begin a new period."""
        self._begun_ns = now
        self._successes = self._failures = 0

    def _move(self, now: int, to: float, reason: str) -> tuple[float, float, str] | None:
        """Change the rate. Under the lock; gives what is to be told after it."""
        self._begin(now)
        before = self.rate
        if to == before:
            return None
        self._raised += to > before
        self._lowered += to < before
        self._requests.set_rate(now, to)
        if self._tokens is not None:
            self._tokens.set_rate(now, to * self._tokens_each)
        return before, to, reason

    def _tell(self, news: tuple[float, float, str] | None, call: CallRef | None) -> None:
        if news is not None and self._place.heard:
            before, to, reason = news
            self._place.emit(RateAdjusted, call, from_rate=before, to_rate=to, reason=reason)
