"""Limiters of one or two buckets: their bounds, and other options while they are in use."""

import inspect
import math
from dataclasses import fields, replace

import pytest

from holdfast.core._admission_options import AdmissionOptions
from holdfast.core._options import LONGEST
from holdfast.core.rate_limiter import RateLimiter, RateLimiterOptions
from holdfast.errors import ConfigError, RateLimitedError
from holdfast.testing.clock import FakeClock


def test_options_of_their_own_begin_with_the_limiters_defaults() -> None:
    """Options that somebody makes by hand have the defaults that the limiter's keywords have."""
    keywords = inspect.signature(RateLimiter).parameters
    for each in (*fields(AdmissionOptions), *fields(RateLimiterOptions)):
        assert each.default == keywords[each.name].default
    assert RateLimiter().options == RateLimiterOptions()


def test_the_least_that_is_allowed() -> None:
    """A burst of one token, and no priority that has to leave a share free."""
    RateLimiter(tokens_per_minute=60, token_burst=1)
    limiter = RateLimiter(kept_for=0, clock=FakeClock())
    for _ in range(10):
        limiter.reserve(priority=0)
    with pytest.raises(RateLimitedError):
        limiter.reserve(priority=0)


def test_a_burst_is_bounded_by_the_longest_time() -> None:
    """A bucket that takes just the longest time to run out is allowed, and no larger one."""
    most = LONGEST / 60
    RateLimiter(requests_per_minute=1, burst=most)
    with pytest.raises(ConfigError, match="31 years"):
        RateLimiter(requests_per_minute=1, burst=math.nextafter(most, math.inf))


def test_another_cost_by_default() -> None:
    """Calls that name no cost are charged by the new options, and by the old ones when those are back."""
    limiter = RateLimiter(clock=FakeClock())
    before = limiter.options
    limiter.reconfigure(replace(before, default_cost=3))
    limiter.leave(limiter.enter())
    assert limiter.snapshot().requests.available == 7
    limiter.reconfigure(before)
    limiter.leave(limiter.enter())
    assert limiter.snapshot().requests.available == 6


def test_another_lease() -> None:
    """Reservations that are made after the change give back for as long as the new lease says."""
    clock = FakeClock()
    limiter = RateLimiter(requests_per_minute=1e-3, reservation_lease=1, clock=clock)
    limiter.reconfigure(replace(limiter.options, reservation_lease=100))
    reservation = limiter.reserve(5)
    clock.advance(50)
    reservation.reconcile(1)
    assert limiter.snapshot().requests.available == pytest.approx(9, abs=0.01)


def test_headroom_is_never_more_than_all() -> None:
    """Times are rounded up to whole nanoseconds, which may leave a little more than the burst; headroom hides that."""
    limit = RateLimiter(requests_per_minute=566_000_000, burst=1.005, clock=FakeClock()).snapshot().requests
    assert limit.available > limit.burst
    assert limit.headroom_percent == 100
