"""The drivers: the only code that calls, waits and sleeps; sync, async, and async generator.

A pipeline is folded into *layers*, and each layer is bound around the next, once, when a function is decorated. There
are two kinds. A *deadline* layer sets the context's deadline and cancels what outlives it (``_limits``). An *attempts*
layer is everything about attempts in one frame: fallback, retry, gate and timeout (``_flight`` decides, this module
acts); a frame for each policy would be simpler to read, and cost every call 100 ns a policy.
"""

from __future__ import annotations

import inspect
from contextlib import aclosing
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from holdfast.core._flight import Attempts, Flight, attempt_timed_out
from holdfast.core._limits import END, Fn, deadline_passed, next_item, settled
from holdfast.core._watch import Watchdog
from holdfast.core.deadline import CURRENT
from holdfast.core.faults import hand_back
from holdfast.errors import ConfigError, DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


__all__ = ["bind_agen", "bind_async", "bind_sync"]


_NO_ANSWER = object()

# --- attempts: one frame each ---------------------------------------------------------------------------------------


def bind_sync(layer: Attempts, fn: Fn, skip: int = 0) -> Fn:  # noqa: C901, PLR0915
    """``fn`` under ``layer``; the first ``skip`` arguments are not for alternatives."""
    site, gate = layer.site, layer.gate
    events, clock, now_ns = site.events, site.clock, site.clock.now_ns
    enter, leave = (None, None) if gate is None else (gate.enter, gate.leave)
    limit_ns = 0 if layer.timeout is None else layer.timeout.ns

    def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901, PLR0912
        flight = Flight(layer) if events.active else None
        delay = begun = 0
        while True:
            permit = token = None
            try:
                if delay:
                    clock.sleep_ns(delay)
                until = CURRENT.get()
                if limit_ns or until is not None:
                    begun = now_ns()
                    if until is not None and until <= begun:
                        raise deadline_passed(site)  # noqa: TRY301
                if enter is not None:
                    permit = enter(flight)
                if limit_ns:
                    due = begun + limit_ns
                    token = CURRENT.set(due if until is None or due < until else until)
                    try:
                        result = fn(*args, **kwargs)
                    finally:
                        CURRENT.reset(token)
                else:
                    result = fn(*args, **kwargs)
                if result.__class__ is CoroutineType:
                    raise _forgotten(result, args[0] if skip else fn)  # noqa: TRY301
            except BaseException as error:  # noqa: BLE001  a verdict that is no delay is raised
                flight = flight or Flight(layer)
                trouble = error if token is None else _in_time(layer, error)
                verdict = flight.failed(trouble, permit, begun)
                try:
                    if isinstance(verdict, int):
                        delay = verdict
                        continue
                    answer = _ask_others(flight, verdict, args[skip:], kwargs)
                    if answer is not _NO_ANSWER:
                        return answer
                    flight.ended_badly(verdict)
                    if verdict is error:
                        raise
                    raise verdict
                finally:
                    del trouble, verdict  # a frame that holds the error it raises keeps both alive
            if leave is not None:
                leave(permit, None, flight)
            if flight is not None:
                flight.ended_well()
            return result

    return run


def bind_async(layer: Attempts, fn: Fn, skip: int = 0) -> Fn:  # noqa: C901, PLR0915
    """``fn`` under ``layer``; the first ``skip`` arguments are not for alternatives."""
    site, gate = layer.site, layer.gate
    events, clock, now_ns = site.events, site.clock, site.clock.now_ns
    enter, leave = (None, None) if gate is None else (gate.enter, gate.leave)
    limit_ns = 0 if layer.timeout is None else layer.timeout.ns
    here = Watchdog(clock).here

    async def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901, PLR0912, PLR0915
        flight = Flight(layer) if events.active else None
        delay = begun = due = key = before = 0
        until: int | None = None
        task: Any = None
        watch: Any = None
        while True:
            permit = None
            try:
                if delay:
                    await clock.asleep_ns(delay)
                until = CURRENT.get()
                if limit_ns or until is not None:
                    begun = now_ns()
                    if until is not None and until <= begun:
                        raise deadline_passed(site)  # noqa: TRY301
                if enter is not None:
                    permit = enter(flight)
                if limit_ns:
                    task, watch = here()
                    before = task.cancelling()
                    due = begun + limit_ns
                    if until is not None and until < due:
                        due = until
                    key = watch.start(task, due)
                result = await fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  a verdict that is no delay is raised
                flight = flight or Flight(layer)
                trouble = error
                if key:
                    late = _late(layer, cut=due == until)
                    trouble = settled(error, task, before, fired=watch.stop(key), late=late)
                    key = 0
                verdict = flight.failed(trouble, permit, begun)
                try:
                    if isinstance(verdict, int):
                        delay = verdict
                        continue
                    answer = await _ask_others_async(flight, verdict, args[skip:], kwargs)
                    if answer is not _NO_ANSWER:
                        return answer
                    flight.ended_badly(verdict)
                    if verdict is error:
                        raise
                    raise verdict
                finally:
                    del trouble, verdict
            if key and watch.stop(key):
                task.uncancel()  # it finished although its time was up
            if leave is not None:
                leave(permit, None, flight)
            if flight is not None:
                flight.ended_well()
            return result

    return run


def bind_agen(layer: Attempts, fn: Fn, skip: int = 0) -> Fn:  # noqa: C901, PLR0915
    """``fn``, an async generator function, under ``layer``; the first ``skip`` arguments are not for alternatives.

    Until the first item everything is as with a coroutine; after it a failure goes to the consumer, for what was given
    out cannot be taken back. The gate's permit is held to the end. The timeout bounds the wait for each item, never
    the time that the consumer takes.
    """
    events, clock = layer.site.events, layer.site.clock
    enter, leave = (None, None) if layer.gate is None else (layer.gate.enter, layer.gate.leave)
    dog = Watchdog(clock)

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401, C901, PLR0912, PLR0915
        flight = Flight(layer) if events.active else None
        delay = 0
        while True:
            permit: Any = None
            source: Any = None
            sent: Any = None
            step = _Step(layer, dog)
            given = outside = False
            try:
                if delay:
                    await clock.asleep_ns(delay)
                step.check()
                if enter is not None:
                    permit = enter(flight)
                source = fn(*args, **kwargs)
                while (item := await step.take(source, sent)) is not END:
                    given = outside = True
                    sent = yield item
                    outside = False
            except BaseException as error:
                if outside:  # the consumer closed us, or threw something in: it says nothing of the dependency
                    if leave is not None:
                        leave(permit, hand_back(error), flight)
                    if flight is not None:
                        flight.ended_badly(error, handed_back=True)
                    await source.aclose()
                    raise
                flight = flight or Flight(layer)
                verdict = flight.failed(error, permit, step.begun, final=given)
                if isinstance(verdict, int):
                    delay = verdict
                    continue
                failure = verdict
                del verdict
                break
            if leave is not None:
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
                            async for item in other:
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


class _Step:
    """Takes items from a source, each within the layer's timeout."""

    __slots__ = ("_dog", "_layer", "_limit_ns", "begun")

    def __init__(self, layer: Attempts, dog: Watchdog) -> None:
        self._layer = layer
        self._dog = dog
        self._limit_ns = 0 if layer.timeout is None else layer.timeout.ns
        self.begun = 0

    def check(self) -> int | None:
        """The deadline, unless it has passed: then raise."""
        until = CURRENT.get()
        if self._limit_ns or until is not None:
            self.begun = self._layer.site.clock.now_ns()
            if until is not None and until <= self.begun:
                raise deadline_passed(self._layer.site)
        return until

    async def take(self, source: AsyncGenerator[Any, Any], sent: object) -> object:
        """The next item, or ``END``."""
        until = self.check()
        if not self._limit_ns:
            return await next_item(source, sent)
        due = self.begun + self._limit_ns
        if until is not None and until < due:
            due = until
        task, watch = self._dog.here()
        before = task.cancelling()
        key = watch.start(task, due)
        try:
            item = await next_item(source, sent)
        except BaseException as error:
            fired = watch.stop(key)
            trouble = settled(error, task, before, fired=fired, late=_late(self._layer, cut=due == until))
            if trouble is error:
                raise
            raise trouble  # noqa: B904  its cause is set
        if watch.stop(key):
            task.uncancel()
        return item


# --- what they share ------------------------------------------------------------------------------------------------


def _late(layer: Attempts, *, cut: bool) -> Callable[[], BaseException]:
    """Makes the error for an attempt whose time is up: the deadline's when that ``cut`` it, else the timeout's own."""

    def make() -> BaseException:
        if cut or layer.timeout is None:
            return deadline_passed(layer.site)
        return attempt_timed_out(layer.site, layer.timeout)

    return make


def _in_time(layer: Attempts, error: BaseException) -> BaseException:
    """For a sync attempt: the limit that its context named was the attempt's own, unless the deadline has passed."""
    if not isinstance(error, DeadlineExceededError) or layer.timeout is None:
        return error
    until = CURRENT.get()
    if until is not None and until <= layer.site.clock.now_ns():
        return error
    trouble = attempt_timed_out(layer.site, layer.timeout)
    trouble.__cause__ = error
    return trouble


def _ask_others(flight: Flight, error: BaseException, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """The answer of the first alternative that has one, or ``_NO_ANSWER``."""
    fault = flight.wants_fallback(error)
    if fault is not None:
        for index, alternative in enumerate(flight.alternatives):
            try:
                answer = alternative(*args, **kwargs)
                if answer.__class__ is CoroutineType:
                    raise _forgotten(answer, alternative)  # noqa: TRY301
            except Exception as other:  # noqa: BLE001  it becomes a note on the call's own error
                flight.alternative_failed(index, other, error)
            else:
                flight.fell_back(index, fault)
                return answer
    return _NO_ANSWER


async def _ask_others_async(
    flight: Flight, error: BaseException, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> object:
    """The answer of the first alternative that has one, or ``_NO_ANSWER``."""
    fault = flight.wants_fallback(error)
    if fault is not None:
        for index, alternative in enumerate(flight.alternatives):
            try:
                answer = alternative(*args, **kwargs)
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as other:  # noqa: BLE001  it becomes a note on the call's own error
                flight.alternative_failed(index, other, error)
            else:
                flight.fell_back(index, fault)
                return answer
    return _NO_ANSWER


def _forgotten(result: CoroutineType[Any, Any, Any], fn: Fn) -> ConfigError:
    """The error for a plain function that gave back a coroutine, which nobody would have awaited under the policies."""
    result.close()
    return ConfigError("fn", fn, "is a plain function that returns a coroutine: make it an `async def` that awaits it")
