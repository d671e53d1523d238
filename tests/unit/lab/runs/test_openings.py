"""Openings of breakers, and those that the dependency did not deserve."""

from __future__ import annotations

import pytest

from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.runs.openings import Openings, true_failure_rate


def openings(*moves: tuple[float, str, str], faults: tuple[Fault, ...] = (), end: float = 100) -> tuple[int, int]:
    found = Openings(FaultPlan(faults))
    for at, before, after in moves:
        found.moved(at, "store:sqlite", before, after)
    found.finish(end)
    return found.opened, found.undeserved


DOWN = Fault(component="store", kind=Kind.DOWN, begin=10, end=40)
CLOSE = ("half_open", "closed")
PROBE = ("open", "half_open")


def test_the_true_rate_is_that_of_the_plan() -> None:
    """Independent faults add up; one that is slow fails only when it is slower than an attempt may take."""
    plan = FaultPlan(
        [
            Fault(component="model", kind=Kind.ERRORS, rate=0.5, begin=0, end=10),
            Fault(component="model:openai", kind=Kind.MIXED, rate=0.5, begin=5),
            Fault(component="model", kind=Kind.SLOW, seconds=2),
            Fault(component="store", kind=Kind.SLOW, seconds=2),
        ]
    )
    assert true_failure_rate(plan, "model:openai/gpt", 1) == 0.5
    assert true_failure_rate(plan, "model:openai/gpt", 6) == 0.75
    assert true_failure_rate(plan, "model:openai/gpt", 12) == 0.5
    assert true_failure_rate(plan, "model:anthropic/x", 12) == 0
    assert true_failure_rate(plan, "store:sqlite", 1) == 1


def test_an_opening_in_an_outage_is_deserved() -> None:
    """Also one that comes a little after its end, of calls that were under way."""
    assert openings((12, "closed", "open"), (41, *PROBE), (42, *CLOSE), faults=(DOWN,)) == (1, 0)
    assert openings((45, "closed", "open"), (48, *PROBE), (49, *CLOSE), faults=(DOWN,)) == (1, 0)


def test_an_opening_without_an_outage_is_not() -> None:
    """It is counted once, however often its probes fail after it."""
    assert openings((5, "closed", "open"), (8, *PROBE), (9, *CLOSE)) == (1, 1)
    moves = ((5, "closed", "open"), (8, *PROBE), (9, "half_open", "open"), (12, *PROBE), (13, *CLOSE))
    assert openings(*moves) == (1, 1)
    assert openings(*moves, (20, "closed", "open")) == (2, 2)


def test_a_breaker_that_stays_open_is_not_deserved() -> None:
    """More than one interval of the prober after the dependency is well again; also when it is open at the end."""
    assert openings((12, "closed", "open"), (44.9, *PROBE), (46, *CLOSE), faults=(DOWN,)) == (1, 0)
    assert openings((12, "closed", "open"), (45.1, *PROBE), (46, *CLOSE), faults=(DOWN,)) == (1, 1)
    assert openings((12, "closed", "open"), faults=(DOWN,)) == (1, 1)
    assert openings((12, "closed", "open"), faults=(DOWN,), end=39) == (1, 0)


@pytest.mark.parametrize(("rate", "undeserved"), [(0.49, 1), (0.5, 0)])
def test_the_threshold_is_half_of_the_calls(rate: float, undeserved: int) -> None:
    """A dependency that fails in half of its calls may be left alone, one that fails in fewer may not."""
    faults = (Fault(component="store", kind=Kind.ERRORS, rate=rate),)
    assert openings((12, "closed", "open"), (14, *PROBE), (15, *CLOSE), faults=faults) == (1, undeserved)
