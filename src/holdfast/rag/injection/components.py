"""What stands in front of a component that runs in this process, or that has a client of its own: it may fail for it.

The errors are those that the real components raise, with ``injected`` in their message.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from holdfast.core.clock import to_ns
from holdfast.errors import (
    DependencyError,
    ModelUnavailableError,
    StateUnavailableError,
    StoreCorruptError,
    StoreInterruptedError,
    StoreUnavailableError,
)
from holdfast.rag.injection.kinds import Dependency, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from holdfast.rag.injection.switchboard import Injection, Injections

__all__ = ["injectable"]

ComponentT = TypeVar("ComponentT")

_LIFE = frozenset({"open", "close"})
"""A fault breaks a component that works; it does not keep one from being opened, and never from being closed."""


def injectable(component: ComponentT, dependency: Dependency, injections: Injections) -> ComponentT:
    """``component``, that fails where a fault is injected.

    What is returned has everything that the component has. Its coroutine functions and async generators, but ``open``
    and ``close``, ask the switchboard first; all else is the component's own.
    """
    injections.attach(dependency, {Kind.SLOW, *_ERRORS[dependency], *_RESULTS.get(dependency, {})})
    return cast("ComponentT", _Injectable(component, dependency, injections))


class _Injectable:
    def __init__(self, component: object, dependency: Dependency, injections: Injections) -> None:
        self._component = component
        self._dependency = dependency
        self._injections = injections

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the component has
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._component, name)
        if name in _LIFE:
            return value
        if inspect.iscoroutinefunction(value):
            made: Any = self._call(name, value)
        elif inspect.isasyncgenfunction(value):
            made = self._stream(value)
        else:
            return value
        self.__dict__[name] = made  # found without this method from now on
        return made

    def _call(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        injections, dependency = self._injections, self._dependency

        async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the component's own
            if injections.quiet or (fault := injections.draw(dependency)) is None:
                return await call(*args, **kwargs)
            if fault.kind in _RESULTS.get(dependency, {}):
                spoil = _RESULTS[dependency][fault.kind].get(name)
                result = await call(*args, **kwargs)
                return result if spoil is None else spoil(result)
            await self._suffer(fault)
            return await call(*args, **kwargs)

        return guarded

    def _stream(self, stream: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
        injections, dependency = self._injections, self._dependency

        async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401 - as above
            if not injections.quiet and (fault := injections.draw(dependency)) is not None:
                await self._suffer(fault)
            items = stream(*args, **kwargs)
            try:
                async for item in items:
                    yield item
            finally:
                await items.aclose()

        return guarded

    async def _suffer(self, fault: Injection) -> None:
        """Raise what the fault is; return when it is only slow."""
        clock = self._injections.clock
        if fault.kind is Kind.SLOW:
            await clock.asleep_ns(to_ns(fault.parameters["delay"]))
            return
        if fault.kind is Kind.TIMEOUT:
            await fault.hang(clock)
        named = "store of conversations" if self._dependency is Dependency.RECORDS else self._dependency.value
        raise _ERRORS[self._dependency][fault.kind](f"injected: {_WORDS[fault.kind].format(named)}")


# -- how each of them fails --------------------------------------------------------------------------------------------

_WORDS: Mapping[Kind, str] = {
    Kind.UNAVAILABLE: "the {} is not there.",
    Kind.CONNECTION: "the connection to the {} was lost.",
    Kind.TIMEOUT: "the {} did not answer, and the connection was lost.",
    Kind.AUTH: "the {} refuses the password.",
    Kind.MALFORMED: "the {} is damaged.",
}


def _lost(message: str) -> StateUnavailableError:
    error = StateUnavailableError(message)
    error.__cause__ = ConnectionResetError(message)
    return error


def _refused(message: str) -> StateUnavailableError:
    error = StateUnavailableError(message)
    error.__cause__ = PermissionError(message)
    return error


_ERRORS: Mapping[Dependency, Mapping[Kind, Callable[[str], Exception]]] = {
    Dependency.CACHE: {
        Kind.UNAVAILABLE: _lost,
        Kind.CONNECTION: _lost,
        Kind.TIMEOUT: _lost,
        Kind.AUTH: _refused,
    },
    Dependency.EMBEDDER: {Kind.UNAVAILABLE: ModelUnavailableError, Kind.TIMEOUT: ModelUnavailableError},
    Dependency.STORE: {
        Kind.UNAVAILABLE: StoreUnavailableError,
        Kind.CONNECTION: StoreInterruptedError,
        Kind.TIMEOUT: StoreInterruptedError,
        Kind.AUTH: StoreUnavailableError,
        Kind.MALFORMED: StoreCorruptError,
    },
    Dependency.ANSWERER: {Kind.UNAVAILABLE: DependencyError, Kind.TIMEOUT: DependencyError},
    Dependency.RECORDS: {
        Kind.UNAVAILABLE: StoreUnavailableError,
        Kind.CONNECTION: StoreInterruptedError,
        Kind.TIMEOUT: StoreInterruptedError,
        Kind.AUTH: StoreUnavailableError,
        Kind.MALFORMED: StoreCorruptError,
    },
}


def _nothing(_result: object) -> None:
    return None


def _none_of_them(result: list[object]) -> list[None]:
    return [None] * len(result)


def _no_rows(_result: object) -> list[object]:
    return []


def _no_numbers(vectors: Any) -> Any:  # noqa: ANN401 - an array; numpy's types say no more
    return np.full_like(vectors, np.nan)


def _no_vectors(vectors: Any) -> Any:  # noqa: ANN401 - as above
    return vectors[:0]


_UNREADABLE: Mapping[str, Callable[[Any], object]] = {"get": _nothing, "get_many": _none_of_them}
"""What a cache cannot read counts as not there."""

_RESULTS: Mapping[Dependency, Mapping[Kind, Mapping[str, Callable[[Any], object]]]] = {
    Dependency.CACHE: {Kind.EMPTY: _UNREADABLE, Kind.MALFORMED: _UNREADABLE},
    Dependency.EMBEDDER: {Kind.EMPTY: {"embed": _no_vectors}, Kind.MALFORMED: {"embed": _no_numbers}},
    Dependency.STORE: {Kind.EMPTY: {"lexical": _no_rows, "dense": _no_rows, "fetch": _no_rows}},
}
"""Kinds that raise nothing: the operations whose results are not what they should be."""
