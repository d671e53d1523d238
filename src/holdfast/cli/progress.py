"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from holdfast.cli.output import note, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Counted", "Step", "counting", "steps"]

_LINE_EVERY_SECONDS = 10.0


class Counted(Protocol):
    """Is told how many of how many are done; as the progress of an ingest or an evaluation."""

    def __call__(self, stage: str, done: int, total: int, detail: str) -> None:
        """``detail`` names what was just finished."""
        ...


class Step(Protocol):
    """Is told which step of a longer work is under way."""

    def __call__(self, label: str, done: int, total: int | None) -> None:
        """``done`` and ``total`` are bytes, where they are known."""
        ...


@contextmanager
def counting(
    label: str,
    *,
    unit: str,
    speed: Callable[[], str] = str,
    only: str | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Counted]:
    """Show how far something is, as long as the block runs.

    Args:
        label: what is being done, e.g. ``"Ingesting"``.
        unit: what is counted, e.g. ``"files"``.
        speed: gives a text such as ``"38 chunks/s"`` for the display; empty shows nothing.
        only: show reports of this stage; None shows all.
        now: seconds, from anywhere; spaces the lines where there is no terminal.

    Yields:
        what to call with each report.
    """
    with _bar(label, unit, speed) if sys.stderr.isatty() else _lines(label, unit, speed, now) as update:

        def report(stage: str, done: int, total: int, detail: str) -> None:
            if only in {None, stage}:
                update(done, total, plain(detail))

        yield report


@contextmanager
def _bar(label: str, unit: str, speed: Callable[[], str]) -> Iterator[Callable[[int, int, str], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn(label),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(f"{unit} {{task.fields[speed]}}"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=None, speed="", detail="")
        yield lambda done, total, detail: bar.update(
            task, completed=done, total=total, speed=speed(), detail=escape(_tail(detail))
        )


@contextmanager
def _lines(
    label: str, unit: str, speed: Callable[[], str], now: Callable[[], float]
) -> Iterator[Callable[[int, int, str], None]]:
    last = now()

    def update(done: int, total: int, _detail: str) -> None:
        nonlocal last
        if now() - last >= _LINE_EVERY_SECONDS:
            last = now()
            note(f"{label}: {done:,} of {total:,} {unit} {speed()}".rstrip())

    yield update


@contextmanager
def steps() -> Iterator[Step]:
    """Show the steps of a longer work: a bar with bytes on a terminal, one line for each step elsewhere.

    Yields:
        what to call with each report.
    """
    with _step_bar() if sys.stderr.isatty() else _step_lines() as update:
        yield update


@contextmanager
def _step_bar() -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)

        def update(label: str, done: int, total: int | None) -> None:
            bar.update(task, description=label, completed=done, total=total)

        yield update


@contextmanager
def _step_lines() -> Iterator[Step]:
    last = ""

    def update(label: str, done: int, total: int | None) -> None:  # noqa: ARG001 - a log needs no bytes
        nonlocal last
        if label != last:
            last = label
            note(f"{label} ...")

    yield update


def _tail(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else "…" + text[1 - limit :]
