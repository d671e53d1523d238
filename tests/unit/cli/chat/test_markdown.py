"""Answers on a terminal: their Markdown is drawn, and nothing in their text is obeyed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from holdfast.cli.chat.markdown import answer_markdown


def drawn(text: str) -> str:
    """What a terminal gets, without colours and bold."""
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=60, color_system=None, legacy_windows=False).print(
        answer_markdown(text)
    )
    return out.getvalue()


def test_markdown_is_drawn() -> None:
    """Lists are drawn as lists, and a citation stays as it is written."""
    shown = drawn("Two things:\n\n- one [1]\n- two **bold**")
    assert " ".join(shown.split()) == "Two things: • one [1] • two bold"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Press <Enter> to go on", "Press <Enter> to go on"),
        ("<div>\nWhole\n</div>", "<div> Whole </div>"),
        ("[bold red]loud[/] :smile:", "[bold red]loud[/] :smile:"),
        ("a\x1b[2Jb\x07c\x9bd", "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d"),
        ("a&#x202e;b", "a\N{REPLACEMENT CHARACTER}b"),
        ("a&#27;b", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_text_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    """Tags and markup stand as they are written; control characters, written or as entities, are replaced."""
    assert " ".join(drawn(text).split()) == shown


def test_a_link_shows_where_it_leads() -> None:
    """The address of a link is seen, and the terminal is given no link to follow."""
    out = drawn("[your bank](https://evil.example/login)")
    assert "https://evil.example/login" in out
    assert "\x1b]8" not in out


def test_code_keeps_its_text() -> None:
    """Inside code, too, control characters are replaced."""
    assert "\x1b[2J" not in drawn("```\nrm \x1b[2J\n```\n\n`x\x1b[2Jy`")
