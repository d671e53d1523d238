"""What a name may be."""

from __future__ import annotations

import pytest

from holdfast.rag.names import is_plain_name


@pytest.mark.parametrize(
    "name",
    ["Returns", "返品\u3000規約.md", "क\u200dष", "Screenshot 10.02.30\u202fAM.png", "a\u00a0b", "", "🧾 invoice"],
)
def test_names_of_any_script_are_fine(name: str) -> None:
    """Wide, narrow and no-break spaces, joiners and emoji are part of ordinary names."""
    assert is_plain_name(name)


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "\x1b[31m", "a\u2028b", "invoice\u202efdp.exe", "\ud800"])
def test_names_that_deceive_are_not(name: str) -> None:
    """A second line, a terminal escape or a reversed direction is refused."""
    assert not is_plain_name(name)
