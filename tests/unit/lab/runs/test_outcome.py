"""Outcomes as data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.errors import InvalidInputError
from holdfast.lab.runs.outcome import Bucket, Measures, Outcome

BUCKET = Bucket(
    at=5, offered=3, useful=2, degraded=1, errors=1, attempts=4, retries=1, tier="full", open_breakers=("a", "b"), p95=1
)
OUTCOME = Outcome(
    scenario="s",
    configuration="c",
    seed=7,
    rate=None,
    seconds=10,
    trace="f00",
    measures=Measures(asked=3, mttr=(1.0, 2.0), error_causes={"late": 1}),
    timeline=(BUCKET,),
)


def test_an_outcome_survives_json() -> None:
    """What is written is read again as it was."""
    assert Outcome.from_json(json.loads(json.dumps(OUTCOME.as_json()))) == OUTCOME


def test_measures_that_are_missing_have_their_defaults() -> None:
    """A file of an older version can be read; a timeline is not needed."""
    data = OUTCOME.as_json()
    del data["timeline"], data["measures"]["mttr"]
    read = Outcome.from_json(data)
    assert (read.measures.mttr, read.timeline, read.measures.asked) == ((), (), 3)


def test_something_else_is_refused() -> None:
    """What lacks a field, or has one that nobody knows, is no outcome."""
    refused: list[dict[str, Any]] = [
        {},
        {"measures": {}},
        {**OUTCOME.as_json(), "weather": "fine"},
        {"measures": {"weather": 1}},
    ]
    for data in refused:
        with pytest.raises(InvalidInputError, match="is not what the lab writes"):
            Outcome.from_json(data)
