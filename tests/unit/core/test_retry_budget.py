"""The retry budget: what it grants, what it counts, and when it switches itself off."""

import math
import random
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from holdfast.core.events import BudgetRefused, Events, RetriesSwitched
from holdfast.core.policy import Site
from holdfast.core.retry_budget import BudgetOptions, BudgetRefusal, Charge, RetryBudget
from holdfast.errors import ConfigError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
OFF = None  # `off_above=OFF`: a budget that never switches itself off


def site(clock: FakeClock, events: Events, name: str = "model:x") -> Site:
    return Site(pipeline=name, dependency=name, clock=clock, rng=random.Random(0), events=events)


def ask(budget: RetryBudget, times: int) -> int:
    return sum(budget.try_spend("retry") is not None for _ in range(times))


def requests(budget: RetryBudget, times: int) -> None:
    for _ in range(times):
        budget.request()


# --- what it grants ---------------------------------------------------------------------------------------------------


def test_the_floor_holds_without_traffic() -> None:
    """A target without requests still gets one repetition a second: ten in a window of ten seconds."""
    assert ask(RetryBudget(clock=FakeClock()), 20) == 10


def test_the_share_counts_above_the_floor() -> None:
    """200 requests allow 40 repetitions, and the floor is not added to them."""
    budget = RetryBudget(clock=FakeClock())
    requests(budget, 200)
    assert ask(budget, 60) == 40
    assert budget.snapshot().limit == 40


@pytest.mark.parametrize(("share", "count", "granted"), [(0.29, 100, 29), (0.1, 30, 3), (0.7, 10, 7), (0.2, 4, 0)])
def test_shares_are_exact(share: float, count: int, granted: int) -> None:
    """Rounding of floats takes no repetition away, and grants none."""
    budget = RetryBudget(share=share, floor=0, off_above=OFF, clock=FakeClock())
    requests(budget, count)
    assert ask(budget, 50) == granted


def test_hedges_and_retries_share_one_budget() -> None:
    """Both kinds are charged to the same limit, and counted apart."""
    budget = RetryBudget(share=0.2, floor=0, clock=FakeClock())
    requests(budget, 50)
    assert [bool(budget.try_spend(kind)) for kind in ("retry", "hedge") for _ in range(6)] == [True] * 10 + [False] * 2
    state = budget.snapshot()
    assert state.granted == {"retry": 6, "hedge": 4}
    assert state.refused == {"retry": 0, "hedge": 2}


def test_an_unknown_kind_is_refused() -> None:
    """Failing over is not charged: there is no such kind."""
    with pytest.raises(ConfigError, match="kind='fail_over': must be one of retry, hedge"):
        RetryBudget().try_spend("fail_over")  # type: ignore[arg-type]


def test_the_window_slides_in_slots() -> None:
    """What was charged in one slot comes back when the slot is twenty slots old, and not before."""
    clock = FakeClock()
    budget = RetryBudget(share=0, clock=clock)  # slots of half a second
    assert ask(budget, 4) == 4
    clock.advance(5)
    assert ask(budget, 9) == 6
    clock.advance(4.5)
    assert ask(budget, 1) == 0
    clock.advance(0.5)
    assert ask(budget, 9) == 4
    clock.advance(5)
    assert ask(budget, 9) == 6


def test_requests_leave_the_window_too() -> None:
    """The share is one of the requests of the last ten seconds, however long nobody looked."""
    clock = FakeClock()
    budget = RetryBudget(floor=0, clock=clock)
    requests(budget, 100)
    clock.advance(9.5)
    requests(budget, 50)
    assert budget.snapshot().requests == 150
    clock.advance(0.5)
    assert budget.snapshot().requests == 50
    clock.advance(1000)
    assert budget.snapshot().requests == 0


def test_requests_are_dated_when_they_are_made() -> None:
    """Requests are counted where they belong, although nothing dates them until somebody looks."""
    clock = FakeClock()
    budget = RetryBudget(floor=0, clock=clock)
    requests(budget, 10)
    clock.advance(6)
    requests(budget, 1)
    clock.advance(6)
    assert budget.snapshot().requests == 1


def test_a_request_at_the_very_beginning_of_a_slot_is_in_it() -> None:
    """Half a second after the start a slot begins, and what is counted then leaves with that slot."""
    clock = FakeClock()
    budget = RetryBudget(floor=0, clock=clock)
    clock.advance(0.5)
    budget.request()
    clock.advance(9.5)
    assert budget.snapshot().requests == 1
    clock.advance(0.5)
    assert budget.snapshot().requests == 0


def test_the_time_can_be_handed_over() -> None:
    """A caller that has just read the clock spares the budget the look."""
    clock = FakeClock(start_ns=S)
    budget = RetryBudget(floor=0, clock=clock)
    clock.advance(1)
    budget.request(clock.now_ns())
    budget.request(1)  # a little late, but counted
    assert budget.snapshot().requests == 2


def test_a_time_that_is_handed_over_is_not_asked_for_again() -> None:
    """Within a slot a request with a time of its own does not look at the clock."""

    class Watched(FakeClock):
        looks = 0

        def now_ns(self) -> int:
            self.looks += 1
            return super().now_ns()

    clock = Watched(start_ns=S)
    budget = RetryBudget(clock=clock)
    before = clock.looks
    budget.request(S + 1)
    assert clock.looks == before
    budget.request()
    assert clock.looks == before + 1


# --- waiting in backoff, and giving back ------------------------------------------------------------------------------


def test_those_who_wait_are_counted() -> None:
    """A repetition is charged when it is scheduled: a hundred in backoff leave nothing for the next."""
    clock = FakeClock()
    budget = RetryBudget(off_above=OFF, clock=clock)
    requests(budget, 500)
    assert ask(budget, 200) == 100
    clock.advance(2)  # none of them has started
    assert ask(budget, 1) == 0


def test_a_refund_makes_room() -> None:
    """A repetition that is cancelled before it starts can be spent by another."""
    budget = RetryBudget(clock=FakeClock())
    charges = [budget.try_spend("retry") for _ in range(10)]
    assert budget.try_spend("retry") is None
    assert charges[3] is not None
    budget.refund(charges[3])
    assert budget.snapshot().spent == 9
    assert budget.try_spend("hedge")
    assert budget.try_spend("hedge") is None
    assert budget.snapshot().refunded == {"retry": 1, "hedge": 0}


def test_a_late_refund_takes_nothing_from_others() -> None:
    """What left the window already cannot be given back a second time."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)
    old = budget.try_spend("retry")
    assert old is not None
    clock.advance(10)
    assert ask(budget, 20) == 10
    budget.refund(old)
    assert budget.snapshot().spent == 10
    assert budget.try_spend("retry") is None


def test_a_refund_from_another_clock_is_harmless() -> None:
    """A charge that was dated by a clock that is gone changes nothing that the present one dated."""
    budget = RetryBudget(clock=FakeClock())
    assert ask(budget, 3) == 3
    epoch = budget._epoch
    budget.refund(Charge("retry", 10**6, epoch))
    budget.refund(Charge("retry", -5, epoch))
    assert budget.snapshot().spent == 3


def test_what_was_charged_before_another_clock_gives_nothing_back() -> None:
    """Attached to a pipeline with a clock the budget counts anew: an older charge takes nothing of what came since."""
    budget, events = RetryBudget(), Events()
    old = budget.try_spend("retry")
    assert old is not None
    budget.attach(site(FakeClock(start_ns=old.slot * S // 2), events))
    assert ask(budget, 3) == 3
    budget.refund(old)
    assert budget.snapshot().spent == 3


def test_a_charge_is_given_back_once() -> None:
    """Who gives one back twice makes no room that was never taken."""
    budget = RetryBudget(clock=FakeClock())
    charge = budget.try_spend("retry")
    assert charge is not None
    budget.refund(charge)
    budget.refund(charge)
    assert budget.snapshot().spent == 0
    assert ask(budget, 20) == 10


def test_a_request_long_after_the_last_begins_a_slot_of_its_own() -> None:
    """The windows move on with the requests alone, to the slot of the present time and not before its end again."""

    class Watched(FakeClock):
        looks = 0

        def now_ns(self) -> int:
            self.looks += 1
            return super().now_ns()

    clock = Watched(start_ns=S)
    budget = RetryBudget(clock=clock)  # slots of half a second, and of three
    for seconds in (0.0, 7.0):
        clock.advance(seconds)
        now = round((1 + seconds) * S)
        budget.request(now)
        before = clock.looks
        budget.request(now + S // 2 - 1)
        assert clock.looks == before
        budget.request(now + S // 2)
        assert clock.looks == before + 1


def test_all_slots_are_forgotten_together() -> None:
    """After a long pause nothing is left of a window of which every slot was used."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)
    for _ in range(20):
        budget.request()
        budget.try_spend("retry")
        clock.advance(0.5)
    assert budget.snapshot().spent > 0
    clock.advance(1000)
    state = budget.snapshot()
    assert (state.requests, state.spent) == (0, 0)


# --- the switch -------------------------------------------------------------------------------------------------------


def busy(clock: FakeClock, **options: Any) -> tuple[RetryBudget, EventRecorder]:
    """A budget of a target that gets 100 requests a second for a minute, and no failures."""
    events = Events()
    budget = RetryBudget(clock=clock, events=events, name="model:x", **options)
    for _ in range(60):
        requests(budget, 100)
        clock.advance(1)
    return budget, EventRecorder(events, RetriesSwitched)


def test_the_switch_goes_off_above_its_ratio_and_on_below_the_other() -> None:
    """More than 0.3 retries asked for each request switch it off; it is on again below 0.2, and says both."""
    clock = FakeClock()
    budget, switched = busy(clock)
    seen = budget.snapshot()
    total = seen.requests * 6 - 100  # 60 s have 20 slots of 3 s; the present one is still empty
    while not budget.snapshot().switched_off:
        budget.try_spend("retry")
    assert budget.snapshot().retry_ratio > 0.3
    (off,) = switched.of(RetriesSwitched)
    assert (off.on, off.dependency, off.policy) == (False, "model:x", "retry_budget")
    assert off.retry_ratio == pytest.approx(0.3, abs=1 / total + 1e-3)
    assert not budget.try_spend("retry")
    assert not budget.try_spend("hedge")
    while budget.snapshot().switched_off:
        budget.request()
    assert budget.snapshot().retry_ratio < 0.2
    assert [event.on for event in switched.of(RetriesSwitched)] == [False, True]
    assert budget.try_spend("retry")


def test_the_switch_is_heard_of_without_failures() -> None:
    """When the target is well again, the requests alone switch it on: nobody has to ask for a retry."""
    clock = FakeClock()
    budget, switched = busy(clock)
    ask(budget, 3000)
    assert budget.snapshot().switched_off
    for _ in range(62):
        requests(budget, 100)
        clock.advance(1)
    assert [event.on for event in switched.of(RetriesSwitched)] == [False, True]


def test_what_is_asked_for_counts_and_not_what_is_granted() -> None:
    """At a failure rate of 0.5 the switch goes off and stays off, although it grants nothing."""
    clock = FakeClock()
    budget, switched = busy(clock)
    for _ in range(3000):
        requests(budget, 2)
        budget.try_spend("retry")
        clock.advance(0.02)
    assert [event.on for event in switched.of(RetriesSwitched)] == [False]
    assert budget.snapshot().retry_ratio == pytest.approx(0.5, abs=0.001)


def test_refused_hedges_do_not_count_as_failures() -> None:
    """Hedges that are asked for leave the retry ratio where it is."""
    budget, _ = busy(FakeClock())
    for _ in range(10_000):
        budget.try_spend("hedge")
    assert budget.snapshot().retry_ratio == 0
    assert not budget.snapshot().switched_off


def test_demand_within_the_floor_never_switches_off() -> None:
    """A target with few requests keeps its repetitions, even when every request fails."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)
    for _ in range(100):
        budget.request()
        assert ask(budget, 3) == 3
        clock.advance(4)
    assert budget.snapshot().retry_ratio == 3


def test_low_traffic_switches_on_again_by_the_floor() -> None:
    """Off, with few requests: it is on again when the demand is below two thirds of what the floor grants."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)
    assert ask(budget, 61) == 10
    assert budget.snapshot().switched_off
    clock.advance(60)
    assert not budget.snapshot().switched_off
    ask(budget, 40)
    clock.advance(30)
    ask(budget, 21)
    assert budget.snapshot().switched_off
    clock.advance(27)
    assert budget.snapshot().switched_off
    clock.advance(3)
    assert not budget.snapshot().switched_off


def test_the_switch_at_its_very_bounds() -> None:
    """Exactly the ratio of ``off_above`` is not above it, and exactly that of ``on_below`` is not below it."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)  # a floor of 60 in 60 s stands for 200 requests
    ask(budget, 21)
    clock.advance(30)
    ask(budget, 39)
    assert not budget.snapshot().switched_off
    ask(budget, 1)
    assert budget.snapshot().switched_off
    clock.advance(30)  # 40 are left
    assert budget.snapshot().switched_off
    clock.advance(30)
    assert not budget.snapshot().switched_off


def test_a_ratio_without_requests() -> None:
    """Without requests it is 0, whatever was asked for."""
    budget = RetryBudget(clock=FakeClock())
    assert budget.snapshot().retry_ratio == 0
    ask(budget, 3)
    assert budget.snapshot().retry_ratio == 0


def test_the_very_first_failure_without_a_floor() -> None:
    """Without a floor a ratio is taken at its word, even one without requests."""
    clock = FakeClock()
    events = Events()
    heard = EventRecorder(events)
    budget = RetryBudget(floor=0, clock=clock, events=events)
    assert budget.try_spend("retry") is None
    assert heard.of(RetriesSwitched)[0].retry_ratio == 1
    assert heard.of(BudgetRefused)[0].reason == BudgetRefusal.SWITCHED_OFF
    clock.advance(60)
    assert not budget.snapshot().switched_off


def test_a_budget_that_never_switches() -> None:
    """``off_above=None`` leaves the share as the only bound."""
    budget = RetryBudget(off_above=OFF, clock=FakeClock())
    requests(budget, 100)
    assert ask(budget, 1000) == 20
    assert not budget.snapshot().switched_off


# --- oracle -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("share", [0.1, 0.2])
def test_a_binding_budget_leaves_the_closed_forms_share_of_errors(failing: float, share: float) -> None:
    """With R repetitions for each request the errors are 1 - (1 - p)(1 + R), and the calls 1 + R."""
    clock = FakeClock()
    budget = RetryBudget(share=share, floor=0, off_above=OFF, clock=clock)
    rng = seeded_rng(7, "budget", failing, share)
    count = 40_000
    failed = calls = 0
    for _ in range(count):
        clock.advance_ns(10_000_000)
        budget.request()
        calls += 1
        lost = rng.random() < failing
        while lost and budget.try_spend("retry"):
            calls += 1
            lost = rng.random() < failing
        failed += lost
    assert calls / count == pytest.approx(1 + share, abs=0.002)
    deviation = math.sqrt(failing * (1 - failing) / count)
    assert failed / count == pytest.approx(1 - (1 - failing) * (1 + share), abs=4 * deviation + 0.002)


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """Lists of times, and sums over them."""

    share: float
    floor: float
    window: int
    switch_window: int
    off_above: float
    on_below: float
    now: int = 0
    requests: list[int] = field(default_factory=list)
    spent: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    off: bool = False

    def inside(self, times: list[int], window: int) -> int:
        width = window // 20
        return sum(each // width > self.now // width - 20 for each in times)

    def look(self) -> None:
        requests, asked = self.inside(self.requests, self.switch_window), self.inside(self.asked, self.switch_window)
        base = max(requests, self.floor * self.switch_window / S / self.off_above)
        if self.off:
            self.off = not (asked == 0 or asked < self.on_below * base - 1e-9)
        else:
            self.off = asked > self.off_above * base + 1e-9

    def limit(self) -> float:
        return max(self.floor * self.window / S, self.share * self.inside(self.requests, self.window))

    def ask(self, kind: str) -> bool:
        if kind == "retry":
            self.asked.append(self.now)
        self.look()
        if self.off or self.inside(self.spent, self.window) + 1 > self.limit() + 1e-9:
            return False
        self.spent.append(self.now)
        return True


class BudgetMachine(RuleBasedStateMachine):
    charges = Bundle("charges")

    @initialize(
        share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
        floor=st.sampled_from([0.0, 0.1, 1.0]),
        window=st.sampled_from([1, 7, 10]),
        switch_window=st.sampled_from([5, 10, 60]),
        off_above=st.sampled_from([0.3, 0.8]),
        on_below=st.sampled_from([0.1, 0.3]),
    )
    def build(
        self, share: float, floor: float, window: int, switch_window: int, off_above: float, on_below: float
    ) -> None:
        self.clock = FakeClock()
        self.budget = RetryBudget(
            share=share,
            floor=floor,
            window=window,
            switch_window=switch_window,
            off_above=off_above,
            on_below=on_below,
            clock=self.clock,
        )
        self.model = Model(share, floor, window * S, switch_window * S, off_above, on_below)

    @rule(count=st.integers(1, 40))
    def request(self, count: int) -> None:
        for _ in range(count):
            if self.model.off:  # a request looks too, at the beginning of a slot
                self.budget.snapshot()
                self.model.look()
            self.budget.request()
            self.model.requests.append(self.model.now)

    @rule(target=charges, kind=st.sampled_from(["retry", "retry", "hedge"]))
    def ask(self, kind: Any) -> tuple[Charge, int] | None:
        charge = self.budget.try_spend(kind)
        granted = self.model.ask(kind)
        assert (charge is not None) == granted
        return None if charge is None else (charge, self.model.now)

    @rule(charge=consumes(charges))
    def refund(self, charge: tuple[Charge, int] | None) -> None:
        if charge is not None:
            self.budget.refund(charge[0])
            self.model.spent.remove(charge[1])

    @rule(ns=st.integers(1, 3 * S) | st.sampled_from([S // 2, S, 10 * S, 60 * S]))
    def wait(self, ns: int) -> None:
        self.clock.advance_ns(ns)
        self.model.now += ns

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "model"):
            return
        state = self.budget.snapshot()
        self.model.look()
        assert state.requests == self.model.inside(self.model.requests, self.model.window)
        assert state.spent == self.model.inside(self.model.spent, self.model.window)
        assert state.limit == pytest.approx(self.model.limit())
        assert state.switched_off == self.model.off


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBudgetModel = BudgetMachine.TestCase


def test_the_shortest_window() -> None:
    """A window of twenty nanoseconds is one of twenty slots."""
    assert RetryBudget(window=2e-8, switch_window=2e-8).options.window == 2e-8


def test_the_reasons_are_words() -> None:
    """Events name why a repetition is not granted by these words."""
    assert [each.value for each in BudgetRefusal] == ["share", "switched_off"]


def test_defaults() -> None:
    """A share of 20% over 10 s, a floor of one a second, off above 0.3 over 60 s, on below 0.2."""
    options = RetryBudget().options
    assert options == BudgetOptions()
    assert (options.share, options.floor, options.window) == (0.2, 1, 10)
    assert (options.off_above, options.on_below, options.switch_window) == (0.3, 0.2, 60)


# --- sharing, threads, events, options --------------------------------------------------------------------------------


def test_threads_lose_no_request_and_overspend_nothing() -> None:
    """Four threads that count and spend at once agree with the sums, and stay within the limit."""
    budget = RetryBudget(share=0.1, floor=0, off_above=OFF, clock=FakeClock())
    granted: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        mine = 0
        for turn in range(2000):
            budget.request()
            if turn % 4 == 0:
                mine += budget.try_spend("retry") is not None
        granted.append(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = budget.snapshot()
    assert state.requests == 8000
    assert state.spent == sum(granted) == state.granted["retry"] <= 800


def test_one_budget_in_several_pipelines() -> None:
    """Pipelines of one target share the counts; the first one's names stay; its clock must be the others' too."""
    clock, events = FakeClock(), Events()
    budget = RetryBudget(floor=0, off_above=OFF)
    budget.attach(site(clock, events, "model:x"))
    budget.attach(site(clock, events, "model:y"))
    heard = EventRecorder(events)
    budget.request()
    assert budget.try_spend("retry") is None
    (event,) = heard.of(BudgetRefused)
    assert (event.pipeline, event.dependency, event.kind, event.reason) == ("model:x", "model:x", "retry", "share")
    with pytest.raises(ConfigError, match="a retry_budget in several pipelines needs the same clock in each"):
        budget.attach(site(FakeClock(), events))


def test_a_pipelines_clock_replaces_the_machines() -> None:
    """Attached to a pipeline, the budget goes by its clock, and counts from then on."""
    clock = FakeClock(start_ns=5 * S)
    budget = RetryBudget(floor=0)
    early = budget.request
    early()
    budget.attach(site(clock, Events()))
    assert budget.snapshot().requests in {0, 1}
    requests(budget, 10)
    clock.advance(10)
    assert budget.snapshot().requests == 0


def test_a_clock_of_its_own_stays() -> None:
    """A clock that was given at construction is kept in any pipeline."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)
    budget.attach(site(FakeClock(), Events()))
    budget.attach(site(FakeClock(), Events()))
    ask(budget, 10)
    clock.advance(10)
    assert budget.snapshot().spent == 0


def test_what_is_granted_is_no_news() -> None:
    """Listeners hear of refusals only."""
    events = Events()
    heard = EventRecorder(events)
    assert ask(RetryBudget(clock=FakeClock(), events=events), 11) == 10
    assert len(heard.of(BudgetRefused)) == 1


def test_nothing_is_told_when_nobody_listens() -> None:
    """Refusals and switches work without a hub, and with one that nobody listens to."""
    for events in (None, Events()):
        budget = RetryBudget(floor=0, clock=FakeClock(), events=events)
        assert budget.try_spend("retry") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("share", -0.1),
        ("share", 1.1),
        ("share", float("nan")),
        ("floor", -1),
        ("floor", "1"),
        ("window", 0),
        ("window", 1e-9),
        ("switch_window", -1),
        ("switch_window", 1e-9),
        ("off_above", 0.1),
        ("off_above", float("inf")),
        ("on_below", 0),
    ],
)
def test_options_out_of_range(field: str, value: Any) -> None:
    """Each option is checked, and the error names it."""
    with pytest.raises(ConfigError) as refused:
        RetryBudget(**{field: value})
    assert refused.value.field == field
