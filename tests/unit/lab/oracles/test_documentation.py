"""The table of closed forms in the lab's reference says what these tests check."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[3] / "docs" / "reference" / "lab.md"


def test_the_table_is_what_is_checked() -> None:
    """Each row names a test, and each bound of it is one of that test's; every test has a row."""
    section = PAGE.read_text(encoding="utf-8").partition("## How we know that the lab tells the truth")[2]
    rows = re.findall(r"^\|[^|\n]+\|[^|\n]*\|([^|\n]*)\| `(test_\w+\.py)` \|$", section, re.MULTILINE)
    assert {name for _, name in rows} == {each.name for each in HERE.glob("test_*.py")} - {Path(__file__).name}
    for within, name in rows:
        checked = re.findall(r"\b[01]\.\d+", (HERE / name).read_text(encoding="utf-8"))
        for bound in re.findall(r"(\d+)%", within):
            assert f"{int(bound) / 100:g}" in checked, (name, bound)
