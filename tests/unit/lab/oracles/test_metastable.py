"""The law of metastable failure: a line must drain within its callers' patience, capacity < service rate x timeout."""

from __future__ import annotations

import pytest

from holdfast.lab.failures import metastable

DRAINS = metastable._SERVED * metastable._PATIENCE
"""How many the server serves while a caller waits: 30."""


@pytest.mark.parametrize("share", [0.6, 1.5])
def test_the_law_on_both_sides(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """With a line of 0.6 of what drains in time the server comes back by itself; with 1.5 of it never."""
    monkeypatch.setattr(metastable, "_QUEUE", round(share * DRAINS))
    monkeypatch.setattr(metastable, "_TRIGGER", (20.0, 30.0))
    monkeypatch.setattr(metastable, "_SECONDS", 100.0)
    story = metastable.play_with(budget=False, drops=False)
    if share < 1:
        assert story["goodput"] == pytest.approx(story["arrivals"], rel=0.15)
        assert story["wasted"] <= 1
    else:
        assert story["goodput"] < 0.1 * story["arrivals"]
        assert story["calls"] > 3
        assert story["wasted"] > 60
