"""The page on the chat has every kind of fault, every parameter, every dependency and every scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.rag.injection.kinds import KINDS, SUPPORTED, Dependency, Kind
from holdfast.rag.injection.scenarios import scenarios

LINES = (Path(__file__).parents[4] / "docs" / "how-to" / "chat.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_row(kind: Kind) -> None:
    """A kind's row says what happens, and its parameters with unit, default and range."""
    parameters = "; ".join(
        f"`{one.name}` ({one.default:g}): {one.says.partition(' ')[0]}"
        + ("" if one.says.startswith("seconds") else " that come before")
        + f", {one.least:g} to {one.most:,.0f}"
        for one in KINDS[kind].parameters
    )
    assert f"| `{kind}` | {KINDS[kind].says} | {parameters}{' ' if parameters else ''}|" in LINES


@pytest.mark.parametrize("dependency", Dependency)
def test_every_dependency_has_its_row(dependency: Dependency) -> None:
    """Each dependency is named with the kinds that it can have."""
    row = next(line for line in LINES if line.startswith(f"| `{dependency}`"))
    named = {name for name in row.split("`") if name in set(Kind)}
    assert named == SUPPORTED[dependency] or (" all" in row and SUPPORTED[dependency] == set(Kind))


def test_every_scenario_has_its_row() -> None:
    """The scenarios of the page are those there are."""
    start = LINES.index("| Scenario | What is broken |") + 2
    rows = [line.split("`")[1] for line in LINES[start:] if line.startswith("| `")][: len(scenarios())]
    assert sorted(rows) == sorted(scenarios())
