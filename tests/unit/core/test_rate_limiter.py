"""The token bucket: its arithmetic against oracles, its line, its reservations, its forms."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core._gcra import Gcra
from holdfast.core._line import Line, Queued
from holdfast.core.deadline import deadline_scope
from holdfast.core.demand import Demand, current_demand, demand_scope
from holdfast.core.events import Events, RateLimited, RateLimitWaited
from holdfast.core.faults import Fault, FaultKind, hand_back
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import Gate, Site, Waiter
from holdfast.core.rate_limiter import RateLimiter, Reservation
from holdfast.errors import CircuitOpenError, ConfigError, InvalidInputError, RateLimitedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)


def make(**options: Any) -> tuple[RateLimiter, FakeClock, EventRecorder]:
    clock, events = FakeClock(), Events()
    return RateLimiter(clock=clock, events=events, name="model:x", **options), clock, EventRecorder(events)


def full(**options: Any) -> tuple[RateLimiter, FakeClock, EventRecorder]:
    """A limiter of one a second whose burst of 10 is used up."""
    limiter, clock, recorder = make(**options)
    for _ in range(10):
        limiter.enter()
    return limiter, clock, recorder


def admitted(limiter: RateLimiter, times: int = 1000) -> int:
    """How many of ``times`` calls are let in at once."""
    count = 0
    for _ in range(times):
        try:
            limiter.enter()
        except RateLimitedError:
            return count
        count += 1
    return count


# --- the bucket -------------------------------------------------------------------------------------------------------


def test_is_a_gate_and_a_waiter() -> None:
    """A limiter has the shape of a gate that a driver may wait at."""
    assert isinstance(RateLimiter(), Gate)
    assert isinstance(RateLimiter(), Waiter)


def test_defaults() -> None:
    """Ten at once, then one a second."""
    limiter, clock, _ = make()
    assert admitted(limiter) == 10
    clock.advance_ns(S - 1)
    assert admitted(limiter) == 0
    clock.advance_ns(1)
    assert admitted(limiter) == 1
    clock.advance(3600)
    assert admitted(limiter) == 10


@pytest.mark.parametrize("rate", [7, 60, 61, 1e6, 0.5])
def test_the_whole_burst_fits_at_any_rate(rate: float) -> None:
    """Rounding never costs one of the burst."""
    limiter, _, _ = make(requests_per_minute=rate)
    assert admitted(limiter) == 10


def test_a_refusal_says_when() -> None:
    """The error is fresh, names the limit and the dependency, and its time is exact."""
    limiter, clock, recorder = full()
    clock.advance(0.25)
    errors = []
    for _ in range(2):
        with pytest.raises(RateLimitedError, match=r"The request limit of model:x .* in 0\.75 s") as refused:
            limiter.enter()
        errors.append(refused.value)
    assert errors[0] is not errors[1]
    assert errors[0].dependency == "model:x"
    assert errors[0].retry_after == 0.75
    clock.advance(0.75)
    limiter.enter()
    assert limiter.snapshot().rejected == 2
    (first, _) = recorder.of(RateLimited)
    assert (first.policy, first.limit, first.cost, first.low, first.retry_after) == (
        "rate_limiter", "request", 1, False, 0.75
    )  # fmt: skip


def test_without_a_name_or_listeners() -> None:
    """A limiter that stands alone refuses in the same way."""
    limiter = RateLimiter(burst=1, clock=FakeClock())
    limiter.enter()
    with pytest.raises(RateLimitedError, match="the dependency"):
        limiter.enter()


arrivals = st.lists(st.tuples(st.integers(0, 5 * S), st.integers(1, 12), st.integers(0, 9)), max_size=60)


@given(arrivals=arrivals, burst=st.integers(1, 10), rate=st.sampled_from([7, 60, 333, 6000]))
def test_against_a_leaky_bucket(arrivals: list[tuple[int, int, int]], burst: int, rate: int) -> None:
    """Every decision is that of a bucket that leaks, for any arrivals, weights and priorities; the wait is exact."""
    clock = FakeClock()
    limiter = RateLimiter(requests_per_minute=rate, burst=burst, kept_share=0.3, clock=clock)
    unit = -(-60 * S // rate)
    level = 0
    for gap, cost, priority in arrivals:
        clock.advance_ns(gap)
        level = max(0, level - gap)
        if cost > burst:
            with pytest.raises(InvalidInputError, match="burst"):
                limiter.reserve(cost, priority=priority)
            continue
        size = burst * unit if priority >= 5 else max(int(burst * unit * (1 - 0.3)), cost * unit)
        over = level + cost * unit - size
        if over <= 0:
            limiter.reserve(cost, priority=priority)
            level += cost * unit
        else:
            with pytest.raises(RateLimitedError) as refused:
                limiter.reserve(cost, priority=priority)
            assert refused.value.retry_after == over / S
    assert limiter.snapshot().requests.available == pytest.approx(burst - level / unit)


@given(arrivals=arrivals, rate=st.sampled_from([7, 60, 333, 6000]))
def test_never_more_than_the_burst_and_the_rate_in_any_window(arrivals: list[tuple[int, int, int]], rate: int) -> None:
    """Between any two admissions, both included, there is at most ``burst + rate * time``."""
    clock = FakeClock()
    limiter = RateLimiter(requests_per_minute=rate, burst=12, clock=clock)
    log: list[tuple[int, int]] = []
    for gap, cost, priority in arrivals:
        clock.advance_ns(gap)
        with demand_scope(cost=cost, priority=priority):
            try:
                limiter.enter()
            except RateLimitedError:
                continue
        log.append((clock.now_ns(), cost))
    for i, (start, _) in enumerate(log):
        total = 0
        for when, cost in log[i:]:
            total += cost
            assert total * 60 * S <= 12 * 60 * S + rate * (when - start) + rate  # 1 ns of rounding


def test_both_limits_or_neither() -> None:
    """A call that has no room in one limit is charged in none."""
    limiter, clock, _ = make(tokens_per_minute=6000, token_burst=1000)
    limiter.reserve(900)
    with pytest.raises(RateLimitedError, match="token limit") as refused:
        limiter.reserve(200)
    assert refused.value.retry_after == 1.0
    snapshot = limiter.snapshot()
    assert snapshot.requests.available == 9
    assert snapshot.tokens is not None
    assert (snapshot.tokens.available, snapshot.tokens.headroom_percent) == (100, 10)
    for _ in range(9):
        limiter.reserve(1)
    with pytest.raises(RateLimitedError, match="request limit"):
        limiter.reserve(1)
    with pytest.raises(InvalidInputError, match=r"cost: 1001 .*token_burst=1000"):
        limiter.reserve(1001)
    clock.advance(60)
    assert limiter.snapshot().requests.headroom_percent == 100


def test_the_burst_of_tokens_is_a_minute_by_default() -> None:
    """Without ``token_burst`` a whole minute's tokens fit, at least one, and no more than that."""
    limiter, _, _ = make(tokens_per_minute=6000)
    limiter.reserve(6000)
    with pytest.raises(RateLimitedError):
        limiter.reserve(1)
    slow, _, _ = make(tokens_per_minute=0.5)
    slow.reserve(1)
    with pytest.raises(RateLimitedError):
        slow.reserve(1)


# --- priorities -------------------------------------------------------------------------------------------------------


def test_low_priorities_are_refused_first() -> None:
    """Two of the ten are kept for priorities from 5 on; what names no priority is one of those."""
    limiter, _, recorder = make()
    for _ in range(8):
        limiter.reserve(priority=4)
    with pytest.raises(RateLimitedError):
        limiter.reserve(priority=4)
    limiter.reserve(priority=5)
    limiter.reserve()
    with pytest.raises(RateLimitedError):
        limiter.reserve(priority=9)
    assert [event.low for event in recorder.of(RateLimited)] == [True, False]


def test_kept_for_is_a_choice() -> None:
    """With ``kept_for=9`` ordinary calls leave the share free, and with no share nothing is kept."""
    picky, _, _ = make(kept_for=9)
    assert admitted(picky) == 8
    with demand_scope(priority=9):
        assert admitted(picky) == 2
    even, _, _ = make(kept_share=0)
    with demand_scope(priority=0):
        assert admitted(even) == 10


def test_a_low_priority_is_never_shut_out() -> None:
    """What is larger than the common part gets in when the bucket is empty."""
    limiter, clock, _ = make(burst=1)
    limiter.reserve(priority=0)
    clock.advance(1)
    limiter.reserve(priority=0)
    big, clock, _ = make()
    big.reserve(10, priority=0)
    clock.advance(9)
    with pytest.raises(RateLimitedError):
        big.reserve(10, priority=0)


# --- reservations -----------------------------------------------------------------------------------------------------


def tokens(**options: Any) -> tuple[RateLimiter, FakeClock]:
    limiter, clock, _ = make(
        requests_per_minute=6000, burst=1000, tokens_per_minute=60_000, token_burst=1000, **options
    )
    return limiter, clock


def available(limiter: RateLimiter) -> float:
    snapshot = limiter.snapshot().tokens
    assert snapshot is not None
    return snapshot.available


def test_reconciling_gives_the_difference_back() -> None:
    """What was not used is there again at once, and only once."""
    limiter, _ = tokens()
    reservation = limiter.reserve(900)
    assert limiter.snapshot().open_reservations == 1
    assert reservation.reconcile(200) == 700
    assert available(limiter) == 800
    assert reservation.reconcile(0) == 0
    reservation.cancel()
    assert available(limiter) == 800
    assert limiter.snapshot().open_reservations == 0


def test_reconciling_takes_what_was_used_beyond() -> None:
    """It is taken even where nothing is left, and paid off by time."""
    limiter, clock = tokens()
    assert limiter.reserve(900).reconcile(1500) == -600
    assert available(limiter) == -500
    snapshot = limiter.snapshot().tokens
    assert snapshot is not None
    assert snapshot.headroom_percent == 0
    clock.advance(0.5)
    assert available(limiter) == 0


def test_cancelling_gives_the_request_back_too() -> None:
    """A call that was never made cost neither tokens nor a request."""
    limiter, clock = tokens()
    limiter.reserve(500)
    limiter.reserve(500).cancel()
    assert available(limiter) == 500
    assert limiter.snapshot().requests.available == 999
    late = limiter.reserve(500)
    clock.advance(600)
    late.cancel()
    assert limiter.snapshot().requests.available == 1000


def test_what_has_run_out_is_not_given_back() -> None:
    """A bucket that was empty meanwhile does not become emptier than empty."""
    limiter, clock = tokens()
    first = limiter.reserve(900)
    clock.advance(5)
    limiter.reserve(1000)
    first.reconcile(0)
    assert available(limiter) == 0


def test_calls_without_a_reservation_are_seen_too() -> None:
    """What a light permit found in the bucket counts for what a reservation may give back, and the other way round."""
    limiter, clock, _ = make()
    reservation = limiter.reserve(4)
    clock.advance(4)
    limiter.enter()
    reservation.cancel()
    assert limiter.snapshot().requests.available == 9
    limiter.reset()
    first = limiter.reserve(4)
    permit = limiter.enter()
    limiter.reserve(1)
    limiter.leave(permit, hand_back(CircuitOpenError("open")))
    clock.advance(1)
    limiter.reserve(3)
    first.cancel()
    assert limiter.snapshot().requests.available == 10 - 4


def test_under_load_all_is_given_back() -> None:
    """The bucket was never empty since, so the whole difference counts, however long the call took."""
    limiter, clock = tokens()
    first = limiter.reserve(1000)
    for _ in range(50):
        clock.advance(0.1)
        limiter.reserve(100)
    clock.advance(0.1)
    first.reconcile(300)
    assert available(limiter) == 800


def test_a_lease_that_ran_out() -> None:
    """A reservation that nobody settled in time gives nothing back, and is forgotten; overuse still counts."""
    limiter, clock = tokens(reservation_lease=1)
    first, second = limiter.reserve(1000), None
    for _ in range(10):
        clock.advance(0.1)
        second = limiter.reserve(100)
    assert limiter.snapshot().open_reservations == 10
    assert first.reconcile(0) == 1000
    assert available(limiter) == 0
    clock.advance(1)
    assert second is not None
    second.reconcile(0)
    assert available(limiter) == 1000
    third = limiter.reserve(500)
    clock.advance(1)
    limiter.reserve(500)
    third.reconcile(600)
    assert available(limiter) == 400


operations = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 6)),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 4), st.integers(0, 6))),
    ),
    min_size=4,
    max_size=40,
)  # small numbers: what matters is which of them meet


@settings(max_examples=600)
@given(operations=operations)
def test_reconciling_conserves(operations: list[tuple[str, Any]]) -> None:
    """The bucket is always where it would be had every call been charged what it used, from the start.

    What was used beyond a reservation counts from the moment when it became known.
    """
    clock = FakeClock()
    limiter = RateLimiter(requests_per_minute=60, burst=8, clock=clock)
    charged: list[list[int]] = []  # [when, cost]
    open_: list[tuple[Reservation, list[int]]] = []
    for name, value in operations:
        if name == "reserve":
            try:
                reservation = limiter.reserve(value)
            except RateLimitedError:
                continue
            entry = [clock.now_ns(), value]
            charged.append(entry)
            open_.append((reservation, entry))
        elif name == "wait":
            clock.advance(value)
        elif open_:
            reservation, entry = open_.pop(value[0] % len(open_))
            used = value[1]
            assert reservation.reconcile(used) == entry[1] - used
            if used > entry[1]:
                charged.append([clock.now_ns(), used - entry[1]])
            else:
                entry[1] = used
        level, last = 0, 0
        for when, cost in charged:
            level = max(0, level - (when - last)) + cost * S
            last = when
        level = max(0, level - (clock.now_ns() - last))
        assert limiter.snapshot().requests.available == 8 - level / S


def test_a_reservation_as_a_context_manager() -> None:
    """Its block settles it: as reserved, as reconciled inside, or not at all when another policy refused."""
    limiter, _ = tokens()
    with limiter.reserve(100) as reservation:
        assert reservation.cost == 100
    assert available(limiter) == 900
    with limiter.reserve(100) as reservation:
        reservation.reconcile(50)
    assert available(limiter) == 850
    with pytest.raises(ValueError, match="x"), limiter.reserve(100):
        raise ValueError("x")
    assert available(limiter) == 750
    with pytest.raises(CircuitOpenError), limiter.reserve(100):
        raise CircuitOpenError("open")
    assert available(limiter) == 750


async def test_a_reservation_as_an_async_context_manager() -> None:
    """The same for tasks."""
    limiter, _ = tokens()
    async with limiter.reserve(100) as reservation:
        reservation.reconcile(10)
    assert available(limiter) == 990
    with demand_scope():
        async with limiter.reserve(100):
            current_demand().used(40)
        assert available(limiter) == 950
        with limiter.reserve(100):
            current_demand().used(50)
    assert available(limiter) == 900


# --- the gate and its demand ------------------------------------------------------------------------------------------


def test_permits_settle_once() -> None:
    """Success and failure leave the charge as it is; a refusal by another policy gives it back."""
    limiter, clock, _ = make()
    limiter.leave(limiter.enter())
    limiter.leave(limiter.enter(), FAILURE)
    limiter.leave(limiter.enter(), hand_back(KeyboardInterrupt(), made=True))
    assert limiter.snapshot().requests.available == 7
    permit = limiter.enter()
    limiter.leave(permit, hand_back(CircuitOpenError("open")))
    assert limiter.snapshot().requests.available == 7
    permit = limiter.enter()
    clock.advance(10)
    limiter.leave(permit, hand_back(CircuitOpenError("open")))
    assert limiter.snapshot().requests.available == 10


@settings(max_examples=600)
@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "reserve", "back", "back", "wait"]), st.integers(0, 3)),
        min_size=4,
        max_size=40,
    )
)
def test_handing_back_never_gives_too_much(operations: list[tuple[str, int]]) -> None:
    """Whatever is handed back in whatever order, the bucket holds at least what the calls that were made put in."""
    clock = FakeClock()
    limiter = RateLimiter(requests_per_minute=60, burst=4, clock=clock)
    permits: list[tuple[Any, list[int]]] = []
    made: list[list[int]] = []
    for name, value in operations:
        if name in {"enter", "reserve"}:
            try:
                permit: Any = limiter.enter() if name == "enter" else limiter.reserve()
            except RateLimitedError:
                continue
            made.append([clock.now_ns(), S])
            permits.append((permit, made[-1]))
        elif name == "wait":
            clock.advance_ns(value * S // 2)
        elif permits:
            permit, entry = permits.pop(value % len(permits))
            limiter.leave(permit, hand_back(CircuitOpenError("open")))
            entry[1] = 0
        level, last = 0, 0
        for when, cost in made:
            level, last = max(0, level - (when - last)) + cost, when
        level = max(0, level - (clock.now_ns() - last))
        assert limiter.snapshot().requests.available <= 4 - level / S + 1e-9


def test_the_demand_of_the_context() -> None:
    """A gate takes cost and priority from the context, and settles by what was said to be used, once."""
    limiter, _ = tokens()
    with demand_scope(cost=500):
        permit = limiter.enter()
        current_demand().used(100)
        limiter.leave(permit, FAILURE)
        assert available(limiter) == 900
        limiter.leave(limiter.enter())
        assert available(limiter) == 400
    with demand_scope(cost=300, priority=1), pytest.raises(RateLimitedError, match="token"):
        limiter.enter()
    limiter.leave(limiter.enter())
    assert available(limiter) == 399


def test_demand_scopes_nest() -> None:
    """An inner scope takes what it does not name from the one around it; outside nothing special is asked."""
    with demand_scope(cost=5, priority=7) as outer:
        assert current_demand() is outer
        with demand_scope(cost=6) as inner:
            assert (inner.cost, inner.priority) == (6, 7)
        with demand_scope(priority=0) as inner:
            assert (inner.cost, inner.priority) == (5, 0)
    assert (current_demand().cost, current_demand().priority, current_demand().actual) == (None, 5, None)


@pytest.mark.parametrize("priority", [-1, 10, 1.5, True, "high"])
def test_priorities_out_of_range(priority: Any) -> None:
    """A priority is a whole number from 0 to 9, wherever it is given."""
    with pytest.raises(ConfigError, match="priority"):
        demand_scope(priority=priority)
    with pytest.raises(ConfigError, match="priority"):
        RateLimiter().reserve(priority=priority)


@pytest.mark.parametrize("cost", [0, -1, float("nan"), "many"])
def test_costs_out_of_range(cost: Any) -> None:
    """A cost is a number above 0, and what was used one of at least 0."""
    with pytest.raises(ConfigError, match="cost"):
        demand_scope(cost=cost)
    with pytest.raises((ConfigError, InvalidInputError), match="cost"):
        RateLimiter().reserve(cost)
    with pytest.raises(ConfigError, match="actual"):
        Demand().used(-1)
    with pytest.raises(ConfigError, match="actual"):
        RateLimiter().reserve().reconcile(-1)


def test_in_a_pipeline() -> None:
    """The pipeline brings clock, events and name; a later gate that refuses gives the request back."""
    clock = FakeClock()
    limiter = RateLimiter()
    guard = Pipeline(limiter, name="model:y", clock=clock)
    recorder = EventRecorder(guard.events, RateLimited)
    for _ in range(10):
        assert guard.call(lambda: 1) == 1
    with pytest.raises(RateLimitedError, match="model:y"):
        guard.call(lambda: 1)
    assert recorder.of(RateLimited)[0].pipeline == "model:y"
    clock.advance(1)
    guard.call(lambda: 1)


async def test_calls_side_by_side_in_a_pipeline_settle_each_by_its_own_usage() -> None:
    """Under one scope, too: what one call says it used is not charged for the others."""
    limiter, _ = tokens()

    async def work(actual: float) -> None:
        await asyncio.sleep(0)
        current_demand().used(actual)
        await asyncio.sleep(0)

    guarded = Pipeline(limiter)(work)
    with demand_scope(cost=250):
        await asyncio.gather(guarded(1), guarded(20), guarded(300), guarded(0))
    assert available(limiter) == 1000 - 321


def test_one_limiter_in_two_pipelines() -> None:
    """The clocks must be the same; a limiter with a clock of its own keeps it."""
    limiter = RateLimiter(burst=1)
    limiter.enter()
    first, second = FakeClock(), FakeClock()
    Pipeline(limiter, clock=first)
    limiter.enter()  # another clock, another life
    with pytest.raises(ConfigError, match="clock"):
        Pipeline(limiter, clock=second)
    own = RateLimiter(clock=first)
    own.attach(Site(pipeline="p", dependency="d", clock=second, rng=seeded_rng(1), events=Events()))
    assert own.clock is first


def test_hold_and_reset() -> None:
    """A hold lets nothing in until it ends, the later of two counts, and a reset forgets all."""
    limiter, clock, recorder = make()
    limiter.hold(5)
    limiter.hold(2)
    with pytest.raises(RateLimitedError, match="hold") as refused:
        limiter.enter()
    assert refused.value.retry_after == 5
    assert recorder.of(RateLimited)[0].limit == "hold"
    clock.advance_ns(5 * S - 1)
    with pytest.raises(RateLimitedError, match="hold"):
        limiter.enter()
    clock.advance_ns(1)
    assert admitted(limiter) == 10
    limiter.hold(0.5)
    with pytest.raises(RateLimitedError, match="request"):
        limiter.enter()
    limiter.hold(100)
    limiter.reset()
    assert admitted(limiter) == 10


def test_reset_with_tokens() -> None:
    """Both limits are whole again, and an older reservation gives nothing back."""
    limiter, _ = tokens()
    old = limiter.reserve(900)
    limiter.reset()
    limiter.reserve(300)
    old.cancel()
    assert available(limiter) == 700
    assert limiter.snapshot().requests.available == 999


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_acquire_waits_as_long_as_it_must() -> None:
    """It sleeps once, exactly until there is room; by default it does not wait at all."""
    limiter, clock, recorder = full()
    reservation = limiter.acquire(3, max_wait=10)
    assert clock.sleeps_ns == [3 * S]
    assert reservation.waited_ns == 3 * S
    (waited,) = recorder.of(RateLimitWaited)
    assert (waited.waited_ns, waited.cost) == (3 * S, 3)
    with pytest.raises(RateLimitedError):
        limiter.acquire()
    assert limiter.snapshot().waiting == 0


def test_a_wait_that_is_too_long_is_refused_at_once() -> None:
    """Neither ``max_wait`` nor the deadline is waited for in vain."""
    limiter, clock, _ = full(max_wait=2)
    with pytest.raises(RateLimitedError) as refused:
        limiter.acquire(3)
    assert refused.value.retry_after == 3
    with deadline_scope(1, clock=clock), pytest.raises(RateLimitedError):
        limiter.acquire(1)  # it would be let in when no time is left for the call
    assert clock.sleeps_ns == []
    with deadline_scope(1.5, clock=clock):
        limiter.acquire(1)
    limiter.acquire(2)
    assert clock.sleeps_ns == [S, 2 * S]


def test_one_nanosecond_is_time_enough() -> None:
    """A call that is let in just before its deadline may wait for that."""
    limiter, clock, _ = full(max_wait=2)
    with deadline_scope(1 + 1e-9, clock=clock):
        assert limiter.acquire(1).waited_ns == S


def test_who_would_wait_too_long_takes_no_place() -> None:
    """The refusal comes from the question itself, before anybody stands in line."""
    limiter, _, _ = full(max_wait=2)
    with pytest.raises(RateLimitedError) as refused:
        limiter.join(3)
    assert refused.value.retry_after == 3
    assert limiter.snapshot().waiting == 0


async def test_the_line_is_fair() -> None:
    """Tasks get in one after the other in the order in which they came, each at its time; nobody asks in vain."""
    limiter, clock, _ = full(max_wait=100)
    order: list[tuple[int, int]] = []

    async def one(number: int, cost: int) -> None:
        await limiter.acquire_async(cost)
        order.append((number, clock.now_ns()))

    async with asyncio.TaskGroup() as group:
        for number, cost in enumerate([5, 1, 3, 1]):
            group.create_task(one(number, cost))
    assert order == [(0, 5 * S), (1, 6 * S), (2, 9 * S), (3, 10 * S)]
    assert len(clock.sleeps_ns) == 4
    assert limiter.snapshot().waiting == 0


async def test_nobody_jumps_the_line() -> None:
    """While somebody waits, a newcomer that would fit is refused or waits too; its time counts those before it."""
    limiter, clock, _ = full(max_wait=100)
    clock.advance(1)
    place = limiter.join(5)
    assert isinstance(place, Queued)
    assert place.expected_ns == 4 * S
    for ask in (limiter.enter, limiter.reserve):
        with pytest.raises(RateLimitedError) as refused:
            ask()
        assert refused.value.retry_after == 5
    second = limiter.ask()
    assert isinstance(second, Queued)
    assert second.expected_ns == 5 * S
    place.cancel()
    place.cancel()
    third = limiter.ask()
    assert isinstance(third, Queued)
    assert third.expected_ns == S
    third.cancel()
    assert (await second.wait_async()).waited_ns == 0
    assert isinstance(limiter.ask(), Queued)


async def test_nobody_jumps_the_line_when_room_comes_back() -> None:
    """What was given back is for those who wait: a newcomer stands behind them even when it would fit."""
    limiter, _, _ = make(max_wait=100)
    reservation = limiter.reserve(10)
    first = limiter.ask()
    reservation.reconcile(0)
    second = limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert second.expected_ns == 0
    with pytest.raises(RateLimitedError) as refused:
        limiter.enter()
    assert refused.value.retry_after == 0
    assert (await first.wait_async()).waited_ns == 0
    assert (await second.wait_async()).waited_ns == 0


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_a_cancelled_task_leaves_the_line(who: int) -> None:
    """Whether it sleeps at the front or waits for its turn, it costs nobody a turn, and nothing."""
    limiter, clock, _ = full(max_wait=100)
    clock._auto = False
    done: list[tuple[int, int]] = []

    async def one(number: int) -> None:
        await limiter.acquire_async()
        done.append((number, clock.now_ns()))

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await asyncio.sleep(0)
    tasks[who].cancel()
    for _ in range(6):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        clock.advance(0.5)
        for _ in range(4):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await tasks[who]
    left = [number for number in range(3) if number != who]
    assert done == [(left[0], S), (left[1], 2 * S)]
    assert limiter.snapshot().waiting == 0


async def test_a_task_cancelled_just_as_its_turn_comes() -> None:
    """The turn goes on to the next."""
    limiter, clock, _ = full(max_wait=100)
    first, second, third = limiter.ask(), limiter.ask(), limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert isinstance(third, Queued)
    waiting = [asyncio.create_task(each.wait_async()) for each in (second, third)]
    await asyncio.sleep(0)
    first.cancel()
    waiting[0].cancel()
    assert (await waiting[1]).waited_ns == S
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert clock.now_ns() == S


def test_a_waiter_whose_loop_is_gone() -> None:
    """The turn passes over those that nobody waits for any more."""
    limiter, clock, _ = full(max_wait=100)
    first = limiter.ask()
    assert isinstance(first, Queued)

    async def abandon() -> None:
        for _ in range(2):
            place = limiter.ask()
            assert isinstance(place, Queued)
            coroutine = place.wait_async()
            coroutine.send(None)  # it waits for its turn
            abandoned.append(coroutine)

    abandoned: list[Any] = []
    asyncio.run(abandon())
    last = limiter.ask()
    assert isinstance(last, Queued)
    thread = threading.Thread(target=first.wait)
    thread.start()
    thread.join()
    assert last.wait().waited_ns == 2 * S
    assert clock.now_ns() == 2 * S
    for coroutine in abandoned:
        coroutine.close()


async def test_high_priorities_have_a_line_of_their_own() -> None:
    """A call that may use all does not wait behind one that may not; low ones come when no high one waits."""
    limiter, clock, _ = full(max_wait=100)
    order: list[tuple[str, int]] = []

    async def one(name: str, priority: int) -> None:
        await limiter.acquire_async(priority=priority)
        order.append((name, clock.now_ns() // S))

    async with asyncio.TaskGroup() as group:
        for name, priority in [("low 1", 0), ("low 2", 4), ("high 1", 9), ("high 2", 5)]:
            group.create_task(one(name, priority))
    assert order == [("high 1", 1), ("high 2", 2), ("low 1", 5), ("low 2", 6)]


def test_a_high_newcomer_passes_the_low_line() -> None:
    """Where there is room for it, it is let in at once, though one waits that may not use it."""
    limiter, clock, _ = full(max_wait=100)
    clock.advance(1)
    low = limiter.join(priority=0)
    assert isinstance(low, Queued)
    assert limiter.reserve(priority=9).waited_ns == 0
    low.cancel()


def test_a_low_one_whose_loop_is_gone() -> None:
    """It stands in nobody's way: whoever comes after it waits no longer than if it had never come."""
    limiter, _, _ = full(max_wait=100)

    async def abandon() -> Any:
        place = limiter.join(5, priority=0)
        assert isinstance(place, Queued)
        coroutine = place.wait_async()
        coroutine.send(None)
        return coroutine

    coroutine = asyncio.run(abandon())
    low = limiter.join(1, priority=0)
    assert isinstance(low, Queued)
    assert low.expected_ns == 3 * S
    low.cancel()
    coroutine.close()


async def test_a_low_newcomer_stands_behind_both_lines() -> None:
    """Its expected wait counts the high ones too."""
    limiter, _, _ = full(max_wait=100)
    high = limiter.join(2, priority=9)
    low = limiter.join(1, priority=0)
    assert isinstance(high, Queued)
    assert isinstance(low, Queued)
    assert (high.expected_ns, low.expected_ns) == (2 * S, 5 * S)
    with pytest.raises(RateLimitedError) as refused:
        limiter.reserve(priority=0)
    assert refused.value.retry_after == 6
    high.cancel()
    low.cancel()


async def test_a_wait_that_becomes_too_long() -> None:
    """When what is before it turns out to cost more, the one at the front is refused as soon as that is known."""
    limiter, _, recorder = make(max_wait=2)
    reservation = limiter.reserve(10)
    place = limiter.join(2)
    assert isinstance(place, Queued)
    reservation.reconcile(15)
    with pytest.raises(RateLimitedError) as refused:
        await place.wait_async()
    assert refused.value.retry_after == 7
    assert recorder.of(RateLimited)[-1].cost == 2
    assert limiter.snapshot().rejected == 1


def test_refused_at_the_front_wakes_the_next() -> None:
    """A refusal passes the turn on, to whoever is still there."""
    limiter, clock, _ = make(max_wait=2)
    reservation = limiter.reserve(10)
    first = limiter.join(1, max_wait=1)
    assert isinstance(first, Queued)

    async def abandon() -> Any:
        gone = limiter.join(1)
        assert isinstance(gone, Queued)
        coroutine = gone.wait_async()
        coroutine.send(None)
        return coroutine

    coroutine = asyncio.run(abandon())
    reservation.reconcile(11)
    refused: list[RateLimitedError] = []

    def wait() -> None:
        try:
            first.wait()
        except RateLimitedError as error:
            refused.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert [error.retry_after for error in refused] == [2]
    assert limiter.snapshot().waiting == 0
    coroutine.close()
    assert clock.now_ns() == 0


async def test_a_turn_that_does_not_come_in_time() -> None:
    """One that waits behind another for longer than it may is refused, in tasks and in threads."""
    limiter, clock, _ = full(max_wait=100)
    first = limiter.ask()
    second = limiter.join(1, max_wait=2)
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    task = asyncio.create_task(second.wait_async())
    await asyncio.sleep(0)
    clock.advance(2)
    with pytest.raises(RateLimitedError):
        await task
    assert limiter.snapshot().waiting == 1
    with demand_scope(priority=0):
        low = limiter.join(1, max_wait=10)
        behind = limiter.join(1, max_wait=20)
    assert isinstance(low, Queued)
    assert isinstance(behind, Queued)
    clock.advance(20)
    with pytest.raises(RateLimitedError):
        behind.wait()  # its time is over already: no real waiting


async def test_who_has_a_nanosecond_left_still_waits_for_its_turn() -> None:
    """The one in front may make way until the very end."""
    limiter, clock, _ = full(max_wait=100)
    first, second = limiter.join(), limiter.join(max_wait=2)
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    clock.advance_ns(2 * S - 1)
    task = asyncio.create_task(second.wait_async())
    await asyncio.sleep(0)
    first.cancel()
    assert (await task).waited_ns == 2 * S - 1


def test_a_thread_that_is_interrupted_leaves_the_line() -> None:
    """Whatever ends its sleep, those behind do not wait for it."""

    class Interrupted(FakeClock):
        def sleep_ns(self, ns: int) -> None:
            raise KeyboardInterrupt

    limiter = RateLimiter(burst=1, max_wait=100, clock=Interrupted())
    limiter.enter()
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire()
    assert limiter.snapshot().waiting == 0


def test_a_line_that_was_empty_asks_for_no_more_than_its_places() -> None:
    """Who left it makes nobody wait who comes later."""
    limiter, _, _ = full(max_wait=100)
    left = limiter.join(7)
    assert isinstance(left, Queued)
    left.cancel()
    first, second = limiter.join(2), limiter.join(3)
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert (first.expected_ns, second.expected_ns) == (2 * S, 5 * S)


def test_a_place_is_taken_out_of_its_line_once() -> None:
    """It says whether it was there, wherever it stood."""
    limiter, _, _ = full(max_wait=100)
    first, second, third = (Queued(limiter, 1, low=False, demand=None, call=None) for _ in range(3))
    line = Line()
    line.join(first)
    line.join(second)
    assert [first.turn, second.turn] == [True, False]
    assert [line.remove(each) for each in (third, second, second, first, first)] == [False, True, False, True, False]


def test_when_one_whose_time_is_up_may_come_again() -> None:
    """It is told how long it would take from now, behind those who wait before it, and is counted as refused."""
    limiter, clock, _ = make(max_wait=100)
    reservation = limiter.reserve(10)
    first = limiter.join(5)
    high = limiter.join(1, max_wait=6)
    lows = [limiter.join(3, priority=0), limiter.join(1, priority=0, max_wait=12)]
    reservation.reconcile(30)
    retry_after: list[float | None] = []
    clock.advance(12)
    for place in (high, lows[1]):
        assert isinstance(place, Queued)
        with pytest.raises(RateLimitedError) as refused:
            place.wait()  # its time is over already: no real waiting
        retry_after.append(refused.value.retry_after)
    assert retry_after == [20 + 5 + 1 - 12, 20 + 5 + 3 + 1 + 2 - 12]
    assert limiter.snapshot().rejected == 2
    for place in (first, lows[0]):
        assert isinstance(place, Queued)
        place.cancel()


def test_threads_wait_in_line() -> None:
    """Eight threads at once: each gets in once, in the order of the line, and the clock has gone on for each."""
    limiter, clock, _ = full(max_wait=100)
    places = [limiter.ask() for _ in range(8)]
    order: list[int] = []

    def one(number: int) -> None:
        place = places[number]
        assert isinstance(place, Queued)
        place.wait()
        order.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in reversed(range(8))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(order) == list(range(8))
    assert clock.now_ns() == 8 * S
    assert clock.sleeps_ns == [S] * 8


def test_threads_never_get_more_than_there_is() -> None:
    """Eight threads that take all they can get: exactly the burst, of requests and of tokens."""
    plain, _, _ = make(burst=1000)
    both, _, _ = make(burst=2000, tokens_per_minute=6000, token_burst=3000)
    counts = [0, 0]
    lock, start = threading.Lock(), threading.Barrier(8)

    def take() -> None:
        start.wait()
        mine = [0, 0]
        for _ in range(400):
            for index, limiter in enumerate((plain, both)):
                try:
                    if index:
                        limiter.reserve(3)
                    else:
                        limiter.leave(limiter.enter())
                except RateLimitedError:
                    continue
                mine[index] += 1
        with lock:
            counts[0] += mine[0]
            counts[1] += mine[1]

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1000, 1000]


# --- forms ------------------------------------------------------------------------------------------------------------


async def test_every_form() -> None:
    """Decorator, call and block, for plain functions, tasks and streams; each waits, each is let in."""
    limiter, clock, _ = full(max_wait=100)

    @limiter
    def plain(value: int) -> int:
        return value

    @limiter
    async def task(value: int) -> int:
        return value

    @limiter
    async def stream(value: int) -> AsyncIterator[int]:
        yield value

    assert plain(1) == 1
    assert await task(2) == 2
    assert [item async for item in stream(3)] == [3]
    assert limiter.call(lambda: 4) == 4
    with limiter.admit(2) as reservation:
        reservation.reconcile(1)
    async with limiter.admit(1, priority=9, max_wait=3) as reservation:
        assert reservation.waited_ns == 0  # the other half of the two is there
    assert clock.now_ns() == 6 * S
    with pytest.raises(ConfigError, match="class"):
        limiter(int)


async def test_failures_go_through() -> None:
    """What the work raises reaches the caller, and the charge stands."""
    limiter, _, _ = make()

    @limiter
    async def broken() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await broken()
    assert limiter.snapshot().requests.available == 9


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": 1e9}, "requests_per_minute"),
        ({"burst": 0.5}, "burst"),
        ({"tokens_per_minute": -1}, "tokens_per_minute"),
        ({"token_burst": 5}, "token_burst"),
        ({"tokens_per_minute": 5, "token_burst": 0}, "token_burst"),
        ({"kept_share": -0.1}, "kept_share"),
        ({"kept_share": 1}, "kept_share"),
        ({"kept_for": 10}, "kept_for"),
        ({"kept_for": -1}, "kept_for"),
        ({"max_wait": -1}, "max_wait"),
        ({"default_cost": 0}, "default_cost"),
        ({"default_cost": 11}, "default_cost"),
        ({"reservation_lease": 0}, "reservation_lease"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field: str) -> None:
    """Each is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        RateLimiter(**options)
    assert refused.value.field == field


def test_max_wait_and_hold_are_checked() -> None:
    """So are the times that are given with a call."""
    with pytest.raises(ConfigError, match="max_wait"):
        RateLimiter().acquire(max_wait=-1)
    with pytest.raises(ConfigError, match="seconds"):
        RateLimiter().hold(-1)


def test_a_default_cost() -> None:
    """Calls that name no cost ask for it."""
    limiter, _, _ = make(default_cost=5)
    assert admitted(limiter) == 2
    assert limiter.options.default_cost == 5


def test_changing_the_rate_keeps_what_is_in_the_bucket() -> None:
    """In the unit of the rate, rounded so that nothing is gained, by open reservations either."""
    bucket = Gcra(60, 10, 0.0)
    first = bucket.open(0, bucket.charge_ns(4), S * 600)
    second = bucket.open(0, bucket.charge_ns(2), S * 600)
    receipt = bucket.receipt
    bucket.set_rate(0, 120)
    assert bucket.level_ns(0) == 3 * S
    bucket.refund(0, receipt, S)
    assert bucket.level_ns(0) == 3 * S
    assert bucket.give_back(0, first, bucket.charge_ns(3)) == bucket.charge_ns(3)
    assert bucket.level_ns(0) == 3 * S // 2
    bucket.close(first)
    bucket.close(first)
    bucket.close(second)
    assert not bucket.reservations
