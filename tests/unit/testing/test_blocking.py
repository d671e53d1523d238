"""Blocking work without threads."""

import contextvars
import threading

import pytest

from holdfast.core.ports import Blocking
from holdfast.errors import RejectedError
from holdfast.testing.blocking import InlineBlocking

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="outside")


async def test_runs_in_the_caller() -> None:
    """Work runs at once in the same thread, is listed by kind, and gives or raises what it does."""
    blocking = InlineBlocking()
    assert isinstance(blocking, Blocking)
    assert await blocking.run("store.read", threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await blocking.run("embed.query", divmod, 1, 0)
    assert blocking.kinds == ["store.read", "embed.query"]


async def test_context_goes_in_and_does_not_come_out() -> None:
    """As on a thread, the work sees a copy of the caller's context."""
    VAR.set("caller")
    assert await InlineBlocking().run("x", VAR.get) == "caller"
    await InlineBlocking().run("x", VAR.set, "work")
    assert VAR.get() == "caller"


async def test_closed() -> None:
    """After close it refuses, as the real one does."""
    blocking = InlineBlocking()
    await blocking.close()
    with pytest.raises(RejectedError, match="closed"):
        await blocking.run("x", int)
