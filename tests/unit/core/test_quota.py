"""The quota: its calendar, its forecast, and what the provider says."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core._pace import Pace
from holdfast.core.demand import current_demand, demand_scope
from holdfast.core.events import Events, QuotaLow, QuotaRejected
from holdfast.core.faults import Fault, FaultKind, hand_back
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import Gate
from holdfast.core.quota import Quota, QuotaOptions
from holdfast.errors import CircuitOpenError, ConfigError, InvalidInputError, QuotaExhaustedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

S = 10**9
H = 3600
FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)


def at(text: str) -> FakeClock:
    return FakeClock(wall_ns=int(datetime.fromisoformat(text).timestamp()) * S)


def make(start: str = "2026-03-10T00:00:00+00:00", **options: Any) -> tuple[Quota, FakeClock, EventRecorder]:
    clock, events = at(start), Events()
    options.setdefault("limit", 100)
    return Quota(clock=clock, events=events, name="model:x", **options), clock, EventRecorder(events)


def test_is_a_gate() -> None:
    """A quota has the shape of a gate."""
    assert isinstance(Quota(limit=1), Gate)


def test_refuses_what_it_does_not_cover() -> None:
    """With the time until the next period, and an event; a smaller call may still fit."""
    quota, clock, recorder = make()
    quota.reserve(95)
    clock.advance(6 * H)
    with pytest.raises(QuotaExhaustedError, match=r"The day's allowance of model:x .*5 of 100 left.* in 64800 s") as no:
        quota.reserve(10)
    assert (no.value.retry_after, no.value.dependency) == (18 * H, "model:x")
    (event,) = recorder.of(QuotaRejected)
    assert (event.policy, event.cost, event.remaining, event.retry_after) == ("quota", 10, 5, 18 * H)
    quota.reserve(5)
    snapshot = quota.snapshot()
    assert (snapshot.remaining, snapshot.headroom_percent, snapshot.rejected) == (0, 0, 1)
    assert snapshot.runs_out_in == 0


@pytest.mark.parametrize(
    ("now", "period", "zone", "reset"),
    [
        ("2026-03-10T00:00:00+00:00", "day", UTC, "2026-03-11T00:00:00+00:00"),
        ("2026-03-10T23:59:59+00:00", "day", UTC, "2026-03-11T00:00:00+00:00"),
        ("2026-12-31T12:00:00+00:00", "day", UTC, "2027-01-01T00:00:00+00:00"),
        ("2026-12-31T12:00:00+00:00", "month", UTC, "2027-01-01T00:00:00+00:00"),
        ("2028-02-01T00:00:00+00:00", "month", UTC, "2028-03-01T00:00:00+00:00"),
        ("2026-01-31T00:00:00+00:00", "month", UTC, "2026-02-01T00:00:00+00:00"),
        ("2026-03-10T03:00:00+00:00", "day", ZoneInfo("America/Los_Angeles"), "2026-03-10T07:00:00+00:00"),
        ("2026-03-08T09:00:00+00:00", "day", ZoneInfo("America/Los_Angeles"), "2026-03-09T07:00:00+00:00"),
        ("2026-11-01T08:00:00+00:00", "day", ZoneInfo("America/Los_Angeles"), "2026-11-02T08:00:00+00:00"),
    ],
)
def test_the_calendar(now: str, period: Any, zone: Any, reset: str) -> None:
    """Days and months end at midnight of the zone, leap years and summer time included."""
    quota, _, _ = make(now, period=period, zone=zone)
    assert quota.snapshot().resets_at == datetime.fromisoformat(reset).timestamp()


def test_a_new_period() -> None:
    """Everything is there again; what the last one reserved no longer counts; the alert may sound again."""
    quota, clock, recorder = make()
    old = quota.reserve(90)
    clock.advance(24 * H - 1)
    assert quota.snapshot().remaining == 10
    clock.advance(1)
    assert quota.snapshot().remaining == 100
    old.reconcile(5)
    assert quota.snapshot().used == 0
    quota.record(85)
    assert len(recorder.of(QuotaLow)) == 2


@given(per_hour=st.floats(1, 200), hours=st.integers(1, 12))
def test_the_forecast_at_a_constant_rate(per_hour: float, hours: int) -> None:
    """A constant rate is found from early on, and the forecast is what is left over that rate."""
    quota, clock, _ = make(limit=1000)
    step = 36
    for _ in range(hours * H // step):
        quota.record(per_hour * step / H)
        clock.advance(step)
    snapshot = quota.snapshot()
    assert snapshot.per_hour == pytest.approx(per_hour, rel=0.01)
    left = max(0.0, 1000 - per_hour * hours)
    expected = left / per_hour * H
    if expected < (24 - hours) * H * 0.98:
        assert snapshot.runs_out_in == pytest.approx(expected, rel=0.011, abs=1)
        assert snapshot.runs_out_at == pytest.approx(clock.wall_ns() / S + expected, rel=0.011)
    elif expected > (24 - hours) * H * 1.02:
        assert snapshot.runs_out_in is None
        assert snapshot.runs_out_at is None


def test_the_rate_forgets() -> None:
    """After a time constant without calls it is 1/e of what it was."""
    quota, clock, _ = make(limit=10**6)
    clock.advance(10 * H)
    quota.record(1000)
    first = quota.snapshot().per_hour
    clock.advance(H)
    assert quota.snapshot().per_hour == pytest.approx(first / math.e, rel=1e-3)


@pytest.mark.parametrize("start_ns", [-(10**15), 0, 10**15])
def test_the_zero_of_a_clock_means_nothing(start_ns: int) -> None:
    """The age of a count is from its beginning, not from when the machine was started."""
    clock = FakeClock(start_ns)
    quota = Quota(limit=10_000, clock=clock)
    quota.record(60)
    clock.advance(H)
    assert quota.snapshot().per_hour == pytest.approx(60 / math.e / (1 - 1 / math.e))


def test_the_first_call_is_no_flood() -> None:
    """One call in the first second is not read as 3,600 an hour."""
    quota, _, _ = make(limit=10_000)
    quota.enter()
    assert quota.snapshot().per_hour == pytest.approx(1 / -math.expm1(-1 / 60))


def test_when_it_runs_out() -> None:
    """The forecast is told in seconds from now and in Unix seconds; nothing left runs out now, whatever the rate."""
    quota, clock, _ = make()
    clock.advance(H)
    quota.record(99)
    snapshot = quota.snapshot()
    assert snapshot.remaining == 1
    assert snapshot.runs_out_in is not None
    assert snapshot.runs_out_in == pytest.approx(H / snapshot.per_hour)
    assert snapshot.runs_out_at == clock.wall_ns() / S + snapshot.runs_out_in
    quiet, _, _ = make()
    quiet.observe(remaining=0)
    assert (quiet.snapshot().per_hour, quiet.snapshot().runs_out_in) == (0, 0)


def test_a_rate_that_just_lasts() -> None:
    """What lasts to the very end of the period does not run out."""
    quota, clock, _ = make(limit=1000)
    pace = Pace(H * S, clock.now_ns())
    pace.add(clock.now_ns(), 7)
    quota.record(7)
    lasts = pace.per_second(clock.now_ns()) * 24 * H
    quota.observe(limit=lasts, remaining=lasts)
    assert quota.snapshot().runs_out_in is None
    quota.observe(remaining=lasts * 0.999)
    assert quota.snapshot().runs_out_in is not None


def test_rounding_gives_no_more_than_the_whole() -> None:
    """What rounding takes off the reservations below nothing is not told as headroom."""
    quota, _, _ = make(limit=1)
    for reservation in [quota.reserve(cost) for cost in (0.2, 0.7, 0.1)]:
        reservation.cancel()
    quota.observe(remaining=1)
    assert quota.snapshot().headroom_percent == 100


def test_the_first_use_of_a_period_counts() -> None:
    """A use that is recorded first after midnight belongs to the new period."""
    quota, clock, _ = make()
    quota.record(50)
    clock.advance(24 * H)
    quota.record(5)
    assert quota.snapshot().used == 5


def test_a_call_that_ends_in_the_next_period_says_nothing_of_this_one() -> None:
    """What it used sounds no alert, and is no part of the present rate."""
    quota, clock, recorder = make()
    late = quota.reserve(10)
    clock.advance(24 * H)
    late.reconcile(95)
    assert recorder.of(QuotaLow) == []
    assert quota.snapshot().per_hour < 1e-3


def test_a_call_that_used_more_may_sound_the_alert() -> None:
    """The alert sounds when a call is settled, too."""
    quota, _, recorder = make()
    quota.reserve(10).reconcile(90)
    assert recorder.of(QuotaLow)[0].headroom_percent == 10


def test_after_a_reset() -> None:
    """The alert may sound again, the provider's first word is no news, and older reservations no longer matter."""
    quota, clock, recorder = make()
    old = quota.reserve(10)
    clock.advance(24 * H)
    quota.observe(remaining=5)
    quota.reset()
    quota.observe(remaining=80)
    assert quota.snapshot().per_hour == 0
    old.reconcile(0)
    assert quota.snapshot().used == 20
    this = quota.reserve(5)
    quota.reset()
    quota.record(20)
    this.reconcile(0)
    assert quota.snapshot().used == 20
    quota.record(70)
    assert [event.headroom_percent for event in recorder.of(QuotaLow)] == [5, 10]


def test_a_period_that_ends_now() -> None:
    """A provider may say that the allowance is whole again at once."""
    quota, _, _ = make()
    quota.record(60)
    quota.observe(reset=0)
    assert (quota.snapshot().used, quota.snapshot().resets_in) == (0, 24 * H)


def test_nothing_left_is_told_as_nothing() -> None:
    """A refusal's event tells 0, and not less, when more was used than there was."""
    quota, _, recorder = make()
    quota.record(100)
    with pytest.raises(QuotaExhaustedError):
        quota.reserve(1)
    quota.record(5)
    with pytest.raises(QuotaExhaustedError):
        quota.reserve(1)
    assert [event.remaining for event in recorder.of(QuotaRejected)] == [0, 0]


def test_another_window_of_the_rate() -> None:
    """It holds from now on, after a reset too: the rate falls to 1/e of what it was in the new window."""
    quota, clock, _ = make(limit=10**6)
    clock.advance(12 * H)
    quota.record(1000)
    quota.reconfigure(replace(quota.options, rate_window=60))
    for _ in range(2):
        before = quota.snapshot().per_hour
        clock.advance(60)
        assert quota.snapshot().per_hour == pytest.approx(before / math.e, rel=1e-3)
        quota.reset()
        clock.advance(H)
        quota.record(1000)


def test_an_alert_that_is_raised() -> None:
    """A higher ``alert_below`` sounds with the next use or word of the provider, also when what is left is enough."""
    quota, _, recorder = make(alert_below=0)
    quota.record(50)
    quota.reconfigure(replace(quota.options, alert_below=100))
    quota.observe(reset=60)
    assert [event.headroom_percent for event in recorder.of(QuotaLow)] == [50]


def test_defaults() -> None:
    """A day in UTC, an alert below a fifth, the rate of an hour, and a cost of 1."""
    options = Quota(limit=7).options
    assert options == QuotaOptions(limit=7)
    assert (options.period, options.zone, options.alert_below) == ("day", UTC, 20)
    assert (options.rate_window, options.default_cost) == (H, 1)


def test_the_alert_sounds_once() -> None:
    """When the headroom falls below 20%, with the forecast; not at 20%, and not again in the same period."""
    quota, clock, recorder = make()
    clock.advance(12 * H)
    quota.record(80)
    assert recorder.of(QuotaLow) == []
    quota.record(1)
    quota.record(1)
    (event,) = recorder.of(QuotaLow)
    assert event.headroom_percent == pytest.approx(19)
    assert event.runs_out_in == pytest.approx(19 / 81 * H, rel=1e-3)


def test_reconciling() -> None:
    """The difference goes back or is taken, also beyond the limit; once."""
    quota, _, _ = make()
    first = quota.reserve(50)
    assert first.reconcile(20) == 30
    assert first.reconcile(0) == 0
    quota.reserve(50).reconcile(90)
    snapshot = quota.snapshot()
    assert (snapshot.used, snapshot.remaining) == (110, 0)
    with pytest.raises(QuotaExhaustedError, match=r"\(0 of 100 left\)"):
        quota.reserve(1)


def test_as_a_gate() -> None:
    """Cost and use come from the context; a call that was never made costs nothing, one that failed does."""
    quota, _, _ = make()
    with demand_scope(cost=40):
        permit = quota.enter()
        current_demand().used(10)
        quota.leave(permit)
        quota.leave(quota.enter(), hand_back(CircuitOpenError("open")))
    quota.leave(quota.enter(), FAILURE)
    assert quota.snapshot().used == 11


def test_the_provider_knows_better() -> None:
    """Its figures replace ours; what is reserved for calls under way comes off them."""
    quota, clock, recorder = make()
    under_way = quota.reserve(10)
    quota.observe(remaining=50, limit=200, reset=H)
    snapshot = quota.snapshot()
    assert (snapshot.limit, snapshot.remaining, snapshot.resets_in) == (200, 40, H)
    under_way.reconcile(4)
    assert quota.snapshot().remaining == 46
    quota.observe(remaining=300)
    assert quota.snapshot().used == 0
    assert recorder.events == []
    quota.observe(remaining=30)
    assert recorder.of(QuotaLow)[0].headroom_percent == 15
    clock.advance(H)
    snapshot = quota.snapshot()
    assert (snapshot.remaining, snapshot.resets_in) == (200, 23 * H)
    quota.observe(reset=5)
    assert quota.snapshot().resets_in == 5
    quota.reset()
    assert (quota.snapshot().limit, quota.snapshot().resets_in) == (100, 23 * H)


def test_others_use_it_too() -> None:
    """What the provider counts and we do not is part of the rate; what it says first in a period is not."""
    quota, clock, _ = make(limit=1000)
    clock.advance(12 * H)
    quota.observe(remaining=600)
    assert quota.snapshot().per_hour == 0
    quota.observe(remaining=500)
    assert quota.snapshot().per_hour == pytest.approx(100, rel=1e-3)
    quota.observe(remaining=550)
    assert quota.snapshot().per_hour == pytest.approx(100, rel=1e-3)
    clock.advance(13 * H)
    quota.observe(remaining=100)
    assert quota.snapshot().per_hour < 1


def test_a_lower_limit_may_sound_the_alert() -> None:
    """Even when nothing is said of what is left."""
    quota, _, recorder = make()
    quota.record(50)
    quota.observe(limit=60)
    assert recorder.of(QuotaLow)[0].headroom_percent == pytest.approx(100 / 6)


@given(
    st.lists(
        st.tuples(st.sampled_from(["reserve", "settle", "record", "cancel", "wait"]), st.integers(1, 40)), max_size=60
    )
)
def test_what_is_used_adds_up(operations: list[tuple[str, int]]) -> None:
    """What is used is the sum of what was reserved and not settled, and of what settled and recorded calls used."""
    quota, clock, _ = make("2026-03-10T20:00:00+00:00")
    open_: list[Any] = []
    used, day = 0, 0
    for name, value in operations:
        today = (
            clock.now_ns() // (24 * H * S)
            if clock.now_ns() < 4 * H * S
            else 1 + (clock.now_ns() - 4 * H * S) // (24 * H * S)
        )
        if today != day:
            day, used, open_ = today, 0, [(each, False) for each, _ in open_]
        if name == "reserve":
            if used + value > 100:
                with pytest.raises(QuotaExhaustedError):
                    quota.reserve(value)
            else:
                open_.append((quota.reserve(value), True))
                used += value
        elif name == "record":
            quota.record(value)
            used += value
        elif name == "wait":
            clock.advance(value * 600)
            continue
        elif open_:
            reservation, current = open_.pop(value % len(open_))
            if name == "cancel":
                reservation.cancel()
                used -= reservation.cost * current
            else:
                reservation.reconcile(value)
                used += (value - reservation.cost) * current
        assert quota.snapshot().used == used


async def test_every_form() -> None:
    """Decorator, call and block, for plain functions, tasks and streams."""
    quota, _, _ = make()

    @quota
    def plain() -> int:
        return 1

    @quota
    async def task() -> int:
        return 2

    @quota
    async def stream() -> AsyncIterator[int]:
        yield 3

    assert plain() == 1
    assert await task() == 2
    assert [item async for item in stream()] == [3]
    assert quota.call(lambda: 4) == 4
    with quota.admit(10) as reservation:
        reservation.reconcile(6)
    async with quota.admit():
        pass
    assert quota.snapshot().used == 11


def test_a_demand_that_names_no_cost() -> None:
    """A demand may say only how important a call is: the call then costs the default."""
    quota, _, _ = make(default_cost=3)
    with demand_scope(priority=2):
        quota.leave(quota.enter())
    assert quota.snapshot().used == 3


async def test_calls_of_one_demand_are_settled_apart() -> None:
    """Calls in a pipeline that are under way together each say what they used, though their caller's demand is one."""
    quota, clock, _ = make()
    guard = Pipeline(quota, clock=clock)

    async def use(amount: int) -> None:
        await asyncio.sleep(0)
        current_demand().used(amount)
        await asyncio.sleep(0)

    with demand_scope(cost=10):
        await asyncio.gather(guard.call(use, 7), guard.call(use, 2))
    assert quota.snapshot().used == 9


def test_in_a_pipeline() -> None:
    """The pipeline brings clock, events and name, and with the clock a new count."""
    quota = Quota(limit=1)
    quota.enter()
    clock = at("2026-03-10T12:00:00+00:00")
    guard = Pipeline(quota, name="model:y", clock=clock)
    recorder = EventRecorder(guard.events)
    assert guard.call(lambda: 1) == 1
    with pytest.raises(QuotaExhaustedError, match="model:y"):
        guard.call(lambda: 1)
    assert [event.pipeline for event in recorder.of(QuotaLow)] == ["model:y"]
    quota.attach(guard._site)
    with pytest.raises(ConfigError, match="clock"):
        Pipeline(quota, clock=FakeClock())


def test_alone() -> None:
    """Without events and a name it refuses in the same way."""
    quota = Quota(limit=1, clock=FakeClock())
    quota.enter()
    with pytest.raises(QuotaExhaustedError, match="the dependency"):
        quota.enter()


def test_threads_never_get_more_than_there_is() -> None:
    """Eight threads that take all they can get: exactly the allowance."""
    quota, _, _ = make(limit=500)
    counts: list[int] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        mine = 0
        for _ in range(200):
            try:
                quota.leave(quota.enter())
            except QuotaExhaustedError:
                continue
            mine += 1
        counts.append(mine)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 500


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"period": "week"}, "period"),
        ({"zone": "UTC"}, "zone"),
        ({"alert_below": -1}, "alert_below"),
        ({"alert_below": 100.5}, "alert_below"),
        ({"rate_window": 0}, "rate_window"),
        ({"default_cost": 0}, "default_cost"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field: str) -> None:
    """Each is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        Quota(**{"limit": 10, **options})
    assert refused.value.field == field


def test_arguments_out_of_range() -> None:
    """What is given later is checked, too."""
    quota, _, _ = make()
    with pytest.raises(InvalidInputError, match="cost"):
        quota.reserve(0)
    with pytest.raises(ConfigError, match="cost"):
        quota.record(-1)
    for field, value in (("limit", 0), ("remaining", -1), ("reset", -1)):
        with pytest.raises(ConfigError, match=field):
            quota.observe(**{field: value})
