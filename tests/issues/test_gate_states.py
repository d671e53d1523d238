"""Gates of one's own, whose state is not only a text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import pytest

from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.errors import CircuitOpenError
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef, Site


class State(Enum):
    """Whether it lets in."""

    SHUT = 1
    FREE = 2


@dataclass
class Seen:
    """What the gate shows: as a breaker."""

    state: str
    retry_after: float | None = None


class Valve:
    """Shuts after the first call."""

    label: ClassVar[str] = "valve"

    def __init__(self) -> None:
        self.state = State.FREE

    def attach(self, site: Site) -> None:
        """Nothing."""

    def enter(self, call: CallRef | None = None) -> object:
        """Let in the first."""
        if self.state is State.SHUT:
            raise CircuitOpenError("shut")
        return "permit"

    def leave(self, permit: object, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Shut."""
        self.state = State.SHUT

    def snapshot(self) -> object:
        """As a breaker."""
        return Seen("open" if self.state is State.SHUT else "closed")


def test_nobody_waits_for_a_gate_that_shows_that_it_is_open() -> None:
    """What a gate shows decides whether a retry is worth its wait, whatever else it calls its state."""
    clock = FakeClock()
    guarded = Pipeline(Retry(max_retries=2, initial_delay=5, jitter="none"), Valve(), clock=clock, name="p")

    def fail() -> None:
        raise ConnectionError

    before = clock.now_ns()
    with pytest.raises(CircuitOpenError):
        guarded.call(fail)
    assert clock.now_ns() == before
