"""What the drivers of streams keep of one stream: the permits that it holds, and the time that it may take."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core._afterwards import later, now_or_later
from holdfast.core._flight import Flight
from holdfast.core._limits import END, deadline_passed, in_time, late_error, next_item, settled
from holdfast.core.deadline import CURRENT, restore
from holdfast.core.demand import CURRENT as DEMAND
from holdfast.core.faults import hand_back
from holdfast.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from holdfast.core._attempts import Attempts

__all__ = ["Hold", "Limits"]

R = TypeVar("R")


class Hold:
    """What a stream holds: the gates' permit, and the word that its end will be told.

    Its frame may go without ever being closed, for an event loop that is closed finalizes no async generator. Then all
    that goes back when this object goes.

    Attributes:
        flight: tells of the call; None as long as nobody needs it.
        permit: the gates' permit, from the moment in which they let the stream in.
    """

    __slots__ = ("_layer", "flight", "permit")

    def __init__(self, layer: Attempts) -> None:
        self._layer = layer
        self.permit: Any = None
        self.flight: Flight | None = None
        if layer.site.events.active:
            self.flight = Flight(layer, layer.site.clock.now_ns())

    def succeeded(self) -> None:
        """The stream came to its end."""
        permit, self.permit = self.permit, None
        if permit is not None:
            self._layer.door.leave(permit, None, self.flight)
        if self.flight is not None:
            self.flight.ended_well()

    def give_back(self, error: BaseException) -> None:
        """The permits go back, and count neither way: it was not the dependency that ended the stream."""
        permit, self.permit = self.permit, None
        if permit is not None:
            now_or_later(partial(self._layer.door.leave, permit, hand_back(error, made=True), self.flight))

    def ended(self, error: BaseException, *, handed_back: bool) -> None:
        """The consumer gets ``error``; ``handed_back`` when it is its own."""
        if self.flight is not None:
            self.flight.ended_badly(error, handed_back=handed_back)

    def __del__(self) -> None:
        flight, error = self.flight, GeneratorExit()
        if self.permit is not None:
            later(partial(self._layer.door.leave, self.permit, hand_back(error, made=True), flight))
        if flight is not None and not flight.over:
            later(partial(flight.ended_badly, error))


class Limits:
    """Takes the items of one stream, each within the layer's time limits.

    Attributes:
        demand: under which the stream works, where a gate settles by what it says it used.
        begun: when the wait for the latest item began, where it is bounded.
        reached: whether the source was asked for anything; the driver sets it back for a new attempt.
    """

    __slots__ = ("_layer", "_limit_ns", "_own", "begun", "demand", "reached")

    reached: bool

    def __init__(self, layer: Attempts) -> None:
        self._layer = layer
        self._limit_ns = layer.limit_ns
        self._own: int | None = None
        asking = DEMAND.get() if layer.door.metered else None
        self.demand = None if asking is None else asking.inner(stream=True)
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

    def go_on(self, error: BaseException) -> None:
        """Nothing, unless the deadline has passed: then raise that, caused by ``error``."""
        try:
            self.check()
        except DeadlineExceededError as late:
            raise late from error

    def failed(self, hold: Hold, error: BaseException, *, given: bool) -> int | BaseException:
        """``Flight.failed``, under this stream's deadline."""
        flight = hold.flight = hold.flight or Flight(self._layer, self._layer.site.clock.now_ns())
        permit, hold.permit = hold.permit, None
        return self.within(partial(flight.failed, error, permit, started=self.reached, final=given), self.begun)

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
        self.reached = True
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
                restore(token)

    def take(self, source: Generator[Any, Any, Any], sent: object, *, timed: bool = True) -> object:
        """The next item, or ``END``; the context tells the source how long it may take."""
        until = self.check()
        self.reached = True
        limited = timed and bool(self._limit_ns)
        due = self.begun + self._limit_ns
        token = CURRENT.set(due if limited and (until is None or due < until) else until)
        try:
            return source.send(sent)
        except StopIteration:
            return END
        except DeadlineExceededError as error:
            trouble = in_time(self._layer, error, until) if limited else error
            try:
                if trouble is error:
                    raise
                raise trouble
            finally:
                del trouble
        finally:
            CURRENT.reset(token)
