"""How commands write: results to stdout, everything else to stderr, colour only on a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["complain", "note", "plain", "print_json", "print_piece", "print_result", "warn"]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """``text`` without what a terminal would obey: control characters (but tab and line feed) and text-direction marks.

    Answers, titles and addresses come from documents, and a document may hold an escape sequence.
    """
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def print_result(text: str = "") -> None:
    """Write a line of the result."""
    typer.echo(plain(text))


def print_piece(text: str) -> None:
    """Write a piece of the result as it comes; :func:`print_result` ends the line."""
    typer.echo(plain(text), nl=False)
    sys.stdout.flush()


def print_json(value: Mapping[str, object]) -> None:
    """Write the result as one JSON document."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # JSON escapes the controls below 0x20 itself
    typer.echo(re.sub(r"[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text))


def note(text: str) -> None:
    """Write a quiet line to stderr."""
    _to_stderr(text, dim=True)


def warn(text: str) -> None:
    """Write a line to stderr that should be seen."""
    _to_stderr(text, fg="yellow")


def complain(text: str) -> None:
    """Write the reason for which the command failed to stderr."""
    _to_stderr(f"holdfast: {text}", fg="red")


def _to_stderr(text: str, *, fg: str | None = None, dim: bool | None = None) -> None:
    sys.stdout.flush()  # so that the lines stand in order where both streams go to the same place
    typer.secho(plain(text), err=True, fg=fg, dim=dim, color=False if os.environ.get("NO_COLOR") else None)
