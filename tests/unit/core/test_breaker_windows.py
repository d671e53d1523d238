"""The windows against plain models, and the odds of opening against closed forms."""

import random
from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core._breaker_windows import (
    ONE,
    Combined,
    Consecutive,
    Counts,
    CountWindow,
    TimeWindow,
    units,
    window_for,
)
from holdfast.core.breaker_options import BreakerOptions

OUTCOMES = st.tuples(st.sampled_from([0, 0, 0, ONE // 10, ONE // 2, ONE]), st.booleans())


def rates(**options: Any) -> BreakerOptions:
    return BreakerOptions(**options)


def reason(options: BreakerOptions, calls: int, failures: int, slow: int) -> str | None:
    """What the rates say, in fractions of whole numbers."""
    if calls < options.minimum_calls:
        return None
    if failures / ONE >= options.failure_rate * calls - 1e-9:
        return "failure_rate"
    return "slow_call_rate" if slow >= options.slow_call_rate * calls - 1e-9 else None


def test_units() -> None:
    """Weights are exact in millionths, and none above 0 is lost."""
    assert [units(weight) for weight in (0, 1, 0.1, 1e-12, 2.5)] == [0, ONE, ONE // 10, 1, 5 * ONE // 2]
    assert 10 * units(0.1) == units(1)


def test_each_mode_has_its_window() -> None:
    """``window`` names the class."""
    kinds = [type(window_for(BreakerOptions(window=name))) for name in ("consecutive", "combined", "count", "time")]
    assert kinds == [Consecutive, Combined, CountWindow, TimeWindow]


@given(st.lists(OUTCOMES, max_size=60), st.sampled_from([0.1, 0.5, 1, 2.5]))
def test_consecutive(outcomes: list[tuple[int, bool]], threshold: float) -> None:
    """It is the sum since the last success."""
    window = Consecutive(BreakerOptions(failure_threshold=threshold))
    row: list[int] = []
    for failure, slow in outcomes:
        row = [*row, failure] if failure else []
        bad = window.note(0, failure, slow=slow)
        assert (bad == "failures") is (sum(row) >= threshold * ONE - 1)
        assert window.counts(0) == Counts(0, sum(row), 0)
        assert window.heeds_success is bool(row)
    window.clear()
    assert window.counts(0) == Counts(0, 0, 0)


@given(st.lists(OUTCOMES, max_size=80), st.integers(1, 12), st.data())
def test_count_window(outcomes: list[tuple[int, bool]], size: int, data: st.DataObject) -> None:
    """It holds just the last calls."""
    minimum = data.draw(st.integers(1, size))
    rate, slow_rate = data.draw(st.sampled_from([0.1, 0.5, 1.0])), data.draw(st.sampled_from([0.25, 1.0]))
    options = rates(
        window="count", window_calls=size, minimum_calls=minimum, failure_rate=rate, slow_call_rate=slow_rate
    )
    window, model = CountWindow(options), [(0, False)][:0]
    for index, (failure, slow) in enumerate(outcomes):
        if index == 40:
            window.clear()
            model = []
        model = [*model, (failure, slow)][-size:]
        failures, slows = sum(each[0] for each in model), sum(each[1] for each in model)
        bad = window.note(0, failure, slow=slow)
        assert bad == reason(options, len(model), failures, slows)
        assert window.counts(0) == Counts(len(model), failures, slows)
        assert window.heeds_success
        if bad:  # the breaker opens
            window.clear()
            model = []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 700), OUTCOMES), max_size=60), st.integers(0, 10**6), st.data())
def test_time_window(steps: list[tuple[int, tuple[int, bool]]], start: int, data: st.DataObject) -> None:
    """It holds the calls of this bucket and of the nine before it, wherever the clock began."""
    options = rates(window="time", window_seconds=1e-6, minimum_calls=data.draw(st.integers(1, 5)))  # buckets of 100 ns
    window, now = TimeWindow(options), start
    model: list[tuple[int, int, bool]] = []
    for index, (wait, (failure, slow)) in enumerate(steps):
        now += wait
        if index == 30:
            window.clear()
            model = []
        model = [each for each in model if each[0] > now // 100 - 10]
        assert window.counts(now) == Counts(len(model), sum(each[1] for each in model), sum(each[2] for each in model))
        model.append((now // 100, failure, slow))
        failures, slows = sum(each[1] for each in model), sum(each[2] for each in model)
        assert window.note(now, failure, slow=slow) == reason(options, len(model), failures, slows)


@given(
    st.lists(st.tuples(st.integers(0, 400), OUTCOMES), max_size=60), st.integers(1, 8), st.sampled_from([0.3, 0.5, 1])
)
def test_combined(steps: list[tuple[int, tuple[int, bool]]], minimum: int, rate: float) -> None:
    """A row of failures opens where the window holds too few calls, or where enough of them failed."""
    options = rates(
        window="combined", window_seconds=1e-6, failure_threshold=2, minimum_calls=minimum, failure_rate=rate
    )
    window = Combined(options)
    assert window.heeds_success
    now, log = 0, list[tuple[int, int]]()
    for wait, (failure, slow) in steps:
        now += wait
        log.append((now, failure))
        last = max((place for place, each in enumerate(log) if not each[1]), default=-1)
        row = sum(each[1] for each in log[last + 1 :])
        shown = [each[1] for each in log if each[0] // 100 > now // 100 - 10]
        borne_out = len(shown) < minimum or sum(each > 0 for each in shown) >= rate * len(shown) - 1e-9
        bad = "failures" if row >= 2 * ONE and borne_out else None
        assert window.note(now, failure, slow=slow) == bad
        assert window.verdict(now) == bad
        assert window.counts(now) == Counts(len(shown), ONE * sum(each > 0 for each in shown), 0)
    window.clear()
    assert window.counts(now) == Counts(0, 0, 0)
    assert window.verdict(now) is None


def test_failures_that_overtake_successes() -> None:
    """Of fifty calls at once the ten that fail end first: in a row, and among many that went well shortly before."""
    options = rates(window="combined", minimum_calls=20)
    window = Combined(options)
    for _ in range(50):
        window.note(0, 0, slow=False)
    assert [window.note(1, ONE, slow=False) for _ in range(10)] == [None] * 10
    assert Consecutive(BreakerOptions(failure_threshold=1)).note(1, ONE, slow=False) == "failures"


def test_the_combined_window_under_other_options() -> None:
    """Its counts stay while they mean the same, and are judged anew."""
    window = Combined(rates(window="combined", minimum_calls=3))
    for failure in (0, 0, 0, ONE, ONE):
        window.note(0, failure, slow=False)
    assert window.verdict(0) is None
    assert not window.retune(rates(window="time"))
    assert not window.retune(rates(window="combined", window_seconds=5.0))
    assert window.retune(rates(window="combined", minimum_calls=6, failure_threshold=2))
    assert window.verdict(0) == "failures"
    assert window.retune(rates(window="combined", minimum_calls=5, failure_threshold=2))
    assert window.verdict(0) is None
    assert window.retune(rates(window="combined", minimum_calls=5, failure_threshold=2, failure_rate=0.4))
    assert window.verdict(0) == "failures"
    assert not Consecutive(BreakerOptions()).retune(rates(window="combined"))


def test_a_thread_that_comes_late_to_the_time_window() -> None:
    """A time older than the last one counts into the bucket that is being filled."""
    window = TimeWindow(rates(window="time", window_seconds=1e-6))
    window.note(5_000, ONE, slow=False)
    window.note(4_000, ONE, slow=False)
    assert window.counts(5_000).calls == 2
    assert window.counts(5_999).calls == 2
    assert window.counts(6_000).calls == 0


def test_the_least_failure_is_set_back() -> None:
    """A success counts after a failure of any weight."""
    window = Consecutive(BreakerOptions(failure_threshold=2e-6))
    window.note(0, units(1e-12), slow=False)
    assert window.heeds_success
    window.note(0, 0, slow=False)
    assert window.note(0, 1, slow=False) is None


def test_the_bounds_of_a_time_window() -> None:
    """The first bucket is forgotten with the tenth after it; so is that of the shortest window there is."""
    for seconds, width in ((1e-6, 100), (1e-8, 1)):
        window = TimeWindow(rates(window="time", window_seconds=seconds))
        window.note(0, ONE, slow=False)
        assert [window.counts(now).calls for now in (10 * width - 1, 10 * width)] == [1, 0]


def test_a_call_at_the_end_of_a_bucket_is_in_the_next() -> None:
    """What comes at the very instant in which a bucket is full is kept for as long as all that comes after it."""
    window = TimeWindow(rates(window="time", window_seconds=1e-6))
    for now in (100, 200):
        window.note(now, ONE, slow=False)
    assert [window.counts(now).calls for now in (1_099, 1_100, 1_199, 1_200)] == [2, 1, 1, 0]


def test_what_left_a_time_window_says_nothing() -> None:
    """A verdict is about what the window holds at that time."""
    window = TimeWindow(rates(window="time", window_seconds=1e-6, minimum_calls=1))
    assert window.note(0, ONE, slow=False) == window.verdict(999) == "failure_rate"
    assert window.verdict(1_000) is None


def test_a_cleared_time_window_forgets_nothing_twice() -> None:
    """The buckets from before do not count against those that come later, when their time is over."""
    window = TimeWindow(rates(window="time", window_seconds=1e-6))
    for now in (0, 100):
        window.note(now, ONE, slow=True)
    window.clear()
    window.note(200, ONE, slow=True)
    assert window.counts(1_100) == Counts(1, ONE, 1)
    assert window.counts(1_200) == Counts(0, 0, 0)


def test_looking_with_an_older_time_forgets_nothing() -> None:
    """A thread that asks with a time from before the last call leaves the window as it is."""
    window = TimeWindow(rates(window="time", window_seconds=1e-6))
    window.note(5_000, ONE, slow=False)
    assert window.counts(4_900).calls == 1
    window.note(5_000, ONE, slow=False)
    assert window.counts(5_000).calls == 2


@pytest.mark.parametrize(("n", "p", "theta"), [(10, 0.2, 0.5), (20, 0.3, 0.5), (8, 0.5, 0.75)])
def test_odds_of_a_false_alarm(n: int, p: float, theta: float) -> None:
    """A window of n calls that each fail with p opens with P(Bin(n, p) >= theta n), when it has filled."""
    exact = sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1) if k >= theta * n)
    rng, trips, rounds = random.Random(2), 0, 4000
    options = rates(window="count", window_calls=n, minimum_calls=n, failure_rate=theta)
    for _ in range(rounds):
        window = CountWindow(options)
        trips += [window.note(0, ONE * (rng.random() < p), slow=False) for _ in range(n)][-1] is not None
    error = (exact * (1 - exact) / rounds) ** 0.5
    assert abs(trips / rounds - exact) < 4 * error


@pytest.mark.parametrize(("k", "p", "calls"), [(5, 0.5, 62), (3, 0.5, 14), (2, 0.2, 30), (5, 0.6, 29.6502)])
def test_calls_until_failures_in_a_row(k: int, p: float, calls: float) -> None:
    """On the average (1-p^k) / (p^k (1-p)) calls pass until k fail in a row."""
    exact = (1 - p**k) / (p**k * (1 - p))
    assert exact == pytest.approx(calls, rel=1e-4)
    rng, rounds, total = random.Random(3), 3000, 0
    for _ in range(rounds):
        window = Consecutive(BreakerOptions(failure_threshold=k))
        total += 1
        while window.note(0, ONE * (rng.random() < p), slow=False) is None:
            total += 1
    assert total / rounds == pytest.approx(exact, rel=0.1)  # its standard deviation is about its mean
