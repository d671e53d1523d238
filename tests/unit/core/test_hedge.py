"""Hedging: when a second call is made, who wins, and what becomes of the others."""

import asyncio
import gc
import math
import random
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from holdfast.core.deadline import deadline_scope, remaining_ns
from holdfast.core.demand import current_demand, demand_scope
from holdfast.core.events import Events, HedgeLoserLeft, HedgeRefused, HedgeStarted, HedgeWon, correlation_scope
from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.core.hedge import Hedge, HedgeOptions, HedgeRefusal, hedge_index
from holdfast.core.policy import Site
from holdfast.core.retry_budget import RetryBudget
from holdfast.errors import ConfigError, DeadlineExceededError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
LOST = Fault(kind=FaultKind.CONNECT, transient=True, weight=1.0)


class LostError(ConnectionResetError):
    """Can be weakly referenced, as the built-in cannot."""


class Target:
    """Answers its own number after a time: one entry of the script a call, the last one again and again."""

    def __init__(self, clock: FakeClock, *script: float | tuple[float, BaseException]) -> None:
        self.clock = clock
        self.script = script
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []

    async def __call__(self) -> int:
        number = len(self.begun)
        self.begun.append(self.clock.now_ns())
        step = self.script[min(number, len(self.script) - 1)]
        seconds, error = step if isinstance(step, tuple) else (step, None)
        try:
            await self.clock.asleep_ns(round(seconds * S))
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        self.ended.append(number)
        if error is not None:
            raise error
        return number


class Fixture:
    """A clock, a hub that is listened to, and hedges that know both."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events = Events()
        self.heard = EventRecorder(self.events)

    def hedge(self, **options: Any) -> Hedge:
        return Hedge(**{"delay": 1.0, "max_share": None, "clock": self.clock, "events": self.events, **options})

    def target(self, *script: Any) -> Target:
        return Target(self.clock, *script)


@pytest.fixture
def fix() -> Fixture:
    return Fixture()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# --- who wins ---------------------------------------------------------------------------------------------------------


async def test_a_quick_call_is_made_once(fix: Fixture) -> None:
    """A call that answers before the delay has no hedge, and nothing is told."""
    hedge, target = fix.hedge(), fix.target(0.9)
    assert await hedge.call(target) == 0
    fix.clock.advance(5)
    await settle()
    assert len(target.begun) == 1
    assert fix.heard.events == []
    assert (hedge.snapshot().calls, hedge.snapshot().hedges) == (1, 0)


async def test_a_slow_call_is_made_again_and_the_first_answer_wins(fix: Fixture) -> None:
    """The second call begins after the delay; when it answers first the first one is cancelled."""
    hedge, target = fix.hedge(name="model:x"), fix.target(10, 0.5)
    assert await hedge.call(target) == 1
    assert fix.clock.now_ns() == 1.5 * S
    assert target.begun == [0, S]
    await settle()
    assert target.cancelled == [0]
    (started,), (won,) = fix.heard.of(HedgeStarted), fix.heard.of(HedgeWon)
    assert (started.hedge, started.reason, started.waited_ns) == (1, "late", S)
    assert (won.hedge, won.waited_ns, won.dependency, won.policy) == (1, 1.5 * S, "model:x", "hedge")
    state = hedge.snapshot()
    assert (state.calls, state.hedges, state.won, state.strays) == (1, 1, 1, 0)


async def test_the_original_can_still_win(fix: Fixture) -> None:
    """A call that answers while its hedge runs wins, and the hedge is cancelled."""
    hedge, target = fix.hedge(), fix.target(1.2, 5)
    assert await hedge.call(target) == 0
    await settle()
    assert target.cancelled == [1]
    assert fix.heard.names == ["HedgeStarted"]
    assert hedge.snapshot().won == 0


async def test_several_hedges_one_delay_apart(fix: Fixture) -> None:
    """Each further hedge waits for the delay again, up to ``max_hedges``."""
    target = fix.target(10)
    assert await fix.hedge(max_hedges=2).call(target) == 0
    assert target.begun == [0, S, 2 * S]


async def test_in_parallel(fix: Fixture) -> None:
    """A delay of 0 makes all calls at once; each knows its number, to choose a replica by."""
    numbers: list[int] = []

    async def ask() -> int:
        number = hedge_index()
        numbers.append(number)
        await fix.clock.asleep_ns((3 - number) * S)
        return number

    assert await fix.hedge(delay=0, max_hedges=2).call(ask) == 2
    assert numbers == [0, 1, 2]
    assert fix.clock.now_ns() == S
    assert hedge_index() == 0


async def test_parallel_calls_stop_at_a_refusal(fix: Fixture) -> None:
    """In parallel too, no hedge is made beyond what the caps allow."""
    target = fix.target(1)
    budget = RetryBudget(share=0, floor=0.1, clock=fix.clock)
    assert await fix.hedge(delay=0, max_hedges=3, budget=budget).call(target) == 0
    assert len(target.begun) == 2


async def test_two_answers_at_once(fix: Fixture) -> None:
    """When two succeed at the same moment there is one winner, and no loser is left."""
    hedge, target = fix.hedge(), fix.target(2, 1)
    answer = await hedge.call(target)
    await settle()
    assert sorted(target.ended) == [0, 1]
    assert hedge.snapshot().strays == 0
    assert hedge.snapshot().won == answer


async def test_what_goes_on_after_a_race_is_nobodys_error(fix: Fixture) -> None:
    """Neither losers that end nor hedges that would have come report anything to the event loop, nor wake it."""
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    hedge = fix.hedge(max_hedges=3)
    assert await hedge.call(fix.target(10, 0.5)) == 1
    await settle()
    assert [entry for entry in fix.clock._entries if not entry.cancelled] == []
    fix.clock.advance(60)
    await settle()
    assert reported == []


async def test_when_all_hedges_are_made_nothing_is_left_to_wait_for(fix: Fixture) -> None:
    """After the last hedge no timer runs."""
    ends = asyncio.Event()

    async def ask() -> int:
        await ends.wait()
        return hedge_index()

    task = asyncio.ensure_future(fix.hedge().call(ask))
    await settle()
    fix.clock.advance(1)
    await settle()
    assert [entry for entry in fix.clock._entries if not entry.cancelled] == []
    ends.set()
    assert await task == 0


async def test_times_are_from_the_beginning_of_the_call(fix: Fixture) -> None:
    """Events, latencies and the deadline are right on a clock that has gone on for long."""
    fix.clock.advance(100)
    hedge = fix.hedge()
    with deadline_scope(3, clock=fix.clock):
        assert await hedge.call(fix.target(10, 0.5)) == 1
    assert [event.waited_ns for event in fix.heard.of(HedgeStarted)] == [S]
    assert [event.waited_ns for event in fix.heard.of(HedgeWon)] == [3 * S // 2]
    begun = fix.clock.now_ns()
    with deadline_scope(3, clock=fix.clock), pytest.raises(DeadlineExceededError):
        await hedge.call(fix.target(100))
    assert fix.clock.now_ns() - begun == 3 * S
    measures = fix.hedge(delay="percentile", min_samples=1)
    await measures.call(fix.target(0.5))
    assert measures.snapshot().delay == 0.5


async def test_each_call_says_for_itself_what_it_used(fix: Fixture) -> None:
    """What the original and its hedge used adds up in the scope around them."""

    async def ask() -> int:
        current_demand().used(5 - hedge_index())
        await fix.clock.asleep_ns((2 - hedge_index()) * S)
        return hedge_index()

    with demand_scope(cost=100) as demand:
        assert await fix.hedge(delay=0).call(ask) == 1
    assert demand.actual == 9


async def test_a_success_is_not_classified(fix: Fixture) -> None:
    """What is classified has failed."""
    seen: list[BaseException] = []

    def sees(error: BaseException) -> Fault:
        seen.append(error)
        return LOST

    assert await fix.hedge(classify=sees).call(fix.target(0.5)) == 0
    assert seen == []


async def test_what_was_called_is_not_kept_alive(fix: Fixture) -> None:
    """After the race its arguments are gone, without help from the garbage collector."""

    async def quick(_: object) -> int:
        return 1

    async def caller() -> weakref.ref[Target]:
        argument = fix.target(1)
        assert await fix.hedge().call(quick, argument) == 1
        return weakref.ref(argument)

    gc.collect()
    gc.disable()
    try:
        seen = await caller()
        await settle()
        fix.clock.advance(10)
        await settle()
        assert seen() is None
    finally:
        gc.enable()


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_a_failure_makes_the_hedge_at_once(fix: Fixture) -> None:
    """A failure that may pass does not wait for the delay."""
    hedge, target = fix.hedge(), fix.target((0.25, LostError()), 0.25)
    assert await hedge.call(target) == 1
    assert target.begun == [0, S // 4]
    (started,) = fix.heard.of(HedgeStarted)
    assert (started.reason, started.waited_ns) == ("failed", S // 4)


async def test_only_on_failure(fix: Fixture) -> None:
    """``delay="on_failure"`` never hedges slowness, and hedges a failure at once."""
    hedge = fix.hedge(delay="on_failure")
    slow = fix.target(1000)
    assert await hedge.call(slow) == 0
    assert len(slow.begun) == 1
    assert await hedge.call(fix.target((0.1, LostError()), 0.1)) == 1
    assert hedge.snapshot().delay is None


async def test_after_a_failure_the_delay_begins_anew(fix: Fixture) -> None:
    """The hedge that a failure made has the whole delay to itself before the next one."""
    target = fix.target((0.5, LostError()), 10)
    assert await fix.hedge(max_hedges=2).call(target) == 1
    assert target.begun == [0, S // 2, 3 * S // 2]


async def test_a_failed_hedge_is_no_failure_of_the_call(fix: Fixture) -> None:
    """The original goes on, and its answer is taken."""
    assert await fix.hedge().call(fix.target(5, (0.5, LostError()))) == 0


async def test_when_all_fail_the_first_ones_error_comes_with_notes_of_the_others(fix: Fixture) -> None:
    """The caller gets the original call's own error; what happened to each hedge is a note on it."""
    first = LostError("first")
    target = fix.target((3, first), (0.5, LostError("second")), (0.5, TimeoutError("third")))
    hedge = fix.hedge(max_hedges=2)
    with pytest.raises(LostError, match="first") as raised:
        await hedge.call(target)
    assert raised.value is first
    assert hedge.snapshot().won == 0
    assert fix.heard.of(HedgeWon) == []
    assert first.__notes__ == [
        "The hedge 1 failed too: LostError: second",
        "The hedge 2 failed too: TimeoutError: third",
    ]


async def test_what_is_wrong_everywhere_is_not_hedged(fix: Fixture) -> None:
    """A failure that would repeat itself goes to the caller at once."""
    hedge, target = fix.hedge(), fix.target((0.1, ValueError("bug")))
    with pytest.raises(ValueError, match="bug"):
        await hedge.call(target)
    assert len(target.begun) == 1
    assert hedge.snapshot().refused == {}


async def test_a_classification_of_ones_own(fix: Fixture) -> None:
    """``classify`` tells which failures are worth a hedge."""
    hedge = fix.hedge(classify=lambda _: LOST)
    assert await hedge.call(fix.target((0.1, ValueError("passes")), 0.1)) == 1


async def test_a_call_that_cancels_itself(fix: Fixture) -> None:
    """It counts as failed; a running hedge may still answer, and otherwise the cancellation is the caller's too."""
    assert await fix.hedge().call(fix.target((2, asyncio.CancelledError()), 5)) == 1
    with pytest.raises(asyncio.CancelledError):
        await fix.hedge().call(fix.target((0.5, asyncio.CancelledError())))


async def test_a_classification_that_fails_after_the_caller_is_gone(fix: Fixture) -> None:
    """The caller's cancellation stands, and nothing is reported to the event loop."""
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def bad(_: BaseException) -> Fault:
        task.cancel()
        raise ZeroDivisionError

    task = asyncio.ensure_future(fix.hedge(classify=bad).call(fix.target((0.5, LostError()))))
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert reported == []


async def test_arguments_that_do_not_fit(fix: Fixture) -> None:
    """A call that cannot even be made is the caller's TypeError."""

    async def ask(a: int) -> int:
        return a

    with pytest.raises(TypeError):
        await fix.hedge().call(ask)  # type: ignore[call-arg]
    assert await fix.hedge().call(ask, a=3) == 3


async def test_errors_are_not_kept_alive(fix: Fixture) -> None:
    """When the caller has dropped the error it is gone, without help from the garbage collector."""
    hedge = fix.hedge()

    async def fail() -> None:
        raise LostError("gone")

    seen = None
    gc.collect()
    gc.disable()
    try:
        try:
            await hedge.call(fail)
        except LostError as error:
            seen = weakref.ref(error)
        await settle()
        assert seen is not None
        assert seen() is None
    finally:
        gc.enable()


# --- losers -----------------------------------------------------------------------------------------------------------


class Stubborn:
    """The first call ignores its cancellation until it is released; the others answer at once."""

    def __init__(self, outcome: BaseException | None = None) -> None:
        self.release = asyncio.Event()
        self.outcome = outcome
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if hedge_index() > 0:
            return "quick"
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        if self.outcome is not None:
            raise self.outcome
        return "late"


async def hedged(fix: Fixture, hedge: Hedge, fn: Callable[[], Any]) -> Any:
    """Call, and let the delay pass."""
    task = asyncio.ensure_future(hedge.call(fn))
    await settle()
    fix.clock.advance(1)
    return await task


@pytest.mark.parametrize("outcome", [None, LostError("late"), asyncio.CancelledError()])
async def test_a_loser_that_ignores_its_cancellation_delays_nobody(fix: Fixture, outcome: BaseException | None) -> None:
    """The winner's answer is there at once; the loser is counted, told of after a second, forgotten at its end."""
    hedge, target = fix.hedge(), Stubborn(outcome)
    assert await hedged(fix, hedge, target) == "quick"
    assert hedge.snapshot().strays == 1
    fix.clock.advance(1)
    await settle()
    (left,) = fix.heard.of(HedgeLoserLeft)
    assert (left.hedge, left.lingered_ns) == (0, S)
    target.release.set()
    await settle()
    assert hedge.snapshot().strays == 0
    gc.collect()  # nothing complains of an outcome that nobody looked at


async def test_a_loser_that_ends_in_time_is_not_told_of(fix: Fixture) -> None:
    """Cleaning up for less than a second is ordinary."""
    hedge, target = fix.hedge(), Stubborn()
    await hedged(fix, hedge, target)
    target.release.set()
    await settle()
    assert all(timer.cancelled for timer in fix.clock._entries)
    fix.clock.advance(5)
    await settle()
    assert fix.heard.of(HedgeLoserLeft) == []


async def test_a_loser_that_ends_as_its_time_is_up_is_not_told_of(fix: Fixture) -> None:
    """A timer that fires in the same turn as the loser ends says nothing that is not true any more."""
    hedge, target = fix.hedge(), Stubborn()
    await hedged(fix, hedge, target)
    (stray,) = hedge.strays
    target.release.set()
    await settle()
    stray._tell()
    assert fix.heard.of(HedgeLoserLeft) == []


async def test_strays_are_bounded(fix: Fixture) -> None:
    """While ``max_strays`` losers run on, no hedge is made; when they end, hedging goes on."""
    hedge = fix.hedge(max_strays=2)
    targets = [Stubborn() for _ in range(3)]
    for target in targets[:2]:
        assert await hedged(fix, hedge, target) == "quick"
    task = asyncio.ensure_future(hedge.call(targets[2]))
    await settle()
    fix.clock.advance(1)
    await settle()
    assert targets[2].calls == 1
    assert hedge.snapshot().refused == {HedgeRefusal.STRAYS: 1}
    assert [event.reason for event in fix.heard.of(HedgeRefused)] == ["strays"]
    for target in targets:
        target.release.set()
    assert await task == "late"
    another = Stubborn()
    assert await hedged(fix, hedge, another) == "quick"
    another.release.set()


def test_strays_of_a_closed_loop_do_not_count() -> None:
    """Losers that can never end, because their event loop is gone, do not stop hedging for ever."""
    fix = Fixture()
    hedge = fix.hedge(max_strays=1)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def main() -> object:
        return await hedged(fix, hedge, Stubborn())

    assert loop.run_until_complete(main()) == "quick"
    loop.close()
    assert hedge.snapshot().strays == 1
    assert hedge.decide(0, None, None) is None
    assert hedge.snapshot().strays == 0


# --- cancellation, context, deadline ----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.5, 1.5])
async def test_cancelling_the_caller_cancels_every_call(fix: Fixture, after: float) -> None:
    """Before and after the hedge began: the caller's cancellation ends them all."""
    hedge, target = fix.hedge(), fix.target(100)
    task = asyncio.ensure_future(hedge.call(target))
    await fix.clock.asleep_ns(round(after * S))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert len(target.cancelled) == len(target.begun) == math.ceil(after)
    assert hedge.snapshot().strays == 0


@pytest.mark.parametrize("turns", range(8))
async def test_cancelling_in_any_turn(turns: int) -> None:
    """Whenever the cancellation comes, the caller has a result or is cancelled, and no call goes on."""
    fix = Fixture()
    target = fix.target(0)
    task = asyncio.ensure_future(fix.hedge(delay=0).call(target))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert outcome in {0, 1} or isinstance(outcome, asyncio.CancelledError)
    await settle()
    assert len(target.ended) + len(target.cancelled) >= len(target.begun)
    assert len(asyncio.all_tasks()) == 1


async def test_each_call_has_a_copy_of_the_context(fix: Fixture) -> None:
    """Calls see the caller's context variables, and neither each other's changes nor the caller theirs."""
    var: ContextVar[str] = ContextVar("var")
    var.set("caller")
    seen: list[str] = []

    async def ask() -> int:
        seen.append(var.get())
        var.set(f"call {hedge_index()}")
        await fix.clock.asleep_ns(S)
        return hedge_index()

    with correlation_scope("req-1"):
        await fix.hedge(delay=0.5, max_hedges=3).call(ask)
    assert seen == ["caller"] * len(seen)
    assert var.get() == "caller"
    assert {event.correlation_id for event in fix.heard.of(HedgeStarted)} == {"req-1"}


async def test_the_deadline_ends_the_race(fix: Fixture) -> None:
    """At the context's deadline the caller gets its error, and every call is cancelled."""
    hedge, target = fix.hedge(name="model:x"), fix.target(100)
    with (
        deadline_scope(3, clock=fix.clock),
        pytest.raises(DeadlineExceededError, match=r"used up in the hedged call to model:x\."),
    ):
        await hedge.call(target)
    assert fix.clock.now_ns() == 3 * S
    await settle()
    assert target.cancelled == [0, 1]


async def test_no_hedge_at_the_deadline_itself(fix: Fixture) -> None:
    """A hedge that is due when the deadline comes is not made."""
    target = fix.target(100)
    with deadline_scope(1, clock=fix.clock), pytest.raises(DeadlineExceededError):
        await fix.hedge().call(target)
    assert len(target.begun) == 1


async def test_calls_see_the_deadline(fix: Fixture) -> None:
    """What is left until the deadline is known inside a hedge."""

    async def ask() -> int | None:
        if not hedge_index():
            await fix.clock.asleep_ns(2 * S)
        return remaining_ns(fix.clock)

    with deadline_scope(3, clock=fix.clock):
        assert await fix.hedge().call(ask) == 2 * S


async def test_nothing_begins_after_the_deadline(fix: Fixture) -> None:
    """A deadline that has passed lets no call begin, and no hedge."""
    hedge, target = fix.hedge(), fix.target(1)
    with deadline_scope(0, clock=fix.clock), pytest.raises(DeadlineExceededError, match="to the dependency"):
        await hedge.call(target)
    assert target.begun == []
    assert hedge.decide(0, LOST, 0) is HedgeRefusal.NO_TIME
    assert hedge.decide(0, LOST, 1) is None


# --- caps -------------------------------------------------------------------------------------------------------------


def slow_calls(hedge: Hedge, count: int) -> int:
    """How many of ``count`` calls get a hedge when every one is slow."""
    granted = 0
    for _ in range(count):
        hedge.begin()
        granted += hedge.decide(0, None, None) is None
    return granted


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 1.0])
def test_hedges_are_a_share_of_the_calls(share: float) -> None:
    """When everything is slow, no more than the share of the calls is hedged, and no less."""
    hedge = Hedge(delay=1, max_share=share)
    granted = slow_calls(hedge, 1000)
    assert granted == pytest.approx(1000 * share, abs=1)
    assert hedge.snapshot().refused.get(HedgeRefusal.SHARE, 0) == 1000 - granted


def test_a_quiet_time_saves_up_ten_hedges() -> None:
    """After many quick calls ten hedges may follow each other, and not more."""
    hedge = Hedge(delay=1, max_share=0.05)
    for _ in range(10_000):
        hedge.begin()
    assert sum(hedge.decide(0, None, None) is None for _ in range(20)) == 10


async def test_the_budget_bounds_and_counts(fix: Fixture) -> None:
    """Every call is a request of the budget, every hedge is charged to it, and a refusal is told."""
    budget = RetryBudget(share=0, floor=0.1, clock=fix.clock)
    hedge = fix.hedge(budget=budget, max_share=1.0)
    assert await hedge.call(fix.target(5, 1)) == 1
    assert await hedge.call(fix.target(5, 1)) == 0
    state = budget.snapshot()
    assert (state.requests, state.granted["hedge"], state.refused["hedge"]) == (2, 1, 1)
    assert hedge.snapshot().refused == {HedgeRefusal.BUDGET: 1}
    assert [event.reason for event in fix.heard.of(HedgeRefused)] == ["budget"]


def test_a_refusal_by_the_budget_costs_no_share() -> None:
    """What the budget refused is not taken off the share."""
    clock = FakeClock()
    hedge = Hedge(delay=1, max_share=0.1, budget=RetryBudget(share=0, floor=0.1, clock=clock), clock=clock)
    assert hedge.decide(0, None, None) is None
    for _ in range(10):
        hedge.begin()
    for _ in range(5):
        assert hedge.decide(0, None, None) is HedgeRefusal.BUDGET
    clock.advance(10)
    assert hedge.decide(0, None, None) is None


def test_a_refusal_by_the_budget_saves_no_hedge_up() -> None:
    """What the budget refused is no more than given back: the share holds afterwards as before."""
    clock = FakeClock()
    hedge = Hedge(delay=1, max_share=0.1, budget=RetryBudget(share=0, floor=0.1, clock=clock), clock=clock)
    assert hedge.decide(0, None, None) is None
    for _ in range(10):
        hedge.begin()
    for _ in range(5):
        assert hedge.decide(0, None, None) is HedgeRefusal.BUDGET
    clock.advance(1000)
    assert hedge.decide(0, None, None) is None
    assert hedge.decide(0, None, None) is HedgeRefusal.SHARE


def test_a_share_that_comes_later_begins_with_nothing() -> None:
    """A hedge without a share that is given one makes no hedge before calls have paid for it."""
    hedge = Hedge(delay=1, max_share=None)
    hedge.reconfigure(HedgeOptions(delay=1, max_share=0.5))
    assert hedge.decide(0, None, None) is HedgeRefusal.SHARE
    hedge.begin()
    hedge.begin()
    assert hedge.decide(0, None, None) is None


def test_whoever_says_when_to_come_back_is_not_hedged() -> None:
    """A Retry-After is heeded whatever the kind of the fault, and is no refusal by a cap."""
    hedge = Hedge(delay=1, max_share=None)
    later = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0, retry_after=0.5)
    assert hedge.decide(0, later, None) is HedgeRefusal.ASKED_TO_WAIT
    assert hedge.snapshot().refused == {}


def test_refusals_are_named_by_words() -> None:
    """Events, snapshots and metrics show a refusal as one word, whose spelling stays."""
    words = ["used", "not_transient", "asked_to_wait", "no_time", "share", "budget", "strays"]
    assert [str(each) for each in HedgeRefusal] == words


def test_the_order_of_refusals() -> None:
    """Hedges that are used up, and faults that would repeat themselves, are no refusal by a cap."""
    hedge = Hedge(delay=1, max_share=None)
    bug = Fault(kind=FaultKind.BUG, transient=False, weight=WEIGHTS[FaultKind.BUG])
    assert hedge.decide(1, None, None) is HedgeRefusal.USED
    assert hedge.decide(0, bug, None) is HedgeRefusal.NOT_TRANSIENT
    assert hedge.snapshot().refused == {}


# --- the moving percentile --------------------------------------------------------------------------------------------


def warm(hedge: Hedge, *seconds: float) -> Hedge:
    for each in seconds:
        hedge.ended(round(each * S))
    return hedge


def test_the_delay_is_the_percentile_of_the_latest() -> None:
    """There is none before ``min_samples``; then it follows the window."""
    hedge = Hedge(percentile=90, window=10, min_samples=5)
    assert warm(hedge, 1, 1, 1, 1).begin() is None
    assert warm(hedge, 1).begin() == S
    warm(hedge, *range(2, 12))
    assert hedge.begin() == 10 * S
    assert (hedge.snapshot().delay, hedge.snapshot().samples) == (10, 10)


def test_a_delay_for_the_time_until_it_is_known() -> None:
    """``warm_up_delay`` holds until there are enough latencies."""
    hedge = Hedge(window=2, min_samples=1, warm_up_delay=0.5)
    assert hedge.begin() == S // 2
    assert warm(hedge, 3).begin() == 3 * S


def test_what_says_something_of_latency() -> None:
    """Failures do not count; a call that was cut counts when it had taken longer than the delay already."""
    hedge = Hedge(percentile=50, window=100, min_samples=3)
    hedge.ended(9 * S, cut=True)  # the delay is not known yet
    hedge.ended(1, failed=True)
    assert hedge.snapshot().samples == 0
    warm(hedge, 2, 2, 2)
    hedge.ended(S, cut=True)
    assert hedge.snapshot().samples == 3
    hedge.ended(2 * S, cut=True)
    assert hedge.snapshot().samples == 4


def test_a_call_that_ends_is_won_by_itself() -> None:
    """Unless a hedge is named as the winner, the original call has answered."""
    hedge = warm(Hedge(), 1, 2)
    assert hedge.snapshot().won == 0
    hedge.ended(S, cut=True, winner=2)
    assert hedge.snapshot().won == 1


def test_a_fixed_delay_measures_nothing() -> None:
    """Without a percentile to find, latencies are not kept."""
    assert warm(Hedge(delay=0.1), 1, 2, 3).snapshot().samples == 0


async def test_latencies_are_those_of_the_original_call(fix: Fixture) -> None:
    """Wins, losses and cuts of the original are measured from its own start; failures are not."""
    hedge = fix.hedge(delay="percentile", percentile=50, window=10, min_samples=1, warm_up_delay=1.0)
    await hedge.call(fix.target(0.5))
    assert hedge.snapshot().delay == 0.5
    await hedge.call(fix.target(2, 0.25))  # the original is cut at 0.75 s
    assert hedge._latencies.percentile(99) == 0.75 * S
    with pytest.raises(ValueError, match="x"):
        await hedge.call(fix.target((0.1, ValueError("x"))))
    assert hedge.snapshot().samples == 2
    await hedge.call(fix.target(0.2))
    assert hedge.snapshot().samples == 3
    await hedge.call(fix.target((0.1, LostError()), 0.1))
    assert hedge.snapshot().samples == 3


# --- oracles ----------------------------------------------------------------------------------------------------------


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(len(values) * share) - 1]


def test_the_percentile_finds_the_delay_of_the_closed_form() -> None:
    """With exponential latencies the 95th percentile is ln 20: 5% more calls, and p99 falls from 4.605 to 3.801."""
    hedge = Hedge(window=1000, max_share=0.1)
    rng = seeded_rng(3, "hedge")
    times: list[float] = []
    delays: list[float] = []
    made = 0
    for _ in range(100_000):
        delay_ns = hedge.begin()
        first = rng.expovariate(1)
        time = first
        winner = 0
        if delay_ns is not None:
            delays.append(delay_ns / S)
            if first > delay_ns / S and hedge.decide(0, None, None) is None:
                made += 1
                time = min(first, delay_ns / S + rng.expovariate(1))
                winner = int(time < first)
        hedge.ended(round(time * S), cut=winner > 0, winner=winner)
        times.append(time)
    assert sum(delays) / len(delays) == pytest.approx(math.log(20), rel=0.03)
    assert made / len(times) == pytest.approx(0.05, abs=0.005)
    assert quantile(times, 0.99) == pytest.approx(3.801, abs=0.08)
    assert quantile(times, 0.999) == pytest.approx(4.952, abs=0.3)


async def test_the_driver_gives_the_closed_forms_tail(fix: Fixture) -> None:
    """The same with tasks and timers on a clock of its own, at the fixed delay ln 20."""
    hedge = fix.hedge(delay=math.log(20))
    fix.heard.stop()
    rng = seeded_rng(5, "hedge")
    count = 3000
    times: list[float] = []

    async def answer() -> None:
        await fix.clock.asleep_ns(round(rng.expovariate(1) * S))

    async def user() -> None:
        for _ in range(count // 50):
            begun = fix.clock.now_ns()
            await hedge.call(answer)
            times.append((fix.clock.now_ns() - begun) / S)

    await asyncio.gather(*(user() for _ in range(50)))
    assert hedge.snapshot().hedges / count == pytest.approx(0.05, abs=0.012)
    assert quantile(times, 0.99) == pytest.approx(3.801, abs=0.35)
    assert quantile(times, 0.5) == pytest.approx(math.log(2), abs=0.08)


# --- forms, sharing, options ------------------------------------------------------------------------------------------


async def test_as_a_decorator(fix: Fixture) -> None:
    """A decorated function keeps its name and its arguments."""

    @fix.hedge()
    async def ask(question: str, *, k: int = 1) -> str:
        """Ask."""
        return question * k

    assert ask.__name__ == "ask"
    assert ask.__doc__ == "Ask."
    assert asyncio.iscoroutinefunction(ask)
    assert await ask("ab", k=2) == "abab"


def test_a_plain_function_is_refused() -> None:
    """The sentence says why, and what to do instead."""
    for guard in (Hedge(delay=1), Hedge(delay=1).call):
        with pytest.raises(ConfigError, match=r": is a plain function, .* hedge an async function that runs it on"):
            guard(len)  # type: ignore[arg-type,call-arg]


def test_a_stream_is_refused() -> None:
    """Generator functions of either form cannot be hedged."""

    async def stream() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ConfigError, match="gives a stream: two streams cannot be told apart"):
        Hedge(delay=1)(stream)  # type: ignore[arg-type]


def test_one_hedge_in_several_threads() -> None:
    """Event loops in four threads share one hedge; every call is counted once."""
    hedge = Hedge(delay=0, max_share=None)
    answers: list[int] = []

    async def ask() -> int:
        await asyncio.sleep(0)
        return 1

    async def main() -> None:
        answers.extend([await hedge.call(ask) for _ in range(100)])

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = hedge.snapshot()
    assert (len(answers), state.calls, state.hedges, state.strays) == (400, 400, 400, 0)


async def test_in_a_pipelines_place() -> None:
    """Attached, it takes over clock, events and name, and its budget does too."""
    clock, events = FakeClock(), Events()
    budget = RetryBudget()
    hedge = Hedge(delay=1, budget=budget)
    place = Site(pipeline="p", dependency="model:x", clock=clock, rng=random.Random(0), events=events)
    hedge.attach(place)
    Hedge(delay=1).attach(place)
    heard = EventRecorder(events)
    assert await hedge.call(Target(clock, 5, 1)) == 1
    assert heard.of(HedgeWon)[0].dependency == "model:x"
    assert budget._place.clock is clock


async def test_nothing_is_told_when_nobody_listens(fix: Fixture) -> None:
    """Without listeners it works the same, and losers have no timer."""
    fix.heard.stop()
    hedge, target = fix.hedge(max_share=0), Stubborn()
    assert hedge.decide(0, None, None) is HedgeRefusal.SHARE
    hedge = fix.hedge()
    assert await hedged(fix, hedge, target) == "quick"
    target.release.set()
    await settle()
    assert hedge.snapshot().strays == 0


def test_defaults() -> None:
    """One hedge at the 95th percentile of 1,000 latencies, for at most a tenth of the calls."""
    options = Hedge().options
    assert options == HedgeOptions()
    assert (options.delay, options.percentile, options.window, options.min_samples) == ("percentile", 95, 1000, 100)
    assert (options.warm_up_delay, options.max_hedges, options.max_share, options.max_strays) == (None, 1, 0.1, 100)


@pytest.mark.parametrize(
    "options",
    [
        {"percentile": 0.5},
        {"percentile": 99.9},
        {"window": 1, "min_samples": 1},
        {"window": 10, "min_samples": 10},
        {"warm_up_delay": 0},
        {"max_share": 0},
        {"max_hedges": 2, "max_share": 2},
        {"max_strays": 1},
    ],
)
def test_options_at_the_end_of_their_range(options: dict[str, Any]) -> None:
    """The ends of each range belong to it."""
    assert Hedge(**options).options == HedgeOptions(**options)


def test_a_wrong_delay_is_told_what_there_is() -> None:
    """A delay is a number or one of two words, and the error says so."""
    with pytest.raises(ConfigError) as refused:
        Hedge(delay=-1)
    assert refused.value.rule == 'must be seconds, "percentile" or "on_failure"; a number must be at least 0'


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("delay", {"delay": -1}),
        ("delay", {"delay": "p95"}),
        ("delay", {"delay": None}),
        ("delay", {"delay": float("nan")}),
        ("percentile", {"percentile": 0}),
        ("percentile", {"percentile": 100}),
        ("window", {"window": 0}),
        ("min_samples", {"min_samples": 0}),
        ("min_samples", {"window": 10, "min_samples": 11}),
        ("warm_up_delay", {"warm_up_delay": -0.1}),
        ("max_hedges", {"max_hedges": 0}),
        ("max_share", {"max_share": -0.1}),
        ("max_share", {"max_share": 1.1}),
        ("max_strays", {"max_strays": 0}),
    ],
)
def test_options_out_of_range(field: str, options: dict[str, Any]) -> None:
    """Each option is checked, and the error names it."""
    with pytest.raises(ConfigError) as refused:
        Hedge(**options)
    assert refused.value.field == field
