"""Single flight: one execution for identical calls, whoever comes and goes."""

import asyncio
import contextvars
import functools
import gc
import inspect
import random
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast.core.deadline import deadline_ns, deadline_scope
from holdfast.core.events import Events, FlightsFull, FlightShared
from holdfast.core.policy import Site
from holdfast.core.single_flight import SingleFlight
from holdfast.errors import ConfigError, DeadlineExceededError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

S = 10**9


class LostError(ConnectionResetError):
    """Can be weakly referenced, as the built-in cannot."""


class Work:
    """Counts its executions; each waits for the gate, and gives its number or raises."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.ended = 0
        self.cancelled = 0
        self.error: BaseException | None = None

    async def __call__(self, key: str = "a", *, extra: int = 0) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        if self.error is not None:
            raise self.error
        return number


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def started(*calls: Any) -> list["asyncio.Task[Any]"]:
    tasks = [asyncio.ensure_future(each) for each in calls]
    await settle()
    return tasks


# --- sharing ----------------------------------------------------------------------------------------------------------


async def test_identical_calls_are_made_once() -> None:
    """A hundred callers of the same thing at the same time share one execution."""
    flight, work = SingleFlight(), Work()
    tasks = await started(*(flight.call(work, "a") for _ in range(100)))
    state = flight.snapshot()
    assert (state.executions, state.shared, state.flights, state.waiting) == (1, 99, 1, 100)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 100
    assert work.begun == 1
    state = flight.snapshot()
    assert (state.flights, state.waiting) == (0, 0)


async def test_different_calls_are_not_shared() -> None:
    """Another argument, another function or a later time makes another call."""
    flight, work, other = SingleFlight(), Work(), Work()
    for each in (work, other):
        each.gate.set()
    await asyncio.gather(flight.call(work, "a"), flight.call(work, "b"), flight.call(work, extra=1), flight.call(other))
    assert (work.begun, other.begun) == (3, 1)
    await flight.call(work, "a")
    assert work.begun == 4


async def test_a_key_of_ones_own() -> None:
    """``key`` decides which arguments count."""
    flight, work = SingleFlight(key=lambda key, **_: key), Work()
    tasks = await started(flight.call(work, "a", extra=1), flight.call(work, "a", extra=2), flight.call(work, "b"))
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1, 1, 2]


async def test_do_shares_by_the_key_alone() -> None:
    """With ``do`` calls of different functions are the same when their key is."""
    flight, work = SingleFlight(), Work()
    tasks = await started(flight.do("k", work, "a"), flight.do("k", functools.partial(work, "b")))
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1, 1]
    assert flight.do("k", lambda: 7) == 7


def test_the_bound_counts_both_forms() -> None:
    """Sync flights count against ``max_flights`` like async ones: the fourth call, inside three others, is unshared."""
    flight = SingleFlight(max_flights=3)

    def nest(depth: int) -> int:
        if depth:
            return flight.call(nest, depth - 1)
        state = flight.snapshot()
        assert (state.executions, state.unshared, state.flights) == (3, 1, 3)
        return 7

    async def main() -> int:
        return flight.call(nest, 2)

    assert asyncio.run(flight.call(main)) == 7


async def test_as_a_decorator() -> None:
    """Decorated functions of both forms keep their names, and share their calls."""
    flight = SingleFlight()
    gate = asyncio.Event()
    calls = []

    @flight
    async def ask(question: str) -> str:
        calls.append(question)
        await gate.wait()
        return question

    @flight
    def plain(question: str) -> str:
        return question * 2

    assert (ask.__name__, plain.__name__, plain("a")) == ("ask", "plain", "aa")
    assert asyncio.iscoroutinefunction(ask)
    tasks = await started(ask("a"), ask("a"))
    gate.set()
    assert await asyncio.gather(*tasks) == ["a", "a"]
    assert calls == ["a"]


async def test_callers_are_woken_in_the_order_of_their_coming() -> None:
    """Nobody overtakes an earlier caller."""
    flight, work = SingleFlight(), Work()
    order: list[int] = []

    async def caller(number: int) -> None:
        await flight.call(work)
        order.append(number)

    tasks = await started(*(caller(number) for number in range(5)))
    work.gate.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_it_is_bounded_and_says_so() -> None:
    """Above ``max_flights`` different calls each is made by itself; identical ones still join."""
    events = Events()
    heard = EventRecorder(events)
    flight, work = SingleFlight(max_flights=1, events=events, name="model:x"), Work()
    tasks = await started(
        flight.call(work, "a"), flight.call(work, "b"), flight.call(work, "b"), flight.call(work, "a")
    )
    work.gate.set()
    first, *others, last = await asyncio.gather(*tasks)
    assert first == last
    assert len({first, *others}) == 3
    assert flight.snapshot().unshared == 2
    assert [event.flights for event in heard.of(FlightsFull)] == [1, 1]
    (shared,) = heard.of(FlightShared)
    assert (shared.waiting, shared.dependency, shared.policy) == (2, "model:x", "single_flight")
    full = SingleFlight(max_flights=1)
    work.gate.clear()
    tasks = await started(full.call(work, "a"))
    assert full.call(len, "abc") == 3
    work.gate.set()
    await asyncio.gather(*tasks)


# --- cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_one_caller_that_leaves_takes_nothing_from_the_others(leaver: int) -> None:
    """Whoever is cancelled, the first one included, the work goes on for those who wait."""
    flight, work = SingleFlight(), Work()
    tasks = await started(*(flight.call(work) for _ in range(3)))
    tasks[leaver].cancel()
    await settle()
    assert tasks[leaver].cancelled()
    assert flight.snapshot().waiting == 2
    work.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each for each in results if each == 1] == [1, 1]
    assert (work.begun, work.cancelled) == (1, 0)


async def test_those_who_left_are_not_kept() -> None:
    """However many callers leave a long call, it holds on to those only who wait."""
    flight, work = SingleFlight(), Work()
    tasks = await started(*(flight.call(work) for _ in range(10)))
    for task in tasks[1:]:
        task.cancel()
    await settle()
    (under_way,) = flight._async.values()
    assert len(under_way.waiters) == 1
    work.gate.set()
    assert await tasks[0] == 1


async def test_when_nobody_waits_the_work_is_cancelled() -> None:
    """The last caller to leave takes the work along; the next call begins anew."""
    flight, work = SingleFlight(), Work()
    tasks = await started(flight.call(work), flight.call(work))
    for task in tasks:
        task.cancel()
    await settle()
    assert (work.cancelled, flight.snapshot().flights, len(flight._ending)) == (1, 0, 0)
    tasks = await started(flight.call(work))
    work.gate.set()
    assert await tasks[0] == 2


async def test_work_that_ignores_its_cancellation_holds_nobody() -> None:
    """The caller leaves at once, a new call does not join what is ending, and its late outcome is dropped."""
    flight = SingleFlight()
    release = asyncio.Event()
    calls = 0

    async def stubborn() -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            return calls
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise LostError("late")

    (task,) = await started(flight.call(stubborn))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await flight.call(stubborn) == 2
    assert len(flight._ending) == 1
    release.set()
    await settle()
    assert len(flight._ending) == 0
    gc.collect()  # nothing complains of an error that nobody saw


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("who", [0, 1])
async def test_cancelling_in_any_turn(turns: int, who: int) -> None:
    """Whenever one caller is cancelled, the other has the result, and nothing is left."""
    flight = SingleFlight()

    async def quick() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    tasks = [asyncio.ensure_future(flight.call(quick)) for _ in range(2)]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[who].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1 - who] == "done"
    assert outcomes[who] == "done" or isinstance(outcomes[who], asyncio.CancelledError)
    await settle()
    assert (flight.snapshot().flights, len(asyncio.all_tasks())) == (0, 1)


async def test_work_that_cancels_itself() -> None:
    """Every caller sees the cancellation that the work ended with."""
    flight, work = SingleFlight(), Work()
    work.error = asyncio.CancelledError()
    tasks = await started(flight.call(work), flight.call(work))
    work.gate.set()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, asyncio.CancelledError)


async def test_a_caller_cancelled_as_the_work_ends() -> None:
    """A caller that is cancelled in the very turn in which the work ended leaves without a trace."""
    flight, work = SingleFlight(), Work()
    tasks = await started(flight.call(work))
    work.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert flight.snapshot().flights == 0
    assert work.cancelled == 0


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("later", range(3))
async def test_a_caller_that_comes_as_the_last_one_leaves(turns: int, later: int) -> None:
    """It joins what ended in time, or begins anew; no flight is ever started twice."""
    flight = SingleFlight()
    runs = 0

    async def quick() -> str:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    first = asyncio.ensure_future(flight.call(quick))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    for _ in range(later):
        await asyncio.sleep(0)
    assert await flight.call(quick) == "done"
    await asyncio.gather(first, return_exceptions=True)
    await settle()
    state = flight.snapshot()
    assert (state.flights, len(asyncio.all_tasks())) == (0, 1)
    assert state.executions - 1 <= runs <= state.executions  # work that is cancelled before its first step does not run


# --- exceptions -------------------------------------------------------------------------------------------------------


async def test_exceptions_are_shared_as_copies() -> None:
    """The first caller gets the error itself, each other one a copy with the same traceback of the work."""
    flight, work = SingleFlight(), Work()
    work.error = LostError(104, "reset")
    tasks = await started(*(flight.call(work) for _ in range(3)))
    work.gate.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert errors[0] is work.error
    assert len({id(each) for each in errors}) == 3
    for error in errors:
        assert isinstance(error, LostError)
        assert error.args == (104, "reset")
        assert "__call__" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    errors[1].add_note("mine")
    assert not hasattr(errors[2], "__notes__")


async def test_tracebacks_do_not_grow() -> None:
    """The hundredth caller's traceback is as long as the second one's."""
    flight, work = SingleFlight(), Work()
    work.error = LostError("x")
    tasks = await started(*(flight.call(work) for _ in range(100)))
    work.gate.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    lengths = {len(traceback.extract_tb(error.__traceback__)) for error in errors[1:]}
    assert len(lengths) == 1


@pytest.mark.parametrize("callers", [1, 2])
async def test_errors_are_not_kept_alive(callers: int) -> None:
    """When the callers have dropped the error it is gone, without help from the garbage collector."""
    flight = SingleFlight()
    seen: list[Any] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LostError("gone")

    async def caller() -> None:
        try:
            await flight.call(fail)
        except LostError as error:
            seen.append(weakref.ref(error))

    gc.collect()
    gc.disable()
    try:
        await asyncio.gather(*(caller() for _ in range(callers)))
        await settle()
        assert [each() for each in seen] == [None] * callers
    finally:
        gc.enable()


# --- context and deadline ---------------------------------------------------------------------------------------------


async def test_each_waits_until_its_own_deadline() -> None:
    """A caller whose time is up leaves with its error; the work goes on for one who has time."""
    clock = FakeClock()
    flight, work = SingleFlight(clock=clock, name="model:x"), Work()

    async def caller(seconds: float) -> int:
        with deadline_scope(seconds, clock=clock):
            return await flight.call(work)

    tasks = await started(caller(1), caller(5))
    clock.advance(1)
    await settle()
    with pytest.raises(DeadlineExceededError, match=r"used up waiting for the call to model:x\."):
        await tasks[0]
    work.gate.set()
    assert await tasks[1] == 1
    tasks = await started(caller(1))
    assert await tasks[0] == 2
    assert all(timer.cancelled for timer in clock._entries)  # nothing is left behind to fire later


async def test_the_last_deadline_ends_the_work() -> None:
    """When every caller's time is up the work is cancelled."""
    clock = FakeClock()
    flight, work = SingleFlight(clock=clock), Work()
    with deadline_scope(1, clock=clock):
        tasks = await started(flight.call(work))
    clock.advance(1)
    await settle()
    with pytest.raises(DeadlineExceededError, match="to the dependency"):
        await tasks[0]
    await settle()
    assert work.cancelled == 1
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):
        await flight.call(work)
    assert work.begun == 1


async def test_the_work_has_the_first_callers_context_without_its_deadline() -> None:
    """Context variables are those of the first caller; its deadline is not everybody's."""
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="")
    flight = SingleFlight()

    async def look() -> tuple[str, int | None]:
        seen = var.get(), deadline_ns()
        var.set("changed")
        return seen

    async def caller(name: str) -> tuple[str, int | None]:
        var.set(name)
        with deadline_scope(60):
            return await flight.call(look)

    results = await asyncio.gather(caller("one"), caller("two"))
    assert list(results) == [("one", None), ("one", None)]
    assert var.get() == ""


async def test_a_call_inside_itself_is_refused() -> None:
    """Work that makes its own call again would wait for ever; it gets an error that says so."""
    flight = SingleFlight()

    async def outer() -> None:
        await asyncio.create_task(inner())

    async def inner() -> None:
        await flight.call(outer)

    def plain() -> None:
        flight.call(plain)

    with pytest.raises(ConfigError, match="would wait for itself: give that another key"):
        await flight.call(outer)
    with pytest.raises(ConfigError, match=r"[^t] makes the same call again from inside, and would wait for itself"):
        flight.call(plain)
    assert flight.snapshot().flights == 0


# --- sync -------------------------------------------------------------------------------------------------------------


class Crew:
    """Threads that all make the same call while the first of them is held inside the work."""

    def __init__(self, flight: SingleFlight, count: int, work: Callable[[int], Any]) -> None:
        self.flight = flight
        self.release = threading.Event()
        self.inside = threading.Semaphore(0)
        self.calls = 0
        self.outcomes: list[Any] = []
        self._work = work
        self._threads = [threading.Thread(target=self._caller) for _ in range(count)]

    def run(self) -> list[Any]:
        events = Events()
        joined = threading.Semaphore(0)
        events.listen(lambda _: joined.release(), FlightShared)
        self.flight._place._events = events
        self._threads[0].start()
        self.inside.acquire()
        for thread in self._threads[1:]:
            thread.start()
        for _ in self._threads[1:]:
            joined.acquire()
        self.release.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes

    def work(self) -> Any:
        self.calls += 1
        number = self.calls
        self.inside.release()
        self.release.wait()
        return self._work(number)

    def _caller(self) -> None:
        try:
            self.outcomes.append(self.flight.call(self.work))
        except BaseException as error:  # noqa: BLE001  it is what the test looks at
            self.outcomes.append(error)


def test_threads_share_one_execution() -> None:
    """Eight threads that make the same call at the same time make it once."""
    flight = SingleFlight()
    crew = Crew(flight, 8, lambda number: number)
    assert crew.run() == [1] * 8
    state = flight.snapshot()
    assert (state.executions, state.shared, state.flights, state.waiting) == (1, 7, 0, 0)


def test_threads_share_an_error_as_copies() -> None:
    """The thread that made the call gets the error itself, the others copies."""
    error = LostError(104, "reset")

    def fail(_: int) -> None:
        raise error

    outcomes = Crew(SingleFlight(), 4, fail).run()
    assert len({id(each) for each in outcomes}) == 4
    assert sum(each is error for each in outcomes) == 1
    assert {each.args for each in outcomes} == {(104, "reset")}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_first_thread_alone_is_not_shared(error: BaseException) -> None:
    """When the first caller is interrupted one of the others makes the call for the rest."""

    def work(number: int) -> int:
        if number == 1:
            raise error
        return number

    outcomes = Crew(SingleFlight(), 4, work).run()
    assert [each for each in outcomes if isinstance(each, BaseException)] == [error]
    assert all(each > 1 for each in outcomes if not isinstance(each, BaseException))


def test_the_first_threads_deadline_is_not_the_others() -> None:
    """A call that ran into the first caller's own deadline is made again for those who have time."""
    clock = FakeClock()
    flight = SingleFlight(clock=clock)
    release, inside = threading.Event(), threading.Event()
    outcomes: dict[str, Any] = {}

    def work() -> str:
        if deadline_ns() is None:
            return "in time"
        inside.set()
        release.wait()
        raise DeadlineExceededError("too late")

    def hurried() -> None:
        try:
            with deadline_scope(1, clock=clock):
                flight.call(work)
        except DeadlineExceededError as error:
            outcomes["hurried"] = error

    def patient() -> None:
        outcomes["patient"] = flight.call(work)

    events = Events()
    joined = threading.Event()
    events.listen(lambda _: joined.set(), FlightShared)
    flight._place._events = events
    first, second = threading.Thread(target=hurried), threading.Thread(target=patient)
    first.start()
    inside.wait()
    second.start()
    joined.wait()
    clock.advance(1)
    release.set()
    first.join()
    second.join()
    assert outcomes["patient"] == "in time"
    assert isinstance(outcomes["hurried"], DeadlineExceededError)


def test_a_deadline_error_of_something_else_is_shared() -> None:
    """A deadline inside the work that is not the caller's own is an ordinary error."""

    def fail(_: int) -> None:
        raise DeadlineExceededError("inner")

    crew = Crew(SingleFlight(), 2, fail)
    assert [str(each) for each in crew.run()] == ["inner", "inner"]
    assert crew.calls == 1


def test_another_error_after_the_deadline_is_shared() -> None:
    """A call that failed for a reason of its own is not made again, though the first caller's time was up by then."""
    clock = FakeClock()

    def fail(_: int) -> None:
        clock.advance(1)
        raise LostError("reset")

    with deadline_scope(1, clock=clock):
        context = contextvars.copy_context()
    crew = Crew(SingleFlight(clock=clock), 3, fail)
    crew._threads[0] = threading.Thread(target=context.run, args=(crew._caller,))
    assert [str(each) for each in crew.run()] == ["reset"] * 3
    assert crew.calls == 1


def test_a_call_leaves_no_trace_in_its_thread() -> None:
    """After a sync call the context of its caller is what it was."""
    flight = SingleFlight()

    def main() -> None:
        before = dict(contextvars.copy_context())
        assert flight.call(len, "abc") == 3
        assert dict(contextvars.copy_context()) == before

    contextvars.Context().run(main)


def test_a_threads_wait_ends_at_its_deadline() -> None:
    """A thread that waits for another's call leaves when its own time is up."""
    clock = FakeClock()
    flight = SingleFlight(clock=clock)
    release, inside = threading.Event(), threading.Event()

    def work() -> str:
        inside.set()
        release.wait()
        return "done"

    thread = threading.Thread(target=flight.call, args=(work,))
    thread.start()
    inside.wait()
    with deadline_scope(1e-6, clock=clock), pytest.raises(DeadlineExceededError):
        flight.call(work)
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):
        flight.call(work)
    assert flight.snapshot().waiting == 1
    release.set()
    thread.join()


def test_a_sync_error_is_not_kept_alive() -> None:
    """When the caller has dropped the error it is gone, without help from the garbage collector."""
    flight = SingleFlight()

    def fail() -> None:
        raise LostError("gone")

    seen = None
    gc.collect()
    gc.disable()
    try:
        try:
            flight.call(fail)
        except LostError as error:
            seen = weakref.ref(error)
        assert seen is not None
        assert seen() is None
    finally:
        gc.enable()


def test_event_loops_do_not_share() -> None:
    """Async calls are shared within one event loop; another thread's loop makes its own."""
    flight = SingleFlight()
    meet = threading.Barrier(2)
    results: list[int] = []

    async def work() -> int:
        meet.wait()  # both executions are inside at once
        await asyncio.sleep(0)
        return threading.get_ident()

    async def main() -> None:
        results.extend(await asyncio.gather(flight.call(work), flight.call(work)))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results.count(each) for each in set(results)) == [2, 2]
    assert flight.snapshot().flights == 0


def test_what_a_closed_loop_left_behind_is_in_nobodys_way() -> None:
    """Who comes after an event loop was closed under a flight has the work done anew, and the old one is forgotten."""
    flight = SingleFlight()

    async def hang() -> int:
        await asyncio.Event().wait()
        return 7  # pragma: no cover  it waits for ever

    async def start() -> None:
        flying.append(asyncio.create_task(flight.call(hang)))
        await asyncio.sleep(0)

    async def main() -> int:
        return await flight.call(answer)

    async def answer() -> int:
        return 42

    flying: list[asyncio.Task[int]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(start())
    loop.close()
    assert asyncio.run(main()) == 42
    snapshot = flight.snapshot()
    assert (snapshot.executions, snapshot.shared, snapshot.flights) == (2, 0, 0)


# --- what cannot be shared --------------------------------------------------------------------------------------------


async def test_streams_are_refused() -> None:
    """Generator functions, and functions that return a stream, get a sentence that says why."""
    flight = SingleFlight()

    async def astream() -> AsyncIterator[int]:
        yield 1

    def stream() -> Iterator[int]:
        yield 1

    async def opens() -> AsyncIterator[int]:
        return astream()

    async def coro() -> int:
        return 1

    for fn in (astream, stream):
        with pytest.raises(ConfigError, match="gives a stream: what one caller reads is gone for the others"):
            flight(fn)
    with pytest.raises(ConfigError, match="returned a stream"):
        await flight.call(opens)
    with pytest.raises(ConfigError, match="returned a stream"):
        flight.call(functools.partial(iter, "abc"))
    with pytest.raises(ConfigError, match="returned something to await"):
        flight.call(lambda: coro())  # type: ignore[unused-coroutine]  # noqa: PLW0108


def test_arguments_that_cannot_be_hashed() -> None:
    """They need a ``key``; the sentence says so."""
    with pytest.raises(ConfigError, match="give key="):
        SingleFlight().call(len, [1])


@pytest.mark.parametrize(("field", "options"), [("key", {"key": "a"}), ("max_flights", {"max_flights": 0})])
def test_options_out_of_range(field: str, options: dict[str, Any]) -> None:
    """Each option is checked, and the error names it."""
    with pytest.raises(ConfigError) as refused:
        SingleFlight(**options)
    assert refused.value.field == field


def test_the_default_bound() -> None:
    """Ten thousand different calls may be under way at once."""
    assert inspect.signature(SingleFlight).parameters["max_flights"].default == 10_000


def test_in_a_pipelines_place() -> None:
    """Attached, it takes over clock, events and name."""
    clock, events = FakeClock(), Events()
    flight = SingleFlight()
    flight.attach(Site(pipeline="p", dependency="d", clock=clock, rng=random.Random(0), events=events))
    assert (flight._place.clock, flight._place.name) == (clock, "d")
