"""The pages about the admission policies: their examples run, and their tables are the truth."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from holdfast.core.adaptive_limit import AdaptiveLimit
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.codel import CoDel
from holdfast.core.events import (
    BulkheadRejected,
    Event,
    LimitChanged,
    LimitRejected,
    QueueDropped,
    QueueEntered,
    QueueRefused,
    QueueStarted,
)
from holdfast.core.request_queue import RequestQueue

FOLDER = Path(__file__).parents[3] / "docs/policies"
PAGES = {name: (FOLDER / f"{name}.md").read_text() for name in ("bulkhead", "adaptive-limit", "queue")}
PRINTED = {"50 MiB": 50 * 1024 * 1024, "5 KiB": 5 * 1024}
BROUGHT = ("clock", "events", "name")


@pytest.mark.parametrize(
    ("page", "code"),
    [(name, code) for name, text in PAGES.items() for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)],
)
def test_examples_run(page: str, code: str) -> None:
    """Each example runs as it is printed."""
    exec(compile(code, f"{page}.md", "exec"), {"__name__": "example"})


@pytest.mark.parametrize(
    ("page", "policies"),
    [("bulkhead", [Bulkhead]), ("adaptive-limit", [AdaptiveLimit]), ("queue", [RequestQueue, CoDel])],
)
def test_the_tables_have_every_option_and_its_default(page: str, policies: list[type]) -> None:
    """Each option has a row, in the order of the class, with the default that it has."""
    rows = re.findall(r"^\| `(\w+)` \|.*?\|.*?\| (.+?) \|[^|]*\|$", PAGES[page], re.MULTILINE)
    options = [
        (name, parameter.default)
        for policy in policies
        for name, parameter in inspect.signature(policy).parameters.items()
        if name not in BROUGHT
    ]
    assert [(name, str(PRINTED.get(default, default))) for name, default in rows] == [
        (name, f"{default:g}" if isinstance(default, float) else str(default)) for name, default in options
    ]
    assert "| `clock`, `events`, `name` |" in PAGES[page]


@pytest.mark.parametrize(
    ("page", "event"),
    [
        ("bulkhead", BulkheadRejected),
        ("adaptive-limit", LimitChanged),
        ("adaptive-limit", LimitRejected),
        ("queue", QueueEntered),
        ("queue", QueueStarted),
        ("queue", QueueRefused),
        ("queue", QueueDropped),
    ],
)
def test_events_are_named_with_their_fields(page: str, event: type[Event]) -> None:
    """Each event is there with each of its own fields."""
    own = {field.name for field in dataclasses.fields(event)} - {field.name for field in dataclasses.fields(Event)}
    (row,) = re.findall(rf"^\| `{event.__name__}` \|.*$", PAGES[page], re.MULTILINE)
    for name in own:
        assert f"`{name}`" in row
