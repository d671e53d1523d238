"""The drivers of streams: async generator functions and generator functions.

Until the first item everything is as with a function; after it a failure goes to the consumer, for what was given out
cannot be taken back. The gates' permit is held to the end. Time limits bound the wait for each item, never the time
that the consumer takes; and the context's deadline is set around each step only, for between two steps the context is
the consumer's.
"""

from __future__ import annotations

import inspect
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

from holdfast.core._limits import END, Fn, watched
from holdfast.core._stream import Hold, Limits
from holdfast.core._usage import AskedAsyncSource, AskedSource
from holdfast.core.demand import CURRENT as DEMAND
from holdfast.core.demand import restore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from holdfast.core._attempts import Attempts
    from holdfast.core._flight import Flight

__all__ = ["as_async_stream", "as_stream", "bind_agen", "bind_gen"]


def bind_agen(layer: Attempts, fn: Fn, skip: int) -> Fn:  # noqa: C901, PLR0915
    """``fn``, an async generator function, under ``layer``; the first ``skip`` arguments are not for alternatives."""
    clock, door = layer.site.clock, layer.door
    enter = door.enter

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401, C901, PLR0912, PLR0915
        hold, limits = Hold(layer), Limits(layer)
        outside = False
        delay = 0
        try:
            while True:
                source: Any = None
                sent: Any = None
                given = limits.reached = False
                try:
                    if delay:
                        await clock.asleep_ns(delay)
                    until = limits.check()
                    demand = limits.demand
                    if demand is not None:
                        DEMAND.set(demand)
                    try:
                        if door.waits:
                            hold.permit = await watched(layer, door.pass_async(hold.flight), until)
                        elif enter is not None:
                            hold.permit = enter(hold.flight)
                    finally:
                        if demand is not None:
                            restore(demand)
                    source = fn(*args, **kwargs)
                    if demand is not None:
                        source = AskedAsyncSource(source, demand)
                    while (item := await limits.take_async(source, sent)) is not END:
                        given = outside = True
                        sent = yield item
                        outside = False
                except BaseException as error:
                    if outside:  # the consumer closed us, or threw something in: it says nothing of the dependency
                        hold.give_back(error)
                        await source.aclose()
                        raise
                    if source is not None:  # it may not know yet: the deadline can pass between two items
                        try:
                            await source.aclose()
                        except BaseException:
                            hold.give_back(error)  # a source that cannot end keeps no place
                            raise
                    verdict = limits.failed(hold, error, given=given)
                    if isinstance(verdict, int):
                        delay = verdict
                        continue
                    failure = verdict
                    del verdict
                    break
                hold.succeeded()
                return
            flight = cast("Flight", hold.flight)  # whatever fails has one
            fault = None if given else flight.wants_fallback(failure)
            try:
                if fault is not None:
                    for index, alternative in enumerate(flight.alternatives):
                        begun = False
                        try:
                            async with aclosing(alternative(*args[skip:], **kwargs)) as other:
                                while (item := await limits.take_async(other, None, timed=False)) is not END:
                                    begun = outside = True
                                    yield item
                                    outside = False
                        except Exception as error:
                            if begun:
                                raise
                            flight.alternative_failed(index, error, failure)
                            limits.go_on(failure)
                        else:
                            flight.fell_back(index, fault)
                            return
                raise failure
            finally:
                del failure, fault  # a frame that holds the error it raises keeps both alive
        except BaseException as error:
            hold.ended(error, handed_back=outside)
            raise

    return run


def bind_gen(layer: Attempts, fn: Fn, skip: int) -> Fn:  # noqa: C901, PLR0915
    """``fn``, a generator function, under ``layer``; the first ``skip`` arguments are not for alternatives.

    A step that is under way cannot be cut: it finds its limit in the context's deadline, as every sync call does.
    """
    clock, door = layer.site.clock, layer.door
    enter = door.pass_sync if door.waits else door.enter

    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, None]:  # noqa: ANN401, C901, PLR0912, PLR0915
        hold, limits = Hold(layer), Limits(layer)
        outside = False
        delay = 0
        try:
            while True:
                source: Any = None
                sent: Any = None
                given = limits.reached = False
                try:
                    if delay:
                        clock.sleep_ns(delay)
                    limits.check()
                    demand = limits.demand
                    if demand is not None:
                        DEMAND.set(demand)
                    try:
                        if enter is not None:
                            hold.permit = limits.within(enter, hold.flight)
                    finally:
                        if demand is not None:
                            restore(demand)
                    source = fn(*args, **kwargs)
                    if demand is not None:
                        source = AskedSource(source, demand)
                    while (item := limits.take(source, sent)) is not END:
                        given = outside = True
                        sent = yield item
                        outside = False
                except BaseException as error:
                    if outside:
                        hold.give_back(error)
                        source.close()
                        raise
                    if source is not None:
                        try:
                            source.close()
                        except BaseException:
                            hold.give_back(error)
                            raise
                    verdict = limits.failed(hold, error, given=given)
                    if isinstance(verdict, int):
                        delay = verdict
                        continue
                    failure = verdict
                    del verdict
                    break
                hold.succeeded()
                return
            flight = cast("Flight", hold.flight)  # whatever fails has one
            fault = None if given else flight.wants_fallback(failure)
            try:
                if fault is not None:
                    for index, alternative in enumerate(flight.alternatives):
                        begun = False
                        try:
                            with closing(alternative(*args[skip:], **kwargs)) as other:
                                while (item := limits.take(other, None, timed=False)) is not END:
                                    begun = outside = True
                                    yield item
                                    outside = False
                        except Exception as error:
                            if begun:
                                raise
                            flight.alternative_failed(index, error, failure)
                            limits.go_on(failure)
                        else:
                            flight.fell_back(index, fault)
                            return
                raise failure
            finally:
                del failure, fault  # a frame that holds the error it raises keeps both alive
        except BaseException as error:
            hold.ended(error, handed_back=outside)
            raise

    return run


def as_stream(fn: Callable[..., Iterator[Any]]) -> Callable[..., Generator[Any, None, None]]:
    """``fn``, which returns an iterator, as a generator function that closes it at the end."""

    def items(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:  # noqa: ANN401
        stream = fn(*args, **kwargs)
        try:
            yield from iter(stream)
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()

    return items


def as_async_stream(fn: Callable[..., Any]) -> Callable[..., AsyncGenerator[Any, None]]:
    """``fn``, an async function that returns an async iterator, as an async generator function that closes it."""

    async def items(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401
        stream = await fn(*args, **kwargs)
        try:
            async for item in stream:
                yield item
        finally:
            close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
            if close is not None:
                ending = close()
                if inspect.isawaitable(ending):  # a plain `close` gives nothing to await
                    await ending

    return items
