"""docs/how-to/wrap-an-sdk.md names every option and every default."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.llm.dropin.guards import guard_agent, guard_completions, guard_embeddings
from holdfast.llm.dropin.options import Keywords, Options
from holdfast.llm.dropin.own_http import _KEPT
from holdfast.llm.dropin.sdk import _FORWARDED
from holdfast.llm.routing.options import RouteOptions

PAGE = (Path(__file__).parents[4] / "docs/how-to/wrap-an-sdk.md").read_text(encoding="utf-8")
OPTIONS = PAGE.split("## Options")[1].split("## Without an SDK")[0]


def test_every_option_is_there() -> None:
    """The page has a row for each option, and no other; each option of a route is one."""
    rows = re.findall(r"^\| `(\w+)`", OPTIONS, re.MULTILINE)
    assert sorted(rows) == sorted(Keywords.__annotations__)
    assert {each.name for each in fields(RouteOptions)} <= set(rows)
    own = {each.name for each in fields(Options)} - {"chats", "embeddings"}
    assert own <= set(rows)


@pytest.mark.parametrize("name", ["deadline_seconds", "attempt_seconds"])
def test_defaults(name: str) -> None:
    """The defaults of the page are those of the code."""
    options = Options()
    values = f"{getattr(options.chats, name):g}; embeddings {getattr(options.embeddings, name):g}"
    assert f"| `{name}` | {values} |" in OPTIONS


def test_the_guards() -> None:
    """The table of guards has the limits that they have."""
    for guard in (guard_agent, guard_completions, guard_embeddings):
        options = inspect.signature(guard).parameters
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{guard.__name__}`"))
        assert row.endswith(f"| {options['seconds'].default:g} s | {options['deadline_seconds'].default:g} s |")


def test_what_is_forwarded() -> None:
    """The page lists the header fields that a fallback is told, which are the same for clients and names."""
    for name in _FORWARDED:
        assert f"`{name}`" in PAGE
    assert _FORWARDED <= _KEPT


def test_the_names_at_the_top() -> None:
    """What the page uses can be had from the package."""
    for name in ("wrap", "wrapped", "Backup", "guard_embeddings", "guard_completions", "guard_agent"):
        assert getattr(hf, name).__doc__
