"""The forms in which a policy that admits calls is used alone: context manager, call and decorator.

Each form serves sync functions, async functions and async generator functions. An async generator holds its turn until
it ends.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import aclosing
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast

from holdfast.core._afterwards import now_or_later
from holdfast.core._functions import is_async
from holdfast.core._usage import AskedAsyncSource
from holdfast.core.classify import classify
from holdfast.core.demand import CURRENT, restore
from holdfast.core.faults import Fault, hand_back

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType

    from holdfast.core.demand import Demand

__all__ = ["Admission", "Admitter"]

P = ParamSpec("P")
R = TypeVar("R")
PermitT = TypeVar("PermitT")
_STREAM = "guard an async generator function, or the function that opens the stream"


class Admitter(Protocol[PermitT]):
    """The policy behind an admission."""

    def admitted(self, **demand: Any) -> PermitT:  # noqa: ANN401
        """A permit, after waiting for it where the policy waits."""
        ...

    async def admitted_async(self, **demand: Any) -> PermitT:  # noqa: ANN401
        """A permit, after waiting for it where the policy waits."""
        ...

    def first_item(self, permit: PermitT) -> None:
        """A stream gave its first item."""
        ...

    def leave(self, permit: PermitT, fault: Fault | None = None) -> None:
        """Settle the permit."""
        ...


class Admission(Generic[PermitT]):
    """One way in: ``with`` it, ``async with`` it, ``call`` a function under it, or decorate a function with it.

    As a context manager it serves one entry after the other; concurrent entries need an admission each. Calls and
    decorated functions may run side by side.
    """

    __slots__ = ("_admitter", "_demand", "_permit", "_usage")

    def __init__(self, admitter: Admitter[PermitT], **demand: Any) -> None:  # noqa: ANN401
        self._admitter = admitter
        self._demand = demand
        self._permit: PermitT | None = None
        self._usage: Demand | None = None

    def __enter__(self) -> PermitT:
        self._check_free()
        usage = _asked()
        try:
            self._permit = permit = self._admitter.admitted(**self._demand)
        except BaseException:
            _answered(usage)
            raise
        self._usage = usage
        return permit

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        permit, self._permit = self._permit, None
        _answered(self._usage)
        if error is None:
            self._admitter.leave(cast("PermitT", permit), None)
        else:  # the collector may end a generator inside the block
            now_or_later(functools.partial(self._admitter.leave, cast("PermitT", permit), classify(error)))

    async def __aenter__(self) -> PermitT:
        self._check_free()
        usage = _asked()
        try:
            permit = await self._admitter.admitted_async(**self._demand)
            if self._permit is not None:
                self._admitter.leave(permit, hand_back(RuntimeError()))
                self._check_free()
        except BaseException:
            _answered(usage)
            raise
        self._permit, self._usage = permit, usage
        return permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` when it is admitted.

        Gives the result of a sync function, something to await for an async one, an async generator for an async
        generator function.
        """
        return cast("R", self._form(fn)(self._admitter, self._demand, fn, args, kwargs))

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``; each call of it is admitted for itself."""
        form, admitter, demand = self._form(fn), self._admitter, self._demand
        if form is _agen:

            async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401
                async with aclosing(_agen(admitter, demand, fn, args, kwargs)) as source:
                    sent = None
                    while True:
                        try:
                            item = await source.asend(sent)
                        except StopAsyncIteration:
                            return
                        sent = yield item

            bound: Callable[..., Any] = stream
        elif form is _async:

            async def task(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                return await _async(admitter, demand, fn, args, kwargs)

            bound = task
        else:

            def plain(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                return _sync(admitter, demand, fn, args, kwargs)

            bound = plain
        return cast("Callable[P, R]", functools.update_wrapper(bound, fn))

    def _check_free(self) -> None:
        if self._permit is not None:
            raise RuntimeError("This admission is entered already: take a new one for each `with`.")

    @staticmethod
    def _form(fn: Callable[..., Any]) -> Callable[..., Any]:
        if fn.__class__ is FunctionType and not fn.__code__.co_flags & inspect.CO_GENERATOR:  # quick, for `call`
            return _FORMS[fn.__code__.co_flags & _FLAGS]
        bare: Any = fn
        while isinstance(bare, functools.partial):
            bare = bare.func
        if inspect.isasyncgenfunction(bare) or inspect.isasyncgenfunction(type(bare).__call__):
            return _agen
        return _async if is_async(fn, streams=_STREAM) else _sync


def _sync(admitter: Admitter[Any], demand: dict[str, Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:  # noqa: ANN401
    usage = _asked()
    try:
        permit = admitter.admitted(**demand)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            admitter.leave(permit, classify(error))
            raise
        admitter.leave(permit)
        return result
    finally:
        _answered(usage)


async def _async(
    admitter: Admitter[Any],
    demand: dict[str, Any],
    fn: Callable[..., Any],
    args: Any,  # noqa: ANN401
    kwargs: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    usage = _asked()
    try:
        permit = await admitter.admitted_async(**demand)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            now_or_later(functools.partial(admitter.leave, permit, classify(error)))
            raise
        admitter.leave(permit)
        return result
    finally:
        _answered(usage)


async def _agen(
    admitter: Admitter[Any],
    demand: dict[str, Any],
    fn: Callable[..., Any],
    args: Any,  # noqa: ANN401
    kwargs: Any,  # noqa: ANN401
) -> AsyncGenerator[Any, Any]:
    usage = _asked(stream=True)
    try:
        permit = await admitter.admitted_async(**demand)
    finally:
        _answered(usage)
    outside = False
    try:
        stream: Any = fn(*args, **kwargs)
        async with aclosing(stream if usage is None else AskedAsyncSource(stream, usage)) as source:
            sent: Any = None
            first = True
            while True:
                try:
                    item = await source.asend(sent)
                except StopAsyncIteration:
                    break
                if first:
                    admitter.first_item(permit)
                    first = False
                outside = True
                sent = yield item
                outside = False
    except BaseException as error:
        # What the consumer did to the stream says nothing of the work.
        fault = hand_back(error, made=True) if outside else classify(error)
        now_or_later(functools.partial(admitter.leave, permit, fault))
        raise
    admitter.leave(permit)


def _asked(*, stream: bool = False) -> Demand | None:
    """A demand for this call alone holds from now on, where one is open; hand it to :func:`_answered`."""
    asking = CURRENT.get()
    if asking is None:
        return None
    demand = asking.inner(stream=stream)
    CURRENT.set(demand)
    return demand


def _answered(demand: Demand | None) -> None:
    if demand is not None:
        restore(demand)


_FLAGS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_FORMS = {0: _sync, inspect.CO_COROUTINE: _async, inspect.CO_ASYNC_GENERATOR: _agen}
