"""The drivers of functions: the only code that calls them, waits and sleeps; sync and async.

A pipeline is folded into *layers*, and each layer is bound around the next, once, when a function is decorated. A layer
is everything about attempts in one frame: deadline, fallback, retry, gates and timeout (``_flight`` decides, this
module acts). A frame for each policy would be simpler to read, and cost every call 100 ns a policy. Streams have
drivers of their own (``_drive_streams``).
"""

from __future__ import annotations

import inspect
from sys import get_asyncgen_hooks
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from holdfast.core._flight import Flight
from holdfast.core._limits import Fn, deadline_passed, in_time, late_error, settled, watched
from holdfast.core._race import Race
from holdfast.core.deadline import CURRENT
from holdfast.core.demand import CURRENT as DEMAND
from holdfast.core.demand import restore
from holdfast.core.faults import hand_back
from holdfast.core.policy import Shortcut, leave_despite
from holdfast.errors import ConfigError, DeadlineExceededError, RejectedError

if TYPE_CHECKING:
    from holdfast.core._attempts import Attempts
    from holdfast.core.hedge import Hedge


__all__ = ["bind_async", "bind_hedge", "bind_sync"]


_NO_ANSWER = object()


def bind_sync(layer: Attempts, fn: Fn, skip: int) -> Fn:  # noqa: C901, PLR0915
    """``fn`` under ``layer``; the first ``skip`` arguments are not for alternatives."""
    site, door = layer.site, layer.door
    events, clock, now_ns = site.events, site.clock, site.clock.now_ns
    waits, leave, metered = door.waits, door.leave, door.metered
    enter: Any = door.pass_sync if waits else door.enter
    shortcut = door.shortcuts(site)[0] if door.pair is None else Shortcut()

    def run(  # noqa: C901, PLR0912, PLR0915
        args: tuple[Any, ...], kwargs: dict[str, Any], failed: BaseException | None = None, held: object = None
    ) -> Any:  # noqa: ANN401
        flight = Flight(layer, now_ns()) if events.active else None
        limit_ns, span_ns, judge = layer.limit_ns, layer.span_ns, layer.judge
        until = CURRENT.get()
        demand = DEMAND.get() if metered else None
        outer = None
        delay = begun = 0
        try:
            if demand is not None:
                demand = demand.inner()
                DEMAND.set(demand)
            if span_ns:
                begun = now_ns()
                if until is None or begun + span_ns < until:
                    until = begun + span_ns
                outer = CURRENT.set(until)
            if layer.count is not None:
                layer.count(begun)
            while True:
                permit = None
                started = False
                try:
                    if failed is not None:
                        started, permit = True, held
                        error, failed = failed, None
                        raise error  # noqa: TRY301  the quick way has made the first attempt
                    if delay:
                        clock.sleep_ns(delay)
                    if limit_ns or until is not None:
                        begun = now_ns()
                        if until is not None and until <= begun:
                            raise deadline_passed(site)  # noqa: TRY301
                    permit = shortcut.permit
                    if permit is None:
                        permit = enter(flight)
                        if waits:
                            begun = now_ns()
                            if until is not None and until <= begun:
                                raise deadline_passed(site)  # noqa: TRY301
                    started = True
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
                    if judge is not None:
                        judge(result)
                except BaseException as error:
                    if permit is None and flight is None and layer.brief and isinstance(error, RejectedError):
                        raise
                    flight = flight or Flight(layer, now_ns())
                    trouble: BaseException = error
                    if started and isinstance(error, DeadlineExceededError):
                        trouble = in_time(layer, error, until)
                    verdict = flight.failed(trouble, permit, begun, started=started)
                    try:
                        if isinstance(verdict, int):
                            delay = verdict
                            continue
                        answer = _ask_others(flight, layer, verdict, until, args[skip:], kwargs)
                        if answer is not _NO_ANSWER:
                            return answer
                        if verdict is error:
                            raise
                        raise verdict
                    finally:
                        del trouble, verdict  # a frame that holds the error it raises keeps both alive
                if shortcut.heeds_success:
                    leave(permit, None, flight)
                if flight is not None:
                    flight.ended_well()
                return result
        except BaseException as error:
            if flight is not None:
                flight.ended_badly(error)
            raise
        finally:
            if demand is not None:
                restore(demand)
            if outer is not None:
                CURRENT.reset(outer)

    whole = bool(layer.limit_ns or layer.span_ns)

    def quick(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """The first attempt alone, or its refusal, when nobody listens and nothing else is to be done about it."""
        if (shut := shortcut.shut_until_ns) and layer.brief and not events.active:
            now, until = now_ns(), CURRENT.get()
            if now < shut and (until is None or now < until):  # that its time is up would be said instead
                raise shortcut.refusal(now)
        permit = shortcut.permit
        if whole or permit is None or events.active or layer.looks or CURRENT.get() is not None:
            return run(args, kwargs)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  it is raised again where it is dealt with
            failed: BaseException = error
        else:
            if result.__class__ is not CoroutineType:
                if shortcut.heeds_success:
                    leave(permit, None, None)
                return result
            failed = _forgotten(result, args[0] if skip else fn)
        try:
            return run(args, kwargs, failed, permit)
        finally:
            del failed

    return quick


def bind_async(layer: Attempts, fn: Fn, skip: int) -> Fn:  # noqa: C901, PLR0915
    """``fn`` under ``layer``; the first ``skip`` arguments are not for alternatives."""
    site, door = layer.site, layer.door
    events, clock, now_ns = site.events, site.clock, site.clock.now_ns
    waits, leave, metered = door.waits, door.leave, door.metered
    enter: Any = door.enter
    enter_inner: Any = None
    leave_inner = leave
    shortcut, shortcut_inner = door.shortcuts(site)
    if door.pair is not None:  # a breaker and a limiter are common, and a function for both costs every call 100 ns
        (enter, leave), (enter_inner, leave_inner) = ((gate.enter, gate.leave) for gate in door.pair)
    timed = bool(layer.limit_ns or layer.span_ns)

    async def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901, PLR0912, PLR0915
        heard = events.active
        until = CURRENT.get()
        begun = now_ns() if timed or heard or until is not None else 0
        flight = Flight(layer, begun) if heard else None
        if (shut := shortcut.shut_until_ns) and layer.brief and flight is None:  # nobody else will hear of it
            now = begun or now_ns()
            if now < shut and (until is None or now < until):  # that its time is up would be said instead
                raise shortcut.refusal(now)
        outer = None
        looks = layer.looks
        key = limit_ns = due = 0
        delay: int | None = None
        watch: Any = None
        demand = DEMAND.get() if metered else None
        try:
            if demand is not None:
                demand = demand.inner()
                DEMAND.set(demand)
            if timed:
                limit_ns = layer.limit_ns
                if layer.span_ns:
                    if until is None or begun + layer.span_ns < until:
                        until = begun + layer.span_ns
                    outer = CURRENT.set(until)
            if looks and layer.count is not None:
                layer.count(begun)
            while True:
                permit = inner = None
                started = False
                try:
                    if delay is not None:
                        if delay:
                            await clock.asleep_ns(delay)
                        begun = now_ns()
                    if until is not None and until <= begun:
                        raise deadline_passed(site)  # noqa: TRY301
                    permit = shortcut.permit
                    if permit is None:
                        if waits:
                            permit = await watched(layer, door.pass_async(flight), until)
                            begun = now_ns()
                            if until is not None and until <= begun:
                                raise deadline_passed(site)  # noqa: TRY301
                        else:
                            permit = enter(flight)
                    if enter_inner is not None:
                        inner = shortcut_inner.permit
                        if inner is None:
                            inner = enter_inner(flight)
                    if timed:
                        due = begun + limit_ns
                        if until is not None and (until < due or not limit_ns):
                            due = until
                        watch = layer.dog.latest
                        if watch.hook is not (hook := get_asyncgen_hooks()[0]):
                            watch = layer.dog.find(hook)
                        key = watch.start(due)
                    started = True
                    result = await fn(*args, **kwargs)
                    if looks and layer.judge is not None:
                        layer.judge(result)
                except BaseException as error:
                    if permit is None and flight is None and layer.brief and isinstance(error, RejectedError):
                        raise
                    flight = flight or Flight(layer, now_ns())
                    trouble = error
                    if enter_inner is not None and permit is not None:
                        if inner is None:  # the inner gate refused
                            leave_despite(error, leave, permit, hand_back(error), flight)
                            permit = None
                        else:
                            permit = permit, inner
                    if key:
                        trouble = settled(error, watch.close(key), late_error(layer, cut=due == until))
                        key = 0
                    verdict = flight.failed(trouble, permit, begun, started=started)
                    try:
                        if isinstance(verdict, int):
                            delay = verdict
                            continue
                        answer = await _ask_others_async(flight, layer, verdict, until, args[skip:], kwargs)
                        if answer is not _NO_ANSWER:
                            return answer
                        if verdict is error:
                            raise
                        raise verdict
                    finally:
                        del trouble, verdict
                if key:
                    watch.stop(key)
                if enter_inner is not None and shortcut_inner.heeds_success:
                    try:
                        leave_inner(inner, None, flight)
                    except BaseException as error:
                        leave_despite(error, leave, permit, None, flight)
                        raise
                if shortcut.heeds_success:
                    leave(permit, None, flight)
                if flight is not None:
                    flight.ended_well()
                return result
        except BaseException as error:
            if flight is not None:
                flight.ended_badly(error)
            raise
        finally:
            if demand is not None:
                restore(demand)
            if outer is not None:
                try:  # noqa: SIM105  suppress() would cost every call
                    CURRENT.reset(outer)
                except ValueError:  # somebody closes the coroutine in another context, where nothing was set
                    pass

    return run


def bind_hedge(hedge: Hedge, fn: Fn) -> Fn:
    """``fn``, an async function, hedged. The pipeline counts the requests for the budget."""

    async def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await Race(hedge, lambda: fn(*args, **kwargs)).run()

    return run


# --- what they share ------------------------------------------------------------------------------------------------


def _ask_others(  # noqa: PLR0917
    flight: Flight,
    layer: Attempts,
    error: BaseException,
    until: int | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> object:
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
                if until is not None and until <= layer.site.clock.now_ns():
                    raise deadline_passed(layer.site) from error
            else:
                flight.fell_back(index, fault)
                return answer
    return _NO_ANSWER


async def _ask_others_async(  # noqa: PLR0917
    flight: Flight,
    layer: Attempts,
    error: BaseException,
    until: int | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> object:
    """The answer of the first alternative that has one, or ``_NO_ANSWER``."""
    fault = flight.wants_fallback(error)
    if fault is not None:
        for index, alternative in enumerate(flight.alternatives):
            try:
                answer = alternative(*args, **kwargs)
                if inspect.isawaitable(answer):
                    answer = await watched(layer, answer, until if layer.span_ns else None)
            except Exception as other:  # noqa: BLE001  it becomes a note on the call's own error
                flight.alternative_failed(index, other, error)
                if until is not None and until <= layer.site.clock.now_ns():
                    raise deadline_passed(layer.site) from error
            else:
                flight.fell_back(index, fault)
                return answer
    return _NO_ANSWER


def _forgotten(result: CoroutineType[Any, Any, Any], fn: Fn) -> ConfigError:
    """The error for a plain function that gave back a coroutine, which nobody would have awaited under the policies."""
    result.close()
    return ConfigError("fn", fn, "is a plain function that returns a coroutine: make it an `async def` that awaits it")
