"""When a queue stands, and what is dropped from it then."""

import pytest

from holdfast.core._turns import TurnState
from holdfast.core.codel import CoDel, CoDelState
from holdfast.core.request_queue import RequestQueue
from holdfast.testing.clock import FakeClock

MS = 1_000_000


def state() -> CoDelState:
    """One with an interval of 100 ms and a target of 5 ms, the defaults."""
    return CoDelState(CoDel())


def test_a_new_queue_does_not_stand() -> None:
    """Before anybody waited the queue does not stand, and the first who waited is not dropped."""
    new = state()
    assert new.standing is False
    assert new.sees(0, 60 * MS) is False
    assert new.standing is False


@pytest.mark.parametrize(("shortest_ns", "stands"), [(5 * MS, False), (5 * MS + 1, True)])
def test_a_queue_stands_over_the_target_only(shortest_ns: int, stands: bool) -> None:
    """A shortest wait of just the target is what the target allows."""
    seen = state()
    seen.sees(0, shortest_ns)
    seen.sees(100 * MS, 60 * MS)
    assert seen.standing is stands


@pytest.mark.parametrize("waits", [(60, 1, 60), (1, 60, 60), (60, 60, 1)])
def test_the_shortest_wait_of_the_interval_counts(waits: tuple[int, ...]) -> None:
    """One who waited little, at any time of an interval, shows that the queue drains."""
    seen = state()
    for at, wait in enumerate(waits):
        seen.sees(at * 10 * MS, wait * MS)
    seen.sees(100 * MS, 60 * MS)
    assert seen.standing is False


@pytest.mark.parametrize(("at_ns", "stands"), [(200 * MS - 1, True), (200 * MS, False)])
def test_an_interval_speaks_for_the_next_only(at_ns: int, stands: bool) -> None:
    """Bad waits of an interval say nothing any more once a whole interval has passed in which nobody had a turn."""
    seen = state()
    seen.sees(0, 60 * MS)
    seen.sees(at_ns, 60 * MS)
    assert seen.standing is stands


def test_twice_the_target_may_be_waited() -> None:
    """While the queue stands a wait of twice the target is served, and one that is longer is dropped."""
    seen = state()
    seen.sees(0, 60 * MS)
    assert seen.sees(100 * MS, 10 * MS) is False
    assert seen.standing
    assert seen.sees(101 * MS, 10 * MS + 1) is True


def test_the_oldest_first_by_default() -> None:
    """A queue that stands starts its oldest request first unless it is told otherwise."""
    clock = FakeClock()
    queue = RequestQueue(max_concurrent=1, codel=CoDel(), clock=clock)
    running, *slow = (queue.ask() for _ in range(3))
    clock.advance(0.1)
    queue.leave(running)
    clock.advance(0.1)
    waiting = [queue.ask(), queue.ask()]
    clock.advance(0.001)
    queue.leave(slow[0])
    assert queue.snapshot().standing
    assert slow[1].state is TurnState.DROPPED
    assert [each.state for each in waiting] == [TurnState.HELD, TurnState.WAITING]
