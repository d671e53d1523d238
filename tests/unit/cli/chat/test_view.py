"""What a session draws on a terminal, and what it writes into a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from holdfast.cli.chat.view import View, view_for
from holdfast.rag.types import Answer, Citation, Source, Tier

ANSWER = Answer(
    text="Within 30 days [1].",
    citations=(
        Citation(
            document_id="d",
            chunk_id="c",
            title="Return\x1b[2J an [bold]item",
            uri="returns.md",
            text="Within 30 days.",
            start=0,
            end=15,
            score=1.0,
        ),
    ),
    source=Source.EXTRACT,
    tier=Tier.DEGRADED,
    degraded=True,
    notice="Found by its words only.",
    confidence=0.9,
)


def terminal(height: int = 20) -> tuple[View, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=60, height=height, color_system=None, markup=False, highlight=False
    )
    return view_for(console), out


def test_an_answer_on_a_terminal_is_there_in_the_end() -> None:
    """What was written piece by piece is drawn whole once, with citations, notice and note below."""
    view, out = terminal()
    assert view.live
    with view.answering(lambda: "tier full") as piece:
        piece("Within 30 ")
        piece("days [1].")
    view.answered(ANSWER)
    shown = out.getvalue()
    assert shown.count("Within 30 days [1].") >= 1
    assert "[1] Return\N{REPLACEMENT CHARACTER}[2J an [bold]item (returns.md)" in shown
    assert "Found by its words only." in shown
    assert "source extract · tier degraded" in shown


def test_an_answer_that_is_broken_off_stays() -> None:
    """What was written before an answer was stopped is not wiped away."""
    view, out = terminal()

    def stopped() -> None:
        with view.answering(lambda: "") as piece:
            piece("Within 30")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert out.getvalue().rstrip().endswith("Within 30")


def test_a_long_answer_shows_its_end_while_it_is_written() -> None:
    """Of an answer that is longer than the terminal the last lines are shown, and all of it in the end."""
    view, out = terminal(height=8)
    with view.answering(lambda: "tier full") as piece:
        piece("".join(f"- item {number}\n" for number in range(40)))
    live, _, whole = out.getvalue().rpartition("item 0\n" if "item 0\n" in out.getvalue() else "item 0 ")
    assert "item 39" in live
    assert "item 1 " in whole
    assert "item 39" in whole


def test_lines_on_a_terminal_are_not_obeyed() -> None:
    """Whatever a line holds, the terminal gets no control character that is not the view's own."""
    view, out = terminal()
    for write in (view.say, view.note, view.warn, view.complain):
        write("a\x1b]0;title\x07b [red]c[/]")
    with view.following(lambda: "tier\x1b[2J full"):
        view.say("row")
    shown = out.getvalue()
    assert shown.count("a\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}b [red]c[/]") == 4
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Into a pipe go the answer and its citations; what is about them goes to stderr."""
    view = view_for()
    assert not view.live
    with view.answering(lambda: "") as piece:
        piece("Within 30 ")
        piece("days [1].")
    view.answered(ANSWER)
    with view.answering(lambda: ""):
        pass
    view.say("said")
    view.note("noted")
    view.warn("warned")
    view.complain("complained")
    out, err = capsys.readouterr()
    assert out == ("Within 30 days [1].\n\n[1] Return\N{REPLACEMENT CHARACTER}[2J an [bold]item (returns.md)\n\nsaid\n")
    assert err.splitlines() == [
        "Found by its words only.",
        "source extract · tier degraded · confidence 0.90",
        "noted",
        "warned",
        "holdfast: complained",
    ]
