"""The loop form: each loop counts by itself, in threads, tasks and nested loops."""

import asyncio
import threading

import pytest

from holdfast.core.deadline import deadline_scope
from holdfast.core.events import CallFailed, Events, RetryScheduled, RetrySucceeded
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.errors import ConfigError, DeadlineExceededError, RetriesExhaustedError, UnacceptableResultError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
QUICK = Retry(max_retries=2, jitter="none")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_loop_repeats_what_may_pass(clock: FakeClock) -> None:
    """The body runs again after a passing failure, with the waits of the policy, and stops when it works."""
    events = Events()
    recorder = EventRecorder(events)
    numbers = []
    for attempt in QUICK.loop(name="dep", clock=clock, events=events):
        with attempt:
            numbers.append(attempt.number)
            if attempt.number < 3:
                raise ConnectionResetError
    assert numbers == [1, 2, 3]
    assert clock.sleeps_ns == [S, 2 * S]
    assert len(recorder.of(RetryScheduled)) == 2
    assert recorder.of(RetrySucceeded)[0].attempts == 3


async def test_an_async_loop_waits_for_its_task(clock: FakeClock) -> None:
    """The async form is the same, and lets others run while it waits."""
    numbers = []
    async for attempt in QUICK.loop(clock=clock):
        with attempt:
            numbers.append(attempt.number)
            if attempt.number < 2:
                raise ConnectionResetError
    assert numbers == [1, 2]
    assert clock.sleeps_ns == [S]


async def test_no_delay_no_sleep() -> None:
    """Without a delay nothing sleeps, and the policy itself is iterable in both forms."""
    retry = Retry(initial_delay=0)
    for attempt in retry:
        with attempt:
            if attempt.number == 1:
                raise ConnectionResetError
    assert attempt.number == 2
    async for other in retry:
        with other:
            if other.number == 1:
                raise ConnectionResetError
    assert other.number == 2


def test_a_loop_gives_up_as_a_call_does(clock: FakeClock) -> None:
    """Exhausted retries, and errors that will not pass, leave the block."""
    with pytest.raises(RetriesExhaustedError) as raised:  # noqa: PT012
        for attempt in QUICK.loop(clock=clock):
            with attempt:
                raise ConnectionResetError
    assert raised.value.attempts == 3
    with pytest.raises(KeyError):  # noqa: PT012
        for attempt in QUICK.loop(clock=clock):
            with attempt:
                raise KeyError


async def test_one_policy_in_many_tasks(clock: FakeClock) -> None:
    """Five tasks that share one policy make three attempts each (tenacity: one or two)."""
    shared = QUICK.loop(clock=clock)

    async def work() -> int:
        made = 0
        try:
            async for attempt in shared:
                with attempt:
                    made += 1
                    await asyncio.sleep(0)
                    raise TimeoutError
        except RetriesExhaustedError:
            pass
        return made

    assert await asyncio.gather(*(work() for _ in range(5))) == [3] * 5


def test_one_policy_in_many_threads() -> None:
    """Threads that share one policy do not share their counts."""
    retry = Retry(max_retries=2, initial_delay=0)
    made: list[int] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        count = 0
        try:
            for attempt in retry:
                with attempt:
                    count += 1
                    raise TimeoutError
        except RetriesExhaustedError:
            made.append(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [3] * 4


def test_leaving_the_loop_is_a_success(clock: FakeClock) -> None:
    """``return`` and ``break`` inside the block end the loop."""

    def answer() -> int:
        for attempt in QUICK.loop(clock=clock):
            with attempt:
                return attempt.number
        raise AssertionError

    assert answer() == 1


def test_the_with_block_is_needed(clock: FakeClock) -> None:
    """A loop without ``with attempt:`` would never end, and is told so."""
    with pytest.raises(ConfigError, match="with attempt"):
        for _ in QUICK.loop(clock=clock):
            pass


def test_results_can_be_checked(clock: FakeClock) -> None:
    """``check`` applies ``on_result`` to what the body has; without it, it gives the result back."""
    retry = Retry(max_retries=1, jitter="none", on_result=lambda answer: not answer)
    got = ""
    for attempt in retry.loop(clock=clock):
        with attempt:
            got = attempt.check("" if attempt.number == 1 else "text")
    assert got == "text"
    with pytest.raises(RetriesExhaustedError) as raised:  # noqa: PT012
        for attempt in retry.loop(clock=clock):
            with attempt:
                attempt.check("")
    assert isinstance(raised.value.__cause__, UnacceptableResultError)
    assert raised.value.__cause__.result == ""
    for attempt in QUICK.loop(clock=clock):
        with attempt:
            assert attempt.check(0) == 0


def test_repetitions_that_were_made_are_charged(clock: FakeClock) -> None:
    """A loop is one request of its budget, and each repetition that began is spent, also when it fails."""
    budget = RetryBudget(clock=clock)
    with pytest.raises(RetriesExhaustedError):  # noqa: PT012
        for attempt in Retry(max_retries=2, jitter="none", budget=budget).loop(clock=clock):
            with attempt:
                raise ConnectionResetError
    assert (budget.snapshot().requests, budget.snapshot().spent) == (1, 2)


async def test_a_cancelled_wait_gives_the_charge_back(clock: FakeClock) -> None:
    """A task that is cancelled in the backoff is cancelled, tells it, and its repetition is refunded."""
    budget = RetryBudget(clock=clock)
    events = Events()
    recorder = EventRecorder(events)
    retry = Retry(jitter="none", budget=budget)

    async def work() -> None:
        async for attempt in retry.loop(clock=FakeClock(auto=False), events=events):
            with attempt:
                raise ConnectionResetError

    task = asyncio.create_task(work())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    snapshot = budget.snapshot()
    assert (snapshot.requests, snapshot.spent, snapshot.refunded["retry"]) == (1, 0, 1)
    assert [event.kind for event in recorder.of(CallFailed)] == ["cancelled"]


def test_no_attempt_after_the_deadline(clock: FakeClock) -> None:
    """With no time left the body does not run."""
    ran = []
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):  # noqa: PT012
        for attempt in QUICK.loop(clock=clock):
            with attempt:
                ran.append(1)
    assert ran == []


# --- how a loop ends --------------------------------------------------------------------------------------------------


def test_the_with_block_is_needed_each_time(clock: FakeClock) -> None:
    """A body that leaves its block out in a later attempt is told so, too."""
    with pytest.raises(ConfigError, match="attempt=2"):  # noqa: PT012
        for attempt in QUICK.loop(clock=clock):
            if attempt.number == 1:
                with attempt:
                    raise ConnectionResetError


def test_the_block_gives_the_attempt(clock: FakeClock) -> None:
    """``with attempt as same:`` is the attempt."""
    for attempt in QUICK.loop(clock=clock):
        with attempt as same:
            assert same is attempt


def test_a_loop_that_did_nothing_tells_nothing(clock: FakeClock) -> None:
    """An iterator that is dropped, or left before the block, made no call that could have failed."""
    events = Events()
    recorder = EventRecorder(events)
    loop = QUICK.loop(clock=clock, events=events)
    iter(loop)
    for _ in loop:
        break
    assert recorder.names == []


def test_a_loop_that_gives_up_tells_it_once(clock: FakeClock) -> None:
    """The call has failed when its loop has, and is over: its iterator gives nothing more."""
    events = Events()
    recorder = EventRecorder(events)
    attempts = iter(QUICK.loop(name="dep", clock=clock, events=events))
    with pytest.raises(RetriesExhaustedError):  # noqa: PT012
        for attempt in attempts:
            with attempt:
                raise ConnectionResetError
    assert next(attempts, None) is None
    del attempts
    (failed,) = recorder.of(CallFailed)
    assert (failed.attempts, failed.kind, failed.dependency) == (3, "connect", "dep")


class Interrupted(FakeClock):
    """Its sleep ends by what a signal's handler raises."""

    def sleep_ns(self, ns: int) -> None:
        raise TimeoutError("the alarm")


def test_a_wait_that_is_interrupted_ends_the_loop() -> None:
    """What a signal's handler raises in the wait reaches the caller as it is, and is not repeated."""
    clock, events = Interrupted(), Events()
    recorder = EventRecorder(events)
    budget = RetryBudget(clock=clock)
    attempts = iter(Retry(jitter="none", budget=budget).loop(clock=clock, events=events))
    with next(attempts):
        raise ConnectionResetError
    with pytest.raises(TimeoutError, match="the alarm"):
        next(attempts)
    assert next(attempts, None) is None
    assert budget.snapshot().refunded["retry"] == 1
    assert len(recorder.of(RetryScheduled)) == 1
    assert [event.kind for event in recorder.of(CallFailed)] == ["timeout"]


def test_a_repetition_that_works_stays_charged(clock: FakeClock) -> None:
    """What was charged for an attempt that began is spent, whether it works or the loop is left inside it."""
    budget = RetryBudget(clock=clock)
    retry = Retry(jitter="none", budget=budget)
    for attempt in retry.loop(clock=clock):
        with attempt:
            if attempt.number == 1:
                raise ConnectionResetError
    for attempt in retry.loop(clock=clock):
        with attempt:
            if attempt.number == 1:
                raise ConnectionResetError
            break
    assert (budget.snapshot().spent, budget.snapshot().refunded["retry"]) == (2, 0)


def test_a_loop_counts_when_it_begins(clock: FakeClock) -> None:
    """A loop is a request of its budget at the time at which it begins, however long nobody asked before."""
    loop = Retry(budget=(budget := RetryBudget(clock=clock))).loop(clock=clock)
    for pause in (1000, 0):
        for attempt in loop:
            with attempt:
                pass
        clock.advance(pause)
    assert budget.snapshot().requests == 1


def test_the_jitter_of_a_loop(clock: FakeClock) -> None:
    """It comes from the source that was given, and from the library's own without one."""
    for rng in (seeded_rng(3), None):
        for attempt in Retry(max_retries=1, jitter="full").loop(clock=clock, rng=rng):
            with attempt:
                if attempt.number == 1:
                    raise ConnectionResetError
    given, own = clock.sleeps_ns
    assert given == round(seeded_rng(3).random() * S)
    assert 0 <= own <= S
