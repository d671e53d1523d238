"""The hub of events, and correlation ids."""

import asyncio
import logging
from typing import Any

import pytest

from holdfast.core.breaker_snapshot import BreakerState
from holdfast.core.events import (
    BreakerRejected,
    BreakerTransition,
    CallSucceeded,
    Event,
    Events,
    RetrySucceeded,
    correlation_id,
    correlation_scope,
)
from holdfast.errors import ConfigError
from holdfast.testing.events import EventRecorder

STAMP: dict[str, Any] = {
    "time_ns": 1,
    "correlation_id": "",
    "call_id": "1",
    "pipeline": "p",
    "policy": "x",
    "dependency": "d",
    "attempt": 1,
}


def succeeded() -> Event:
    return CallSucceeded(**STAMP, attempts=1, duration_ns=1)


def test_listeners_hear_the_types_they_asked_for() -> None:
    """A listener hears its types and their subclasses, in order; one without types hears everything."""
    events = Events()
    all_: list[Event] = []
    some: list[Event] = []
    events.listen(all_.append)
    events.listen(some.append, RetrySucceeded)
    retried = RetrySucceeded(**STAMP, attempts=2, waited_ns=5)
    events.emit(succeeded())
    events.emit(retried)
    assert all_ == [succeeded(), retried]
    assert some == [retried]


def test_active_only_while_somebody_listens() -> None:
    """``active`` is False before the first listener and after the last, and stopping twice is harmless."""
    events = Events()
    heard: list[Event] = []
    active = [events.active]
    stop = events.listen(heard.append)
    active.append(events.active)
    stop()
    stop()
    active.append(events.active)
    assert active == [False, True, False]
    events.emit(succeeded())
    assert heard == []


def test_whether_a_class_of_events_is_heard() -> None:
    """``hears`` follows who comes and goes: a class is heard by who wants it, or a class that it is one of."""
    events = Events()
    assert not events.hears(CallSucceeded)
    stop = events.listen(print, RetrySucceeded)
    assert (events.hears(CallSucceeded), events.hears(RetrySucceeded)) == (False, True)
    stop_all = events.listen(print)
    assert events.hears(CallSucceeded)
    stop_all()
    assert (events.hears(CallSucceeded), events.hears(RetrySucceeded)) == (False, True)
    stop()
    assert not events.hears(RetrySucceeded)


def test_who_comes_and_goes_between_two_events() -> None:
    """A listener that comes hears the next event of a type that was told before, and one that goes hears none more."""
    events = Events()
    first: list[Event] = []
    second: list[Event] = []
    stop = events.listen(first.append)
    events.emit(succeeded())
    events.listen(second.append)
    events.emit(succeeded())
    stop()
    events.emit(succeeded())
    assert (len(first), len(second)) == (2, 2)


def test_an_event_that_nobody_hears() -> None:
    """An event may be told where nobody has ever listened, and is not kept for who listens later."""
    events = Events()
    events.emit(succeeded())
    heard = EventRecorder(events)
    assert heard.events == []


@pytest.mark.parametrize("wrong", [5, int, "CallSucceeded", None])
def test_what_is_no_class_of_events(wrong: Any) -> None:
    """What is no class of events is refused, and nobody listens then."""
    events = Events()
    with pytest.raises(ConfigError, match="must be classes of events"):
        events.listen(print, Event, wrong)
    with pytest.raises(ConfigError, match="must be a function of one event"):
        events.listen(5)  # type: ignore[arg-type]
    assert not events.active


def test_a_breaker_is_no_shadow_unless_it_says_so() -> None:
    """What a breaker told is taken to have had an effect."""
    told = BreakerRejected(**STAMP, state=BreakerState.OPEN, retry_after=None)
    moved = BreakerTransition(
        **STAMP, from_state=BreakerState.CLOSED, to_state=BreakerState.OPEN, reason="failures", generation=2
    )
    assert not told.shadow
    assert not moved.shadow


def test_the_same_callback_twice_is_two_listeners() -> None:
    """Stopping one registration of a callback leaves the other."""
    events = Events()
    heard: list[Event] = []
    stop = events.listen(heard.append)
    events.listen(heard.append)
    stop()
    events.emit(succeeded())
    assert len(heard) == 1


def test_a_listeners_exception_is_contained_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises harms neither the caller nor the other listeners, and is logged once."""
    events = Events()
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("broken listener")

    events.listen(broken)
    events.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        events.emit(succeeded())
        events.emit(succeeded())
    assert len(heard) == 2
    assert [record.name for record in caplog.records] == ["holdfast.events"]


def test_no_lock_is_held_while_a_listener_runs() -> None:
    """A listener may listen, stop and emit itself: delivery holds no lock."""
    events = Events()
    heard: list[Event] = []

    def nosy(event: Event) -> None:
        if not heard:
            heard.append(event)
            events.listen(heard.append)()
            events.emit(event)

    events.listen(nosy)
    events.emit(succeeded())
    assert len(heard) == 1


def test_call_ids_do_not_repeat() -> None:
    """A hub gives out each call id once."""
    events = Events()
    given = [events.next_call_id() for _ in range(1000)]
    assert len(set(given)) == 1000
    assert (given[0], given[15], len(given[-1])) == ("1", "10", 3)  # short: they are in every event


async def test_correlation_id_follows_the_context() -> None:
    """The id holds inside the scope, in tasks started there, and scopes nest and end."""

    async def child() -> str:
        return correlation_id()

    assert correlation_id() == ""
    with correlation_scope("a") as given:
        assert given == "a"
        with correlation_scope("b"):
            task = asyncio.create_task(child())
        assert correlation_id() == "a"
        assert await task == "b"
    assert correlation_id() == ""


def test_a_scope_that_was_not_entered_can_be_left() -> None:
    """Leaving a correlation scope twice changes nothing."""
    scope = correlation_scope("a")
    scope.__exit__(None, None, None)
    assert correlation_id() == ""
