"""What sort of function a policy was given, and what makes two calls the same call."""

from __future__ import annotations

import functools
import inspect
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["call_key", "check_function", "checked_result", "is_async"]

_PLAIN = (FunctionType, MethodType)
_STREAMING = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_UNCALLED = "pass the function and its arguments, without calling it"

T = TypeVar("T")


def is_async(fn: object, *, streams: str) -> bool:
    """Whether ``fn`` is an async function; partial functions, methods and objects with an async ``__call__`` included.

    Args:
        fn: what a user wants guarded.
        streams: why the policy cannot guard a generator function, as the end of a sentence.

    Raises:
        ConfigError: it cannot be guarded; the sentence says what to do instead.
    """
    code: Any = getattr(fn, "__code__", None)
    if code.__class__ is CodeType and code.co_flags & inspect.CO_COROUTINE:
        return True  # the quick way, for calls of functions that are not bound
    if fn.__class__ in _PLAIN and not code.co_flags & _STREAMING:
        return False
    check_function(fn)
    while isinstance(fn, functools.partial):
        fn = fn.func
    for each in (fn, type(fn).__call__):
        if inspect.iscoroutinefunction(each):
            return True
        if inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each):
            raise ConfigError("fn", fn, f"gives a stream: {streams}")
    return False


def check_function(fn: object) -> None:
    """Refuse what is no function that could be guarded.

    A class is refused in a call, too, though it could be called there: decorated, it would be a class no more, and one
    rule holds for both. A function that makes the object can be guarded.

    Raises:
        ConfigError: the sentence says what to do instead.
    """
    if inspect.isclass(fn):
        raise ConfigError("fn", fn, "is a class: guard the function or method that makes the call")
    if inspect.isawaitable(fn):
        if inspect.iscoroutine(fn):
            fn.close()
        raise ConfigError("fn", fn, f"is already a coroutine: {_UNCALLED}")
    if inspect.isgenerator(fn) or inspect.isasyncgen(fn):
        raise ConfigError("fn", fn, f"is already a generator: {_UNCALLED}")
    if isinstance(fn, staticmethod | classmethod):
        kind = type(fn).__name__
        raise ConfigError("fn", fn, f"is a {kind}: put @{kind} above the policy's decorator, as the outermost")
    if not callable(fn):
        raise ConfigError("fn", fn, f"is not a function: {_UNCALLED}")


def checked_result(result: T, fn: object, *, streams: str) -> T:
    """``result``, unless it is something that can be used only once.

    Raises:
        ConfigError: it is a stream (a generator or an iterator, in either form), or something to await.
    """
    kind = type(result)
    if hasattr(kind, "__anext__") or hasattr(kind, "__next__"):
        raise ConfigError("fn", fn, f"returned a stream: {streams}")
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigError("fn", fn, "returned something to await: make it an `async def` that awaits it")
    return result


def call_key(
    key: Callable[..., Hashable] | None, fn: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Hashable:
    """What makes this call the same as another: the function, with ``key(*args, **kwargs)`` or all its arguments.

    Raises:
        ConfigError: it cannot be hashed; the sentence says what to do.
    """
    own: Hashable = (args, *sorted(kwargs.items())) if key is None else key(*args, **kwargs)
    whole = (fn, own)
    try:
        hash(whole)
    except TypeError:
        what = "arguments" if key is None else "key"
        rule = (
            f"the call's {what} cannot be hashed: give key=, a function of the arguments that returns text or a tuple"
        )
        raise ConfigError("key", key, rule) from None
    return whole
