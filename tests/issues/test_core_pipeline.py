"""Defects around pipelines, hedges, loops and shared state that a review found, each with what is true now."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import runpy
import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core import _chance
from holdfast.core._race import Race
from holdfast.core.blocking import ThreadBlocking, _run
from holdfast.core.breaker import BreakerOptions, BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.classify import classify
from holdfast.core.deadline import Deadline, deadline_scope
from holdfast.core.events import BreakerTransition, CallFailed, Events, HedgeStarted, HedgeWon
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.hedge import Hedge, HedgeOptions
from holdfast.core.pipeline import Pipeline
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.registry import Registry
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.single_flight import SingleFlight
from holdfast.core.timeout import Timeout
from holdfast.errors import (
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedError,
    RetriesExhaustedError,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S = 10**9
LOST = Fault(kind=FaultKind.CONNECT, transient=True, weight=1.0)
SLOW = Fault(kind=FaultKind.TIMEOUT, transient=True, weight=0.5)


class LostError(ConnectionResetError):
    """Can be weakly referenced, as the built-in cannot."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --- what cannot work in one pipeline ---------------------------------------------------------------------------------


@pytest.mark.parametrize("allow_order", [False, True])
def test_what_must_not_run_twice_is_not_hedged(allow_order: bool) -> None:
    """A retry that says a call must not run twice and a hedge are refused together, in any order."""
    with pytest.raises(ConfigError, match="leave out the hedge") as refused:
        Pipeline(Retry(idempotent=False), Hedge(), CircuitBreaker(), allow_order=allow_order)
    assert refused.value.field == "idempotent"
    guard = Pipeline(Retry(), Hedge())
    with pytest.raises(ConfigError, match="leave out the hedge"):
        guard.reconfigure(retry={"idempotent": False})
    assert guard.policies[0] == Retry()


@pytest.mark.parametrize("make", [CircuitBreaker, Bulkhead, RequestQueue, Hedge])
def test_one_policy_is_not_entered_twice(make: Callable[[], Any]) -> None:
    """The same gate or hedge twice in one pipeline is refused, and two pipelines may share it."""
    policy = make()
    with pytest.raises(ConfigError, match="list it once, or make a second one"):
        Pipeline(policy, policy, allow_order=True)
    Pipeline(policy, name="a")
    Pipeline(policy, name="b")


# --- chance after a fork ----------------------------------------------------------------------------------------------

FORK = """
import os
import random
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.loop import Attempting
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry

given = random.Random(7)
owned = [Pipeline()._site.rng, CircuitBreaker()._rng, Attempting(Retry())._layer.site.rng]
policies = [*owned, Pipeline(rng=given)._site.rng]
seen = []
for _ in range(2):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, " ".join(repr(each.random()) for each in policies).encode())
        os._exit(0)
    os.waitpid(child, 0)
    seen.append(os.read(reader, 1000).decode())
seen.append(" ".join(repr(each.random()) for each in policies))
print("\\n".join(seen))
"""


def test_forked_workers_draw_other_jitter() -> None:
    """Each forked process draws jitter of its own, and an injected source goes on as its owner left it."""
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    draws = [line.split() for line in run.stdout.splitlines()]
    assert len(draws) == 3
    for position in range(3):
        assert len({line[position] for line in draws}) == 3
    assert {line[3] for line in draws} == {repr(random.Random(7).random())}


def test_chance_where_nothing_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without fork the shared source works as well."""
    monkeypatch.delattr("os.register_at_fork")
    shared = runpy.run_path(str(_chance.__file__))["JITTER"]
    assert 0 <= shared.random() < 1


# --- threads that are stuck -------------------------------------------------------------------------------------------


class Load:
    """What a call carries."""


async def test_cancelled_work_is_not_kept_behind_stuck_threads() -> None:
    """While every thread is stuck, cancelled work is let go with its arguments, and its place is free again."""
    pool = ThreadBlocking(1, max_waiting=2)
    begun, go = threading.Event(), threading.Event()

    def stuck() -> bool:
        begun.set()
        return go.wait(10)

    first = asyncio.create_task(pool.run("x", stuck))
    assert await asyncio.to_thread(begun.wait, 10)
    for _ in range(5):  # far more than may wait, two at a time
        loads = [Load(), Load()]
        seen = [weakref.ref(each) for each in loads]
        tasks = [asyncio.create_task(pool.run("x", id, each)) for each in loads]
        await asyncio.sleep(0)
        with pytest.raises(RejectedError):
            await pool.run("x", int)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        del loads, tasks, task
        gc.collect()
        assert [each() for each in seen] == [None, None]
    assert pool._shared._executor._work_queue.qsize() == 0  # the library's own queue is where it would hide
    waits = asyncio.create_task(pool.run("x", int))
    await asyncio.sleep(0)
    go.set()
    assert await first
    assert await waits == 0
    await pool.close()


def test_work_that_is_cancelled_as_its_turn_comes() -> None:
    """Work whose caller left in the moment in which a thread took it is not done."""
    ran: list[int] = []
    taken: Future[None] = Future()
    assert taken.cancel()
    _run(taken, lambda: ran.append(1))
    assert ran == []


async def test_a_thread_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system has no thread left the caller hears of it, and the pool works again afterwards."""
    pool = ThreadBlocking(1)

    def none_left(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="new thread"):
            await pool.run("x", int)
    assert await pool.run("x", int) == 0
    await pool.close()


async def test_an_error_of_blocking_work_is_not_kept_alive(no_collector: None) -> None:
    """An error that a thread raised is gone with its last user, without the collector."""
    pool = ThreadBlocking(1)

    def fails() -> None:
        raise LostError

    seen: list[weakref.ref[LostError]] = []
    try:
        await pool.run("x", fails)
    except LostError as error:
        seen.append(weakref.ref(error))
    await pool.run("x", int)
    await pool.close()
    assert [each() for each in seen] == [None]


# --- other options while it works -------------------------------------------------------------------------------------


def test_reconfigure_is_all_or_nothing() -> None:
    """When one of several changes is refused, whoever refuses it, none is made."""
    clock = FakeClock()
    breaker = CircuitBreaker()
    guard = Pipeline(
        Fallback(lambda: 1), Retry(max_retries=2), breaker, Retry(), Timeout(seconds=9), clock=clock, allow_order=True
    )

    @guard
    def down() -> int:
        raise ConnectionResetError

    foreign = RetryBudget()
    Pipeline(Retry(budget=foreign), clock=FakeClock())  # it belongs to another clock
    before, plans = guard.policies, [repr(plan) for plan in guard._plans]
    refused: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((), {"retry": {"max_retries": 0}, "retry.2": {"budget": foreign}}, "same clock"),
        ((), {"timeout": {"seconds": 1}, "circuit_breaker": {"failure_threshold": 0}}, "failure_threshold=0"),
        ((), {"timeout": {"seconds": 1}, "circuit_breaker": {"failure_treshold": 1}}, "did you mean failure_threshold"),
        (
            (),
            {"timeout": {"seconds": 1}, "bulkhead": {"max_concurrent": 1}},
            "no policy here; there is fallback, retry",
        ),
        ((), {"timeout": {"seconds": 1}, "circuit_breaker": 3}, "a mapping of options .* or a whole BreakerOptions"),
        ((), {"fallback": {"kinds": []}}, "exchange the whole policy"),
        ((Timeout(seconds=1), Timeout(seconds=2)), {}, "the second of its sort"),
        ((Timeout(seconds=1),), {"timeout": {"seconds": 2}}, "is exchanged already"),
    ]
    for policies, changes, sentence in refused:
        with pytest.raises(ConfigError, match=sentence):
            guard.reconfigure(*policies, **changes)
        assert guard.policies == before
        assert [repr(plan) for plan in guard._plans] == plans
        assert [layer.limit_ns for layer in guard._layers][-1] == 9 * S
        assert breaker.options == BreakerOptions()


def test_a_kind_that_was_refused_binds_nobody() -> None:
    """A function that a pipeline refused to guard does not restrict its later alternatives."""
    guard = Pipeline(Fallback(lambda: 1))

    async def items() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="must be an async generator function"):
        guard(items)
    guard.reconfigure(Fallback(lambda: 2))

    @guard
    def down() -> int:
        raise ConnectionResetError

    assert down() == 2


class Stubborn:
    """A gate that takes other options, until it is told to refuse them."""

    label = "stubborn"

    def __init__(self) -> None:
        self.options = HedgeOptions()
        self.refuses = False

    def reconfigure(self, options: HedgeOptions) -> None:
        if self.refuses:
            raise ConfigError("options", options, "not now")
        self.options = options

    def attach(self, site: object) -> None: ...

    def enter(self, call: object = None) -> int:
        return 1

    def leave(self, permit: object, fault: object = None, call: object = None) -> None: ...

    def snapshot(self) -> object:
        return self.options


def test_a_gate_that_refuses_takes_back_what_the_others_did() -> None:
    """When a gate refuses its options, gates before it and policies without a state have theirs again."""
    breaker, stubborn = CircuitBreaker(), Stubborn()
    guard = Pipeline(Retry(max_retries=2), breaker, stubborn)
    stubborn.refuses = True
    changes: dict[str, Any] = {
        "retry": {"max_retries": 0},
        "circuit_breaker": {"failure_threshold": 3},
        "stubborn": {"max_hedges": 2},
    }
    with pytest.raises(ConfigError, match="not now"):
        guard.reconfigure(**changes)
    assert guard.policies[0] == Retry(max_retries=2)
    assert guard.describe().max_calls == 3
    assert breaker.options.failure_threshold == 5
    stubborn.refuses = False
    guard.reconfigure(**changes)
    assert guard.describe().max_calls == 1
    assert (breaker.options.failure_threshold, stubborn.options.max_hedges) == (3, 2)


def test_an_operator_changes_what_works() -> None:
    """By the name of a pipeline or a gate, single options and whole ones change while a call is under way."""
    registry, breaker, second, alone = Registry(), CircuitBreaker(), CircuitBreaker(), CircuitBreaker()
    guard = registry.add(Pipeline(Deadline(seconds=9), Hedge(), breaker, second, Timeout(seconds=3), name="x"))
    registry.add(alone, name="store")
    permit = breaker.enter()
    two: dict[str, Any] = {"circuit_breaker.2": BreakerOptions(shadow=True)}
    registry.reconfigure(
        "x",
        deadline={"seconds": 5},
        timeout=Timeout(seconds=1),
        hedge={"delay": 0.5, "window": 200},
        circuit_breaker={"failure_threshold": 1},
        **two,
    )
    breaker.leave(permit, LOST)
    assert breaker.state is BreakerState.OPEN
    assert second.snapshot().shadow
    assert set(guard.snapshot().policies) == {"circuit_breaker", "circuit_breaker.2"}
    assert guard.policies[0] == Deadline(seconds=5)
    assert guard.describe().max_seconds == 2
    hedge = guard.policies[1]
    assert isinstance(hedge, Hedge)
    assert hedge.options == HedgeOptions(delay=0.5, window=200)
    registry.reconfigure("store", circuit_breaker={"recovery_timeout": 2})
    assert alone.options.recovery_timeout == 2
    with pytest.raises(ConfigError, match="there is circuit_breaker"):
        registry.reconfigure("store", retry={"max_retries": 1})
    with pytest.raises(ConfigError, match="that this pipeline has once"):
        registry.reconfigure("store", Retry())


def test_limits_change_by_the_pipeline() -> None:
    """A limiter's rate and a bulkhead's size change by their names, for whoever comes next."""
    limiter, bulkhead = RateLimiter(burst=1), Bulkhead(max_concurrent=1)
    guard = Pipeline(limiter, bulkhead, clock=FakeClock())
    permit = bulkhead.enter()
    guard.reconfigure(rate_limiter={"burst": 3}, bulkhead={"max_concurrent": 2})
    assert guard.call(max, 1, 2) == 2
    bulkhead.leave(permit)
    assert (limiter.options.burst, bulkhead.options.max_concurrent) == (3, 2)


def test_a_gate_that_cannot_change() -> None:
    """A gate without ``reconfigure`` says so."""

    class Fixed:
        label = "fixed"
        attach = enter = leave = snapshot = print

    with pytest.raises(ConfigError, match="has no options that can be changed one by one"):
        Pipeline(Fixed()).reconfigure(fixed={"a": 1})


def test_a_line_does_not_appear_where_nobody_looks() -> None:
    """A pipeline whose gate lets nobody wait refuses options under which callers would have to."""

    class Line(Stubborn):
        label = "line"

    line = Line()
    line.options = Bulkhead(max_waiting=0).options  # type: ignore[assignment]
    guard = Pipeline(line)
    with pytest.raises(ConfigError, match="make another pipeline"):
        guard.reconfigure(line={"max_waiting": 1})
    guard.reconfigure(line={"max_concurrent": 3})
    assert line.options.max_concurrent == 3  # type: ignore[attr-defined]


def test_a_hedge_keeps_its_latencies() -> None:
    """Other options leave the measured latencies of a hedge alone, but for another window."""
    hedge = Hedge(min_samples=1)
    hedge.ended(5)
    hedge.reconfigure(HedgeOptions(min_samples=1, max_hedges=2))
    assert hedge.snapshot().samples == 1
    hedge.reconfigure(HedgeOptions(min_samples=1, window=10))
    assert hedge.snapshot().samples == 0
    with pytest.raises(ConfigError, match="must be HedgeOptions"):
        hedge.reconfigure(5)  # type: ignore[arg-type]


def test_changes_from_many_threads() -> None:
    """Threads that change different options of one pipeline at once all have their way."""
    breaker = CircuitBreaker()
    guard = Pipeline(Retry(), breaker, Timeout(seconds=9))
    barrier = threading.Barrier(4)
    wanted: list[dict[str, Any]] = [
        {"retry": {"max_retries": 1}},
        {"timeout": {"seconds": 2}},
        {"circuit_breaker": {"failure_threshold": 7}},
        {"circuit_breaker": {"recovery_timeout": 8}},
    ]

    def work(changes: dict[str, Any]) -> None:
        barrier.wait()
        guard.reconfigure(**changes)

    threads = [threading.Thread(target=work, args=(each,)) for each in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guard.policies == (Retry(max_retries=1), breaker, Timeout(seconds=2))
    assert (breaker.options.failure_threshold, breaker.options.recovery_timeout) == (7, 8)


def test_a_listener_may_use_the_pipeline_that_changes() -> None:
    """What a change makes a breaker tell is heard outside the locks that calls take."""
    events, heard = Events(), []
    breaker = CircuitBreaker()
    guard = Pipeline(Retry(), breaker, events=events)

    def listen(_: BreakerTransition) -> None:
        guard.reconfigure(retry={"max_retries": 1})
        with pytest.raises(CircuitOpenError):
            guard.call(max, 1, 2)
        heard.append(guard.describe().max_calls)

    events.listen(listen, BreakerTransition)
    breaker.leave(breaker.enter(), LOST)
    guard.reconfigure(circuit_breaker={"failure_threshold": 1})
    assert heard == [2]


# --- a breaker with other options -------------------------------------------------------------------------------------


def test_a_breaker_keeps_what_it_counted() -> None:
    """Counts stay where they mean the same, and a breaker opens at once when they are too many by the new options."""
    events = Events()
    recorder = EventRecorder(events)
    breaker = CircuitBreaker(clock=FakeClock(), events=events)
    for _ in range(3):
        breaker.leave(breaker.enter(), LOST)
    breaker.reconfigure(failure_threshold=4)
    assert breaker.snapshot().failures == 3
    breaker.reconfigure(failure_threshold=3)
    assert breaker.state is BreakerState.OPEN
    assert [event.reason for event in recorder.of(BreakerTransition)] == ["failures"]


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({"window": "count"}, {"failure_rate": 0.9}, True),
        ({"window": "count"}, {"window_calls": 50}, False),
        ({"window": "time"}, {"minimum_calls": 30}, True),
        ({"window": "time"}, {"window_seconds": 5.0}, False),
        ({"window": "time"}, {"slow_call_duration": 1.0}, False),
        ({"window": "time"}, {"window": "count"}, False),
        ({"window": "consecutive"}, {"window": "count"}, False),
    ],
)
def test_what_means_something_else_is_counted_anew(before: dict[str, Any], after: dict[str, Any], kept: bool) -> None:
    """Another window, extent or measure of slowness begins to count anew; other thresholds do not."""
    breaker = CircuitBreaker(clock=FakeClock(), **before)
    breaker.leave(breaker.enter(), LOST)
    breaker.reconfigure(**after)
    assert breaker.snapshot().failures == (1 if kept else 0)


@pytest.mark.parametrize("window", ["count", "time"])
def test_a_rate_that_is_too_high_by_new_options_opens(window: Any) -> None:
    """A lower rate opens a breaker whose window is above it already."""
    breaker = CircuitBreaker(clock=FakeClock(), window=window, minimum_calls=4)
    for fault in (LOST, None, None, None):
        breaker.leave(breaker.enter(), fault)
    breaker.reconfigure(failure_rate=0.25)
    assert breaker.state is BreakerState.OPEN


def test_a_call_that_began_before_durations_mattered_is_not_slow() -> None:
    """A permit from before ``slow_call_duration`` was set counts, and never as slow."""
    clock = FakeClock(start_ns=1000 * S)
    breaker = CircuitBreaker(clock=clock, window="count", minimum_calls=1)
    old = breaker.enter()
    breaker.reconfigure(slow_call_duration=1.0)
    breaker.leave(old)
    assert breaker.snapshot().slow_calls == 0
    assert breaker.snapshot().calls == 1
    slow = breaker.enter()
    clock.advance(1)
    breaker.leave(slow)
    assert breaker.state is BreakerState.OPEN


def test_shadow_is_switched_while_it_works() -> None:
    """An open shadow breaker refuses from the moment in which it is one no more, and the other way round."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, failure_threshold=1, shadow=True)
    guard = Pipeline(breaker, clock=clock)
    breaker.leave(breaker.enter(), LOST)
    assert guard.call(max, 1, 2) == 2
    guard.reconfigure(circuit_breaker={"shadow": False})
    with pytest.raises(CircuitOpenError):
        guard.call(max, 1, 2)
    guard.reconfigure(circuit_breaker={"shadow": True})
    assert guard.call(max, 1, 2) == 2


def test_probes_under_way_survive_other_options() -> None:
    """A probe keeps its place and its generation, and later ones have the new limits."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, failure_threshold=1, recovery_timeout=1)
    breaker.leave(breaker.enter(), LOST)
    clock.advance(1)
    probe = breaker.enter()
    breaker.reconfigure(half_open_max_calls=2, success_threshold=1, probe_lease=5)
    assert breaker.snapshot().probes == 1
    breaker.enter()
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    breaker.leave(probe)
    assert breaker.state is BreakerState.CLOSED


def test_a_ramp_ends_when_it_has_no_length_any_more() -> None:
    """Without ``ramp_seconds`` a breaker that lets a share of the calls in lets all in."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, failure_threshold=1, recovery_timeout=1, success_threshold=1, ramp_seconds=10)
    breaker.leave(breaker.enter(), LOST)
    clock.advance(1)
    breaker.leave(breaker.enter())
    assert breaker.snapshot().admitted_share == pytest.approx(0.1)
    breaker.reconfigure(ramp_start=0.5)
    assert breaker.snapshot().admitted_share == pytest.approx(0.5)
    breaker.reconfigure(ramp_seconds=0)
    for _ in range(10):
        breaker.leave(breaker.enter())


def test_options_of_a_breaker_that_are_refused() -> None:
    """What is no option, or out of its range, changes nothing."""
    breaker = CircuitBreaker()
    for changes in ({"failure_threshold": 0}, {"nope": 1}):
        with pytest.raises(ConfigError):
            breaker.reconfigure(**changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be BreakerOptions"):
        breaker.reconfigure(3)  # type: ignore[arg-type]
    assert breaker.options == BreakerOptions()


@pytest.mark.parametrize("window", ["consecutive", "time"])
def test_a_breaker_begins_anew_by_another_clock(window: Any) -> None:
    """What a breaker counted by one clock does not hold by that of the pipeline that it becomes part of."""
    options: dict[str, Any] = {"minimum_calls": 1} if window == "time" else {"failure_threshold": 1}
    breaker = CircuitBreaker(window=window, **options)
    breaker.leave(breaker.enter(), LOST)
    assert breaker.state is BreakerState.OPEN
    guard = Pipeline(breaker, clock=FakeClock())
    assert guard.call(max, 1, 2) == 2
    snapshot = breaker.snapshot()
    assert (snapshot.openings, snapshot.open_seconds, snapshot.last_failure_at) == (0, 0, None)


def test_counts_of_another_clock_are_forgotten() -> None:
    """A failure that was timed by another clock is forgotten, and does not stay in the window for ever."""
    breaker = CircuitBreaker(window="time", minimum_calls=2)
    breaker.leave(breaker.enter(), LOST)
    Pipeline(breaker, clock=FakeClock())
    assert breaker.snapshot().calls == 0
    breaker.leave(breaker.enter(), LOST)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("how", ["force_open", "isolate"])
def test_what_is_held_open_stays_so_by_another_clock(how: str) -> None:
    """An operator's hold outlives the change of clocks, and its outage begins with it."""
    breaker = CircuitBreaker()
    getattr(breaker, how)()
    guard = Pipeline(breaker, clock=FakeClock())
    with pytest.raises(CircuitOpenError):
        guard.call(max, 1, 2)
    snapshot = breaker.snapshot()
    assert (snapshot.open_seconds, snapshot.isolated, snapshot.openings) == (0, how == "isolate", how == "force_open")


def test_a_refusal_is_not_renamed_by_a_reset() -> None:
    """Who has read that a breaker is shut gets the error of the open breaker, whatever happens meanwhile."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, name="x", failure_threshold=1)
    breaker.leave(breaker.enter(), LOST)
    shown = breaker._shortcut
    assert shown.shut_until_ns  # a thread has read this, and is interrupted here
    breaker.reset()
    assert str(shown.refusal(clock.now_ns())) == (
        "x keeps failing and is not called: its circuit breaker is open; it lets a probe through in 15.0 s."
    )


# --- what our own refusals mean ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RejectedError("no"), FaultKind.OVERLOADED),
        (CircuitOpenError("open"), FaultKind.OVERLOADED),
        (RateLimitedError("slow", retry_after=3.0), FaultKind.THROTTLED),
        (QuotaExhaustedError("none left"), FaultKind.QUOTA),
    ],
)
def test_a_refusal_of_ours_says_nothing_of_the_dependency(error: RejectedError, kind: FaultKind) -> None:
    """A rate limit of ours is throttled, a quota is quota, and no breaker counts them, even if it expects them."""
    wrapper = RuntimeError("wrapped")
    wrapper.__cause__ = error
    for each in (error, wrapper):
        fault = classify(each)
        assert (fault.kind, fault.transient, fault.weight, fault.safe_to_replay) == (kind, False, 0.0, True)
        assert fault.retry_after == error.retry_after
    breaker = CircuitBreaker(failure_threshold=1, expected=set(FaultKind))
    breaker.leave(breaker.enter(), classify(error))
    assert breaker.snapshot().failures == 0


def test_a_call_that_was_not_made_is_no_evidence() -> None:
    """A breaker counts nothing for a permit whose call was never made."""
    breaker = CircuitBreaker(failure_threshold=0.5)
    late = Fault(kind=FaultKind.TIMEOUT, transient=False, weight=0.5, cause=DeadlineExceededError(), made=False)
    breaker.leave(breaker.enter(), late)
    assert breaker.snapshot().failures == 0


# --- a race that cannot hang ------------------------------------------------------------------------------------------


class Copies:
    """An async function that counts those of its calls that run."""

    def __init__(self, clock: FakeClock, *, fails: bool = False) -> None:
        self.clock, self.fails = clock, fails
        self.running = 0

    async def __call__(self) -> int:
        self.running += 1
        try:
            await self.clock.asleep_ns(10 * S)
            if self.fails:
                raise LostError
            return 1
        finally:
            self.running -= 1


class BadListenerError(BaseException):
    """Nothing that a hub holds back."""


async def test_a_classification_that_fails_ends_the_race() -> None:
    """What ``classify`` raises reaches the caller, and every other copy is cancelled."""
    clock = FakeClock()
    made = []

    async def work() -> None:
        made.append(1)
        if len(made) == 1:
            await clock.asleep_ns(100 * S)
        raise LostError

    def bad(_: BaseException) -> Fault:
        raise ZeroDivisionError("classify")

    hedge = Hedge(delay=1, max_hedges=2, max_share=None, classify=bad, clock=clock)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(hedge.call(work), 5)
    await asyncio.sleep(0)
    assert (len(made), hedge.snapshot().strays) == (2, 0)


async def test_a_classification_that_raises_stop_iteration() -> None:
    """A StopIteration, which no future can carry, is a RuntimeError with that cause."""
    clock = FakeClock()

    def bad(_: BaseException) -> Fault:
        raise StopIteration

    hedge = Hedge(delay=1, classify=bad, clock=clock)
    with pytest.raises(RuntimeError) as raised:
        await asyncio.wait_for(hedge.call(Copies(clock, fails=True)), 5)
    assert isinstance(raised.value.__cause__, StopIteration)


@pytest.mark.parametrize("what", ["listener", "budget"])
async def test_what_a_timer_of_a_race_raises(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a listener or a budget raises when a hedge is due reaches the caller, and every copy is cancelled."""
    clock, events = FakeClock(), Events()
    copies = Copies(clock)
    budget = RetryBudget(clock=clock)

    def bad(*_: object) -> Any:
        raise BadListenerError

    if what == "listener":
        events.listen(bad, HedgeStarted)
    else:
        monkeypatch.setattr(budget, "try_spend", bad)
    hedge = Hedge(delay=1, max_share=None, budget=budget, clock=clock, events=events)
    with pytest.raises(BadListenerError):
        await asyncio.wait_for(hedge.call(copies), 5)
    await asyncio.sleep(0)
    assert copies.running == 0


async def test_a_listener_of_the_winner_leaves_no_loser() -> None:
    """Losers are cancelled before anybody hears who won."""
    clock, events = FakeClock(), Events()
    made = []

    async def work() -> int:
        made.append(1)
        if len(made) == 1:
            await clock.asleep_ns(100 * S)
        return 1

    def bad(_: object) -> None:
        raise BadListenerError

    hedge = Hedge(delay=1, max_share=None, clock=clock, events=events)
    events.listen(bad, HedgeWon)
    with pytest.raises(BadListenerError):
        await asyncio.wait_for(hedge.call(work), 5)
    await asyncio.sleep(0)
    assert hedge.snapshot().strays == 0


async def test_a_callback_that_fails_after_the_end() -> None:
    """A classification that cancels the caller and then fails leaves the caller cancelled."""
    clock = FakeClock()

    def bad(_: BaseException) -> Fault:
        task.cancel()
        raise ZeroDivisionError

    hedge = Hedge(delay=1, classify=bad, clock=clock)
    task = asyncio.create_task(hedge.call(Copies(clock, fails=True)))
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_the_winner_does_not_wait_for_a_loser_that_stays() -> None:
    """A loser that swallows its cancellation and goes on is left behind, and counted."""
    clock, go = FakeClock(), asyncio.Event()
    made = []

    async def work() -> int:
        made.append(1)
        if len(made) > 1:
            return 2
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return 1

    hedge = Hedge(delay=0, max_share=None, clock=clock)
    assert await asyncio.wait_for(Race(hedge, work).run(), 5) == 2
    assert hedge.snapshot().strays == 1
    go.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert hedge.snapshot().strays == 0


# --- single flight and closed loops -----------------------------------------------------------------------------------


class Hanging:
    """Loops that are closed while a call hangs in them."""

    def __init__(self, single: SingleFlight) -> None:
        self.single = single
        self.calls = 0

    async def work(self, name: str) -> str:
        self.calls += 1
        if name.startswith("hang"):
            await asyncio.get_running_loop().create_future()
        return name

    def leave_hanging(self, name: str) -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # asyncio complains of each task that it loses
        tasks = [loop.create_task(self.single.call(self.work, name)) for _ in range(2)]
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        assert not any(task.done() for task in tasks)
        loop.close()


def test_flights_of_closed_loops_are_forgotten() -> None:
    """A flight whose loop is closed is joined by nobody, fills no place, and does not live on."""
    single = SingleFlight(max_flights=1)
    hanging = Hanging(single)
    hanging.leave_hanging("hang")
    assert hanging.calls == 1
    assert asyncio.run(single.call(hanging.work, "a")) == "a"  # there is a place again
    assert single.snapshot().unshared == 0
    hanging.leave_hanging("hang")  # the same call again: made anew
    assert hanging.calls == 3
    assert single.snapshot().flights == 0
    assert not single._async
    gc.collect()
    assert single.call(max, 5, 6) == 6


def test_work_that_was_being_cancelled_in_a_closed_loop() -> None:
    """Work that ignored its cancellation until its loop was closed is let go, too."""
    single = SingleFlight()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def stays() -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if loop.is_closed():
                    raise

    async def begin() -> None:
        caller = asyncio.create_task(single.call(stays))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        await asyncio.sleep(0)

    loop.run_until_complete(begin())
    assert len(single._ending) == 1
    loop.close()
    assert asyncio.run(single.call(asyncio.sleep, 0, 7)) == 7
    assert not single._ending
    gc.collect()


def test_another_loop_meanwhile() -> None:
    """A caller in another thread's loop makes the call by itself while the first one is under way."""
    single, made = SingleFlight(), []
    begun, go = threading.Event(), threading.Event()

    async def work() -> int:
        made.append(threading.get_ident())
        begun.set()
        await asyncio.to_thread(go.wait, 10)
        return len(made)

    thread = threading.Thread(target=lambda: asyncio.run(single.call(work)))
    thread.start()
    assert begun.wait(10)

    async def other() -> int:
        go.set()
        return await single.call(work)

    assert asyncio.run(other()) >= 1
    thread.join()
    assert len(set(made)) == 2
    assert single.snapshot().flights == 0


# --- the loop form ----------------------------------------------------------------------------------------------------

QUICK = Retry(max_retries=2, jitter="none")


async def test_leaving_an_async_loop_leaves_nothing_to_the_event_loop() -> None:
    """``return`` and ``break`` make no task and no finalizer for an async generator."""
    seen: list[object] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=seen.append)
    try:

        async def answer() -> int:
            async for attempt in QUICK.loop(clock=FakeClock()):
                with attempt:
                    return attempt.number
            raise AssertionError

        assert await answer() == 1
        async for attempt in QUICK.loop(clock=FakeClock()):
            with attempt:
                pass
            break
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert seen == []
    assert len(asyncio.all_tasks()) == 1


def test_leaving_a_loop_gives_the_next_attempts_charge_back() -> None:
    """A loop that is left after a failure that was let pass refunds the repetition, tells it, and keeps no error."""
    clock, events = FakeClock(), Events()
    budget = RetryBudget(clock=clock)
    recorder = EventRecorder(events)
    retry = Retry(jitter="none", budget=budget)
    for attempt in retry.loop(clock=clock, events=events):
        with attempt:
            raise ConnectionResetError
        break
    assert budget.snapshot().refunded["retry"] == 1
    assert [event.kind for event in recorder.of(CallFailed)] == ["cancelled"]


def works() -> None:
    for attempt in QUICK.loop(clock=FakeClock()):
        with attempt:
            if attempt.number == 1:
                raise LostError


def fails() -> None:
    try:
        for attempt in QUICK.loop(clock=FakeClock()):
            with attempt:
                raise LostError
    except RetriesExhaustedError:
        pass


def is_left() -> None:
    for attempt in QUICK.loop(clock=FakeClock()):
        with attempt:
            raise LostError
        break


def works_async() -> None:
    async def work() -> None:
        async for attempt in Retry():
            with attempt:
                break

    with contextlib.suppress(StopIteration):  # no event loop, which would leave garbage of its own
        work().send(None)


@pytest.mark.parametrize("loop", [works, fails, is_left, works_async])
def test_loops_leave_no_garbage(loop: Callable[[], None], no_collector: None) -> None:
    """No loop leaves anything for the collector: neither one that works, nor one that fails, nor one that is left."""
    loop()
    gc.collect()
    loop()
    assert gc.collect() == 0


def test_loops_are_iterators() -> None:
    """What iterating a loop gives can be iterated itself, and goes on where it is."""
    attempts = iter(Retry())
    assert iter(attempts) is attempts
    later = aiter(Retry())
    assert aiter(later) is later


async def test_a_deadline_between_the_attempts_of_a_loop() -> None:
    """A deadline that passes in the wait ends the loop, gives the charge back, and nothing is charged twice."""
    clock = FakeClock()
    budget = RetryBudget(clock=clock)
    retry = Retry(jitter="none", budget=budget)
    made = []
    with deadline_scope(1.5, clock=clock), pytest.raises(DeadlineExceededError):  # noqa: PT012
        async for attempt in retry.loop(clock=clock):
            with attempt:
                made.append(1)
                clock.advance_ns(S // 2 - 1)
                raise LostError
            clock.advance(1)
    assert made == [1]
    assert budget.snapshot().refunded["retry"] == 1


@pytest.mark.parametrize("door", [{"clock": 5}, {"clock": None}, {"rng": 5}, {"events": 5}, {"name": 5}])
def test_doors_of_a_loop(door: dict[str, Any]) -> None:
    """What is no clock, no source of chance, no hub or no name is refused when the loop is made."""
    with pytest.raises(ConfigError) as refused:
        Retry().loop(**door)
    assert refused.value.field in door
