"""A limiter of one or two token buckets: what fixed and adaptive rate limiters have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from holdfast.core._admission_options import AdmissionOptions
from holdfast.core._gcra import Gcra, Open
from holdfast.core._limiter import Limiter, Reservation
from holdfast.core._options import LONGEST, at_least, duration, per_minute
from holdfast.core._reconfigure import options_of
from holdfast.core.clock import Clock, to_ns
from holdfast.core.demand import CURRENT, DEFAULT_PRIORITY
from holdfast.errors import ConfigError, InvalidInputError, RejectedError

if TYPE_CHECKING:
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef

__all__ = [
    "Booking",
    "BucketLimiter",
    "LimitSnapshot",
    "Permit",
    "RateLimiterOptions",
    "RateLimiterSnapshot",
    "drains",
]

Permit: TypeAlias = int | Reservation
"""An integer is the receipt for a call that cost one request."""


class Booking(NamedTuple):
    """What was charged for a reservation."""

    key: Open
    """Of the costs."""
    receipt: int
    """For the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimiterOptions(AdmissionOptions):
    """What a limiter was built with; see :class:`RateLimiter`."""

    requests_per_minute: float = 60
    burst: float = 10
    tokens_per_minute: float | None = None
    token_burst: float | None = None
    reservation_lease: float = 600.0

    def __post_init__(self) -> None:
        super(
            RateLimiterOptions, self
        ).__post_init__()  # `slots` makes the class anew: the short form finds the old one
        per_minute("requests_per_minute", self.requests_per_minute)
        at_least("burst", self.burst, 1)
        drains("burst", self.burst, self.requests_per_minute)
        if self.tokens_per_minute is not None:
            per_minute("tokens_per_minute", self.tokens_per_minute)
        if self.token_burst is not None:
            at_least("token_burst", self.token_burst, 1)
            if self.tokens_per_minute is None:
                raise ConfigError("token_burst", self.token_burst, "needs tokens_per_minute beside it")
            drains("token_burst", self.token_burst, self.tokens_per_minute)
        duration("reservation_lease", self.reservation_lease)


def drains(field: str, burst: float, rate: float) -> None:
    """Check that a full bucket is empty again within the longest time that an option may name."""
    if burst / rate > LONGEST / 60:
        raise ConfigError(field, burst, f"must be at most what {rate:g} a minute let through in 31 years")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSnapshot:
    """One limit at one moment.

    Attributes:
        per_minute: the rate.
        burst: the size of the bucket.
        available: what fits now for a high priority; negative after calls that used more than they had reserved.
        headroom_percent: ``available`` in percent of the burst, 0 to 100.
    """

    per_minute: float
    burst: float
    available: float
    headroom_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimiterSnapshot:
    """A limiter at one moment.

    Attributes:
        requests, tokens: the limits; ``tokens`` is None without one.
        waiting: calls in line.
        open_reservations: reservations of tokens (of requests, without a limit of tokens) not settled yet.
        rejected: calls refused since it was made.
    """

    requests: LimitSnapshot
    tokens: LimitSnapshot | None
    waiting: int
    open_reservations: int
    rejected: int


class BucketLimiter(Limiter):
    """A limiter of requests, and perhaps of tokens; a base class."""

    options: RateLimiterOptions

    def __init__(self, options: RateLimiterOptions, *, clock: Clock | None, events: Events | None, name: str) -> None:
        self._lease_ns = to_ns(options.reservation_lease)
        _check_default_cost(options)
        self._requests = Gcra(options.requests_per_minute, options.burst, options.kept_share)
        self._tokens = None
        if options.tokens_per_minute is not None:
            self._tokens = Gcra(options.tokens_per_minute, _token_burst(options), options.kept_share)
        self._costs = self._requests if self._tokens is None else self._tokens
        self._limits = (self._requests,) if self._tokens is None else (self._requests, self._tokens)
        self._plain = _is_plain(options)
        super().__init__(options, clock=clock, events=events, name=name)
        self._before_all = self._lines[0].places  # whoever is before a call of ordinary priority

    def enter(self, call: CallRef | None = None) -> Permit:
        """A permit for one call of the context's demand; hand it to :meth:`leave`. Never waits.

        Raises:
            RateLimitedError: there is no room now, or others wait for it; it says when there is.
            InvalidInputError: the limit is smaller than the cost.
        """
        if self._plain and CURRENT.get() is None:
            requests = self._requests
            with self._lock:
                now = self._now_ns()
                tat = requests.tat_ns
                if tat < now:  # noqa: PLR1730  max() would cost more than all the rest
                    tat = now
                tat += requests.unit_ns
                over = tat - now - requests.capacity_ns
                alone = not self._before_all and self._held_until_ns is None
                if alone:
                    if over <= 0:
                        if requests.reservations:
                            requests.take(now, requests.unit_ns)
                        else:
                            requests.tat_ns = tat
                        return tat + requests.returned_ns
                    self._rejected += 1
            if alone:
                raise self._refusal(1, over, "request", low=False, call=call)
        return cast("Reservation", super().enter(call))

    def leave(self, permit: Permit, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Say how the call ended. It is settled by what the demand says was used; else it stands as reserved.

        A call that was never made, because another policy refused it or it was cancelled before, gives everything back.
        """
        if not isinstance(permit, int):
            super().leave(permit, fault, call)
        elif fault is not None and (not fault.made or isinstance(fault.cause, RejectedError)):
            with self._lock:
                self._requests.refund(self._now_ns(), permit, self._requests.unit_ns)

    def _take(self, now_ns: int, options: Any) -> None:  # noqa: ANN401
        """Change the limits; what is in the buckets stays the same, in requests and in tokens."""
        options_of(type(self.options), options)
        tokens = options.tokens_per_minute
        if (tokens is None) is not (self._tokens is None):
            raise ConfigError("tokens_per_minute", tokens, "cannot come or go: what is under way was charged without")
        _check_default_cost(options)
        rates = self._rates_of(options)
        self._lease_ns = to_ns(options.reservation_lease)
        bursts = options.burst, _token_burst(options)
        for limit, rate, burst in zip(self._limits, rates, bursts, strict=False):
            if rate != limit.per_minute:
                limit.set_rate(now_ns, rate)
            limit.resize(burst, options.kept_share)
        self._plain = _is_plain(options)

    def _rates_of(self, options: Any) -> tuple[float, float]:  # noqa: ANN401
        """The rates that hold under new options, of requests and of tokens."""
        return options.requests_per_minute, options.tokens_per_minute or 0

    def _state(self, now_ns: int) -> dict[str, Any]:
        """The fields of a snapshot."""
        return {
            "requests": _describe(self._requests, now_ns),
            "tokens": None if self._tokens is None else _describe(self._tokens, now_ns),
            "waiting": self._waiting,
            "open_reservations": len(self._costs.reservations),
            "rejected": self._rejected,
        }

    def _check(self, cost: float) -> None:
        if cost > self._costs.burst:
            field = "burst" if self._tokens is None else "token_burst"
            raise InvalidInputError(
                "cost", f"{cost:g} is more than is ever let in at once ({field}={self._costs.burst:g}); split the call."
            )

    def _wait_ns(self, now_ns: int, cost: float, *, low: bool, ahead: float, calls_ahead: int) -> tuple[int, str]:
        requests = self._requests
        if self._tokens is None:
            return _wait(requests, now_ns, cost, ahead, low=low), "request"
        wait = _wait(requests, now_ns, 1, calls_ahead, low=low)
        for_tokens = _wait(self._tokens, now_ns, cost, ahead, low=low)
        return (for_tokens, "token") if for_tokens > wait else (wait, "request")

    def _book(self, now_ns: int, cost: float) -> object:
        if self._tokens is not None:
            self._requests.take(now_ns, self._requests.unit_ns)
        key = self._costs.open(now_ns, self._costs.charge_ns(cost), self._lease_ns)
        return Booking(key, self._requests.receipt)

    def _settle(self, now_ns: int, booking: object, cost: float, actual: float | None) -> None:
        costs = self._costs
        key, receipt = cast("Booking", booking)
        used = costs.charge_ns(actual or 0)
        reserved = costs.charge_ns(cost)
        if used > reserved:
            costs.take(now_ns, used - reserved)
        elif used < reserved:
            costs.give_back(now_ns, key, reserved - used)
        costs.close(key)
        if actual is None and costs is not self._requests:
            self._requests.refund(now_ns, receipt, self._requests.unit_ns)

    def _empty(self) -> None:
        for limit in self._limits:
            limit.reset(self._now_ns())


def _token_burst(options: RateLimiterOptions) -> float:
    return max(1, options.tokens_per_minute or 0) if options.token_burst is None else options.token_burst


def _check_default_cost(options: RateLimiterOptions) -> None:
    burst = options.burst if options.tokens_per_minute is None else _token_burst(options)
    if options.default_cost > burst:
        raise ConfigError("default_cost", options.default_cost, f"must be at most the burst ({burst:g})")


def _is_plain(options: RateLimiterOptions) -> bool:
    """Whether a call without a demand costs one request, and may use all."""
    return options.tokens_per_minute is None and options.default_cost == 1 and options.kept_for <= DEFAULT_PRIORITY


def _wait(limit: Gcra, now_ns: int, cost: float, ahead: float, *, low: bool) -> int:
    return limit.wait_ns(now_ns, limit.charge_ns(cost), low=low, ahead_ns=limit.charge_ns(ahead) if ahead else 0)


def _describe(limit: Gcra, now_ns: int) -> LimitSnapshot:
    available = (limit.capacity_ns - limit.level_ns(now_ns)) / limit.unit_ns
    return LimitSnapshot(
        per_minute=limit.per_minute,
        burst=limit.burst,
        available=available,
        headroom_percent=100 * min(1.0, max(0.0, available / limit.burst)),
    )
