"""Where a policy stands: its clock, its hub, its names."""

import random

import pytest

from holdfast.core._place import Place, check_doors
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Event, Events
from holdfast.core.policy import Site
from holdfast.errors import ConfigError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder


def site(clock: FakeClock, events: Events, name: str = "model:x") -> Site:
    return Site(pipeline=name, dependency=f"{name}/1", clock=clock, rng=random.Random(0), events=events)


def test_alone() -> None:
    """Without a pipeline it has the machine's clock, no names, and nobody hears it."""
    place = Place("hedge", clock=None, events=None, name="")
    assert place.clock is SYSTEM_CLOCK
    assert not place.heard
    place.emit(Event)


def test_in_a_pipeline() -> None:
    """It takes the pipeline's doors and names, and speaks with them."""
    clock, events = FakeClock(), Events()
    place = Place("hedge", clock=None, events=None, name="")
    assert place.attach(site(clock, events))
    assert not place.heard
    recorder = EventRecorder(events)
    place.emit(Event)
    (event,) = recorder.events
    assert (event.pipeline, event.dependency, event.policy, event.call_id) == ("model:x", "model:x/1", "hedge", "")
    assert event.time_ns == clock.wall_ns()


def test_what_was_given_stays() -> None:
    """Its own clock, hub and name are kept, in any number of pipelines."""
    clock, events, others = FakeClock(), Events(), Events()
    place = Place("hedge", clock=clock, events=events, name="mine")
    recorder, elsewhere = EventRecorder(events), EventRecorder(others)
    for _ in range(2):
        assert not place.attach(site(FakeClock(), others))
    place.emit(Event)
    assert [event.dependency for event in recorder.events] == ["mine"]
    assert elsewhere.events == []
    assert place.clock is clock
    assert place.name == "mine"


def test_several_pipelines_need_one_clock() -> None:
    """A second pipeline with another clock is refused."""
    clock = FakeClock()
    place = Place("hedge", clock=None, events=None, name="")
    place.attach(site(clock, Events()))
    assert not place.attach(site(clock, Events(), "model:y"))
    assert place.name == "model:x/1"
    with pytest.raises(ConfigError, match="a hedge in several pipelines needs the same clock"):
        place.attach(site(FakeClock(), Events()))


def test_the_same_clock_is_no_change() -> None:
    """In a pipeline of the machine's clock it has that clock as before; what was counted by it can stay."""
    place = Place("quota", clock=None, events=None, name="")
    assert not place.attach(Site(pipeline="", dependency="", clock=SYSTEM_CLOCK, rng=random.Random(0), events=Events()))
    assert place.clock is SYSTEM_CLOCK


class Draws:
    """A source of chance that can only do the one of two things."""

    def random(self) -> float:
        return 0.5


def test_a_source_of_chance_can_do_all_that_is_asked_of_it() -> None:
    """One that draws numbers but not from a range is refused before anybody needs it."""
    check_doors(clock=None, events=None, name="", rng=random.Random(0))
    for rng in (Draws(), random.Random, 5):
        with pytest.raises(ConfigError, match="random numbers"):
            check_doors(clock=None, events=None, name="", rng=rng)
