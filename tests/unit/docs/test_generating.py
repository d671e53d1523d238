"""What the page on generating with a model shows works as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from holdfast.llm.routing.file import read_routes

PAGE = (Path(__file__).parents[3] / "docs/how-to/generate-with-a-model.md").read_text()
KEYS = {"GATEWAY_KEY": "gw-0123456789", "GATEWAY_KEY_2": "gw-9876543210", "OPENAI_API_KEY": "sk-0123456789"}
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", FILES, ids=["everything", "no key"])
def test_every_file_on_the_page_is_valid(text: str) -> None:
    """Each models.toml that the page shows loads, and has the route that answers questions."""
    routes = read_routes(tomllib.loads(text), environ=KEYS)
    assert "answers" in routes.models
    assert routes.warnings == ()
