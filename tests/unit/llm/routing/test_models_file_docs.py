"""The page about the models file: its example loads, and its tables have every key."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from holdfast.llm.routing.file import KEYS, read_routes
from holdfast.llm.routing.known import KNOWN_PROVIDERS
from holdfast.llm.routing.targets import EMBEDDING_OPTIONS, Provider, RetryOptions, RouteOptions, StreamTimers, Target

PAGE = (Path(__file__).parents[4] / "docs/reference/models-file.md").read_text()
SECTIONS = {
    "": "## Top of the file",
    "providers.NAME": "## `providers.NAME`",
    "providers.NAME.breaker": "### `providers.NAME.breaker`",
    "models.NAME": "## `models.NAME`",
    "models.NAME.timers": "### `models.NAME.timers`",
    "models.NAME.retry": "### `models.NAME.retry`",
    "embeddings.NAME": "## `embeddings.NAME`",
    "embeddings.NAME.retry": "### `models.NAME.retry`",
    "target": "## A target",
}


def rows(table: str) -> dict[str, list[str]]:
    """The rows of the table under a heading: the cells behind the key, by key."""
    section = PAGE.split(f"\n{SECTIONS[table]}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE)
    return {key: [cell.strip() for cell in cells.split("|")] for key, cells in found}


def test_every_table_has_a_section() -> None:
    """No table of the file is without its section."""
    assert set(SECTIONS) == set(KEYS)


@pytest.mark.parametrize("table", KEYS)
def test_every_key_is_documented(table: str) -> None:
    """Each key of each table has a row, and no row is about a key that is not there."""
    assert set(rows(table)) == set(KEYS[table])


def test_keys_are_the_fields_of_the_classes() -> None:
    """Whatever a class takes can be said in the file, but for its name and what is put together."""
    for cls, table, elsewhere in [
        (Provider, "providers.NAME", {"name"}),
        (Target, "target", set()),
        (RouteOptions, "models.NAME", set()),
        (StreamTimers, "models.NAME.timers", set()),
        (RetryOptions, "models.NAME.retry", set()),
    ]:
        assert {field.name for field in dataclasses.fields(cls)} - elsewhere <= set(KEYS[table])


def test_defaults_in_the_tables_are_true() -> None:
    """Numbers in the column of defaults are those of the classes."""
    options, timers = RouteOptions(), StreamTimers()
    for key in ("max_calls", "deadline_seconds", "attempt_seconds", "hedge_percent"):
        assert float(rows("models.NAME")[key][1]) == getattr(options, key)
        assert float(rows("embeddings.NAME")[key][1]) == getattr(EMBEDDING_OPTIONS, key)
    for key in KEYS["models.NAME.timers"]:
        assert float(rows("models.NAME.timers")[key][0]) == getattr(timers, key)
    for key in KEYS["models.NAME.retry"]:
        chat, embeddings = getattr(options.retry, key), getattr(EMBEDDING_OPTIONS.retry, key)
        assert rows("models.NAME.retry")[key][1] == f"{chat:g} ({embeddings:g})"


def test_every_known_provider_is_documented() -> None:
    """Each known provider has a row with its address and its variables."""
    for name, known in KNOWN_PROVIDERS.items():
        row = re.search(rf"^\| `{name}` \|(.*)\|$", PAGE, re.MULTILINE)
        assert row
        assert known.base_url is None or f"`{known.base_url}`" in row[1]
        assert all(f"`{variable}`" in row[1] for variable in known.variables)
        assert ("not always" in row[1]) is not known.finish_required


def test_the_example_loads(tmp_path: Path) -> None:
    """The example is a models file, it uses every key there is but two, and nothing in it is missing a key."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "azure").write_text("azure-key")
    text = example.replace("/run/secrets/azure", str(tmp_path / "azure"))
    names = ("OPENAI_API_KEY", "OPENAI_API_KEY_2", "ANTHROPIC_API_KEY", "GATEWAY_TOKEN")
    routes = read_routes(tomllib.loads(text), environ={name: f"key-of-{name}" for name in names})
    assert routes.warnings == ()
    assert [target.name for target in routes.model("answers").targets] == [
        "openai/gpt-4o-mini",
        "europe/my-deployment",
        "anthropic/claude-haiku-4-5",
    ]
    assert routes.embedding("passages").dimension == 512
    assert {key for keys in KEYS.values() for key in keys if not re.search(rf"\b{key}\b", example)} == set()
