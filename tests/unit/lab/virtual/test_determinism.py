"""One seed, one course: a thousand random programs run twice and leave the same trace."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.lab.virtual.running import Ran, run
from holdfast.lab.virtual.trace import Trace

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

PROGRAMS = 1_000
BATCH = 100


class Program:
    """A few tasks that sleep, wait for each other, cancel each other, and give up after a while, as a seed says."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log: list[tuple[int, int, str]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def main(self, clock: VirtualClock) -> list[tuple[int, int, str]]:
        self.clock, self.mutex, self.signal = clock, asyncio.Lock(), asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.tasks = [asyncio.create_task(self.task(number)) for number in range(self.rng.randint(2, 6))]
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.log

    async def task(self, number: int) -> None:
        for _ in range(self.rng.randint(1, 8)):
            step = self.rng.choice(["sleep", "nap", "lock", "put", "get", "cancel", "timeout", "event", "group"])
            self.log.append((self.clock.now_ns(), number, step))
            await getattr(self, step)()

    async def sleep(self) -> None:
        await asyncio.sleep(self.rng.choice([0, 0, 0.5, 1, self.rng.random()]))

    async def nap(self) -> None:
        await self.clock.asleep_ns(self.rng.choice([0, 1, 10**9]))

    async def lock(self) -> None:
        async with self.mutex:
            await asyncio.sleep(self.rng.random())

    async def put(self) -> None:
        await self.queue.put(1)

    async def get(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.rng.random()):
                await self.queue.get()

    async def cancel(self) -> None:
        self.rng.choice(self.tasks).cancel()

    async def timeout(self) -> None:
        try:
            async with asyncio.timeout(self.rng.random()):
                await self.signal.wait()
        except TimeoutError:
            self.signal.set()

    async def event(self) -> None:
        self.signal.clear()

    async def group(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(asyncio.sleep(self.rng.choice([0, 1])))


def ran(seed: int, *, shuffle: bool = False, shuffle_seed: int = 0) -> Ran[list[tuple[int, int, str]]]:
    return run(Program(seed).main, seed=shuffle_seed, shuffle=shuffle)


@pytest.mark.parametrize("first", range(0, PROGRAMS, BATCH))
def test_random_programs_run_the_same_way_twice(first: int) -> None:
    """A program with one seed takes the same steps at the same times, and leaves the same trace."""
    once = [ran(seed) for seed in range(first, first + BATCH)]
    again = [ran(seed) for seed in range(first, first + BATCH)]
    assert once == again
    assert len({each.trace for each in once}) == BATCH


def test_shuffled_programs_run_the_same_way_twice() -> None:
    """With the order of what is ready drawn from a seed, one seed is one course, and several are several."""
    courses = [ran(5, shuffle=True, shuffle_seed=seed) for seed in range(20)]
    assert courses == [ran(5, shuffle=True, shuffle_seed=seed) for seed in range(20)]
    assert len({each.trace for each in courses}) > 1


def test_shuffling_finds_a_race() -> None:
    """A program that relies on the order in which equals wake breaks under some seeds, and under none without."""

    async def main(clock: VirtualClock) -> list[str]:
        order: list[str] = []

        async def work(name: str) -> None:
            await asyncio.sleep(1)
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

        await asyncio.gather(work("a"), work("b"))
        return order

    assert {tuple(run(main, seed=seed).value) for seed in range(20)} == {("a", "b", "a", "b")}
    shuffled = {tuple(run(main, seed=seed, shuffle=True).value) for seed in range(50)}
    assert {order[:2] for order in shuffled} == {("a", "b"), ("b", "a")}


def test_callbacks_of_one_task_are_never_shuffled() -> None:
    """What one task has called soon runs in its order, whatever the seed."""

    async def main(clock: VirtualClock) -> list[int]:
        order: list[int] = []
        for number in range(10):
            asyncio.get_running_loop().call_soon(order.append, number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return order

    assert all(run(main, seed=seed, shuffle=True).value == list(range(10)) for seed in range(20))


def test_the_trace_tells_which_task_ran() -> None:
    """Two programs with the same steps at the same times, done by different tasks, have different traces."""

    async def main(clock: VirtualClock) -> None:
        events = [asyncio.Event(), asyncio.Event()]
        waiting = [asyncio.create_task(event.wait()) for event in events]
        await asyncio.sleep(1)
        for event in events if forwards else reversed(events):
            event.set()
        await asyncio.gather(*waiting)

    forwards = True
    first = run(main)
    forwards = False
    second = run(main)
    assert (first.steps, first.seconds) == (second.steps, second.seconds)
    assert first.trace != second.trace


def test_the_trace_is_the_same_in_every_process() -> None:
    """Neither the salt of Python's hashes nor what else ran in the process changes a trace."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_determinism import ran\n"
        "print(' '.join(ran(seed).trace for seed in range(5)))"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for salt in ("1", "2")
    }
    assert traces == {" ".join(ran(seed).trace for seed in range(5))}


def test_a_trace_takes_notes_and_keeps_little() -> None:
    """Numbers and notes count in their order; hashing early does not change the hash."""
    one, two, three = Trace(), Trace(), Trace()
    for number in range(20_000):
        one.add(number)
        two.add(number)
        two.settle()
    assert one.digest() == two.digest() == one.digest()
    one.note("answer", 1, ("a", 2.5))
    assert one.digest() != two.digest()
    three.note("answer", 1)
    assert three.digest() != Trace().digest()
