"""The page about the breaker: its examples run, and its table is the truth."""

import dataclasses
import re
from pathlib import Path

import pytest

from holdfast.core.breaker import BreakerOptions
from holdfast.core.events import BreakerRejected, BreakerTransition, Event

PAGE = (Path(__file__).parents[3] / "docs/policies/circuit-breaker.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_examples_run(code: str) -> None:
    """Each example runs as it is printed."""
    exec(compile(code, "circuit-breaker.md", "exec"), {"__name__": "example"})


def test_the_table_has_every_option_and_its_default() -> None:
    """Each option has a row, in the order of the class, with the default that it has."""
    rows = re.findall(r"^\| `(\w+)` \|.*?\|.*?\| `?(.+?)`? \|[^|]*\|$", PAGE, re.MULTILINE)
    options = [(field.name, field.default) for field in dataclasses.fields(BreakerOptions)]
    assert rows == [(name, f'"{default}"' if isinstance(default, str) else str(default)) for name, default in options]


@pytest.mark.parametrize("event", [BreakerRejected, BreakerTransition])
def test_events_are_named_with_their_fields(event: type[Event]) -> None:
    """Each event of the breaker is there with each of its own fields."""
    own = {field.name for field in dataclasses.fields(event)} - {field.name for field in dataclasses.fields(Event)}
    for name in (event.__name__, *own):
        assert f"`{name}`" in PAGE
