"""Queues in the lab: Erlang's formula for those who wait, and the loss of a line that is full.

Arrivals are a scenario's, the line is a production policy's, and time is virtual. Waits of neighbours depend on each
other: their standard error is that of the means of batches, and it falls slowly. So each wait is also compared with a
recursion over the same arrivals and the same work, to the nanosecond, which misses nothing.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.unit.lab.oracles.bounds import SECOND, batched, near

from holdfast.core.bulkhead import Bulkhead
from holdfast.core.clock import to_ns
from holdfast.core.request_queue import RequestQueue
from holdfast.errors import BulkheadFullError, QueueFullError
from holdfast.lab.draws import Draws
from holdfast.lab.scenarios.traffic import Traffic
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from holdfast.lab.virtual.clock import VirtualClock

EVERYBODY = 100_000


class Line(Protocol):
    """A policy that lets some in, and keeps the others waiting."""

    def admit(self) -> AbstractAsyncContextManager[object]:
        """Wait for a place."""
        ...


class Users:
    """Users who come as a scenario's do, each with work that takes a second on average (M/M/c).

    Args:
        load: how many come a second.
        count: how many come.
    """

    def __init__(self, load: float, count: int) -> None:
        draws = Draws(3)
        times = Traffic(rate=load).times(2 * count / load, draws)
        self.comes_ns = [to_ns(at) for at, _ in zip(times, range(count), strict=False)]
        self.works_ns = [to_ns(draws.exponential(1.0, "work", number)) for number in range(count)]

    def waits(self, made: Callable[[VirtualClock], Line]) -> list[int | None]:
        """How many nanoseconds each of them waits in a line; None: there was no place."""

        async def main(clock: VirtualClock) -> list[int | None]:
            line = made(clock)
            found: list[int | None] = [None] * len(self.comes_ns)

            async def user(number: int, came_ns: int, work_ns: int) -> None:
                try:
                    async with line.admit():
                        found[number] = clock.now_ns() - came_ns
                        await clock.asleep_ns(work_ns)
                except (BulkheadFullError, QueueFullError):
                    return

            async with asyncio.TaskGroup() as users:
                for number, (came_ns, work_ns) in enumerate(zip(self.comes_ns, self.works_ns, strict=True)):
                    await clock.asleep_ns(came_ns - clock.now_ns())
                    users.create_task(user(number, came_ns, work_ns))
            return found

        return run(main).value

    def recursion(self, servers: int, waiting: int) -> list[int | None]:
        """The same by arithmetic: whoever is first in line takes the server that is free first."""
        free_ns, ends_ns, found = [0] * servers, list[int](), list[int | None]()
        for came_ns, work_ns in zip(self.comes_ns, self.works_ns, strict=True):
            while ends_ns and ends_ns[0] <= came_ns:
                heappop(ends_ns)
            if len(ends_ns) >= servers + waiting:
                found.append(None)
                continue
            begins_ns = max(came_ns, heappop(free_ns))
            heappush(free_ns, begins_ns + work_ns)
            heappush(ends_ns, begins_ns + work_ns)
            found.append(begins_ns - came_ns)
        return found


def bulkhead(servers: int, waiting: int) -> Callable[[VirtualClock], Line]:
    """Makes a bulkhead with a line."""
    return lambda clock: Bulkhead(max_concurrent=servers, max_waiting=waiting, clock=clock)


def queue(servers: int, waiting: int) -> Callable[[VirtualClock], Line]:
    """Makes a request queue without any pace."""
    return lambda clock: RequestQueue(
        max_concurrent=servers, max_size=waiting, requests_per_minute=None, max_wait=None, clock=clock
    )


def erlang(servers: int, load: float) -> float:
    """The share that waits: C = B/(1 - rho + rho B), with B_k = a B/(k + a B)."""
    lost = 1.0
    for k in range(1, servers + 1):
        lost = load * lost / (k + load * lost)
    rho = load / servers
    return lost / (1 - rho + rho * lost)


@pytest.mark.parametrize("line", [bulkhead, queue])
@pytest.mark.parametrize(("servers", "waiting", "load"), [(5, EVERYBODY, 4.5), (1, 9, 1.5)])
def test_each_wait_is_the_recursions(
    line: Callable[[int, int], Callable[[VirtualClock], Line]], servers: int, waiting: int, load: float
) -> None:
    """Bulkhead and queue let in whom they should, at the nanosecond at which they should."""
    users = Users(load, 4_000)
    waits = users.waits(line(servers, waiting))
    assert waits == users.recursion(servers, waiting)
    assert 0.3 < sum(map(bool, waits)) / len(waits) < 0.9


@pytest.mark.parametrize(
    ("line", "servers", "load", "share", "bound"),
    [(queue, 2, 1.0, 1 / 3, 0.12), (bulkhead, 5, 2.5, 0.13037, 0.3), (queue, 10, 5.0, 0.03611, 0.6)],
)
def test_the_share_that_waits_and_the_mean_wait(
    line: Callable[[int, int], Callable[[VirtualClock], Line]], servers: int, load: float, share: float, bound: float
) -> None:
    """M/M/c: Erlang's C within 12% where a third waits, 30% for C(5, 2.5) and 60% for C(10, 5).

    All users together wait C/(c mu - lambda) seconds on average, within twice that bound.
    """
    assert erlang(servers, load) == pytest.approx(share, abs=1e-5)
    waits = Users(load, 14_000).waits(line(servers, EVERYBODY))
    found, error = batched([float(bool(wait)) for wait in waits])
    assert found == near(share, error, bound=bound)
    found, error = batched([(wait or 0) / SECOND for wait in waits])
    assert found == near(share / (servers - load), error, bound=2.1 * bound)


@pytest.mark.parametrize(("load", "loss", "bound"), [(0.8, 0.023493, 0.7), (1.5, 0.337232, 0.11)])
def test_the_loss_of_a_full_line(load: float, loss: float, bound: float) -> None:
    """M/M/1/10: one server and nine places lose (1-rho) rho^10/(1-rho^11), within 11% above capacity."""
    assert (1 - load) * load**10 / (1 - load**11) == pytest.approx(loss, abs=1e-6)
    waits = Users(load, 14_000).waits(queue(1, 9))
    found, error = batched([float(wait is None) for wait in waits])
    assert found == near(loss, error, bound=bound)
