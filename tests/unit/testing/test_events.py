"""The recorder and the seeded randomness."""

from holdfast.core.events import CallSucceeded, Event, Events
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng


def event() -> Event:
    return CallSucceeded(
        time_ns=1,
        correlation_id="",
        call_id="1",
        pipeline="p",
        policy="pipeline",
        dependency="d",
        attempt=1,
        attempts=1,
        duration_ns=0,
    )


def test_records_until_it_is_stopped() -> None:
    """It keeps what it hears, by name and by type, until it is cleared or stopped."""
    events = Events()
    recorder = EventRecorder(events)
    events.emit(event())
    assert recorder.names == ["CallSucceeded"]
    assert recorder.of(CallSucceeded) == recorder.events == [event()]
    recorder.clear()
    assert recorder.events == []
    recorder.stop()
    events.emit(event())
    assert recorder.events == []
    assert not events.active


def test_seeded_streams_are_independent_and_repeatable() -> None:
    """The same seed and key give the same numbers; another key or seed gives others."""
    assert seeded_rng(1, "a", 2).random() == seeded_rng(1, "a", 2).random()
    draws = {seeded_rng(seed, *key).random() for seed in (1, 2) for key in [(), ("a",), ("b",), ("a", "b"), ("ab",)]}
    assert len(draws) == 10
