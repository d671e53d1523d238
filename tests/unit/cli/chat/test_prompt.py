"""Where lines come from."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from holdfast.cli.chat.prompt import lines_of

if TYPE_CHECKING:
    import pytest

PIPE: Any = SimpleNamespace(live=False)
TERMINAL: Any = SimpleNamespace(live=True)


def test_a_pipe_gives_its_lines_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come without their ends, the last one also without one; then there is none."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\r\n\ntwo"))
    lines = lines_of(PIPE)
    lines.remember(["x"])
    lines.offer(["x"])
    assert [lines.read(), lines.read(), lines.read(), lines.read()] == ["one", "", "two", None]


def test_wrong_bytes_are_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that is no UTF-8 is replaced, and the lines go on."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xffb\nnext\n"), encoding="utf-8"))
    lines = lines_of(PIPE)
    assert [lines.read(), lines.read()] == ["a\N{REPLACEMENT CHARACTER}b", "next"]


def test_a_terminal_edits_and_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal lines come from input(), earlier ones can be brought back, and commands are completed."""
    import readline

    readline.clear_history()
    typed = iter(["hello"])

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    lines = lines_of(TERMINAL)
    lines.remember(["an earlier\nquestion"])
    lines.offer(["stats", "health", "test store-down"])
    assert [lines.read(), lines.read()] == ["hello", None]
    assert readline.get_history_item(1) == "an earlier question"
    complete = readline.get_completer()
    assert complete is not None
    assert [complete("test s", 0), complete("test s", 1)] == ["test store-down", None]
    readline.clear_history()
    readline.set_completer(None)
