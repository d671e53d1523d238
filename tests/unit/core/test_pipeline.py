"""Pipelines: composition, order, description, what can be guarded."""

import asyncio
import functools
import inspect
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.classify import Fault, FaultKind
from holdfast.core.deadline import Deadline
from holdfast.core.events import Events
from holdfast.core.fallback import Fallback
from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.policy import CallRef, Gate, GateStack, Shortcut, Site, stamp
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import CircuitOpenError, ConfigError, RejectedError, RetriesExhaustedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng


def policies() -> list[Policy]:
    return [
        Deadline(seconds=30),
        Fallback(lambda *_: "fallback"),
        Retry(max_retries=2),
        CircuitBreaker(),
        Timeout(seconds=10),
    ]


def test_right_orders_are_accepted() -> None:
    """Any choice of policies in the right order is a pipeline."""
    for size in range(6):
        for chosen in itertools.combinations(policies(), size):
            assert [each.label for each in Pipeline(*chosen).policies] == [each.label for each in chosen]


def test_wrong_orders_are_refused_with_the_reason() -> None:
    """Each pair the wrong way round is refused, with both names, a reason and the right order."""
    for inner, outer in itertools.combinations(policies(), 2):
        with pytest.raises(ConfigError) as refused:
            Pipeline(outer, inner)
        message = str(refused.value)
        assert f"{outer.label} must not be outside {inner.label}: " in message
        assert "request queue, deadline, fallback, retry, hedge, circuit breaker and other gates, timeout" in message
        assert "allow_order=True" in message


@pytest.mark.parametrize("field", ["clock", "rng", "events", "name", "dependency", "classify"])
def test_what_is_no_door(field: str) -> None:
    """What is no clock, no source of chance, no hub, no name and no function is refused by the option's name."""
    options: dict[str, Any] = {field: 5}
    with pytest.raises(ConfigError) as refused:
        Pipeline(**options)
    assert refused.value.field == field


def test_twice_is_refused() -> None:
    """Two retries would multiply; two breakers may be meant."""
    with pytest.raises(ConfigError, match="retry is there twice"):
        Pipeline(Retry(), Retry())
    Pipeline(CircuitBreaker(), CircuitBreaker())


def test_what_stands_between_two_hides_nothing() -> None:
    """Every two are looked at: a queue may be inside a fallback, and a deadline inside a queue, but not all three."""
    with pytest.raises(ConfigError, match=r"would run after the deadline.*\. The order is request queue, deadline"):
        Pipeline(Fallback(str), RequestQueue(), Deadline(seconds=1))


def test_one_object_twice() -> None:
    """What keeps no state may be listed twice, where that is allowed; what counts its calls may not."""
    retry, breaker = Retry(max_retries=1), CircuitBreaker()
    assert Pipeline(retry, retry, allow_order=True).describe().max_calls == 4
    with pytest.raises(ConfigError, match="the same circuit_breaker is there twice"):
        Pipeline(breaker, breaker, allow_order=True)


def test_what_must_not_run_twice_has_no_hedge() -> None:
    """A call that is not idempotent may have a retry, which then repeats only what never arrived, but no hedge."""
    Pipeline(Retry(idempotent=False))
    with pytest.raises(ConfigError) as refused:
        Pipeline(Retry(idempotent=False), Hedge())
    assert refused.value.field == "idempotent"
    assert refused.value.rule.startswith("says that the call must not run twice")


@pytest.mark.parametrize("what", [None, "retry", Retry, 3])
def test_what_is_no_policy(what: Any) -> None:
    """Anything else in the list is refused with a sentence."""
    with pytest.raises(ConfigError, match="must be policies"):
        Pipeline(what)


async def test_allow_order_nests_as_listed() -> None:
    """A retry inside a breaker is one failure for the breaker, when that is insisted on."""
    clock, breaker = FakeClock(), CircuitBreaker(failure_threshold=2)
    guard = Pipeline(breaker, Retry(max_retries=2), name="x", clock=clock, allow_order=True)
    calls = 0

    async def down() -> None:
        nonlocal calls
        calls += 1
        raise ConnectionResetError

    for _ in range(2):
        with pytest.raises(RetriesExhaustedError):
            await guard.call(down)
    assert calls == 6
    assert breaker.state is BreakerState.OPEN


async def test_a_deadline_and_a_timeout_can_be_nested_anyhow() -> None:
    """With ``allow_order`` even a deadline for each attempt is a pipeline that works."""
    guard = Pipeline(Timeout(seconds=5), Retry(), Deadline(seconds=1), allow_order=True)
    assert guard.describe().order == ("timeout", "retry", "deadline")

    async def answer() -> int:
        return 42

    recorder = EventRecorder(guard.events)
    assert await guard.call(answer) == 42
    assert recorder.names == ["CallSucceeded"]


@pytest.mark.parametrize(
    ("chosen", "calls", "seconds"),
    [
        ([], 1, None),
        ([Timeout(seconds=10)], 1, 10),
        ([Retry(max_retries=2)], 3, None),
        ([Retry(max_retries=2, jitter="none", max_retry_after=0), Timeout(seconds=10)], 3, 33),
        ([Retry(max_retries=2), Timeout(seconds=10)], 3, 162),
        ([Deadline(seconds=30), Retry(max_retries=2), Timeout(seconds=10)], 3, 30),
        ([Fallback([str, str]), Retry(max_retries=2), Timeout(seconds=10)], 5, None),
        ([Deadline(seconds=7), Fallback(str)], 2, 7),
    ],
)
def test_worst_case(chosen: list[Policy], calls: int, seconds: float | None) -> None:
    """The most calls and seconds follow from the policies."""
    described = Pipeline(*chosen).describe()
    assert described.max_calls == calls
    assert described.max_seconds == pytest.approx(seconds)


def test_worst_case_of_nested_retries() -> None:
    """Retries around retries multiply, and it says so."""
    described = Pipeline(
        Retry(max_retries=2, jitter="none", max_retry_after=0),
        Timeout(seconds=4),
        Retry(max_retries=3),
        Timeout(seconds=1),
        allow_order=True,
    ).describe()
    assert (described.max_calls, described.max_seconds) == (12, 15)


def test_describe_as_a_sentence() -> None:
    """``describe()`` reads as a sentence, and is the pipeline's representation."""
    guard = Pipeline(*policies(), name="model:x")
    sentence = (
        "model:x: deadline > fallback > retry > circuit_breaker > timeout > call; at most 4 calls, in at most 30 s."
    )
    assert str(guard.describe()) == sentence
    assert repr(guard) == f"<Pipeline {sentence}>"
    assert str(Pipeline().describe()) == "call: call; at most 1 call, without a limit of time."


def test_snapshot() -> None:
    """The snapshot has each gate by its label, and the first breaker by name."""
    first, second = CircuitBreaker(), CircuitBreaker()
    guard = Pipeline(first, second, name="store:x", dependency="store")
    second.force_open()
    snapshot = guard.snapshot()
    assert (guard.name, guard.dependency) == (snapshot.name, snapshot.dependency) == ("store:x", "store")
    assert snapshot.breaker == snapshot.policies["circuit_breaker"]
    assert snapshot.breaker is not None
    assert snapshot.breaker.state is BreakerState.CLOSED
    assert snapshot.policies["circuit_breaker.2"].state is BreakerState.OPEN  # type: ignore[attr-defined]
    assert Pipeline().snapshot().breaker is None


def test_the_pipeline_names_its_breaker() -> None:
    """A breaker without a name refuses in the name of the dependency."""
    breaker = CircuitBreaker()
    guard = Pipeline(breaker, name="store:x")
    breaker.force_open()
    with pytest.raises(CircuitOpenError) as refused:
        guard.call(max, 1, 2)
    assert refused.value.dependency == "store:x"


def test_own_hub_and_given_hub() -> None:
    """Without ``events`` a pipeline has a hub of its own; a given one is used even while nobody listens to it."""
    events = Events()
    assert Pipeline(events=events).events is events
    assert Pipeline().events is not Pipeline().events


class Service:
    def __init__(self) -> None:
        self.seen: list[object] = []

    guard = Pipeline(Retry(), name="service")

    @guard
    def sync(self, a: int, *, b: int = 2) -> int:
        """Add."""
        return a + b

    @guard
    async def coro(self, a: int) -> int:
        return a

    @guard
    async def items(self, n: int) -> AsyncGenerator[int]:
        for i in range(n):
            yield i

    async def __call__(self, a: int) -> int:
        return -a


async def test_one_object_guards_all_three_forms() -> None:
    """Sync methods, async methods and async generators stay what they are, with name, doc and signature."""
    service = Service()
    assert service.sync(1, b=5) == 6
    assert await service.coro(7) == 7
    assert [item async for item in service.items(3)] == [0, 1, 2]
    assert inspect.iscoroutinefunction(Service.coro)
    assert inspect.isasyncgenfunction(Service.items)
    assert not inspect.iscoroutinefunction(Service.sync)
    assert (Service.sync.__name__, Service.sync.__doc__) == ("sync", "Add.")
    assert list(inspect.signature(Service.sync).parameters) == ["self", "a", "b"]


async def test_call_takes_every_form_of_function() -> None:
    """``call`` gives what the function gives: functions, methods, partials, objects, built-ins and lambdas."""
    guard, service = Pipeline(Retry(), CircuitBreaker(), Timeout(seconds=5)), Service()
    assert guard.call(service.sync, 1) == 3
    assert guard.call(max, 1, 2) == 2
    assert guard.call(lambda x: x, 5) == 5
    assert await guard.call(service.coro, 4) == 4
    assert await guard.call(functools.partial(service.coro, 4)) == 4
    assert await guard.call(functools.partial(functools.partial(Service.coro), service), 4) == 4
    assert await guard.call(service, 4) == -4
    assert [item async for item in guard.call(service.items, 2)] == [0, 1]


class Counting:
    """Its ``__call__`` is a generator function."""

    def __call__(self, n: int) -> Any:
        yield from range(n)


class AsyncCounting:
    """Its ``__call__`` is an async generator function."""

    async def __call__(self, n: int) -> AsyncGenerator[int]:
        for each in range(n):
            yield each


async def test_streams_of_objects_and_partial_functions() -> None:
    """What gives a stream is guarded as one, whatever form it has."""
    guard, service = Pipeline(Retry(), Timeout(seconds=5)), Service()
    assert list(guard.call(Counting(), 2)) == [0, 1]
    assert list(guard.call(functools.partial(Counting(), 2))) == [0, 1]
    assert [item async for item in guard.call(AsyncCounting(), 2)] == [0, 1]
    assert [item async for item in guard.call(functools.partial(service.items, 2))] == [0, 1]


def test_an_object_is_what_its_call_is() -> None:
    """A wrapper that shows the code of the function inside it is guarded by what calling it gives."""

    class Blocking:
        def __init__(self, fn: Any) -> None:
            self.fn, self.__code__ = fn, fn.__code__

        def __call__(self, a: int) -> int:
            answer: int = asyncio.run(self.fn(a))
            return answer

    async def double(a: int) -> int:
        return 2 * a

    assert Pipeline().call(Blocking(double), 4) == 8


def test_alternatives_of_a_call_get_every_argument() -> None:
    """What ``call`` asks instead of a function gets that function's arguments, and not the function."""

    def down(a: int, b: int) -> tuple[int, ...]:
        raise ConnectionResetError

    assert Pipeline(Fallback(lambda *args: args)).call(down, 1, 2) == (1, 2)


async def test_alternatives_of_a_stream_get_every_argument() -> None:
    """What is asked instead of a function that opens a stream is called as that was."""

    def other(*args: int) -> Any:
        yield args

    async def other_async(*args: int) -> AsyncGenerator[tuple[int, ...]]:
        yield args

    def opens(a: int, b: int) -> Iterator[tuple[int, ...]]:
        raise ConnectionResetError

    async def opens_async(a: int, b: int) -> AsyncIterator[tuple[int, ...]]:
        raise ConnectionResetError

    assert list(Pipeline(Fallback(other)).stream(opens)(1, 2)) == [(1, 2)]
    guarded = Pipeline(Fallback(other_async)).stream(opens_async)
    assert [item async for item in guarded(1, 2)] == [(1, 2)]


def numbers() -> Any:
    yield 1


async def nothing() -> None:
    """A coroutine function for the tests below."""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Service, "is a class"),
        (nothing, "is already a coroutine"),
        (lambda: 42, "is not a function"),
    ],
)
async def test_what_cannot_be_guarded(make: Any, sentence: str) -> None:
    """A class, a coroutine object and a non-callable: a sentence says what to do instead."""
    guard = Pipeline()
    with pytest.raises(ConfigError, match=sentence):
        guard(make())
    with pytest.raises(ConfigError, match=sentence):
        guard.call(make())


async def test_a_future_cannot_be_guarded() -> None:
    """A future has begun already, and is refused and left alone."""
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(ConfigError, match="already a coroutine"):
        Pipeline()(future)  # type: ignore[arg-type]
    assert not future.done()


def test_a_plain_function_that_returns_a_coroutine_is_refused() -> None:
    """A coroutine that nobody awaits under the policies is an error at the first call (pybreaker: a success)."""
    breaker = CircuitBreaker()
    guard = Pipeline(breaker)

    def disguised() -> object:
        return nothing()

    with pytest.raises(ConfigError, match="returns a coroutine"):
        guard.call(disguised)
    with pytest.raises(ConfigError, match="returns a coroutine"):
        guard(disguised)()
    assert breaker.snapshot().failures == 0


async def test_alternatives_must_fit() -> None:
    """An alternative that the driver cannot ask is refused when the function is decorated."""

    async def gen() -> AsyncGenerator[int]:
        yield 1

    def plain() -> int:
        return 1

    with pytest.raises(ConfigError, match="must be a plain function"):
        Pipeline(Fallback(nothing))(plain)
    with pytest.raises(ConfigError, match="must not be a generator function"):
        Pipeline(Fallback(gen))(nothing)
    with pytest.raises(ConfigError, match="must be an async generator function"):
        Pipeline(Fallback(plain))(gen)
    with pytest.raises(ConfigError, match="must be a generator function"):
        Pipeline(Fallback(plain))(numbers)
    assert list(Pipeline(Fallback(numbers))(numbers)()) == [1]
    await Pipeline(Fallback([plain, nothing]))(nothing)()
    assert Pipeline(Fallback(plain))(plain)() == 1


def test_a_classifier_of_ones_own() -> None:
    """``classify`` decides what an exception means for every policy."""

    def everything_passes(exc: BaseException) -> Fault:
        return Fault(kind=FaultKind.EMPTY, transient=True, weight=1.0, cause=exc)

    clock, calls = FakeClock(), []

    def broken() -> None:
        calls.append(1)
        raise KeyError

    with pytest.raises(RetriesExhaustedError):
        Pipeline(Retry(max_retries=2), clock=clock, classify=everything_passes).call(broken)
    assert len(calls) == 3


class Recording:
    """A gate that writes down what happens to it."""

    label = "recording"

    def __init__(self, name: str, log: list[str], *, closed: bool = False) -> None:
        self.name, self.log, self.closed = name, log, closed

    def attach(self, site: Site) -> None:
        self.log.append(f"attach {self.name} {site.pipeline}")

    def enter(self, call: CallRef | None = None) -> str:
        if self.closed:
            raise RejectedError(self.name)
        self.log.append(f"enter {self.name}")
        return self.name

    def leave(self, permit: str, fault: Fault | None = None, call: CallRef | None = None) -> None:
        self.log.append(f"leave {permit} {fault and fault.kind}")

    def snapshot(self) -> object:
        return self.name


def test_gates_of_ones_own_stack() -> None:
    """Gates are entered from the outside in and left from the inside out, and failures reach each."""
    log: list[str] = []
    guard = Pipeline(Recording("a", log), Recording("b", log), name="p")
    assert guard.call(max, 1, 2) == 2
    with pytest.raises(TimeoutError):
        guard(_raise)(TimeoutError())
    assert log == [
        "attach a p",
        "attach b p",
        *("enter a", "enter b", "leave b None", "leave a None"),
        *("enter a", "enter b", "leave b timeout", "leave a timeout"),
    ]


def test_a_refusal_gives_earlier_permits_back() -> None:
    """When an inner gate refuses, the outer one gets its permit back, and it counts neither way."""
    log: list[str] = []
    guard = Pipeline(Recording("a", log), Recording("b", log, closed=True), name="p")
    with pytest.raises(RejectedError, match="b"):
        guard.call(max, 1, 2)
    assert log[2:] == ["enter a", "leave a cancelled"]


def test_a_shortcut_that_says_nothing() -> None:
    """A gate that shows no more than the defaults is asked each time; its refusal is one all the same."""
    shortcut = Shortcut()
    assert (shortcut.permit, shortcut.heeds_success, shortcut.shut_until_ns) == (None, True, 0)
    assert isinstance(shortcut.refusal(0), RejectedError)


def test_a_stack_of_gates_is_a_gate() -> None:
    """The stack attaches and shows every gate."""
    log: list[str] = []
    stack = GateStack([Recording("a", log), Recording("b", log)])
    assert isinstance(stack, Gate)
    assert stack.label == "gates"
    stack.attach(Site(pipeline="p", dependency="p", clock=FakeClock(), rng=seeded_rng(0), events=Events()))
    assert log == ["attach a p", "attach b p"]
    assert stack.snapshot() == ("a", "b")


def test_news_of_no_call() -> None:
    """What a policy tells outside of any call has no call's id and is no attempt."""
    fields = stamp(FakeClock(), None, pipeline="p", policy="retry", dependency="d")
    assert (fields["call_id"], fields["attempt"]) == ("", 0)
    assert (fields["pipeline"], fields["policy"], fields["dependency"]) == ("p", "retry", "d")


def _raise(error: BaseException) -> None:
    raise error
