"""Writing an event of a stream anew, with another text in it and everything else as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.llm.wire import _json
from holdfast.llm.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.llm.wire.base import Chunk

__all__ = ["rewritten"]


def rewritten(chunk: Chunk, text: str, change: Callable[[dict[str, Any]], None]) -> Chunk:
    """``chunk`` with ``text``, and an event that says so.

    Args:
        chunk: as a reader gave it, with a text in it.
        change: puts the text into the event's parsed body.
    """
    splitter = EventSplitter(limit=len(chunk.raw) + 2)
    event = next((each for each in splitter.feed(chunk.raw) if each.data), None) or splitter.end()
    body = _json.mapping(_json.parse(event.data or b"{}")) if event is not None else {}
    change(body)
    name = f"event: {event.name}\n" if event is not None and event.name else ""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return replace(chunk, text=text, raw=f"{name}data: {data}\n\n".encode("utf-8", "replace"))
