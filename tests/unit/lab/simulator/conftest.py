"""A simulated provider on a clock that nobody waits for, and a small client for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUESTION = (
    "Answer from the passages.\n\n[1] Returns\nYou can return a lamp within 30 days. The label is free.\n\n"
    "[2] Shipping\nShipping to the islands takes eight working days.\n\n"
    "Question: How long does shipping to the islands take?"
)
ANSWER = "Shipping to the islands takes eight working days [2]."


@dataclass
class Reply:
    """A response that was read to its end."""

    status: int
    headers: Mapping[str, str]
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def events(self) -> list[tuple[str | None, Any]]:
        """The names and the values of the events of a stream; ``[DONE]`` and what is not JSON as text."""
        found: list[tuple[str | None, Any]] = []
        for block in self.content.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "data" not in fields:
                continue
            try:
                value = json.loads(fields["data"])
            except ValueError:
                value = fields["data"]
            found.append((fields.get("event"), value))
        return found


class Provider:
    """A simulator and what a client does with it."""

    def __init__(self, simulator: Simulator, clock: FakeClock) -> None:
        self.simulator = simulator
        self.clock = clock

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = await self.simulator.handle(method, path, headers or {}, content)
        reply = Reply(response.status, response.headers)
        async for piece in response.body():
            reply.pieces.append(piece)
        return reply

    async def chat(self, text: str = QUESTION, /, **fields: Any) -> Reply:
        body = {"model": "gpt-sim", "messages": [{"role": "user", "content": text}], **fields}
        return await self.send("POST", "/v1/chat/completions", body)

    async def responses(self, text: str = QUESTION, /, **fields: Any) -> Reply:
        return await self.send("POST", "/v1/responses", {"model": "gpt-sim", "input": text, **fields})

    async def messages(self, text: str = QUESTION, /, **fields: Any) -> Reply:
        body = {
            "model": "claude-sim", "max_tokens": 500, "messages": [{"role": "user", "content": text}], **fields,
        }  # fmt: skip
        return await self.send("POST", "/v1/messages", body, {"anthropic-version": "2023-06-01"})

    async def embed(self, *texts: str, **fields: Any) -> Reply:
        body = {"model": "text-embedding-sim", "input": list(texts) or ["a lamp"], **fields}
        return await self.send("POST", "/v1/embeddings", body)

    async def ask(self, way: str, **fields: Any) -> Reply:
        """One of the five ways: chat, chat stream, messages, messages stream, embeddings."""
        name, _, stream = way.partition(" ")
        if name == "embeddings":
            return await self.embed()
        return await getattr(self, name)(**({"stream": True} if stream else {}), **fields)  # type: ignore[no-any-return]


class MakeProvider(Protocol):
    """Makes a provider with faults written as on the command line; the other options as they are."""

    def __call__(self, *faults: str, **options: Any) -> Provider: ...


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the test."""
    return FakeClock()


@pytest.fixture
def provider(clock: FakeClock) -> MakeProvider:
    """Makes providers that answer at once, unless they are told otherwise."""

    def make(*faults: str, **options: Any) -> Provider:
        rules: Sequence[Any] = [parse_rule(each) for each in faults]
        return Provider(Simulator(SimulatorOptions(**{"speed": 0, "faults": rules, **options}), clock=clock), clock)

    return make
