"""A provider that writes what a test says, in the pieces that a test says; and an engine that asks it."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.core.events import Events
from holdfast.rag.app import build_engine
from holdfast.rag.settings import load_settings
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from holdfast.core.ports import Http, HttpRequest
    from holdfast.rag.engine import Engine

ARTICLES = {
    "returns.md": "# Return an item\n\nMost products can be sent back within 30 days of delivery.\n\n"
    "## What it costs\n\nA return label costs £2.95 per parcel, and we take that amount off your refund.\n",
    "warranty.md": "# Warranty\n\nKitchen appliances carry a warranty of three years from the day of delivery.\n",
}
QUESTION = "Within how many days of delivery can most products be sent back?"
NONSENSE = "Wherefore zebras yodel quantum?"


@dataclass
class Provider:
    """Speaks OpenAI's protocol.

    Attributes:
        pieces: the answer. An exception among them is raised there; None hangs there, until it is cancelled.
        finish: why it ends.
        requests: the bodies that came, parsed.
        cancelled: how many responses were closed before their end.
    """

    pieces: list[Any] = field(default_factory=lambda: ["Within 30 days ", "of delivery [1]."])
    finish: str = "stop"
    usage: Mapping[str, int] = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20})
    requests: list[Any] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    cancelled: int = 0

    async def send(self, request: HttpRequest) -> Response:
        self.requests.append(json.loads(request.body))
        self.urls.append(request.url)
        self.headers.append(request.headers)
        if self.pieces and isinstance(self.pieces[0], Exception):
            raise self.pieces[0]
        return Response(self, streamed=bool(self.requests[-1].get("stream")))

    async def close(self) -> None:
        pass

    @property
    def prompt(self) -> str:
        """All messages of the last request, as one text."""
        return "\n".join(message["content"] for message in self.requests[-1]["messages"])


class Response:
    status = 200

    def __init__(self, provider: Provider, *, streamed: bool) -> None:
        self._provider = provider
        self._streamed = streamed
        self._whole = False
        self.headers: Mapping[str, str] = {"content-type": "text/event-stream" if streamed else "application/json"}

    async def body(self) -> AsyncIterator[bytes]:
        provider = self._provider
        texts = []
        for piece in provider.pieces:
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                await asyncio.Event().wait()
            texts.append(piece)
            if self._streamed:
                yield self._event({"choices": [{"index": 0, "delta": {"content": piece}}]})
        if not self._streamed:
            message = {"role": "assistant", "content": "".join(texts)}
            choice = {"index": 0, "message": message, "finish_reason": provider.finish}
            yield json.dumps({"id": "c1", "model": "m", "choices": [choice], "usage": provider.usage}).encode()
            self._whole = True
            return
        yield self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": provider.finish}]})
        yield self._event({"choices": [], "usage": provider.usage})
        yield b"data: [DONE]\n\n"
        self._whole = True

    async def close(self) -> None:
        self._provider.cancelled += not self._whole

    def _event(self, content: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({"id": "c1", "model": "m", **content}).encode() + b"\n\n"


@dataclass(kw_only=True)
class Desk:
    """An engine with two documents in it, and all that a test looks at."""

    engine: Engine
    clock: FakeClock
    recorder: EventRecorder

    async def ask(self, question: str = QUESTION) -> Any:
        return await self.engine.ask(question)

    async def stream(self, question: str = QUESTION) -> tuple[list[str], Any]:
        """The pieces, and the answer."""
        items = [item async for item in self.engine.stream(question)]
        assert all(isinstance(item, str) for item in items[:-1])
        pieces: Any = items[:-1]
        return pieces, items[-1]


@asynccontextmanager
async def desk(
    folder: Path,
    http: Http,
    *,
    clock: FakeClock | None = None,
    environ: Mapping[str, str] | None = None,
    articles: Mapping[str, str] = ARTICLES,
    **settings: Any,
) -> AsyncIterator[Desk]:
    """An engine that asks ``http``; it searches by words unless the settings say otherwise."""
    clock, events = clock or FakeClock(), Events()
    chosen = {"embedder": "none", "model": "openai/gpt-4o-mini", **settings}
    engine = build_engine(
        load_settings(environ={}, data_dir=folder / "data", **chosen),
        clock=clock,
        rng=random.Random(7),
        blocking=InlineBlocking(),
        events=events,
        http=http,
        environ={"OPENAI_API_KEY": "sk-openai-secret"} if environ is None else environ,
    )
    documents = folder / "articles"
    documents.mkdir(exist_ok=True)
    for name, text in articles.items():
        (documents / name).write_text(text)
    await engine.open()
    try:
        await engine.ingestor.ingest_paths([documents])
        yield Desk(engine=engine, clock=clock, recorder=EventRecorder(events))
    finally:
        await engine.close()
