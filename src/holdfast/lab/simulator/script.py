"""A response as a script: what is sent, after which wait, and how it ends. Faults are changes to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Connection", "Ending", "Kind", "Piece", "Script", "dump", "event", "filled"]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Kind(StrEnum):
    """What a piece of a body is."""

    OPEN = "open"
    """It begins a stream, and holds nothing of the answer: the role, the metadata."""
    PART = "part"
    """It begins a part of the answer that is output already: the name of the tool that is called."""
    TOKEN = "token"  # noqa: S105
    """It holds a token of the answer."""
    CLOSE = "close"
    """It closes a part of the answer."""
    FINISH = "finish"
    """It says why the answer ends."""
    USAGE = "usage"
    """It counts the tokens."""
    END = "end"
    """It is the mark after which nothing follows."""
    WHOLE = "whole"
    """It is a body that is not streamed."""


class Ending(StrEnum):
    """What happens after the last piece."""

    CLEAN = "clean"
    CUT = "cut"
    SILENCE = "silence"


class Connection(StrEnum):
    """What happens instead of an answer."""

    REFUSED = "refused"
    RESET = "reset"


@dataclass(slots=True)
class Piece:
    """Bytes of a body, and the wait before them in nanoseconds."""

    data: bytes
    kind: Kind = Kind.WHOLE
    wait_ns: int = 0


@dataclass(slots=True)
class Script:
    """One response. ``tokens`` are those of an answer that is not streamed."""

    status: int
    headers: dict[str, str]
    pieces: list[Piece] = field(default_factory=list)
    head_wait_ns: int = 0
    ending: Ending = Ending.CLEAN
    connection: Connection | None = None
    tokens: int = 0

    @classmethod
    def of_json(cls, status: int, value: object, headers: dict[str, str] | None = None) -> Script:
        """A whole JSON body."""
        return cls.of_body(status, "application/json", dump(value), headers)

    @classmethod
    def of_body(cls, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> Script:
        """A whole body."""
        return cls(status, {**(headers or {}), "content-type": kind}, [Piece(body)] if body else [])

    @property
    def streamed(self) -> bool:
        """Whether it is sent event by event."""
        return bool(self.pieces) and self.pieces[0].kind is not Kind.WHOLE

    def measured(self) -> Script:
        """Itself, with the length of its body in the head where that is known: a stream's is not."""
        if (
            not self.streamed
            and self.connection is None
            and self.ending is Ending.CLEAN
            and "content-type" in self.headers
        ):
            self.headers.setdefault("content-length", str(sum(len(piece.data) for piece in self.pieces)))
        return self

    def place_of_token(self, after: int) -> int:
        """Where among the pieces the token stands that has ``after`` tokens before it; 0 is before any output.

        An answer with fewer tokens gives the place behind its last one, and one without tokens the place behind what
        opens it.
        """
        places = [place for place, piece in enumerate(self.pieces) if piece.kind is Kind.TOKEN]
        if after == 0 or not places:
            return next(place for place, piece in enumerate(self.pieces) if piece.kind is not Kind.OPEN)
        return places[after] if after < len(places) else places[-1] + 1


def dump(value: object) -> bytes:
    """``value`` as compact JSON."""
    return _encode(value).encode("utf-8", "replace")


def event(value: object, kind: Kind, name: str | None = None) -> Piece:
    """A server-sent event with ``value`` as JSON."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return Piece(head + b"data: " + dump(value) + b"\n\n", kind)


def filled(blank: Piece, texts: Iterable[str]) -> list[Piece]:
    """``blank`` again for each of ``texts``, with it in the place of the last empty string of its JSON.

    The tokens of an answer are sent in events that differ in nothing else.
    """
    before, _, after = blank.data.rpartition(b'""')
    return [Piece(before + dump(text) + after, blank.kind) for text in texts]
