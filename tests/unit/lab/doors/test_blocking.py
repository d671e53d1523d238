"""Blocking work on virtual threads: latencies, lines, cancellation, errors, the end."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.ports import Blocking
from holdfast.errors import ConfigError, RejectedError
from holdfast.lab.doors.blocking import ModelledBlocking
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.latency import Latency
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

SECOND = 1_000_000_000


def door(clock: VirtualClock, **options: Any) -> ModelledBlocking:
    return ModelledBlocking(clock, Draws(1), **{"otherwise": Latency(1.0), **options})


def test_it_is_a_blocking_port() -> None:
    """Work gives or raises what it does, with its arguments, after its latency, in the caller's context."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def work(number: int, *, more: int) -> tuple[int, str]:
        seen = variable.get()
        variable.set("changed")
        return number + more, seen

    def fails() -> None:
        raise LookupError("no")

    async def main(clock: VirtualClock) -> None:
        blocking = door(clock)
        assert isinstance(blocking, Blocking)
        variable.set("mine")
        assert await blocking.run("store.read", work, 1, more=2) == (3, "mine")
        assert variable.get() == "mine"
        with pytest.raises(LookupError, match="no"):
            await blocking.run("store.read", fails)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await blocking.run("store.read", lambda: next(iter(())))
        assert clock.now_ns() == 3 * SECOND
        assert blocking.calls == {"store.read": 3}

    run(main)


def test_latencies_go_by_kind() -> None:
    """The whole kind comes before its first part, and that before what holds for others; no latency is no time."""

    async def main(clock: VirtualClock) -> list[int]:
        blocking = ModelledBlocking(
            clock, Draws(1), latencies={"store": Latency(3), "store.write": Latency(5)}, otherwise=Latency(7)
        )
        at_once = ModelledBlocking(clock, Draws(1))
        times = []
        for each, kind in ((blocking, "store.write"), (blocking, "store.read"), (blocking, "x"), (at_once, "x")):
            before = clock.now_ns()
            await each.run(kind, int)
            times.append((clock.now_ns() - before) // SECOND)
        return times

    assert run(main).value == [5, 3, 7, 0]


def test_latencies_belong_to_the_request() -> None:
    """What a request's work takes depends on the request, and not on what others did before."""

    async def main(clock: VirtualClock) -> int:
        blocking = ModelledBlocking(clock, Draws(1), otherwise=Latency(1, 1))
        for number in range(others):
            with request_scope(f"other-{number}"):
                await blocking.run("store.read", int)
        before = clock.now_ns()
        with request_scope("user-1"):
            await blocking.run("store.read", int)
        return clock.now_ns() - before

    others = 0
    alone = run(main).value
    others = 5
    assert run(main).value == alone != SECOND


def test_threads_are_few_and_the_line_is_short() -> None:
    """Two threads do three pieces of work in two turns; a fourth finds the line full, and is told so."""

    async def main(clock: VirtualClock) -> list[int]:
        blocking = door(clock, max_workers=2, max_waiting=1)
        work = [asyncio.create_task(blocking.run("store.read", clock.now_ns)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(RejectedError, match=r"store\.read: 3 pieces of blocking work wait or run already"):
            await blocking.run("store.read", int)
        return [await each // SECOND for each in work]

    assert run(main).value == [1, 1, 2]


def test_dedicated_threads() -> None:
    """Work of a kind with threads of its own neither waits for others nor makes them wait."""

    async def main(clock: VirtualClock) -> list[int]:
        blocking = door(clock, max_workers=1, dedicated={"embed.batch": 1})
        kinds = ("store.read", "embed.batch", "embed.batch")
        return [each // SECOND for each in await asyncio.gather(*(blocking.run(kind, clock.now_ns) for kind in kinds))]

    assert run(main).value == [1, 1, 2]


def test_who_is_cancelled_leaves_the_line_and_not_the_thread() -> None:
    """Work that waits is dropped with its caller; work that runs holds its thread to its end, and takes effect."""
    done: list[str] = []

    async def main(clock: VirtualClock) -> list[Any]:
        blocking = door(clock, max_workers=1, max_waiting=1)
        running = asyncio.create_task(blocking.run("x", done.append, "running"))
        waiting = asyncio.create_task(blocking.run("x", done.append, "waiting"))
        await asyncio.sleep(0.5)
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert done == []
        await blocking.run("x", done.append, "next")  # it has the place of the one that was dropped
        return [*done, clock.now_ns() // SECOND]

    assert run(main).value == ["running", "next", 2]


def test_what_work_sleeps_passes_for_its_thread() -> None:
    """A sync sleep within the work is added to its latency, and holds up nobody else."""

    async def main(clock: VirtualClock) -> list[int]:
        blocking = door(clock)
        slow = asyncio.create_task(blocking.run("x", clock.sleep_ns, 5 * SECOND))
        await blocking.run("x", int)
        times = [clock.now_ns() // SECOND]
        await slow
        return [*times, clock.now_ns() // SECOND]

    assert run(main).value == [1, 6]


def test_the_end() -> None:
    """Closing waits for what runs and waits, takes no more, and may be done twice."""
    done: list[int] = []

    async def main(clock: VirtualClock) -> None:
        blocking = door(clock, max_workers=1)
        work = [asyncio.create_task(blocking.run("x", done.append, number)) for number in range(3)]
        await asyncio.sleep(0)
        await asyncio.gather(blocking.close(), blocking.close())
        assert (done, clock.now_ns()) == ([0, 1, 2], 3 * SECOND)
        with pytest.raises(RejectedError, match="closed"):
            await blocking.run("x", int)
        await asyncio.gather(*work)
        await blocking.close()

    run(main)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_workers": 0}, "max_workers"),
        ({"max_waiting": -1}, "max_waiting"),
        ({"dedicated": {"x": 0}}, r"dedicated\[x\]"),
        ({"threads": 2}, "threads"),
    ],
)
def test_options_are_checked(options: dict[str, Any], field: str) -> None:
    """An option out of its range is refused by name."""

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(ConfigError, match=field):
            door(clock, **options)

    run(main)
