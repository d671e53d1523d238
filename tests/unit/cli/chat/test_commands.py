"""Which lines are commands, and what their tables show."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from holdfast.cli.chat.commands import Commands
from holdfast.cli.chat.tables import config_table, health_table, rows_table, scenario_table
from holdfast.errors import InvalidInputError
from holdfast.rag.health import Check, Health
from holdfast.rag.injection.scenarios import scenarios
from holdfast.rag.settings import load_settings
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from rich.table import Table

NOTHING: Any = None
COMMANDS = Commands(NOTHING, NOTHING, NOTHING, NOTHING)


def shown(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=160, color_system=None).print(table)
    return out.getvalue()


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("stats", "stats"),
        ("/stats", "stats"),
        ("HEALTH", "health"),
        ("/Config", "config"),
        ("test", "test"),
        ("test store-down", "test store-down"),
        ("/test  store-down", "test store-down"),
        ("quit", "exit"),
        ("/?", "help"),
        ("test of the new lamp", None),
        ("health insurance for sofas?", None),
        ("exit where?", None),
        ("How do I return a lamp?", None),
    ],
)
def test_what_is_a_command(line: str, command: str | None) -> None:
    """A line is a command when it is nothing else; everything else is a question."""
    assert COMMANDS.find(line) == command


@pytest.mark.parametrize(
    ("line", "message"), [("/nope", "no command /nope; `help` lists"), ("/stats now", "stats takes no argument")]
)
def test_with_a_slash_it_must_be_a_command(line: str, message: str) -> None:
    """A line with a slash that is no command is an error, and no question."""
    with pytest.raises(InvalidInputError, match=message):
        COMMANDS.find(line)


def test_every_command_can_be_completed() -> None:
    """The words to complete are the commands, with and without a slash, and the scenarios."""
    words = COMMANDS.words()
    assert {"stats", "/stats", "test store-down"} <= set(words)
    assert Counter(words).most_common(1)[0][1] == 1


def test_secrets_are_not_in_the_settings() -> None:
    """Of a secret the table of settings says that it is set, and nothing of it."""
    settings = load_settings(
        environ={"OPENAI_API_KEY": "sk-0123456789abcdef", "REDIS_URL": "redis://:hunter2@cache:6379"}, port=8123
    )
    text = shown(config_table(settings))
    assert "sk-" not in text
    assert "hunter2" not in text
    assert text.count("set (not shown)") == 2
    assert "8123" in text
    assert all(name in text for name in type(settings).model_fields)


def test_the_health_of_each_dependency_is_a_row() -> None:
    """The table of health has status, breaker, time and sentence of each dependency, and the sum of them."""
    health = Health(
        status="degraded",
        tier=Tier.DEGRADED,
        checks={
            "store:sqlite": Check(status="ok", detail="2 documents", latency_ms=1.6, breaker="closed"),
            "embedder:local": Check(status="degraded", detail="not \x1b[1minstalled"),
        },
    )
    text = shown(health_table(health))
    assert "degraded, tier degraded" in text
    assert [line.split() for line in text.splitlines() if "store:sqlite" in line] == [
        ["store:sqlite", "ok", "closed", "2", "ms", "2", "documents"]
    ]
    assert "not \N{REPLACEMENT CHARACTER}[1minstalled" in text


def test_scenarios_that_cannot_be_played_say_why() -> None:
    """The table of scenarios has each of them, and marks those that break what is not in use."""
    text = shown(scenario_table(scenarios(), {"store", "cache"}))
    assert all(f"test {name}" in text for name in scenarios())
    assert "(no model here)" in text
    assert "(no store here)" not in text


def test_cells_are_shown_and_not_obeyed() -> None:
    """A cell with markup or control characters is text."""
    assert "[red]x\N{REPLACEMENT CHARACTER}" in shown(rows_table("a", rows=[["[red]x\x1b"]]))
