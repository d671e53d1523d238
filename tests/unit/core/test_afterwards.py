"""What finalizers put off."""

import gc
import importlib.util
import os
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core import _afterwards

if TYPE_CHECKING:
    from collections.abc import Callable


def test_before_the_collector_ever_ran_nothing_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process whose collector never ran, work is done at once."""
    done: list[int] = []
    gc.disable()
    try:
        monkeypatch.setattr(_afterwards, "_state", _afterwards._State())
        _afterwards.now_or_later(lambda: done.append(1))
        assert done == [1]
    finally:
        gc.enable()


def test_every_forked_process_begins_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its parent still owed is not done twice; where nothing forks, nothing is asked for."""
    in_child: list[Callable[[], object]] = []
    monkeypatch.setattr(gc, "callbacks", [])
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: in_child.append(after_in_child))
    spec: Any = _afterwards.__spec__
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    owed = module._state.work
    owed.put(print)
    [renew] = in_child
    renew()
    assert (owed.qsize(), module._state.work.qsize()) == (1, 0)
    monkeypatch.delattr(os, "register_at_fork")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert len(in_child) == 1
