"""A token bucket: so many requests, and so many tokens, a minute, with a burst.

Each limit is one integer (:mod:`holdfast.core._gcra`). A limiter with both lets a call in when both have room, and
charges both or neither: one request, and its cost in tokens. The cost is reserved before the call and reconciled with
what was used after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from holdfast.core._buckets import BucketLimiter, LimitSnapshot, RateLimiterOptions, RateLimiterSnapshot
from holdfast.core._limiter import Queued, Reservation
from holdfast.core._options import options_by_name

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events

__all__ = ["LimitSnapshot", "Queued", "RateLimiter", "RateLimiterOptions", "RateLimiterSnapshot", "Reservation"]


@options_by_name
class RateLimiter(BucketLimiter):
    """A policy: let through no more than ``burst`` at once and the rate over time.

    In any span of t minutes it lets through at most ``burst + t * requests_per_minute`` requests, and the like for
    tokens by what they really cost (more only by what calls used beyond their reservation).

    Args:
        requests_per_minute: from 0.000001 (one in two years) to 600 million.
        burst: requests let through at once after a quiet time, from 1 to what the rate lets through in 31 years.
        tokens_per_minute: likewise; None limits requests only. With it, costs are tokens, and every call is one
            request; without it, costs are requests.
        token_burst: tokens let through at once, bounded like ``burst``; by default a minute's worth. A larger cost is
            an error.
        kept_share: the share of each burst that calls below priority ``kept_for`` leave free, from 0 to below 1.
        kept_for: the lowest priority that may use all, 0 to 9.
        max_wait: seconds for which ``acquire``, ``with``, ``call`` and the decorator wait at most for room, 0 or more;
            0 refuses at once. :meth:`enter` and :meth:`reserve` never wait.
        default_cost: the cost of a call that names none, above 0.
        reservation_lease: seconds after which a reservation that nobody settled gives nothing back, above 0.
        clock, events: where it is used outside a pipeline, or with another clock; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "rate_limiter"

    def __init__(
        self,
        *,
        requests_per_minute: float = 60,
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
        options = RateLimiterOptions(
            requests_per_minute=requests_per_minute,
            burst=burst,
            tokens_per_minute=tokens_per_minute,
            token_burst=token_burst,
            kept_share=kept_share,
            kept_for=kept_for,
            max_wait=max_wait,
            default_cost=default_cost,
            reservation_lease=reservation_lease,
        )
        super().__init__(options, clock=clock, events=events, name=name)

    def snapshot(self) -> RateLimiterSnapshot:
        """Everything about it, at one moment."""
        self._drop_gone()
        with self._lock:
            now = self.clock.now_ns()
            return RateLimiterSnapshot(**self._state(now))
