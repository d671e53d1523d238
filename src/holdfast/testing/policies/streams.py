"""Generators and async generators, guarded by breakers and retried: not broken, not ignored, never replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.testing.policies.adapters import FAILURES_TO_OPEN
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from holdfast.testing.policies.adapters import BreakerAdapter, Fn, RetryAdapter

__all__ = ["CASES"]

_breaker = CaseList("breaker")
_retry = CaseList("retry")

_REFUSED = "refused at decoration"
_ITEMS = ["a", "b", "c"]


class _Stream:
    """A stream of three items.

    Attributes:
        opened: how often it was begun.
        fail_at: after how many items it breaks off, None for never.
        heals: whether it breaks off only the first time.
    """

    def __init__(self, fail_at: int | None = None, *, heals: bool = False) -> None:
        self.opened = 0
        self.fail_at = fail_at
        self.heals = heals

    def _items(self) -> Iterator[str]:
        self.opened += 1
        breaks = self.fail_at if self.opened == 1 or not self.heals else None
        for number, item in enumerate(_ITEMS):
            if number == breaks:
                raise ConnectionError("the stream broke off")
            yield item

    def functions(self) -> list[Fn]:
        """The stream as a generator function, and as an async generator function."""

        def stream() -> Iterator[str]:
            yield from self._items()

        async def async_stream() -> AsyncIterator[str]:
            for item in self._items():
                yield item

        return [stream, async_stream]


async def _read(guarded: Fn) -> tuple[list[str], object]:
    """What a consumer sees: the items, and the error that ended them or None."""
    items: list[str] = []
    try:
        stream: Any = guarded()
        if hasattr(stream, "__await__"):
            stream = await stream
        if hasattr(stream, "__aiter__"):
            async for item in stream:
                items.append(item)  # noqa: PERF401  what came before an error must be known
        else:
            for item in stream:
                items.append(item)  # noqa: PERF402  what came before an error must be known
    except Exception as error:  # noqa: BLE001  the caller looks at it
        return items, error
    return items, None


def _decorated(guard: Callable[[Fn], Fn], fn: Fn) -> Fn | None:
    """None where the library refuses to guard it, and says so at decoration."""
    try:
        return guard(fn)
    except (TypeError, ValueError):
        return None


async def _breaker_stream(adapter: BreakerAdapter, kind: int) -> str | None:
    breaker = adapter.breaker()
    good = _decorated(breaker.guard, _Stream().functions()[kind])
    if good is None:
        return _REFUSED
    items, error = await _read(good)
    check(items == _ITEMS and error is None, f"of a good stream the consumer saw {items} and {error!r}")
    broken = breaker.guard(_Stream(fail_at=1).functions()[kind])
    for _ in range(FAILURES_TO_OPEN):
        await _read(broken)
    items, error = await _read(good)
    check(breaker.refused(error), f"{FAILURES_TO_OPEN} streams that broke off are not seen as failures")
    return None


@_breaker.add(
    "breaker.stream.async",
    "An async generator gives its items through a breaker, and breaking off is a failure; or it is refused at "
    "decoration.",
)
async def _breaker_async(adapter: BreakerAdapter) -> str | None:
    return await _breaker_stream(adapter, 1)


@_breaker.add(
    "breaker.stream.sync",
    "A generator gives its items through a breaker, and breaking off is a failure; or it is refused at decoration.",
)
async def _breaker_sync(adapter: BreakerAdapter) -> str | None:
    return await _breaker_stream(adapter, 0)


async def _retry_first(adapter: RetryAdapter, kind: int) -> str | None:
    stream = _Stream(fail_at=0, heals=True)
    guarded = _decorated(adapter.retrier(attempts=3).guard, stream.functions()[kind])
    if guarded is None:
        return _REFUSED
    items, error = await _read(guarded)
    check(items == _ITEMS and error is None, f"the consumer saw {items} and {error!r}")
    check(stream.opened == 2, f"the stream was begun {stream.opened} times")
    return None


async def _retry_replay(adapter: RetryAdapter, kind: int) -> str | None:
    stream = _Stream(fail_at=2, heals=True)
    guarded = _decorated(adapter.retrier(attempts=3).guard, stream.functions()[kind])
    if guarded is None:
        return _REFUSED
    items, error = await _read(guarded)
    check(items == _ITEMS[:2], f"the consumer saw {items}")
    check(error is not None, "the consumer was not told that the stream broke off")
    return None


@_retry.add(
    "retry.stream.async.first",
    "An async generator that fails before its first item is begun again; or it is refused at decoration.",
)
async def _retry_first_async(adapter: RetryAdapter) -> str | None:
    return await _retry_first(adapter, 1)


@_retry.add(
    "retry.stream.async.no_replay",
    "An async generator that breaks off after an item is not replayed: its consumer gets the error; or it is refused "
    "at decoration.",
)
async def _retry_replay_async(adapter: RetryAdapter) -> str | None:
    return await _retry_replay(adapter, 1)


@_retry.add(
    "retry.stream.sync.first",
    "A generator that fails before its first item is begun again; or it is refused at decoration.",
)
async def _retry_first_sync(adapter: RetryAdapter) -> str | None:
    return await _retry_first(adapter, 0)


@_retry.add(
    "retry.stream.sync.no_replay",
    "A generator that breaks off after an item is not replayed: its consumer gets the error; or it is refused at "
    "decoration.",
)
async def _retry_replay_sync(adapter: RetryAdapter) -> str | None:
    return await _retry_replay(adapter, 0)


CASES = (*_breaker.cases, *_retry.cases)
