"""The drivers of streams: async generator functions and generator functions.

Until the first item everything is as with a function; after it a failure goes to the consumer, for what was given out
cannot be taken back. The gates' permit is held to the end. Time limits bound the wait for each item, never the time
that the consumer takes; and the context's deadline is set around each step only, for between two steps the context is
the consumer's.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core._drive import in_time, late_error, watched
from holdfast.core._flight import Attempts, Flight
from holdfast.core._limits import END, Fn, deadline_passed, next_item, settled
from holdfast.core.deadline import CURRENT
from holdfast.core.faults import hand_back
from holdfast.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator


__all__ = ["as_async_stream", "as_stream", "bind_agen", "bind_gen"]

R = TypeVar("R")


def bind_agen(layer: Attempts, fn: Fn, skip: int = 0) -> Fn:  # noqa: C901, PLR0915
    """``fn``, an async generator function, under ``layer``; the first ``skip`` arguments are not for alternatives."""
    events, clock, door = layer.site.events, layer.site.clock, layer.door
    enter, leave = door.enter, door.leave

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401, C901, PLR0912, PLR0915
        flight = Flight(layer) if events.active else None
        limits = _Limits(layer)
        delay = 0
        while True:
            permit: Any = None
            source: Any = None
            sent: Any = None
            given = outside = started = False
            try:
                if delay:
                    await clock.asleep_ns(delay)
                until = limits.check()
                if door.waits:
                    permit = await watched(layer, door.pass_async(flight), until)
                elif enter is not None:
                    permit = enter(flight)
                started = True
                source = fn(*args, **kwargs)
                while (item := await limits.take_async(source, sent)) is not END:
                    given = outside = True
                    sent = yield item
                    outside = False
            except BaseException as error:
                if outside:  # the consumer closed us, or threw something in: it says nothing of the dependency
                    _handed_back(layer, flight, permit, error)
                    await source.aclose()
                    raise
                if source is not None:  # it may not know yet: the deadline can pass between two items
                    try:
                        await source.aclose()
                    except BaseException:
                        _handed_back(layer, flight, permit, error)  # a source that cannot end keeps no place
                        raise
                flight = flight or Flight(layer)
                verdict = limits.failed(flight, error, permit, started=started, given=given)
                if isinstance(verdict, int):
                    delay = verdict
                    continue
                failure = verdict
                del verdict
                break
            if permit is not None:
                leave(permit, None, flight)
            if flight is not None:
                flight.ended_well()
            return
        try:
            fault = None if given else flight.wants_fallback(failure)
            if fault is not None:
                for index, alternative in enumerate(flight.alternatives):
                    begun = False
                    try:
                        async with aclosing(alternative(*args[skip:], **kwargs)) as other:
                            while (item := await limits.take_async(other, None, timed=False)) is not END:
                                begun = True
                                yield item
                    except Exception as error:
                        if begun:
                            raise
                        flight.alternative_failed(index, error, failure)
                    else:
                        flight.fell_back(index, fault)
                        return
            flight.ended_badly(failure)
            raise failure
        finally:
            del failure

    return run


def bind_gen(layer: Attempts, fn: Fn, skip: int = 0) -> Fn:  # noqa: C901, PLR0915
    """``fn``, a generator function, under ``layer``; the first ``skip`` arguments are not for alternatives.

    A step that is under way cannot be cut: it finds its limit in the context's deadline, as every sync call does.
    """
    events, clock, door = layer.site.events, layer.site.clock, layer.door
    enter, leave = door.pass_sync if door.waits else door.enter, door.leave

    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, None]:  # noqa: ANN401, C901, PLR0912, PLR0915
        flight = Flight(layer) if events.active else None
        limits = _Limits(layer)
        delay = 0
        while True:
            permit: Any = None
            source: Any = None
            sent: Any = None
            given = outside = started = False
            try:
                if delay:
                    clock.sleep_ns(delay)
                limits.check()
                if enter is not None:
                    permit = limits.within(enter, flight)
                started = True
                source = fn(*args, **kwargs)
                while (item := limits.take(source, sent)) is not END:
                    given = outside = True
                    sent = yield item
                    outside = False
            except BaseException as error:
                if outside:
                    _handed_back(layer, flight, permit, error)
                    source.close()
                    raise
                if source is not None:
                    try:
                        source.close()
                    except BaseException:
                        _handed_back(layer, flight, permit, error)
                        raise
                flight = flight or Flight(layer)
                verdict = limits.failed(flight, error, permit, started=started, given=given)
                if isinstance(verdict, int):
                    delay = verdict
                    continue
                failure = verdict
                del verdict
                break
            if permit is not None:
                leave(permit, None, flight)
            if flight is not None:
                flight.ended_well()
            return
        try:
            fault = None if given else flight.wants_fallback(failure)
            if fault is not None:
                for index, alternative in enumerate(flight.alternatives):
                    begun = False
                    try:
                        with closing(alternative(*args[skip:], **kwargs)) as other:
                            while (item := limits.take(other, None, timed=False)) is not END:
                                begun = True
                                yield item
                    except Exception as error:
                        if begun:
                            raise
                        flight.alternative_failed(index, error, failure)
                    else:
                        flight.fell_back(index, fault)
                        return
            flight.ended_badly(failure)
            raise failure
        finally:
            del failure

    return run


class _Limits:
    """Takes the items of one stream, each within the layer's time limits."""

    __slots__ = ("_layer", "_limit_ns", "_own", "begun")

    def __init__(self, layer: Attempts) -> None:
        self._layer = layer
        self._limit_ns = layer.limit_ns
        self._own: int | None = None
        self.begun = 0
        if layer.span_ns:
            self._own = layer.site.clock.now_ns() + layer.span_ns
        if layer.count is not None:
            layer.count(0)

    def check(self) -> int | None:
        """The deadline, unless it has passed: then raise."""
        until, own = CURRENT.get(), self._own
        if own is not None and (until is None or own < until):
            until = own
        if self._limit_ns or until is not None:
            self.begun = self._layer.site.clock.now_ns()
            if until is not None and until <= self.begun:
                raise deadline_passed(self._layer.site)
        return until

    def failed(
        self, flight: Flight, error: BaseException, permit: object, *, started: bool, given: bool
    ) -> int | BaseException:
        """``Flight.failed``, under this stream's deadline."""
        failed = partial(flight.failed, error, permit, started=started, final=given)
        return self.within(failed, self.begun)

    def within(self, fn: Callable[[Any], R], argument: Any) -> R:  # noqa: ANN401
        """``fn(argument)``, with this stream's deadline in the context."""
        if self._own is None:
            return fn(argument)
        until = CURRENT.get()
        token = CURRENT.set(self._own if until is None or self._own < until else until)
        try:
            return fn(argument)
        finally:
            CURRENT.reset(token)

    async def take_async(self, source: AsyncGenerator[Any, Any], sent: object, *, timed: bool = True) -> object:
        """The next item, or ``END``; ``timed`` when the limit of an attempt holds beside the deadline."""
        until = self.check()
        limit_ns = self._limit_ns if timed else 0
        if not limit_ns and self._own is None:
            return await next_item(source, sent)
        due = self.begun + limit_ns
        if until is not None and (until < due or not limit_ns):
            due = until
        token = None if self._own is None else CURRENT.set(until)
        try:
            watch = self._layer.dog.here()
            key = watch.start(due)
            try:
                item = await next_item(source, sent)
            except BaseException as error:  # noqa: BLE001  it is raised again
                trouble = settled(error, watch.close(key), late_error(self._layer, cut=due == until))
                try:
                    if trouble is error:
                        raise
                    raise trouble
                finally:
                    del trouble
            watch.stop(key)
            return item
        finally:
            if token is not None:
                CURRENT.reset(token)

    def take(self, source: Generator[Any, Any, Any], sent: object, *, timed: bool = True) -> object:
        """The next item, or ``END``; the context tells the source how long it may take."""
        until = self.check()
        limited = timed and self._limit_ns > 0
        due = self.begun + self._limit_ns
        token = CURRENT.set(due if limited and (until is None or due < until) else until)
        try:
            return source.send(sent)
        except StopIteration:
            return END
        except DeadlineExceededError as error:
            trouble = in_time(self._layer, error, until if limited else 0)
            try:
                if trouble is error:
                    raise
                raise trouble
            finally:
                del trouble
        finally:
            CURRENT.reset(token)


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
                await close()

    return items


def _handed_back(layer: Attempts, flight: Flight | None, permit: object, error: BaseException) -> None:
    """The consumer ended the stream: permits go back, and count neither way."""
    if permit is not None:
        layer.door.leave(permit, hand_back(error), flight)
    if flight is not None:
        flight.ended_badly(error, handed_back=True)
