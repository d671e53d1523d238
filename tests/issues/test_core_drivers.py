"""Defects of the drivers that a review found, each with what is true now."""

from __future__ import annotations

import asyncio
import gc
import os
import runpy
import threading
from contextlib import aclosing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import pytest

from holdfast.core import _afterwards
from holdfast.core._admission import Admission
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline, deadline_ns, deadline_scope, remaining_ns
from holdfast.core.events import (
    AttemptFailed,
    AttemptTimedOut,
    CallFailed,
    CallSucceeded,
    DeadlineExceeded,
    Event,
    Events,
    FallbackUsed,
    RetryScheduled,
)
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault, FaultKind, hand_back
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.policy import CallRef, Gate, GateStack, Reconfigurable, Site
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import (
    AttemptTimeoutError,
    BulkheadFullError,
    ConfigError,
    DeadlineExceededError,
    RateLimitedError,
    RetriesExhaustedError,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

S = 10**9
KINDS = ["sync", "async", "stream", "async stream"]


class Stop(BaseException):
    """Ends everything, as a KeyboardInterrupt does, and nothing but the test knows it."""


class Doorman:
    """A gate that remembers how each permit was left, under a lock of its own."""

    label = "doorman"

    def __init__(self, *, entering: BaseException | None = None, leaving: BaseException | None = None) -> None:
        self.entering, self.leaving = entering, leaving
        self.lock = threading.Lock()
        self.inside = 0
        self.faults: list[Fault | None] = []

    def attach(self, site: Site) -> None: ...

    def snapshot(self) -> None: ...

    def enter(self, call: CallRef | None = None) -> object:
        if self.entering is not None:
            raise self.entering
        with self.lock:
            self.inside += 1
        return self

    def leave(self, permit: object, fault: Fault | None = None, call: CallRef | None = None) -> None:
        assert permit is self
        with self.lock:
            self.inside -= 1
            self.faults.append(fault)
        if self.leaving is not None:
            raise self.leaving


class Waiting(Doorman):
    """One whose places have to be waited for; the wait takes ``seconds`` of the clock, whatever the deadline."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def ask(self, call: CallRef | None = None) -> Waiting:
        return self

    def wait(self) -> object:
        self.clock.advance(self.seconds)
        return self.enter()

    async def wait_async(self) -> object:
        return self.wait()


# --- streams and coroutines that nobody ends --------------------------------------------------------------------------


class Ring:
    """Holds something in a cycle, so that only the collector ends it."""

    def __init__(self, held: object) -> None:
        self.held, self.me = held, self


def in_time(work: Callable[[], object]) -> None:
    """Do ``work`` in a thread, which a deadlock would stop for ever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "a deadlock"
    assert _afterwards.drain()


def items() -> Iterator[int]:
    yield 1
    yield 2


async def async_items() -> AsyncIterator[int]:
    yield 1
    yield 2


class Suspension:
    """What a coroutine can wait for, for ever."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def hang(*_: object) -> Any:
    await Suspension()


async def first(stream: Any) -> object:
    return await anext(stream)


def test_a_stream_that_the_collector_ends_inside_a_gates_lock_waits_for_nothing() -> None:
    """The permit goes back, and the end is told, once the lock is free: by a thread of the library."""
    gate, events = Doorman(), Events()
    recorder = EventRecorder(events)
    told_in: list[int] = []
    events.listen(lambda _: told_in.append(threading.get_ident()), CallFailed)
    guard = Pipeline(gate, events=events)

    def work() -> None:
        stream = cast("Any", guard.call(items))
        assert next(stream) == 1
        Ring(stream)
        del stream
        with gate.lock:
            gc.collect()
            assert gate.inside == 1
        told_in.append(threading.get_ident())

    in_time(work)
    assert gate.inside == 0
    assert gate.faults[0] is not None
    assert (gate.faults[0].kind, gate.faults[0].made) == (FaultKind.CANCELLED, True)
    assert recorder.names == ["CallFailed"]
    assert len(set(told_in)) == 2


def test_a_stream_inside_another_that_the_collector_ends_waits_for_nothing() -> None:
    """A consumer that delegates to a guarded stream closes it by hand, while the collector runs."""
    gate = Doorman()
    guard = Pipeline(gate)

    def consumer() -> Iterator[int]:
        yield from guard.call(items)

    def work() -> None:
        stream = consumer()
        assert next(stream) == 1
        Ring(stream)
        del stream
        with gate.lock:
            gc.collect()

    in_time(work)
    assert gate.inside == 0


@pytest.mark.parametrize("gates", [1, 2, 3])
def test_a_coroutine_that_the_collector_ends_inside_a_gates_lock_waits_for_nothing(gates: int) -> None:
    """The same for a call that is never awaited to its end."""
    doormen = [Doorman() for _ in range(gates)]
    guard = Pipeline(Fallback(hang, kinds=[*FaultKind]), *doormen)

    def work() -> None:
        call = guard.call(hang)
        call.send(None)
        Ring(call)
        del call
        with doormen[0].lock:
            gc.collect()

    in_time(work)
    assert [each.inside for each in doormen] == [0] * gates


def test_a_wait_that_the_collector_ends_gives_back_what_was_entered() -> None:
    """Of several gates those that were entered are left later, when the collector ends the wait at the next."""
    gate = Doorman()

    class Never(Waiting):
        async def wait_async(self) -> object:
            return await hang()

    guard = Pipeline(gate, Never(FakeClock(), 0))

    def work() -> None:
        call = guard.call(hang)
        call.send(None)
        Ring(call)
        del call
        with gate.lock:
            gc.collect()

    in_time(work)
    assert gate.inside == 0
    assert gate.faults[0] is not None
    assert not gate.faults[0].made


class Admitting(Doorman):
    """A gate that is used alone."""

    def admitted(self, **_: object) -> object:
        return self.enter()

    async def admitted_async(self, **_: object) -> object:
        return self.enter()

    def first_item(self, permit: object) -> None: ...


@pytest.mark.parametrize("form", ["block", "call", "stream"])
def test_what_the_collector_ends_at_a_gate_alone_waits_for_nothing(form: str) -> None:
    """Without a pipeline, too: a generator inside of a block, a call, and a stream that no loop knows."""
    gate = Admitting()

    def block() -> Iterator[int]:
        with Admission(gate):
            yield 1

    def work() -> None:
        if form == "block":
            held: Any = block()
            next(held)
        elif form == "call":
            held = Admission(gate).call(hang)
            held.send(None)
        else:
            held = Admission(gate).call(async_items)
            with pytest.raises(StopIteration):
                held.asend(None).send(None)
        Ring(held)
        del held
        with gate.lock:
            gc.collect()
            assert gate.inside == 1

    in_time(work)
    assert gate.inside == 0


def test_a_reservation_that_the_collector_ends_waits_for_nothing() -> None:
    """A block around a reservation is left later, and as whatever ended it says."""
    limiter = RateLimiter(requests_per_minute=60, burst=1, clock=FakeClock())

    def block() -> Iterator[int]:
        with limiter.reserve():
            yield 1

    def work() -> None:
        held: Any = block()
        next(held)
        Ring(held)
        del held
        with limiter._lock:
            gc.collect()

    in_time(work)
    with pytest.raises(RateLimitedError):
        limiter.reserve()


def test_a_stream_that_its_consumer_leaves_is_settled_at_once() -> None:
    """Neither ``close`` nor the end of the last reference is put off."""
    gate = Doorman()
    guard = Pipeline(gate)
    stream = cast("Any", guard.call(items))
    next(stream)
    stream.close()
    assert gate.inside == 0
    for item in guard.call(items):
        assert (item, gate.inside) == (1, 1)
        break
    assert gate.inside == 0


@pytest.mark.parametrize("heard", [True, False])
def test_an_async_stream_whose_loop_is_gone_keeps_no_place(heard: bool) -> None:
    """A closed loop finalizes no async generator: the place is free again once the stream is collected."""
    gate, events = Doorman(), Events()
    recorder = EventRecorder(events, *[] if heard else [DeadlineExceeded])
    guard = Pipeline(gate, events=events)
    loop = asyncio.new_event_loop()
    stream = cast("Any", guard.call(async_items))
    assert loop.run_until_complete(first(stream)) == 1
    loop.close()
    assert gate.inside == 1
    del stream
    gc.collect()
    assert _afterwards.drain()
    assert gate.inside == 0
    assert recorder.names == ["CallFailed"] * heard


def test_an_async_stream_without_gates_that_is_lost_is_told() -> None:
    """Its call ends for those who listen, too."""
    events = Events()
    recorder = EventRecorder(events)
    loop = asyncio.new_event_loop()
    stream = cast("Any", Pipeline(events=events).call(async_items))
    loop.run_until_complete(first(stream))
    loop.close()
    del stream
    gc.collect()
    assert _afterwards.drain()
    assert recorder.names == ["CallFailed"]


def test_what_fails_afterwards_is_logged_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """The thread lives on, whatever it was given to do."""
    done: list[int] = []

    class Bounded(SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if self.empty():
                raise LookupError
            return super().get(block, timeout)

    work = Bounded()
    work.put(lambda: 1 / 0)
    work.put(lambda: done.append(1))
    with pytest.raises(LookupError):
        _afterwards._serve(work)
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_afterwards_a_forked_process_has_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left to do, and the thread that did it, stay with the parent; no thread at all is tried again."""
    state = _afterwards._State()
    monkeypatch.setattr(_afterwards, "_state", state)
    started: list[object] = []

    def refuse(*_: object) -> None:
        started.append(None)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_afterwards, "start_new_thread", refuse)
    assert not _afterwards.drain(0)
    assert not _afterwards.drain(0)
    assert (len(started), state.work.qsize()) == (2, 2)
    state.renew()
    assert state.work.qsize() == 0
    monkeypatch.undo()
    assert _afterwards.drain()


def test_afterwards_needs_no_processes_that_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has none, there is nothing to begin anew in."""
    monkeypatch.delattr(os, "register_at_fork")
    monkeypatch.setattr(gc, "callbacks", [])
    names = runpy.run_path(_afterwards.__file__)
    assert len(gc.callbacks) == 1
    assert not names["collecting"]()


# --- every way out is told once, and holds nothing --------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[], int]:
    """Something to do that raises ``error``."""

    def do() -> int:
        raise error

    return do


def seven() -> int:
    return 7


def lost() -> int:
    raise ConnectionResetError


def in_turn(*steps: Callable[[], int]) -> Callable[[], int]:
    """The first of ``steps`` at the first call, the second at the second."""
    left = iter(steps)

    def do() -> int:
        return next(left)()

    return do


def function(kind: str, do: Callable[[], int], then: Callable[[], int] | None = None) -> Callable[..., Any]:
    """A function of this kind that does ``do``; a stream does ``then`` after its first item."""

    def sync() -> int:
        return do()

    async def coroutine() -> int:
        return do()

    def stream() -> Iterator[int]:
        yield do()
        if then is not None:
            yield then()

    async def async_stream() -> AsyncIterator[int]:
        yield do()
        if then is not None:
            yield then()

    made: dict[str, Callable[..., Any]] = {
        "sync": sync,
        "async": coroutine,
        "stream": stream,
        "async stream": async_stream,
    }
    return made[kind]


async def result_of(kind: str, guard: Pipeline, fn: Callable[..., Any]) -> object:
    """What the call gives in the end, or the error that it ends with."""
    try:
        match kind:
            case "sync":
                return guard.call(fn)
            case "async":
                return await guard.call(fn)
            case "stream":
                return list(guard.call(fn))[-1]
            case _:
                return [item async for item in guard.call(fn)][-1]
    except BaseException as error:  # noqa: BLE001  whatever it is
        return error


class Restless(FakeClock):
    """A clock whose sleeps are interrupted."""

    def sleep_ns(self, ns: int) -> None:
        raise Stop(ns)

    async def asleep_ns(self, ns: int) -> None:
        raise Stop(ns)


@dataclass
class Way:
    """One way through a pipeline, and how it ends."""

    name: str
    end: object
    do: Callable[[], Callable[[], int]]
    policies: Callable[[str], list[Policy]] = lambda _: []
    interrupted: type[Event] | None = None
    clock: Callable[[], FakeClock] = FakeClock
    span: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


def fallback(*do: Callable[[], int]) -> Callable[[str], list[Policy]]:
    return lambda kind: [Fallback([function(kind, each) for each in do])]


RETRY = Retry(max_retries=1, jitter="none", initial_delay=1)

WAYS = [
    Way("success", 7, lambda: seven),
    Way("failure", ConnectionResetError, lambda: lost),
    Way("bug", KeyError, lambda: raising(KeyError()), lambda _: [RETRY]),
    Way("interrupted", Stop, lambda: raising(Stop()), lambda _: [RETRY]),
    Way("cancelled", asyncio.CancelledError, lambda: raising(asyncio.CancelledError()), lambda _: [RETRY]),
    Way("generator exit", GeneratorExit, lambda: raising(GeneratorExit()), lambda _: [RETRY]),
    Way("retried", 7, lambda: in_turn(lost, seven), lambda _: [RETRY]),
    Way("exhausted", RetriesExhaustedError, lambda: lost, lambda _: [RETRY]),
    Way("sleep interrupted", Stop, lambda: lost, lambda _: [RETRY], clock=Restless),
    Way("alternative", 7, lambda: lost, fallback(seven)),
    Way("second alternative", 7, lambda: lost, fallback(raising(KeyError()), seven)),
    Way(
        "alternative fails",
        ConnectionResetError,
        lambda: lost,
        fallback(raising(KeyError())),
    ),
    Way("alternative interrupted", Stop, lambda: lost, fallback(raising(Stop()))),
    Way("alternative exits", GeneratorExit, lambda: lost, fallback(raising(GeneratorExit()))),
    Way("refused", BulkheadFullError, lambda: seven, lambda _: [Doorman(entering=BulkheadFullError("full"))]),
    Way(
        "refused after a failure",
        BulkheadFullError,
        lambda: lost,
        lambda _: [Retry(max_retries=1, initial_delay=0), once()],
    ),
    Way(
        "refused, with an alternative",
        7,
        lambda: lost,
        lambda kind: [*fallback(seven)(kind), Doorman(entering=BulkheadFullError("full"))],
    ),
    Way("gate broken", ZeroDivisionError, lambda: seven, lambda _: [Doorman(entering=ZeroDivisionError())]),
    Way("leave broken", ZeroDivisionError, lambda: seven, lambda _: [Doorman(leaving=ZeroDivisionError())]),
    Way("leave stopped", Stop, lambda: seven, lambda _: [Doorman(leaving=Stop())]),
    Way(
        "leave broken over a failure",
        Stop,
        lambda: lost,
        lambda _: [RETRY, Doorman(leaving=Stop())],
    ),
    Way("deadline passed before", DeadlineExceededError, lambda: seven, span=0),
    Way("deadline passed in the line", DeadlineExceededError, lambda: seven, lambda _: [], span=1),
    Way(
        "no time for a retry",
        DeadlineExceededError,
        lambda: lost,
        lambda _: [RETRY],
        span=0.5,
    ),
    Way(
        "two layers",
        RetriesExhaustedError,
        lambda: lost,
        lambda _: [Doorman(), RETRY],
        options={"allow_order": True},
    ),
    Way("listener stops AttemptFailed", Stop, lambda: lost, interrupted=AttemptFailed),
    Way(
        "listener stops AttemptTimedOut",
        Stop,
        lambda: raising(AttemptTimeoutError()),
        lambda _: [Timeout(seconds=1)],
        interrupted=AttemptTimedOut,
    ),
    Way(
        "listener stops RetryScheduled",
        Stop,
        lambda: lost,
        lambda _: [RETRY],
        interrupted=RetryScheduled,
    ),
    Way(
        "listener stops FallbackUsed",
        Stop,
        lambda: lost,
        fallback(seven),
        interrupted=FallbackUsed,
    ),
    Way(
        "listener stops DeadlineExceeded",
        Stop,
        lambda: seven,
        lambda _: [Deadline(seconds=9)],
        interrupted=DeadlineExceeded,
        span=0,
    ),
]


def once() -> Doorman:
    """A gate that lets one call in, and no more."""

    class Once(Doorman):
        def leave(self, permit: object, fault: Fault | None = None, call: CallRef | None = None) -> None:
            super().leave(permit, fault, call)
            self.entering = BulkheadFullError("full")

    return Once()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_every_way_out_is_told_once_and_holds_nothing(way: Way, kind: str) -> None:
    """Whatever ends a call: one CallSucceeded or one CallFailed, no permit that is out, and no charge that is lost."""
    clock, events = way.clock(), Events()
    recorder = EventRecorder(events)

    def interrupt(_: object) -> None:
        raise Stop

    if way.interrupted is not None:
        events.listen(interrupt, way.interrupted)
    outer, inner = Doorman(), Doorman()
    policies = way.policies(kind)
    if way.name == "deadline passed in the line":
        policies = [Waiting(clock, 1)]
    gates = [each for each in policies if isinstance(each, Doorman)]
    timeouts = [each for each in policies if isinstance(each, Timeout)]
    others = [each for each in policies if each not in gates and each not in timeouts]
    stack: list[Policy] = [*others, outer, *gates, inner, *timeouts]
    if way.name == "two layers":
        stack = [outer, *policies, inner]
    guard = Pipeline(*stack, name="dep", clock=clock, events=events, rng=seeded_rng(0), **way.options)
    if way.span is None:
        end = await result_of(kind, guard, function(kind, way.do()))
    else:
        with deadline_scope(way.span, clock=clock):
            end = await result_of(kind, guard, function(kind, way.do()))
    if isinstance(way.end, type):
        assert isinstance(end, way.end), end
    else:
        assert end == way.end
    told = [each for each in recorder.events if isinstance(each, CallSucceeded | CallFailed)]
    assert len(told) == 1
    assert isinstance(told[0], CallFailed) is isinstance(end, BaseException)
    assert [each.inside for each in (outer, inner, *gates)] == [0] * (2 + len(gates))
    assert deadline_ns() is None
    with deadline_scope(1, clock=clock):  # and nothing is left behind by the deadline of the call
        assert remaining_ns(clock) == S


@pytest.mark.parametrize("kind", KINDS)
async def test_a_success_that_was_told_is_not_taken_back(kind: str) -> None:
    """When a listener stops everything over the success itself, no failure of the same call is told."""
    events, gate = Events(), Doorman()
    recorder = EventRecorder(events)

    def interrupt(_: object) -> None:
        raise Stop

    events.listen(interrupt, CallSucceeded)
    assert isinstance(await result_of(kind, Pipeline(gate, events=events), function(kind, seven)), Stop)
    assert recorder.names == ["CallSucceeded"]
    assert gate.inside == 0


STREAM_ENDS = ["close", "throw", "fail", "alternative closed", "alternative fails", "unclosable"]


@pytest.mark.parametrize("kind", ["stream", "async stream"])
@pytest.mark.parametrize("way", STREAM_ENDS)
async def test_every_end_of_a_stream_after_its_first_item_is_told_once(way: str, kind: str) -> None:
    """Closed, thrown into, failed or continued by an alternative: one CallFailed each, and no permit that is out."""
    gate, events = Doorman(), Events()
    recorder = EventRecorder(events)
    then = seven if way in {"close", "throw", "alternative closed"} else lost
    first, policies = seven, list[Policy]()
    if way.startswith("alternative"):
        policies = [Fallback(function(kind, seven, then))]
        first, then = lost, seven
    guard = Pipeline(*policies, gate, events=events)

    def unclosable() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError

    async def async_unclosable() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise OSError

    fn = function(kind, first, then)
    if way == "unclosable":
        fn = unclosable if kind == "stream" else async_unclosable
    stream = cast("Any", guard.call(fn))

    async def step(name: str, *arguments: object) -> object:
        return getattr(stream, name)(*arguments) if kind == "stream" else await getattr(stream, f"a{name}")(*arguments)

    await step("send", None)
    ending: dict[str, tuple[str, tuple[object, ...], type[BaseException] | None]] = {
        "close": ("close", (), None),
        "alternative closed": ("close", (), None),
        "throw": ("throw", (KeyError(),), KeyError),
        "unclosable": ("close", (), OSError),
    }
    name, arguments, raised = ending.get(way, ("send", (None,), OSError))
    if raised is None:
        await step(name, *arguments)
    else:
        with pytest.raises(raised):
            await step(name, *arguments)
    told = recorder.of(CallFailed)
    assert [type(each) for each in recorder.events if isinstance(each, CallSucceeded | CallFailed)] == [CallFailed]
    by_consumer = way in {"close", "throw", "alternative closed", "unclosable"}
    assert (told[0].kind is FaultKind.CANCELLED) is by_consumer
    assert gate.inside == 0


async def test_a_task_that_is_cancelled_is_told_once() -> None:
    """Inside the call, in the wait between attempts, and inside an alternative."""
    gate, events = Doorman(), Events()
    recorder = EventRecorder(events)
    clock = FakeClock(auto=False)
    guards = [
        (Pipeline(gate, events=events, clock=clock), hang_async),
        (Pipeline(RETRY, gate, events=events, clock=clock), function("async", lost)),
        (
            Pipeline(Fallback(hang_async), gate, events=events, clock=clock),
            function("async", lost),
        ),
    ]
    for guard, fn in guards:
        recorder.clear()
        task = asyncio.create_task(guard.call(fn))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [each.kind for each in recorder.of(CallFailed)] == [FaultKind.CANCELLED]
        assert recorder.of(CallSucceeded) == []
        assert gate.inside == 0


async def hang_async() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_classification_that_fails_holds_nothing(kind: str) -> None:
    """When the pipeline's own ``classify`` raises, the caller gets that, and the gates are left."""
    gate = Doorman()

    def classify(error: BaseException) -> Fault:
        raise ZeroDivisionError from error

    guard = Pipeline(gate, classify=classify)
    assert isinstance(await result_of(kind, guard, function(kind, lost)), ZeroDivisionError)
    assert gate.inside == 0


# --- gates that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("do", [seven, lost])
async def test_a_gate_that_fails_leaves_none_outside_it_entered(kind: str, count: int, do: Callable[[], int]) -> None:
    """Every gate is left, and the error of the innermost that fails is raised, with a note of the other's."""
    gates = [Doorman(leaving=KeyError(index)) for index in range(count)]
    end = await result_of(kind, Pipeline(*gates), function(kind, do))
    assert isinstance(end, KeyError)
    assert end.args == (count - 1,)
    assert [each.inside for each in gates] == [0] * count
    assert end.__notes__ == [f"Giving a permit back failed, too: KeyError: {index}" for index in range(count - 1)][::-1]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_is_raised_even_when_a_gate_outside_fails_over_it(kind: str, count: int) -> None:
    """The caller hears of the refusal, and finds the other on it."""
    outer = [Doorman(leaving=KeyError("broken")) for _ in range(count - 1)]
    guard = Pipeline(*outer, Doorman(entering=BulkheadFullError("full")))
    end = await result_of(kind, guard, function(kind, seven))
    assert isinstance(end, BulkheadFullError)
    assert len(end.__notes__) >= 1
    assert [each.inside for each in outer] == [0] * (count - 1)


def test_a_stack_of_gates_leaves_all() -> None:
    """Nothing fails twice where only one gate does."""
    gates = [Doorman(), Doorman(leaving=KeyError("broken")), Doorman()]
    stack = GateStack(gates)
    permit = stack.enter()
    with pytest.raises(KeyError) as raised:
        stack.leave(permit)
    assert not hasattr(raised.value, "__notes__")
    assert [each.inside for each in gates] == [0, 0, 0]


# --- calls that were never made -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_permit_of_a_call_that_was_never_made_says_so(kind: str, count: int) -> None:
    """An inner gate refuses: those outside hear that nothing was called; after a call they hear that it was."""
    outer = [Doorman() for _ in range(count - 1)]
    refusing = Doorman(entering=BulkheadFullError("full"))
    await result_of(kind, Pipeline(*outer, refusing), function(kind, seven))
    for each in outer:
        assert each.faults[0] is not None
        assert (each.faults[0].made, each.faults[0].kind) == (False, FaultKind.CANCELLED)
    refusing.entering = None
    await result_of(kind, Pipeline(*outer, refusing), function(kind, lost))
    for each in outer:
        assert each.faults[1] is not None
        assert each.faults[1].made


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deadline_that_passes_in_the_line_calls_nothing(kind: str) -> None:
    """The permit came in the moment in which the time was over: it goes back, and says that nothing was called."""
    clock = FakeClock()
    gate, called = Waiting(clock, 1), list[int]()

    def do() -> int:
        called.append(1)
        return 7

    with deadline_scope(1, clock=clock):
        end = await result_of(kind, Pipeline(gate, clock=clock), function(kind, do))
    assert isinstance(end, DeadlineExceededError)
    assert gate.faults[0] is not None
    assert (gate.faults[0].made, gate.faults[0].kind) == (False, FaultKind.CANCELLED)
    assert called == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_further_in_says_that_nothing_was_called(kind: str) -> None:
    """A gate of another layer hears it too, unless an attempt was made before."""
    refusing, outer = Doorman(entering=BulkheadFullError("full")), Doorman()
    guard = Pipeline(outer, Retry(max_retries=1, initial_delay=0), refusing, allow_order=True)
    await result_of(kind, guard, function(kind, seven))
    assert outer.faults[0] is not None
    assert not outer.faults[0].made
    guard = Pipeline(outer, Retry(max_retries=1, initial_delay=0), once(), allow_order=True)
    assert isinstance(await result_of(kind, guard, function(kind, lost)), BulkheadFullError)
    assert outer.faults[1] is not None
    assert outer.faults[1].made


def test_what_is_handed_back_was_not_made() -> None:
    """Unless it is said."""
    assert not hand_back(KeyError()).made
    assert hand_back(KeyError(), made=True).made
    assert Fault(kind=FaultKind.BUG, transient=False, weight=0.0).made


def test_a_gate_may_be_reconfigurable() -> None:
    """It has options and takes others."""

    class Changeable(Doorman):
        options = 1

        def reconfigure(self, options: int) -> None:
            self.options = options

    assert isinstance(Changeable(), Reconfigurable)
    assert not isinstance(Doorman(), Reconfigurable)
    assert isinstance(Doorman(), Gate)


def test_a_time_limit_outside_of_a_task_gives_the_permit_back() -> None:
    """There is nothing to cancel, so nothing is called, and the gate hears that."""
    gate = Doorman()
    loop = asyncio.new_event_loop()
    call = Pipeline(gate, Timeout(seconds=1)).call(function("async", seven))
    ended: list[BaseException] = []

    def drive() -> None:
        try:
            call.send(None)
        except RuntimeError as error:
            ended.append(error)
        loop.stop()

    loop.call_soon(drive)
    loop.run_forever()
    loop.close()
    assert "needs a task" in str(ended[0])
    assert gate.faults[0] is not None
    assert not gate.faults[0].made


# --- contexts -------------------------------------------------------------------------------------------------------


async def test_one_scope_serves_several_tasks_at_once() -> None:
    """Each entry counts for itself, in whatever order they are left."""
    clock = FakeClock()
    scope = deadline_scope(5, clock=clock)
    entered, left = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]

    async def hold(number: int) -> None:
        with deadline_scope(8 + number, clock=clock), scope:
            entered[number].set()
            await left[number].wait()
        assert deadline_ns() is None

    tasks = [asyncio.create_task(hold(number)) for number in range(2)]
    for each in entered:
        await each.wait()
    for each, task in zip(left, tasks, strict=True):
        each.set()
        await task


def test_a_scope_that_is_left_in_another_context_changes_nothing_there() -> None:
    """A coroutine that is closed from elsewhere ends quietly."""
    clock = FakeClock()
    ended: list[bool] = []

    async def scoped() -> None:
        try:
            with deadline_scope(5, clock=clock):
                await Suspension()
        finally:
            ended.append(True)

    for knows in (False, True):  # a context that knows nothing of the scope, and a copy that does
        call = scoped()
        context = copy_context()
        context.run(call.send, None)
        other = context.run(copy_context) if knows else copy_context()
        other.run(call.close)
        assert context.run(deadline_ns) == 5 * S
        assert other.run(deadline_ns) == (5 * S if knows else None)
    assert ended == [True, True]
    deadline_scope(1).__exit__(None, None, None)


@pytest.mark.parametrize("kind", ["async", "async stream"])
def test_a_call_that_is_closed_in_another_context_ends_quietly(kind: str) -> None:
    """It gives its permit back, and does not touch the other context's deadline."""
    gate, clock = Doorman(), FakeClock()
    guard = Pipeline(Deadline(seconds=5), gate, clock=clock)

    async def stream() -> AsyncIterator[None]:
        await Suspension()
        yield

    async def main() -> None:
        call: Any = guard.call(hang) if kind == "async" else guard.call(stream)
        step = call if kind == "async" else call.asend(None)
        context = copy_context()
        context.run(step.send, None)
        assert gate.inside == 1
        with deadline_scope(1, clock=clock):
            if kind == "async":
                step.close()
            else:
                with pytest.raises(Stop):
                    step.throw(Stop())
            assert deadline_ns() == S
        assert gate.inside == 0

    asyncio.run(main())


def test_a_call_that_is_closed_in_its_own_context_takes_its_deadline_with_it() -> None:
    """What was set for the call is not left behind."""
    clock = FakeClock()
    guard = Pipeline(Deadline(seconds=5), clock=clock)

    async def main() -> None:
        call = guard.call(hang)
        call.send(None)
        assert deadline_ns() == 5 * S
        call.close()
        assert deadline_ns() is None

    asyncio.run(main())


async def test_an_async_stream_that_the_loop_ends_gives_its_permit_back() -> None:
    """The loop closes what was forgotten in a task and a context of its own."""
    gate = Doorman()
    stream: Any = Pipeline(Deadline(seconds=5), gate).call(async_items)
    assert await asyncio.create_task(anext(stream)) == 1
    del stream
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert gate.inside == 0


# --- other options during a call --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_keeps_the_alternatives_that_it_began_to_ask(kind: str) -> None:
    """A fallback that gets shorter while they run changes nothing for it."""
    recorder = EventRecorder(events := Events())

    def shorten() -> int:
        guard.reconfigure(Fallback(function(kind, seven)))
        raise KeyError

    guard = Pipeline(Fallback([function(kind, shorten), function(kind, lambda: 8)]), events=events)
    assert await result_of(kind, guard, function(kind, lost)) == 8
    assert recorder.of(FallbackUsed)[0].index == 1
    assert await result_of(kind, guard, function(kind, lost)) == 7


def test_a_refund_goes_to_the_budget_that_was_charged() -> None:
    """Also when the retry has another budget by now."""
    events = Events()
    clock = Restless()
    budget, other = RetryBudget(), RetryBudget()
    guard = Pipeline(Retry(budget=budget), events=events, clock=clock)
    events.listen(lambda _: guard.reconfigure(Retry(budget=other)), RetryScheduled)
    with pytest.raises(Stop):
        guard.call(lost)
    after = budget.snapshot(), other.snapshot()
    assert [(each.spent, sum(each.refunded.values())) for each in after] == [(0, 1), (0, 0)]


# --- garbage ----------------------------------------------------------------------------------------------------------


@contextmanager
def no_garbage() -> Iterator[None]:
    """Nothing is left for the collector."""
    gc.collect()
    gc.disable()
    try:
        yield
        found = gc.collect()
    finally:
        gc.enable()
    assert found == 0


def exhaust(kind: str, guard: Pipeline, fn: Callable[..., Any]) -> type[Exception] | None:
    """Make a call without a loop, and say what sort of error it ends with."""
    try:
        call: Any = guard.call(fn)
        if kind == "stream":
            next(call)
        elif kind != "sync":
            (call if kind == "async" else call.asend(None)).send(None)
    except Exception as error:  # noqa: BLE001  whatever it is
        return type(error)
    return None


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_fails_leaves_no_garbage(kind: str, others: int, heard: bool) -> None:
    """No frame on an error's way holds that error, with and without alternatives."""
    events = Events()
    if heard:
        events.listen(lambda _: None)

    def unknown() -> int:
        raise KeyError

    policies: list[Policy] = [Fallback(function(kind, unknown))] if others else []
    guard = Pipeline(*policies, Retry(max_retries=1, initial_delay=0), CircuitBreaker(), events=events)
    fn = function(kind, lost)

    assert exhaust(kind, guard, fn) is RetriesExhaustedError
    with no_garbage():
        assert exhaust(kind, guard, fn) is RetriesExhaustedError


def test_a_loop_and_a_pipeline_leave_no_garbage() -> None:
    """Nor does either leave anything when it was used as it is meant."""
    retry = Retry()
    for attempt in retry:
        with attempt:
            pass
    with no_garbage():
        for attempt in retry:
            with attempt:
                pass
        Pipeline(Retry(), CircuitBreaker(), Timeout(seconds=1))


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Timeout, Deadline])
def test_no_limit_is_so_short_that_it_is_none(policy: type[Timeout] | type[Deadline]) -> None:
    """The shortest is a nanosecond; what would be rounded to nothing is refused."""
    assert policy(seconds=1e-9).ns == 1
    with pytest.raises(ConfigError, match="seconds=1e-10"):
        policy(seconds=1e-10)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), "5", -1, None, True])
def test_a_scope_of_no_time_at_all_is_refused(seconds: Any) -> None:
    """The error names the field, the value and the rule."""
    with pytest.raises(ConfigError) as refused:
        deadline_scope(seconds)
    assert refused.value.field == "seconds"
    assert repr(seconds) in str(refused.value)


def test_a_scope_of_no_seconds_has_passed() -> None:
    """0 is allowed: whatever looks at its deadline ends at once."""
    with deadline_scope(0), pytest.raises(DeadlineExceededError):
        Pipeline().call(seven)


# --- streams of others ------------------------------------------------------------------------------------------------


class Response:
    """A stream as SDKs have them: an async iterator whose ``close`` is a plain function, or a coroutine."""

    def __init__(self) -> None:
        self.closed = 0
        self.left = 2

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left

    def close(self) -> None:
        self.closed += 1


class AwaitedResponse(Response):
    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("kind", [Response, AwaitedResponse])
async def test_a_stream_is_closed_whatever_its_close_gives(kind: type[Response]) -> None:
    """A plain ``close`` is called, and only what can be awaited is awaited."""
    response = kind()

    async def opened() -> Response:
        return response

    stream: Any = Pipeline().stream(cast("Any", opened))
    assert [item async for item in stream()] == [1, 0]
    assert response.closed == 1
    response.left = 2
    async with aclosing(stream()) as source:
        assert await anext(source) == 1
    assert response.closed == 2


async def test_a_request_queue_outside_hears_of_a_call_that_was_never_made() -> None:
    """What waited in the line and was refused further in leaves its place."""
    queue, full = RequestQueue(max_concurrent=1), Bulkhead(max_concurrent=1)
    held = full.enter()
    guard = Pipeline(queue, Deadline(seconds=5), full)
    for kind in KINDS:
        assert isinstance(await result_of(kind, guard, function(kind, seven)), BulkheadFullError)
    assert queue.snapshot().running == 0
    full.leave(held)
