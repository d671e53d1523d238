"""The demand of a stream: it holds while the stream is at work, and not while its consumer is.

Between two steps the context is the consumer's, whose other calls must not count for the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.demand import CURRENT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from holdfast.core.demand import Demand

__all__ = ["AskedAsyncSource", "AskedSource"]


class AskedSource:
    """A generator whose steps run under ``demand``."""

    __slots__ = ("_demand", "_source")

    def __init__(self, source: Generator[Any, Any, Any], demand: Demand) -> None:
        self._source = source
        self._demand = demand

    def send(self, value: object) -> Any:  # noqa: ANN401
        """The next item."""
        before = _begin(self._demand)
        try:
            return self._source.send(value)
        finally:
            _end(self._demand, before)

    def close(self) -> None:
        """Close the generator."""
        before = _begin(self._demand)
        try:
            self._source.close()
        finally:
            _end(self._demand, before)


class AskedAsyncSource:
    """An async generator whose steps run under ``demand``."""

    __slots__ = ("_demand", "_source")

    def __init__(self, source: AsyncGenerator[Any, Any], demand: Demand) -> None:
        self._source = source
        self._demand = demand

    async def asend(self, value: object) -> Any:  # noqa: ANN401
        """The next item."""
        before = _begin(self._demand)
        try:
            return await self._source.asend(value)
        finally:
            _end(self._demand, before)

    async def aclose(self) -> None:
        """Close the generator."""
        before = _begin(self._demand)
        try:
            await self._source.aclose()
        finally:
            _end(self._demand, before)


def _begin(demand: Demand) -> Demand | None:
    """Let ``demand`` hold for a step; gives what held before, which may be another consumer's each time."""
    before = CURRENT.get()
    CURRENT.set(demand)
    return before


def _end(demand: Demand, before: Demand | None) -> None:
    if CURRENT.get() is demand:  # else the collector closes it, in the context of somebody else
        CURRENT.set(before)
