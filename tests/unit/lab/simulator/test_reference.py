"""The reference page of the simulator says what the simulator does."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.lab.simulator.calls import Call, Outcome
from holdfast.lab.simulator.fault_rules import ENDPOINTS, parse_rule
from holdfast.lab.simulator.fault_table import as_markdown
from holdfast.lab.simulator.http import SimulatorHttp

DOCS = Path(__file__).parents[4] / "docs"
PAGE = (DOCS / "reference/simulator.md").read_text(encoding="utf-8")


def test_the_table_of_faults_is_the_table() -> None:
    """The page's table is made of the faults' table."""
    assert as_markdown() in PAGE


def test_every_option_of_a_rule_is_documented() -> None:
    """Each option that all rules have, and each endpoint, is on the page."""
    for name in ("rate", "from", "to", "first", "every", "endpoint", "model", "key", "group", "slot", *ENDPOINTS):
        assert f"`{name}`" in PAGE


def test_every_field_of_a_call_is_documented() -> None:
    """Each field of a record that is shown, and each outcome, is on the page."""
    assert all(f'"{name}"' in PAGE for name in Call(1, 0.0, "chat", None, "m", stream=False).as_json())
    assert all(f"`{outcome.value}`" in PAGE for outcome in Outcome)


def test_the_example_in_process_works() -> None:
    """The example of the how-to page for tests runs as it stands there."""
    guide = (DOCS / "how-to/simulate.md").read_text(encoding="utf-8")
    example = guide.partition("## In a test")[2].partition("```python")[2].partition("```")[0]
    made: dict[str, object] = {}
    exec(compile(example, "simulate.md", "exec"), made)
    assert isinstance(made["http"], SimulatorHttp)


def test_the_rules_on_the_pages_are_rules() -> None:
    """Every rule that a page shows on a command line can be parsed."""
    guide = (DOCS / "how-to/simulate.md").read_text(encoding="utf-8")
    shown = re.findall(r"--fault ([^ `\n]+)", guide + PAGE) + re.findall(r'"rule": "([^"]+)"', guide + PAGE)
    assert len(shown) >= 5
    assert all(parse_rule(each) for each in shown)
