"""Lines of a scenario that say what fails."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.draws import Draws
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.scenarios.failing import FaultLine, OutageLine, interruptions


def test_a_line_stands_for_each_of_its_components() -> None:
    """Every component gets the fault, at the injected rate where the line says so."""
    line = FaultLine(components=("store", "model:openai"), kind="mixed", rate="injected", begin=2, end=9)
    faults = list(line.faults(0.2, Draws(1)))
    assert [each.component for each in faults] == ["store", "model:openai"]
    assert {(each.kind, each.rate, each.begin, each.end) for each in faults} == {(Kind.MIXED, 0.2, 2, 9)}
    assert next(iter(line.faults(None, None))).rate == 0


def test_some_of_them_are_picked_by_the_seed() -> None:
    """As many as asked for, the same for the same seed, and over many seeds every one."""
    line = FaultLine(components=("a", "b", "c"), kind="down", pick=2)
    picked = [tuple(each.component for each in line.faults(None, Draws(seed))) for seed in range(30)]
    assert {len(set(each)) for each in picked} == {2}
    assert {name for each in picked for name in each} == {"a", "b", "c"}
    assert picked[3] == tuple(each.component for each in line.faults(None, Draws(3)))


def test_a_line_with_several_ways_is_one_fault_of_each() -> None:
    """Each way is a fault by itself, of every component; and they can be taken apart."""
    line = FaultLine(components=("store", "cache"), kind="garbage", ways=("empty", "truncated"), begin=1)
    pairs = [(name, way) for name in line.components for way in line.ways]
    assert [(each.component, each.way) for each in line.faults(None, None)] == pairs
    apart = list(line.each())
    assert [(each.components, each.way, each.ways, each.begin) for each in apart] == [
        ((name,), way, (), 1) for name, way in pairs
    ]
    for ways in ("empty", ("",), (1,)):
        with pytest.raises(ConfigError, match="must be names"):
            FaultLine(components=("store",), kind="garbage", ways=ways)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one of them is enough"):
        FaultLine(components=("store",), kind="garbage", way="empty", ways=("gone",))


def test_outages_of_one_group_come_together() -> None:
    """Components of a group fail at the same times, those of none at times of their own."""
    both: dict[str, Any] = {"components": ("x", "y"), "every": 50.0, "shortest": 5.0}

    def spans(component: str, **more: Any) -> list[tuple[float, float]]:
        faults = OutageLine(**both, **more).faults(None, Draws(3), 2_000)
        return [(each.begin, each.end) for each in faults if each.component == component]

    assert spans("x", group="g") == spans("y", group="g") != []
    assert spans("x") != spans("y")


def test_interruptions_are_joined() -> None:
    """What overlaps is one interruption; what is on all the time, or never, is none."""
    faults = [
        Fault(component="a", kind=Kind.DOWN, begin=10, end=20),
        Fault(component="b", kind=Kind.DOWN, begin=15, end=30),
        Fault(component="a", kind=Kind.DOWN, begin=50, end=inf),
        Fault(component="a", kind=Kind.DOWN, begin=100, end=120),
        Fault(component="c", kind=Kind.ERRORS, rate=0.02),
        Fault(component="d", kind=Kind.DOWN, rate=0, begin=1, end=2),
        Fault(component="e", kind=Kind.DOWN, begin=0, end=5),
    ]
    assert interruptions(faults, 90) == [(0, 5), (10, 30), (50, 90)]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"components": ()}, "components"),
        ({"components": ("store",), "kind": "gone"}, "kind"),
        ({"components": ("store",), "rate": 1.1}, "rate"),
        ({"components": ("store",), "rate": "often"}, "rate"),
        ({"components": ("store",), "begin": 5, "end": 5}, "end"),
        ({"components": ("store",), "pick": 2}, "pick"),
        ({"components": ("store",), "seconds": -1}, "seconds"),
    ],
)
def test_wrong_faults_are_refused(options: dict[str, Any], field: str) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError) as caught:
        FaultLine(**{"kind": "down", **options})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"components": ()}, "components"),
        ({"kind": "gone"}, "kind"),
        ({"every": 0}, "every"),
        ({"tail": 0}, "tail"),
        ({"longest": -1}, "longest"),
        ({"rate": 2}, "rate"),
    ],
)
def test_wrong_outages_are_refused(options: dict[str, Any], field: str) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError) as caught:
        OutageLine(**{"components": ("store",), "every": 10.0, "shortest": 1.0, **options})
    assert caught.value.field == field
