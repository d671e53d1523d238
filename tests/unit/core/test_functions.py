"""What policies accept as a function, as a result, and as the identity of a call."""

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from holdfast.core._functions import call_key, checked_result, is_async
from holdfast.errors import ConfigError

WHY = "it is read once"


def plain(a: int = 0) -> int:
    return a


async def coro(a: int = 0) -> int:
    return a


def items() -> Iterator[int]:
    yield 1


async def aitems() -> AsyncIterator[int]:
    yield 1


class Caller:
    async def __call__(self) -> int:
        return 1

    async def method(self) -> int:
        return 1

    def sync(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (plain, False),
        (coro, True),
        (functools.partial(plain, 1), False),
        (functools.partial(functools.partial(coro, 1)), True),
        (Caller(), True),
        (Caller().method, True),
        (Caller().sync, False),
        (len, False),
        (lambda: 1, False),
    ],
)
def test_plain_and_async_functions(fn: Any, expected: bool) -> None:
    """Functions, methods, partial functions and objects with ``__call__`` are told apart."""
    assert is_async(fn, streams=WHY) is expected


@pytest.mark.parametrize(
    ("fn", "rule"),
    [
        (Caller, "is a class: guard the function or method that makes the call"),
        (3, "is not a function: pass the function and its arguments, without calling it"),
        (items, f"gives a stream: {WHY}"),
        (aitems, f"gives a stream: {WHY}"),
        (functools.partial(aitems), f"gives a stream: {WHY}"),
        (items(), "is already a generator: pass the function and its arguments, without calling it"),
        (aitems(), "is already a generator: pass the function and its arguments, without calling it"),
        (staticmethod(plain), "is a staticmethod: put @staticmethod above the policy's decorator, as the outermost"),
        (
            classmethod(plain),  # type: ignore[arg-type]
            "is a classmethod: put @classmethod above the policy's decorator, as the outermost",
        ),
    ],
)
def test_what_cannot_be_guarded(fn: Any, rule: str) -> None:
    """Everything else is refused with a sentence that says what to do."""
    with pytest.raises(ConfigError) as refused:
        is_async(fn, streams=WHY)
    assert refused.value.rule == rule


async def test_a_coroutine_is_not_a_function() -> None:
    """A call that was made already is refused, and leaves no coroutine behind that nobody awaited."""
    with pytest.raises(ConfigError, match="is already a coroutine: pass the function and its arguments"):
        is_async(coro(), streams=WHY)

    class Promise:
        def __await__(self) -> Iterator[int]:
            yield 1

    with pytest.raises(ConfigError, match="is already a coroutine: pass the function and its arguments"):
        is_async(Promise(), streams=WHY)


@pytest.mark.parametrize("result", [1, None, [1], "text", {"a": 1}, range(3)])
def test_results_that_can_be_used_again(result: object) -> None:
    """Ordinary results are given back as they are."""
    assert checked_result(result, plain, streams=WHY) is result


def test_results_that_can_be_used_once() -> None:
    """Streams and coroutines are refused with a sentence."""
    for stream in (items(), aitems(), iter([1])):
        with pytest.raises(ConfigError, match=f"returned a stream: {WHY}"):
            checked_result(stream, plain, streams=WHY)

    class Promise:
        def __await__(self) -> Iterator[int]:
            yield 1

    for promise in (coro(), Promise()):
        with pytest.raises(ConfigError, match="make it an `async def` that awaits it"):
            checked_result(promise, plain, streams=WHY)


def test_the_same_call_has_the_same_key() -> None:
    """Functions and arguments count, the order of named ones does not."""
    assert call_key(None, plain, (1,), {"b": 2, "c": 3}) == call_key(None, plain, (1,), {"c": 3, "b": 2})
    keys = {
        call_key(None, plain, (1,), {}),
        call_key(None, plain, (2,), {}),
        call_key(None, plain, (), {"a": 1}),
        call_key(None, coro, (1,), {}),
        call_key(lambda a: a, plain, (1,), {}),
    }
    assert len(keys) == 5
    assert call_key(lambda a, user: user, plain, (1,), {"user": "u"}) == call_key(lambda a: "u", plain, (2,), {})


def test_methods_of_one_object_are_the_same_function() -> None:
    """A method is looked up anew for each call, and counts as the same one; another object's does not."""
    one, other = Caller(), Caller()
    assert call_key(None, one.method, (), {}) == call_key(None, one.method, (), {})
    assert call_key(None, one.method, (), {}) != call_key(None, other.method, (), {})


def test_keys_that_cannot_be_hashed() -> None:
    """Lists among the arguments need a key function; the sentence says so."""
    with pytest.raises(ConfigError, match="arguments cannot be hashed: give key="):
        call_key(None, plain, ([1],), {})
    with pytest.raises(ConfigError, match="key cannot be hashed: give key="):
        call_key(lambda a: [a], plain, (1,), {})  # type: ignore[arg-type,return-value]
