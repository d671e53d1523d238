"""Who gives way in a full queue."""

from holdfast.core._turns import TurnState
from holdfast.core.request_queue import RequestQueue
from holdfast.testing.clock import FakeClock


def test_nobody_gives_way_without_need() -> None:
    """Where one makes exactly enough room by going, the next one stays."""
    queue = RequestQueue(
        clock=FakeClock(auto=False), requests_per_minute=None, max_wait=None, max_concurrent=1, max_bytes=600
    )
    queue.ask()
    low = [queue.ask(priority=0, size=300) for _ in range(2)]
    queue.ask(priority=9, size=300)
    assert [each.state for each in low] == [TurnState.DROPPED, TurnState.WAITING]
