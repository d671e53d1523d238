"""Where lines come from: a terminal with line editing and history, or a pipe."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.cli.chat.view import View

__all__ = ["Lines", "lines_of"]

_PROMPT = "> "


class Lines(Protocol):
    """Reads what the user writes."""

    def read(self, prompt: str = _PROMPT) -> str | None:
        """The next line without its end; None when there is none any more.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed instead.
        """
        ...

    def remember(self, lines: Iterable[str]) -> None:
        """Lines from earlier, that a terminal brings back with the arrow keys."""
        ...

    def offer(self, words: Iterable[str]) -> None:
        """Words that a terminal completes with the tab key."""
        ...


def lines_of(view: View) -> Lines:
    """The lines of this process's stdin."""
    return _Typed() if view.live else _Piped()


class _Piped:
    def __init__(self) -> None:
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a wrong byte is no reason to end the session

    def read(self, prompt: str = _PROMPT) -> str | None:  # noqa: ARG002 - nobody is there to see it
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None

    def remember(self, lines: Iterable[str]) -> None:
        pass

    def offer(self, words: Iterable[str]) -> None:
        pass


class _Typed:
    """``input()`` with the editing of the readline library, where Python has it. The history is kept nowhere."""

    def __init__(self) -> None:
        with suppress(ImportError):
            import readline

            readline.set_auto_history(True)
            readline.parse_and_bind("tab: complete")
            readline.set_completer_delims("\n")

    def read(self, prompt: str = _PROMPT) -> str | None:
        try:
            return input(prompt)
        except EOFError:
            return None
        except UnicodeDecodeError:
            return ""

    def remember(self, lines: Iterable[str]) -> None:
        with suppress(ImportError):
            import readline

            for line in lines:
                readline.add_history(" ".join(line.split()))

    def offer(self, words: Iterable[str]) -> None:
        with suppress(ImportError):
            import readline

            known = sorted(words)

            def complete(begun: str, index: int) -> str | None:
                fitting = [word for word in known if word.startswith(begun)]
                return fitting[index] if index < len(fitting) else None

            readline.set_completer(complete)
