"""What the session shows: live on a terminal, plain lines elsewhere, so that scripts can read them."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from holdfast.cli import output
from holdfast.cli.chat.markdown import answer_markdown
from holdfast.cli.output import plain
from holdfast.cli.render import answer_note, citation_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from holdfast.rag.types import Answer

__all__ = ["View", "view_for"]

_FRAMES_PER_SECOND = 8
_KEPT_FREE = 4
"""Lines of the terminal that an answer which is being written leaves free."""


class View(Protocol):
    """Where a session writes to.

    Attributes:
        live: whether somebody looks at it on a terminal.
    """

    live: bool

    @contextmanager
    def answering(self, status: Callable[[], str]) -> Iterator[Callable[[str], None]]:
        """Show an answer as it is written, as long as the block runs; what it yields takes the pieces."""
        ...

    def answered(self, answer: Answer) -> None:
        """What belongs below an answer: its citations, what is missing, where it came from."""
        ...

    def say(self, text: str = "") -> None:
        """A line of the session's own."""
        ...

    def note(self, text: str) -> None:
        """A quiet line."""
        ...

    def warn(self, text: str) -> None:
        """A line that should be seen."""
        ...

    def complain(self, text: str) -> None:
        """What went wrong."""
        ...

    def table(self, table: Table) -> None:
        """A table."""
        ...

    @contextmanager
    def following(self, status: Callable[[], str]) -> Iterator[None]:
        """Show ``status`` below the lines that are written meanwhile."""
        ...


def view_for(console: Console | None = None) -> View:
    """A view of this process's own: live when both ends are a terminal.

    Args:
        console: where to draw, in the place of stdout; live when it is a terminal.
    """
    live = sys.stdin.isatty() and sys.stdout.isatty() if console is None else console.is_terminal
    console = console or Console(markup=False, emoji=False, highlight=False)
    return _Terminal(console) if live else _Plain(console)


class _Plain:
    """Results to stdout, all else to stderr, as the other commands write."""

    live = False

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def answering(self, status: Callable[[], str]) -> Iterator[Callable[[str], None]]:  # noqa: ARG002
        begun = False

        def piece(text: str) -> None:
            nonlocal begun
            begun = True
            output.print_piece(text)

        try:
            yield piece
        finally:
            if begun:
                output.print_result()

    def answered(self, answer: Answer) -> None:
        for line in citation_lines(answer):
            output.print_result(line)
        output.print_result()
        if answer.notice:
            output.warn(answer.notice)
        output.note(answer_note(answer))

    def say(self, text: str = "") -> None:
        output.print_result(text)

    def note(self, text: str) -> None:
        output.note(text)

    def warn(self, text: str) -> None:
        output.warn(text)

    def complain(self, text: str) -> None:
        output.complain(text)

    def table(self, table: Table) -> None:
        self._console.print(table)

    @contextmanager
    def following(self, status: Callable[[], str]) -> Iterator[None]:  # noqa: ARG002
        yield


class _Terminal:
    live = True

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def answering(self, status: Callable[[], str]) -> Iterator[Callable[[str], None]]:
        pieces: list[str] = []
        spinner, started = Spinner("dots"), time.monotonic()

        def frame() -> RenderableType:
            spinner.update(text=Text(f"{time.monotonic() - started:.0f} s · {plain(status())}", style="dim"))
            return Group(_Tail("".join(pieces), self._console.height - _KEPT_FREE), spinner)

        with Live(
            console=self._console, get_renderable=frame, refresh_per_second=_FRAMES_PER_SECOND, transient=True
        ) as live:
            try:
                yield pieces.append
            finally:
                live.stop()
                if pieces:
                    self._console.print(answer_markdown("".join(pieces)))

    def answered(self, answer: Answer) -> None:
        for line in citation_lines(answer):
            self._line(line, "cyan")
        if answer.notice:
            self._line("")
            self.warn(answer.notice)
        self.note(answer_note(answer))

    def say(self, text: str = "") -> None:
        self._line(text, "")

    def note(self, text: str) -> None:
        self._line(text, "dim")

    def warn(self, text: str) -> None:
        self._line(text, "yellow")

    def complain(self, text: str) -> None:
        self._line(text, "red")

    def table(self, table: Table) -> None:
        self._console.print(table)

    @contextmanager
    def following(self, status: Callable[[], str]) -> Iterator[None]:
        spinner = Spinner("dots")

        def frame() -> RenderableType:
            spinner.update(text=Text(plain(status()), style="dim"))
            return spinner

        with Live(console=self._console, get_renderable=frame, refresh_per_second=_FRAMES_PER_SECOND, transient=True):
            yield

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(plain(text), style=style))


class _Tail:
    """The last lines of an answer that is longer than the terminal is high."""

    def __init__(self, text: str, lines: int) -> None:
        self._text = text
        self._lines = max(1, lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        if not self._text:
            return
        lines = console.render_lines(answer_markdown(self._text), options.update(height=None), pad=False)
        for line in lines[-self._lines :]:
            yield from line
            yield Segment.line()
