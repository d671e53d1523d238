"""The pages about the pipeline and its policies: examples run, and tables have every option with its default."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.deadline import Deadline
from holdfast.core.events import (
    AttemptFailed,
    AttemptTimedOut,
    CallFailed,
    CallSucceeded,
    DeadlineExceeded,
    FallbackUsed,
    RetriesExhausted,
    RetryScheduled,
    RetrySucceeded,
)
from holdfast.core.profiles import Profile
from holdfast.core.retry import GiveUp, Retry
from holdfast.core.timeout import Timeout

FOLDER = Path(__file__).parents[3] / "docs/policies"
PAGES = {
    name: (FOLDER / f"{name}.md").read_text()
    for name in ("retry", "deadline", "timeout", "fallback", "pipeline", "profiles")
}


@pytest.mark.parametrize("name", PAGES)
def test_examples_run(name: str) -> None:
    """Each example runs as it is printed."""
    examples = re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)
    assert examples
    for code in examples:
        exec(compile(code, f"{name}.md", "exec"), {"__name__": "example"})


@pytest.mark.parametrize(
    ("name", "options"), [("retry", Retry), ("deadline", Deadline), ("timeout", Timeout), ("profiles", Profile)]
)
def test_the_table_has_every_option_and_its_default(name: str, options: Any) -> None:
    """Each option has a row, in the order of the class, with its default where that is a plain value."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| ([^|]*) \|[^|]*\|$", PAGES[name], re.MULTILINE)
    fields = dataclasses.fields(options)
    assert [row[0] for row in rows] == [field.name for field in fields]
    for (_, shown), field in zip(rows, fields, strict=True):
        if isinstance(field.default, str):
            assert shown == f'`"{field.default}"`'
        elif isinstance(field.default, int | float):
            assert shown == f"`{field.default}`"


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("retry", [AttemptFailed, RetryScheduled, RetrySucceeded, RetriesExhausted]),
        ("deadline", [DeadlineExceeded]),
        ("timeout", [AttemptTimedOut]),
        ("fallback", [FallbackUsed]),
        ("pipeline", [CallSucceeded, CallFailed]),
    ],
)
def test_events_are_named(name: str, events: list[type]) -> None:
    """Each event of a policy is on its page."""
    for event in events:
        assert f"`{event.__name__}`" in PAGES[name]


def test_reasons_are_named() -> None:
    """Each reason to give up that is told is on the page."""
    for reason in set(GiveUp) - {GiveUp.NOT_RETRYABLE, GiveUp.NOT_IDEMPOTENT}:
        assert f"`{reason}`" in PAGES["retry"]
