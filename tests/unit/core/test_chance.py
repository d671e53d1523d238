"""The library's own source of chance."""

import importlib.util
import os
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core import _chance

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_forked_process_seeds_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of a fork begins with other chance than its parent; where nothing forks, nothing is asked for."""
    in_child: list[Callable[[], object]] = []
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: in_child.append(after_in_child))
    spec: Any = _chance.__spec__
    chance = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chance)
    before = chance.JITTER.getstate()
    [seed] = in_child
    seed()
    assert chance.JITTER.getstate() != before
    monkeypatch.delattr(os, "register_at_fork")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert len(in_child) == 1
