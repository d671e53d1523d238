"""Splitting a stream of bytes into server-sent events, with each event's bytes kept as they came.

The rules are those of the HTML standard, 9.2.6 ("Interpreting an event stream"): lines end with LF, CR LF or CR, a
blank line ends an event, a line that begins with a colon is a comment, several ``data`` lines are one text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from holdfast.errors import ConfigError, MalformedAnswerError

__all__ = ["LARGEST_EVENT", "Event", "EventSplitter"]

LARGEST_EVENT = 1 << 20
"""Bytes that one event may have by default."""

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")  # the end of a line, and a line with nothing in it
_LONGEST_END = 4  # bytes of the longest blank line, CR LF CR LF
_CR = 13
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event.

    Attributes:
        raw: its bytes, comments and the blank line at its end included. All events' bytes together are the stream.
        name: what its ``event`` line says; empty where there is none.
        data: its ``data`` lines, joined by LF; None where it has none, as a comment that keeps a connection alive.
    """

    raw: bytes
    name: str
    data: bytes | None

    @property
    def is_comment(self) -> bool:
        """Whether there is nothing in it but comments and blank lines."""
        lines = self.raw.removeprefix(_BOM).splitlines()
        return self.data is None and all(not line or line.startswith(b":") for line in lines)


class EventSplitter:
    """Takes a stream in pieces, cut anywhere, and gives its events.

    Args:
        limit: bytes that one event may have; at least 1, 1 MiB by default.
        provider: whom errors name.

    Raises:
        ConfigError: ``limit`` is out of its range.
    """

    def __init__(self, *, limit: int = LARGEST_EVENT, provider: str = "the provider") -> None:
        if limit < 1:
            raise ConfigError("limit", limit, "must be at least 1")
        self._limit = limit
        self._provider = provider
        self._rest = bytearray()
        self._begun = False
        self._has_cr = False
        self._too_large = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes.

        Raises:
            MalformedAnswerError: an event is larger than the limit. Events before it are given first, and the error by
                the next call.
        """
        if self._too_large:
            raise self._oversized()
        if not data:
            return []
        rest = self._rest
        if rest:
            # What was there is searched already, but for the beginning of a blank line at its end.
            search = max(0, len(rest) - _LONGEST_END)
            rest += data
            buffer: bytes | bytearray = rest
        else:
            search, buffer = 0, data
        events: list[Event] = []
        start = 0
        self._has_cr = self._has_cr or b"\r" in data
        while (end := self._end_of_event(buffer, search)) >= 0:
            if end - start > self._limit:
                return self._overflow(events)
            events.append(self._event(bytes(buffer[start:end])))
            start = search = end
        if len(buffer) - start > self._limit:
            return self._overflow(events)
        if start or not rest:
            self._rest = bytearray(buffer[start:])
        return events

    def end(self) -> Event | None:
        """What is left without a blank line behind it, when the stream has ended; None if nothing is.

        A server may have forgotten the blank line, or the connection may have been cut within the event: whether
        ``data`` can be read tells.

        Raises:
            MalformedAnswerError: an event is larger than the limit.
        """
        if self._too_large:
            raise self._oversized()
        raw, self._rest = bytes(self._rest), bytearray()
        return self._event(raw) if raw.strip(b"\r\n") else None

    def _end_of_event(self, buffer: bytes | bytearray, search: int) -> int:
        """Where the first event ends whose blank line begins at ``search`` or later; -1 if none is certain to."""
        if not self._has_cr:
            found = buffer.find(b"\n\n", search)
            return found + 2 if found >= 0 else -1
        match = _BLANK_LINE.search(buffer, search)
        if match is None or (match.end() == len(buffer) and buffer[-1] == _CR):
            return -1  # a CR at the end may be followed by its LF
        return match.end()

    def _event(self, raw: bytes) -> Event:
        block = raw
        if not self._begun:
            self._begun = True
            block = raw.removeprefix(_BOM)
        if block[:5] == b"data:" and block.find(b"\n", 0, -2) < 0 and b"\r" not in block:
            return Event(raw, "", block[6 if block[5:6] == b" " else 5 :].rstrip(b"\n"))
        name, data = "", None
        for line in block.splitlines():
            field, _, value = line.partition(b":")
            if field == b"data":
                value = value.removeprefix(b" ")
                data = value if data is None else data + b"\n" + value
            elif field == b"event":
                name = value.removeprefix(b" ").decode("utf-8", "replace")
        return Event(raw, name, data)

    def _overflow(self, events: list[Event]) -> list[Event]:
        self._too_large = True
        self._rest = bytearray()
        if not events:
            raise self._oversized()
        return events

    def _oversized(self) -> MalformedAnswerError:
        return MalformedAnswerError(
            f"{self._provider} sent an event of more than {self._limit:,} bytes in a stream.", provider=self._provider
        )
