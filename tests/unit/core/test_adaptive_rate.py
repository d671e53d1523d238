"""The adaptive rate: what raises it, what lowers it, and what it does not listen to."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.core.adaptive_rate import AdaptiveRate, AdaptiveRateOptions
from holdfast.core.events import Events, RateAdjusted
from holdfast.core.faults import WEIGHTS, Fault, FaultKind, hand_back
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import Gate, Waiter
from holdfast.errors import CircuitOpenError, ConfigError, RateLimitedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

S = 10**9
FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)
THROTTLED = Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0)


def make(**options: Any) -> tuple[AdaptiveRate, FakeClock, EventRecorder]:
    clock, events = FakeClock(), Events()
    return (
        AdaptiveRate(clock=clock, events=events, name="model:x", **options),
        clock,
        EventRecorder(events, RateAdjusted),
    )


def calls(limiter: AdaptiveRate, clock: FakeClock, good: int, bad: int = 0, *, every: float = 1.0) -> None:
    """``bad`` failures, then ``good`` successes, one ``every`` so many seconds."""
    for fault in [FAILURE] * bad + [None] * good:
        permit = limiter.enter()
        clock.advance(every)
        limiter.leave(permit, fault)


def test_is_a_gate_and_a_waiter() -> None:
    """It has the shape of a gate that a driver may wait at."""
    assert isinstance(AdaptiveRate(), Gate)
    assert isinstance(AdaptiveRate(), Waiter)


def test_success_raises_the_rate_by_a_step() -> None:
    """After each period of good calls, up to the ceiling."""
    limiter, clock, recorder = make(max_per_minute=70)
    calls(limiter, clock, 11)
    assert limiter.rate == 66
    calls(limiter, clock, 11)
    assert limiter.rate == 70
    calls(limiter, clock, 30)
    assert [(event.from_rate, event.to_rate, event.reason) for event in recorder.of(RateAdjusted)] == [
        (60, 66, "successes"),
        (66, 70, "successes"),
    ]
    snapshot = limiter.snapshot()
    assert (snapshot.raised, snapshot.lowered, snapshot.requests.per_minute) == (2, 0, 70)


@pytest.mark.parametrize(("bad", "rate"), [(0, 66), (1, 60), (3, 60), (4, 42), (10, 42)], ids=str)
def test_the_share_decides(bad: int, rate: float) -> None:
    """Above 90% it grows, below 70% it is cut, exactly at or between the two it stays."""
    limiter, clock, _ = make(period=9)  # it begins with the first outcome
    calls(limiter, clock, 10 - bad, bad, every=1.0)
    assert limiter.rate == rate
    assert (limiter.snapshot().successes, limiter.snapshot().failures) == (0, 0)


def test_nothing_is_judged_before_its_time() -> None:
    """A period goes on until it is long enough and has enough calls."""
    limiter, clock, _ = make(period=10, min_calls=20)
    calls(limiter, clock, 19)
    assert limiter.rate == 60
    assert limiter.snapshot().successes == 19
    calls(limiter, clock, 1)
    assert limiter.rate == 66
    limiter, clock, _ = make(period=10, min_calls=2)
    calls(limiter, clock, 0, 9)
    assert (limiter.rate, limiter.snapshot().failures) == (60, 9)


def test_a_rate_that_is_not_used_does_not_grow() -> None:
    """Ten calls in forty seconds say nothing of more than sixty a minute."""
    limiter, clock, _ = make()
    calls(limiter, clock, 40, every=4.0)
    assert limiter.rate == 60


@pytest.mark.parametrize(("last_at", "rate"), [(20.0, 66), (20.1, 60)])
def test_half_of_the_rate_is_use_enough(last_at: float, rate: float) -> None:
    """The rate grows when just half of the calls were made that it allows, and not when it were fewer."""
    limiter, clock, _ = make()
    calls(limiter, clock, 9, every=0)
    clock.advance(last_at)
    calls(limiter, clock, 1, every=0)
    assert limiter.rate == rate


def test_a_period_begins_with_its_first_outcome_and_each_judgement() -> None:
    """A period in which the rate stays is over when it was judged; the next is judged for itself."""
    limiter, clock, _ = make(period=9)
    clock.advance(3600)
    calls(limiter, clock, 9, 1)
    assert limiter.rate == 60
    calls(limiter, clock, 8)
    assert (limiter.rate, limiter.snapshot().successes) == (60, 8)
    calls(limiter, clock, 2)
    assert limiter.rate == 66


def test_a_429_cuts_at_once_and_only_once_for_one_mistake() -> None:
    """A volley of 429s for calls that were let in before the cut cuts once; the next of a later call cuts again."""
    limiter, clock, recorder = make()
    volley: list[Any] = [limiter.enter() for _ in range(4)]
    volley.append(limiter.reserve())
    clock.advance(1)
    for permit in volley:
        limiter.leave(permit, THROTTLED)
    assert limiter.rate == pytest.approx(42)
    late = limiter.enter()
    limiter.leave(late, THROTTLED)
    assert limiter.rate == pytest.approx(29.4)
    assert [event.reason for event in recorder.of(RateAdjusted)] == ["throttled", "throttled"]
    assert {event.policy for event in recorder.of(RateAdjusted)} == {"adaptive_rate"}
    assert limiter.snapshot().throttled == 2


def test_late_outcomes_do_not_raise_it_either() -> None:
    """What was let in before a cut counts neither way after it."""
    limiter, clock, _ = make()
    old = [limiter.enter() for _ in range(5)]
    limiter.leave(limiter.enter(), THROTTLED)
    for permit in old:
        limiter.leave(permit, None)
        limiter.leave(limiter.enter() if permit == old[0] else permit, FAILURE)
    snapshot = limiter.snapshot()
    assert (snapshot.successes, snapshot.failures) == (0, 1)
    assert clock.now_ns() == 0


def test_there_is_a_floor() -> None:
    """However often it is cut, some calls go through."""
    limiter, clock, recorder = make(min_per_minute=30)
    for _ in range(5):
        limiter.leave(limiter.enter(), THROTTLED)
        clock.advance(2)
    assert limiter.rate == 30
    assert limiter.snapshot().lowered == len(recorder.events) == 2


def test_a_retry_after_holds_everybody() -> None:
    """Nothing is let in until then, and for no longer than ``max_hold``."""
    limiter, clock, _ = make(max_hold=20)
    asked = Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0, retry_after=5.0)
    limiter.leave(limiter.enter(), asked)
    with pytest.raises(RateLimitedError, match="hold") as refused:
        limiter.enter()
    assert refused.value.retry_after == 5
    clock.advance(5)
    longer = Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0, retry_after=500.0)
    limiter.leave(limiter.enter(), longer)
    clock.advance(19)
    with pytest.raises(RateLimitedError, match="hold"):
        limiter.enter()
    clock.advance(1)
    limiter.enter()


def test_a_late_retry_after_holds_everybody_too() -> None:
    """A Retry-After is heeded also when its 429 is of a call from before the cut, which does not cut again."""
    limiter, clock, _ = make()
    old = limiter.enter()
    limiter.leave(limiter.enter(), THROTTLED)
    limiter.leave(old, replace(THROTTLED, retry_after=5.0))
    assert limiter.rate == pytest.approx(42)
    with pytest.raises(RateLimitedError, match="hold"):
        limiter.enter()
    clock.advance(5)
    limiter.enter()


def test_only_a_429_holds_everybody() -> None:
    """The Retry-After of another failure is for the call that got it."""
    limiter, _, _ = make()
    limiter.leave(limiter.enter(), replace(FAILURE, retry_after=5.0))
    limiter.enter()
    assert limiter.snapshot().throttled == 0


def test_a_429_that_was_not_the_servers() -> None:
    """A call that was never made, or was refused by a limiter of ours, cuts nothing and holds nobody."""
    limiter, _, _ = make()
    limiter.leave(limiter.enter(), replace(THROTTLED, made=False, retry_after=5.0))
    limiter.leave(limiter.enter(), replace(FAILURE, made=False))
    limiter.leave(limiter.enter(), replace(THROTTLED, cause=RateLimitedError("slow"), retry_after=5.0))
    snapshot = limiter.snapshot()
    assert (limiter.rate, snapshot.throttled, snapshot.failures) == (60, 0, 0)
    limiter.enter()


@pytest.mark.parametrize("kind", [kind for kind, weight in WEIGHTS.items() if not weight and kind != "throttled"])
def test_what_says_nothing_of_the_load(kind: FaultKind) -> None:
    """Client errors, keys, cancellations and bugs count neither way."""
    limiter, _, _ = make(min_calls=1)
    limiter.leave(limiter.enter(), Fault(kind=kind, transient=False, weight=0.0))
    assert (limiter.snapshot().failures, limiter.snapshot().successes) == (0, 0)


def test_a_refusal_by_another_policy_counts_neither_way() -> None:
    """And it gives the request back."""
    limiter, _, _ = make()
    refused = Fault(kind=FaultKind.OVERLOADED, transient=False, weight=1.0, cause=CircuitOpenError("open"))
    limiter.leave(limiter.enter(), refused)
    limiter.leave(limiter.enter(), hand_back(CircuitOpenError("open")))
    assert limiter.snapshot().failures == 0
    assert limiter.snapshot().requests.available == 10


def test_tokens_move_with_requests() -> None:
    """In proportion; what is in both buckets stays the same in its own unit."""
    limiter, _, _ = make(tokens_per_minute=60_000, token_burst=1000)
    reservation = limiter.reserve(400)
    limiter.leave(reservation, THROTTLED)
    snapshot = limiter.snapshot()
    assert snapshot.tokens is not None
    assert snapshot.tokens.per_minute == pytest.approx(42_000)
    assert snapshot.tokens.available == pytest.approx(600)
    assert snapshot.requests.available == pytest.approx(9)


def test_a_reset() -> None:
    """Back to the first rate, with everything forgotten, the outcomes of calls under way included."""
    limiter, _, recorder = make()
    limiter.leave(limiter.enter(), THROTTLED)
    limiter.leave(limiter.enter(), FAILURE)
    limiter.reset()
    limiter.reset()
    snapshot = limiter.snapshot()
    assert (limiter.rate, snapshot.failures, snapshot.requests.available) == (60, 0, 10)
    assert [event.reason for event in recorder.of(RateAdjusted)] == ["throttled", "reset"]
    limiter.leave(limiter.enter(), THROTTLED)
    assert limiter.rate == pytest.approx(42)


def test_calls_under_way_at_a_reset() -> None:
    """What was let in before a reset says nothing of the rate after it."""
    limiter, _, recorder = make()
    old = [limiter.enter() for _ in range(3)]
    limiter.reset()
    for permit, fault in zip(old, (THROTTLED, FAILURE, None), strict=True):
        limiter.leave(permit, fault)
    snapshot = limiter.snapshot()
    assert (limiter.rate, snapshot.successes, snapshot.failures, snapshot.throttled) == (60, 0, 0, 0)
    assert not recorder.events


def test_by_a_pipelines_clock_it_begins_anew() -> None:
    """Outcomes from before it got the clock of a pipeline are not judged by that clock."""
    limiter = AdaptiveRate(min_calls=2, period=1)
    limiter.leave(limiter.enter(), FAILURE)
    clock = FakeClock(start_ns=10 * S)
    Pipeline(limiter, clock=clock)
    assert limiter.snapshot().failures == 0
    calls(limiter, clock, 2, every=1)
    assert limiter.rate == 66


def test_a_cut_by_another_clock_is_past() -> None:
    """A 429 from before it got the clock of a pipeline does not keep it from learning by that clock."""
    limiter = AdaptiveRate(min_calls=2, period=1)
    limiter.leave(limiter.enter(), THROTTLED)
    clock = FakeClock(start_ns=-10 * S)
    Pipeline(limiter, clock=clock)
    calls(limiter, clock, 2, every=1)
    assert limiter.rate == pytest.approx(48)


def test_a_clock_may_begin_anywhere() -> None:
    """By a clock whose time is below 0 a 429 cuts as by any other."""
    clock = FakeClock(start_ns=-3600 * S)
    limiter = AdaptiveRate(clock=clock)
    limiter.leave(limiter.enter(), THROTTLED)
    assert limiter.rate == pytest.approx(42)


def test_other_options_keep_the_rate_that_was_found() -> None:
    """Changed while it works, it keeps its rate within the new floor and ceiling, and its tokens in proportion."""
    limiter, _, _ = make(tokens_per_minute=6000, token_burst=1000)
    limiter.leave(limiter.enter(), THROTTLED)
    for changes, rate in (({}, 42), ({"min_per_minute": 50}, 50), ({"max_per_minute": 60}, 50)):
        limiter.reconfigure(replace(limiter.options, **changes))
        tokens = limiter.snapshot().tokens
        assert tokens is not None
        assert limiter.rate == pytest.approx(rate)
        assert tokens.per_minute == pytest.approx(100 * rate)
    limiter.reconfigure(
        replace(limiter.options, min_per_minute=1, requests_per_minute=20, max_per_minute=30, decrease=0.5)
    )
    tokens = limiter.snapshot().tokens
    assert tokens is not None
    assert limiter.rate == 30
    assert tokens.per_minute == pytest.approx(9000)
    limiter.leave(limiter.enter(), THROTTLED)
    tokens = limiter.snapshot().tokens
    assert tokens is not None
    assert limiter.rate == pytest.approx(15)
    assert tokens.per_minute == pytest.approx(4500)


def test_without_listeners() -> None:
    """Nothing is told when nobody listens."""
    limiter = AdaptiveRate(clock=FakeClock())
    limiter.leave(limiter.enter(), THROTTLED)
    assert limiter.rate == pytest.approx(42)


async def test_its_forms_learn() -> None:
    """A block and a decorated function are outcomes like any other."""
    limiter, _, _ = make()

    @limiter
    async def broken() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await broken()
    with limiter.admit():
        pass
    assert (limiter.snapshot().failures, limiter.snapshot().successes) == (1, 1)


def test_it_finds_the_rate_of_a_server() -> None:
    """Against a server that takes 100 a minute it settles into a saw-tooth around that: mean within 25% of it."""
    limiter, clock, _ = make(burst=2, increase=6)
    server = AdaptiveRate(requests_per_minute=100, burst=5, clock=clock)
    served = []
    for second in range(1200):
        for _ in range(10):
            clock.advance(0.1)
            try:
                permit = limiter.enter()
            except RateLimitedError:
                continue
            try:
                server.enter()
            except RateLimitedError:
                limiter.leave(permit, THROTTLED)
            else:
                limiter.leave(permit)
                served.append(second)
    rate = sum(second >= 300 for second in served) / 15
    assert 75 <= rate <= 100


def test_threads() -> None:
    """Outcomes from many threads are all counted, and cuts stay cuts."""
    limiter, _, _ = make(burst=1000, min_calls=10**6)
    permits = [limiter.enter() for _ in range(800)]

    def leave(part: list[Any]) -> None:
        for permit in part:
            limiter.leave(permit, FAILURE)

    threads = [threading.Thread(target=leave, args=(permits[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limiter.snapshot().failures == 800


class AdaptiveMachine(RuleBasedStateMachine):
    """Whatever happens: the bounds hold, and no more is let in than the highest rate and the bursts allow."""

    @initialize(tokens=st.booleans())
    def build(self, tokens: bool) -> None:
        self.clock = FakeClock()
        self.limiter = AdaptiveRate(
            clock=self.clock,
            burst=5,
            min_per_minute=20,
            max_per_minute=90,
            period=1,
            min_calls=2,
            tokens_per_minute=600 if tokens else None,
        )
        self.promised: float | None = 1.0
        self.under_way: list[Any] = []
        self.admitted: list[int] = []

    @rule(count=st.integers(1, 4))
    def enter(self, count: int) -> None:
        for _ in range(count):
            try:
                self.under_way.append(self.limiter.enter())
            except RateLimitedError as error:
                self.promised = error.retry_after
            else:
                self.admitted.append(self.clock.now_ns())

    @rule(which=st.integers(0, 9), fault=st.sampled_from([None, None, FAILURE, THROTTLED]))
    def leave(self, which: int, fault: Fault | None) -> None:
        if self.under_way:
            before = self.limiter.rate
            self.limiter.leave(self.under_way.pop(which % len(self.under_way)), fault)
            after = self.limiter.rate
            assert after <= before or fault is not THROTTLED
            assert before * 0.7 - 1e-9 <= after <= before + 6

    @rule(ms=st.integers(1, 3000))
    def wait(self, ms: int) -> None:
        self.clock.advance_ns(ms * 10**6)

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "limiter"):
            assert 20 <= self.limiter.rate <= 90
            assert self.promised is not None
            assert self.promised > 0
            now = self.clock.now_ns()
            for index, when in enumerate(self.admitted):
                assert len(self.admitted) - index <= 5 + 90 * (now - when) / (60 * S) + 0.01


AdaptiveMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAdaptiveRate = AdaptiveMachine.TestCase
TestAdaptiveRate.__doc__ = "Rate and admissions stay within their bounds after every step."


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"min_per_minute": 0}, "min_per_minute"),
        ({"max_per_minute": 0}, "max_per_minute"),
        ({"max_per_minute": 1e9}, "max_per_minute"),
        ({"requests_per_minute": 5}, "requests_per_minute"),
        ({"requests_per_minute": 601}, "requests_per_minute"),
        ({"raise_above": 1.1}, "raise_above"),
        ({"lower_below": -0.1}, "lower_below"),
        ({"raise_above": 0.5}, "lower_below"),
        ({"increase": 0}, "increase"),
        ({"decrease": 0}, "decrease"),
        ({"decrease": 1}, "decrease"),
        ({"period": 0}, "period"),
        ({"min_calls": 0}, "min_calls"),
        ({"max_hold": -1}, "max_hold"),
        ({"burst": 0}, "burst"),
        ({"burst": 2e8}, "burst"),
        ({"kept_for": 11}, "kept_for"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field: str) -> None:
    """Each is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        AdaptiveRate(**options)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"requests_per_minute": 6},
        {"requests_per_minute": 600},
        {"raise_above": 1, "lower_below": 1},
        {"raise_above": 0, "lower_below": 0},
        {"min_calls": 1},
        {"max_hold": 0},
    ],
)
def test_options_at_their_bounds(options: dict[str, Any]) -> None:
    """A rate at its floor or ceiling, shares of none and of all, one call and no hold are taken."""
    assert AdaptiveRate(**options).options == AdaptiveRateOptions(**options)


def test_defaults() -> None:
    """The options by themselves have the defaults of the policy, those that its page names."""
    options = AdaptiveRate().options
    assert options == AdaptiveRateOptions()
    assert (options.requests_per_minute, options.min_per_minute, options.max_per_minute) == (60, 6, 600)
    assert (options.raise_above, options.lower_below, options.increase, options.decrease) == (0.9, 0.7, 6, 0.7)
    assert (options.period, options.min_calls, options.max_hold) == (10, 10, 60)
