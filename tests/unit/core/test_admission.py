"""Policies that admit calls, used alone: what they say of the call, and whose demand holds where."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from holdfast.core._admission import Admission
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.demand import current_demand, demand_scope
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.rate_limiter import RateLimiter
from holdfast.errors import ConfigError
from holdfast.testing.clock import FakeClock


class Doorman:
    """Lets everybody in, and writes down how they left."""

    def __init__(self) -> None:
        self.firsts = 0
        self.left: list[Fault | None] = []

    def admitted(self, **demand: Any) -> int:
        return 1

    async def admitted_async(self, **demand: Any) -> int:
        return 1

    def first_item(self, permit: int) -> None:
        self.firsts += 1

    def leave(self, permit: int, fault: Fault | None = None) -> None:
        self.left.append(fault)


async def numbers() -> AsyncGenerator[int, None]:
    yield 1
    yield 2


async def broken(after: int) -> AsyncGenerator[int, None]:
    for number in range(after):
        yield number
    raise ConnectionResetError


def tokens() -> RateLimiter:
    """A hundred tokens at once, and none comes back while nobody moves the clock."""
    return RateLimiter(tokens_per_minute=60, token_burst=100, clock=FakeClock())


def left(limiter: RateLimiter) -> float:
    limit = limiter.snapshot().tokens
    assert limit is not None
    return limit.available


async def test_after_a_call_the_demand_around_it_holds_again() -> None:
    """Whatever the form, a call has a demand of its own inside, and leaves the caller's as it was."""
    admission = Admission(Doorman())
    seen = []

    async def task() -> None:
        await asyncio.sleep(0)
        seen.append(current_demand())

    with demand_scope() as demand:
        with admission:
            seen.append(current_demand())
        assert current_demand() is demand
        async with admission:
            seen.append(current_demand())
        assert current_demand() is demand
        seen.append(admission.call(current_demand))
        assert current_demand() is demand
        await admission.call(task)
        assert current_demand() is demand
        async with aclosing(admission.call(numbers)) as stream:
            async for _ in stream:
                assert current_demand() is demand
    assert [each.outer for each in seen] == [demand] * 4


async def test_the_consumer_of_a_stream_may_say_what_it_used() -> None:
    """What is said between a stream's items, outside of it, is that call's usage."""
    limiter = tokens()
    with demand_scope(cost=10) as demand:
        async for number in limiter.call(numbers):
            demand.used(number)
    assert left(limiter) == 98


def test_what_others_used_meanwhile_is_not_the_calls() -> None:
    """What is said of the scope while a call runs is no usage of that call: it stands as reserved."""
    limiter = tokens()
    with demand_scope(cost=10) as demand:
        limiter.call(demand.used, 3)
        with limiter.admit():
            demand.used(4)
    assert left(limiter) == 80


@pytest.mark.parametrize("after", [0, 1])
async def test_a_stream_that_breaks_is_a_failure(after: int) -> None:
    """Before its first item as well as after it."""
    doorman = Doorman()
    with pytest.raises(ConnectionResetError):
        [each async for each in Admission(doorman).call(broken, after)]
    assert [each and each.kind for each in doorman.left] == [FaultKind.CONNECT]


async def test_what_a_consumer_does_to_a_stream_says_nothing_of_the_work() -> None:
    """An error that the consumer throws into a stream counts neither way, and the call was made all the same."""
    doorman = Doorman()
    stream: Any = Admission(doorman).call(numbers)
    assert await anext(stream) == 1
    with pytest.raises(ConnectionResetError):
        await stream.athrow(ConnectionResetError())
    [fault] = doorman.left
    assert fault is not None
    assert (fault.kind, fault.made) == (FaultKind.CANCELLED, True)


async def test_a_stream_has_one_first_item() -> None:
    """The policy hears of the first item only."""
    doorman = Doorman()
    assert [each async for each in Admission(doorman).call(numbers)] == [1, 2]
    assert (doorman.firsts, doorman.left) == (1, [None])


async def test_an_object_that_streams() -> None:
    """An object whose ``__call__`` is an async generator function holds its turn until the stream ends."""

    class Numbers:
        async def __call__(self) -> AsyncGenerator[int, None]:
            yield 1
            yield 2

    bulkhead = Bulkhead(max_concurrent=1)
    inside = [bulkhead.snapshot().inflight async for _ in bulkhead.call(Numbers())]
    assert inside == [1, 1]
    assert bulkhead.snapshot().inflight == 0


def test_a_plain_generator_is_refused() -> None:
    """The error says what to guard instead."""

    def items() -> Iterator[int]:
        yield 1

    rule = r": guard an async generator function, or the function that opens the stream$"
    with pytest.raises(ConfigError, match=rule):
        Bulkhead().call(items)


async def test_an_admission_that_is_entered_says_so_first() -> None:
    """Who enters it twice hears of that, and not that there is no room."""
    admission = Bulkhead(max_concurrent=1).admit()
    with admission:
        with pytest.raises(RuntimeError, match="entered already"):
            admission.__enter__()
        with pytest.raises(RuntimeError, match="entered already"):
            await admission.__aenter__()
