"""Last known good: what is kept, for how long, and when it is given."""

import asyncio
import gc
import random
import threading
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.core.events import Events, LastGoodGiven, LastGoodMissing
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.last_known_good import Good, LastKnownGood, LastKnownGoodOptions
from holdfast.core.policy import Site
from holdfast.errors import ConfigError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

S = 10**9
DAY = 86_400


class LostError(ConnectionResetError):
    """Can be weakly referenced, as the built-in cannot."""


class Source:
    """Answers with what it is told to, in both forms."""

    def __init__(self) -> None:
        self.answer: Any = "first"

    def plain(self, key: str = "a") -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def coro(self, key: str = "a") -> Any:
        await asyncio.sleep(0)
        return self.plain(key)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> Source:
    return Source()


# --- giving -----------------------------------------------------------------------------------------------------------


def test_a_good_call_is_given_as_it_is(clock: FakeClock, source: Source) -> None:
    """While calls succeed every caller gets the result of its own call."""
    known = LastKnownGood(clock=clock)
    assert known.call(source.plain) == "first"
    source.answer = "second"
    assert known.call(source.plain) == "second"
    assert known.snapshot().given == 0


def test_a_failed_call_is_answered_with_the_last_good_result(clock: FakeClock, source: Source) -> None:
    """It is the latest result of this very call, and of no other."""
    known = LastKnownGood(clock=clock)
    known.call(source.plain, "a")
    source.answer = "second"
    known.call(source.plain, "a")
    source.answer = "other"
    known.call(source.plain, "b")
    source.answer = LostError("down")
    assert known.call(source.plain, "a") == "second"
    assert known.call(source.plain, "b") == "other"
    with pytest.raises(LostError, match="down"):
        known.call(source.plain, "c")
    state = known.snapshot()
    assert (state.entries, state.kept, state.given, state.missing, state.expired) == (2, 3, 2, 1, 0)


async def test_the_async_form(clock: FakeClock, source: Source) -> None:
    """Async functions are served the same way."""
    known = LastKnownGood(clock=clock)
    assert await known.call(source.coro) == "first"
    source.answer = LostError("down")
    assert await known.call(source.coro) == "first"
    with pytest.raises(LostError):
        await known.call(source.coro, "b")


async def test_as_a_decorator(clock: FakeClock, source: Source) -> None:
    """Decorated functions of both forms keep their names."""
    known = LastKnownGood(clock=clock)

    @known
    def plain(key: str) -> Any:
        return source.plain(key)

    @known
    async def coro(key: str) -> Any:
        return await source.coro(key)

    assert (plain.__name__, coro.__name__) == ("plain", "coro")
    assert asyncio.iscoroutinefunction(coro)
    assert (plain("a"), await coro("a")) == ("first", "first")
    source.answer = LostError("down")
    assert (plain("a"), await coro("a")) == ("first", "first")


def test_a_fresh_result_has_no_age(clock: FakeClock, source: Source) -> None:
    """What the call itself gave is new, not stale, and stands in for nothing."""
    good = LastKnownGood(clock=clock).ask(source.plain)
    assert (good.value, good.age, good.stale, good.fault, good.fresh) == ("first", 0, False, None, True)


async def test_ask_tells_the_age(clock: FakeClock, source: Source) -> None:
    """``ask`` wraps every result: a fresh one has no age and no fault, an old one has both."""
    known = LastKnownGood(clock=clock, stale_after=60, give=lambda _: "not asked")
    assert known.ask(source.plain) == Good(value="first")
    assert known.ask(source.plain).fresh
    assert await known.ask(source.coro) == Good(value="first")
    source.answer = LostError("down")
    clock.advance(60)
    good = known.ask(source.plain)
    assert (good.value, good.age, good.stale, good.fresh) == ("first", 60, False, False)
    assert good.fault is not None
    assert (good.fault.kind, good.fault.cause) == (FaultKind.CONNECT, source.answer)
    clock.advance(0.5)
    old = await known.ask(source.coro)
    assert (old.age, old.stale) == (60.5, True)


def test_give_makes_what_the_caller_gets(clock: FakeClock, source: Source) -> None:
    """A callback may add a notice with the age; fresh results do not pass through it."""
    known = LastKnownGood(clock=clock, give=lambda good: f"{good.value} ({good.age:g} s old)")
    assert known.call(source.plain) == "first"
    source.answer = LostError("down")
    clock.advance(90)
    assert known.call(source.plain) == "first (90 s old)"


def test_what_give_raises_goes_to_the_caller(clock: FakeClock, source: Source) -> None:
    """The callback may refuse by an error of its own."""

    def refuse(good: Good[Any]) -> Any:
        raise LookupError(f"too old for this: {good.age:g}")

    known = LastKnownGood(clock=clock, give=refuse)
    known.call(source.plain)
    source.answer = LostError("down")
    with pytest.raises(LookupError, match="too old for this: 0"):
        known.call(source.plain)


@pytest.mark.parametrize(
    ("error", "given"),
    [
        (LostError(), True),
        (TimeoutError(), True),
        (ValueError("bug"), False),
        (KeyboardInterrupt(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_faults_that_an_old_result_may_stand_in_for(error: BaseException, given: bool, source: Source) -> None:
    """By default all but bugs, wrong requests and cancellations."""
    known = LastKnownGood()
    known.call(source.plain)
    source.answer = error
    if given:
        assert known.call(source.plain) == "first"
    else:
        with pytest.raises(type(error)):
            known.call(source.plain)
        assert known.snapshot().missing == 0


def test_faults_can_be_chosen(source: Source) -> None:
    """``kinds`` and ``classify`` decide."""

    def classify(error: BaseException) -> Fault:
        return Fault(kind=FaultKind.EMPTY, transient=True, weight=1.0, cause=error)

    known = LastKnownGood(kinds=["empty"], classify=classify)  # type: ignore[list-item]  # what a settings file gives
    known.call(source.plain)
    source.answer = ValueError("x")
    assert known.call(source.plain) == "first"
    known = LastKnownGood(kinds=[FaultKind.TIMEOUT])
    source.answer = "first"
    known.call(source.plain)
    source.answer = LostError("down")
    with pytest.raises(LostError):
        known.call(source.plain)


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_a_result_expires(clock: FakeClock, source: Source) -> None:
    """After a day it is not given any more; until then it is."""
    events = Events()
    heard = EventRecorder(events)
    known = LastKnownGood(clock=clock, events=events, name="store:x")
    known.call(source.plain)
    source.answer = LostError("down")
    clock.advance(DAY)
    assert known.ask(source.plain).age == DAY
    clock.advance(1e-9)
    for _ in range(2):
        with pytest.raises(LostError):
            known.call(source.plain)
    (given,) = heard.of(LastGoodGiven)
    assert (given.age_ns, given.kind, given.dependency, given.policy) == (
        DAY * S,
        "connect",
        "store:x",
        "last_known_good",
    )
    assert [event.expired for event in heard.of(LastGoodMissing)] == [True, False]
    state = known.snapshot()
    assert (state.entries, state.missing, state.expired) == (0, 2, 1)


def test_giving_does_not_make_younger(clock: FakeClock, source: Source) -> None:
    """An age ends with the next good result, and with nothing else."""
    known = LastKnownGood(clock=clock, max_age=100)
    known.call(source.plain)
    answer, source.answer = source.answer, LostError("down")
    for _ in range(3):
        clock.advance(30)
        known.call(source.plain)
    assert known.ask(source.plain).age == 90
    source.answer = answer
    known.call(source.plain)
    source.answer = LostError("down")
    assert known.ask(source.plain).age == 0


def test_what_is_not_worth_keeping(clock: FakeClock, source: Source) -> None:
    """``keep`` decides what replaces the last result; what it turns down leaves the old one and its age."""
    known = LastKnownGood(clock=clock, keep=bool)
    known.call(source.plain)
    clock.advance(5)
    source.answer = ""
    assert known.call(source.plain) == ""
    source.answer = LostError("down")
    assert known.ask(source.plain).value == "first"
    assert known.ask(source.plain).age == 5
    plain = LastKnownGood()
    source.answer = None
    assert plain.call(source.plain) is None
    assert plain.snapshot().entries == 0


def test_the_least_recently_used_goes_first(source: Source) -> None:
    """Above ``max_entries`` the result that was longest neither kept nor given is dropped."""
    known = LastKnownGood(max_entries=2)
    known.call(source.plain, "a")
    known.call(source.plain, "b")
    answer, source.answer = source.answer, LostError("down")
    known.call(source.plain, "a")
    source.answer = answer
    known.call(source.plain, "c")
    source.answer = LostError("down")
    assert known.call(source.plain, "a") == "first"
    assert known.call(source.plain, "c") == "first"
    with pytest.raises(LostError):
        known.call(source.plain, "b")


def test_a_result_that_is_kept_again_counts_as_used(source: Source) -> None:
    """A result that replaces an older one of the same call goes after those that were kept meanwhile."""
    known = LastKnownGood(max_entries=2)
    for key in "abac":
        known.call(source.plain, key)
    source.answer = LostError("down")
    assert known.call(source.plain, "a") == "first"
    with pytest.raises(LostError):
        known.call(source.plain, "b")


def test_forgetting(source: Source) -> None:
    """A result that is known to be wrong can be dropped, alone or with all others."""
    known = LastKnownGood()
    for key in "abc":
        known.call(source.plain, key)
    assert known.forget(source.plain, "a")
    assert not known.forget(source.plain, "a")
    assert known.snapshot().entries == 2
    known.clear()
    assert known.snapshot().entries == 0


async def test_switched_off(source: Source) -> None:
    """Off, it keeps nothing, gives nothing and holds nothing; on again it begins anew."""
    known = LastKnownGood(enabled=False)
    assert not known.enabled
    assert known.call(source.plain) == "first"
    assert known.call(source.plain, ["no key is needed"]) == "first"  # type: ignore[arg-type]
    known.enabled = True
    known.call(source.plain)
    assert known.snapshot().entries == 1
    known.enabled = False
    assert known.snapshot().entries == 0
    source.answer = LostError("down")
    with pytest.raises(LostError):
        known.call(source.plain)
    with pytest.raises(LostError):
        await known.call(source.coro)
    known.enabled = True
    with pytest.raises(LostError):
        known.call(source.plain)


def test_switched_off_while_a_call_is_under_way() -> None:
    """The result of a call that began before is not kept."""
    known = LastKnownGood()

    def call() -> int:
        known.enabled = False
        return 1

    assert known.call(call) == 1
    assert known.snapshot().entries == 0


def test_switched_on_while_a_call_is_under_way() -> None:
    """A call that began while it was off is not kept either: nothing was made of its arguments."""
    known = LastKnownGood(enabled=False)

    def call() -> int:
        known.enabled = True
        return 1

    assert known.call(call) == 1
    assert (known.snapshot().entries, known.snapshot().kept) == (0, 0)


def test_a_key_of_ones_own(source: Source) -> None:
    """``key`` decides which arguments count; arguments that cannot be hashed need one."""
    known = LastKnownGood(key=lambda key: key[0])
    known.call(source.plain, "apple")
    source.answer = LostError("down")
    assert known.call(source.plain, "avocado") == "first"
    with pytest.raises(ConfigError, match="give key="):
        LastKnownGood().call(len, [1])


# --- cancellation, errors, threads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(3))
async def test_a_cancelled_call_is_cancelled(turns: int, source: Source) -> None:
    """No old result is forced on a caller that gave up, at any point."""
    known = LastKnownGood()
    await known.call(source.coro)
    task = asyncio.ensure_future(known.call(source.coro))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    outcomes = await asyncio.gather(task, return_exceptions=True)
    outcome: Any = outcomes[0]
    assert outcome == "first" if turns == 2 else isinstance(outcome, asyncio.CancelledError)
    assert known.snapshot().given == 0


def test_errors_are_not_kept_alive() -> None:
    """When the caller has dropped the error it is gone, without help from the garbage collector."""
    known = LastKnownGood()

    def fail() -> None:
        raise LostError("gone")

    seen = None
    gc.collect()
    gc.disable()
    try:
        try:
            known.call(fail)
        except LostError as error:
            seen = weakref.ref(error)
        assert seen is not None
        assert seen() is None
    finally:
        gc.enable()


def test_threads() -> None:
    """Four threads that keep and ask at once keep to the bound, and lose no count."""
    known = LastKnownGood(max_entries=5)
    wrong: list[Any] = []

    def number(key: int, *, down: bool) -> int:
        if down:
            raise LostError("down")
        return key

    keyed = LastKnownGood(max_entries=5, key=lambda key, down: key)

    def work() -> None:
        for turn in range(500):
            key = turn % 7
            keyed.call(number, key, down=False)
            try:
                answer = keyed.call(number, key, down=True)
            except LostError:
                continue
            if answer != key:
                wrong.append((key, answer))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = keyed.snapshot()
    assert wrong == []
    assert (state.kept, state.given + state.missing, state.entries) == (2000, 2000, 5)
    assert known.snapshot().entries == 0


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """A dict of results with the time of each, in the order of use."""

    max_age: int
    max_entries: int
    now: int = 0
    entries: "OrderedDict[int, tuple[int, int]]" = field(default_factory=OrderedDict)

    def good(self, key: int, value: int) -> None:
        self.entries.pop(key, None)
        self.entries[key] = value, self.now
        while len(self.entries) > self.max_entries:
            del self.entries[next(iter(self.entries))]

    def failed(self, key: int) -> tuple[int, int] | None:
        entry = self.entries.pop(key, None)
        if entry is None or self.now - entry[1] > self.max_age:
            return None
        self.entries[key] = entry
        return entry[0], self.now - entry[1]


class KnownMachine(RuleBasedStateMachine):
    @initialize(max_age=st.integers(1, 5), max_entries=st.integers(1, 3))
    def build(self, max_age: int, max_entries: int) -> None:
        self.clock = FakeClock()
        self.known = LastKnownGood(max_age=max_age, max_entries=max_entries, clock=self.clock, key=lambda key, _: key)
        self.model = Model(max_age * S, max_entries)

    def fetch(self, key: int, value: int | None) -> int:
        if value is None:
            raise LostError("down")
        return value

    @rule(key=st.integers(0, 3), value=st.integers())
    def good(self, key: int, value: int) -> None:
        assert self.known.call(self.fetch, key, value) == value
        self.model.good(key, value)

    @rule(key=st.integers(0, 3))
    def failed(self, key: int) -> None:
        expected = self.model.failed(key)
        if expected is None:
            with pytest.raises(LostError):
                self.known.ask(self.fetch, key, None)
        else:
            given = self.known.ask(self.fetch, key, None)
            assert (given.value, given.age) == (expected[0], expected[1] / S)

    @rule(key=st.integers(0, 3))
    def forget(self, key: int) -> None:
        assert self.known.forget(self.fetch, key, None) == (self.model.entries.pop(key, None) is not None)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds * S

    @invariant()
    def same(self) -> None:
        if hasattr(self, "model"):
            assert self.known.snapshot().entries == len(self.model.entries)


KnownMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestKnownModel = KnownMachine.TestCase


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_streams_are_refused() -> None:
    """Generator functions, and functions that return a stream, get a sentence that says why."""
    known = LastKnownGood()

    async def stream() -> AsyncIterator[int]:
        yield 1

    async def opens() -> AsyncIterator[int]:
        return stream()

    with pytest.raises(ConfigError, match="gives a stream: it can be read only once"):
        known(stream)
    with pytest.raises(ConfigError, match="gives a stream: it can be read only once"):
        known.ask(stream)
    with pytest.raises(ConfigError, match="returned a stream: it can be read only once"):
        await known.call(opens)


def test_defaults() -> None:
    """A thousand results for a day, called stale at once."""
    options = LastKnownGood().options
    assert options == LastKnownGoodOptions()
    assert (options.max_age, options.stale_after, options.max_entries) == (DAY, 0, 1000)
    assert LastKnownGood().enabled


def test_options_at_the_end_of_their_range() -> None:
    """A result may be called stale only when it is about to expire, and one result may be all that is kept."""
    options = LastKnownGood(max_age=5, stale_after=5, max_entries=1).options
    assert (options.stale_after, options.max_entries) == (5, 1)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("key", {"key": "a"}),
        ("keep", {"keep": True}),
        ("give", {"give": 1}),
        ("max_age", {"max_age": 0}),
        ("stale_after", {"stale_after": -1}),
        ("stale_after", {"max_age": 5, "stale_after": 6}),
        ("max_entries", {"max_entries": 0}),
        ("kinds", {"kinds": [FaultKind.CANCELLED]}),
    ],
)
def test_options_out_of_range(field: str, options: dict[str, Any]) -> None:
    """Each option is checked, and the error names it."""
    with pytest.raises(ConfigError) as refused:
        LastKnownGood(**options)
    assert refused.value.field == field


def test_in_a_pipelines_place(source: Source) -> None:
    """Attached, it takes over clock, events and name, and forgets what another clock dated."""
    clock, events = FakeClock(), Events()
    known = LastKnownGood()
    known.call(source.plain)
    place = Site(pipeline="p", dependency="d", clock=clock, rng=random.Random(0), events=events)
    known.attach(place)
    assert (known._place.clock, known._place.name, known.snapshot().entries) == (clock, "d", 0)
    known.call(source.plain)
    known.attach(place)
    assert known.snapshot().entries == 1
