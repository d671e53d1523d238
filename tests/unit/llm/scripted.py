"""Providers that answer byte for byte what a test says, at the times that it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.core.clock import to_ns
from holdfast.core.events import Events
from holdfast.llm.client import ModelClient
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.routing.targets import Key, ModelRoute, Provider, Routes, Target
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from holdfast.core.ports import HttpRequest

KEY = "sk-the-key-of-a-that-nobody-may-see"
DONE = b"data: [DONE]\n\n"


def event(text: str = "", *, finish: str | None = None) -> bytes:
    """An event of a streamed OpenAI chat."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "x", "choices": [choice]}).encode() + b"\n\n"


def whole(text: str) -> bytes:
    """The body of a chat that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode()


@dataclass
class Script:
    """An answer: each piece of its body comes after so many seconds; an exception breaks it."""

    pieces: Sequence[tuple[float, bytes | Exception]] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    head_after: float = 0.0


class Response:
    """A scripted response."""

    def __init__(self, script: Script, clock: FakeClock) -> None:
        self.status = script.status
        self.headers = dict(script.headers)
        self.closed = False
        self._script = script
        self._clock = clock

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces."""
        for seconds, piece in self._script.pieces:
            if seconds:
                await self._clock.asleep_ns(to_ns(seconds))
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


class ScriptedHttp:
    """An HTTP client whose hosts answer by a script; the last one of a host is said again and again."""

    def __init__(self, scripts: Mapping[str, Sequence[Script]], clock: FakeClock) -> None:
        self.requests: list[HttpRequest] = []
        self.responses: list[Response] = []
        self._scripts = {host: list(each) for host, each in scripts.items()}
        self._clock = clock

    async def send(self, request: HttpRequest) -> Response:
        """The next response of the host."""
        self.requests.append(request)
        scripts = self._scripts[(urlsplit(request.url).hostname or "").partition(".")[0]]
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        if script.head_after:
            await self._clock.asleep_ns(to_ns(script.head_after))
        response = Response(script, self._clock)
        self.responses.append(response)
        return response

    async def close(self) -> None:
        """Nothing to close."""


class Stage:
    """A client over scripted providers; the first of them is preferred."""

    def __init__(self, options: RouteOptions | None = None, **scripts: Sequence[Script] | Script) -> None:
        self.clock = FakeClock()
        self.events = Events()
        self.recorder = EventRecorder(self.events)
        lists = {name: [each] if isinstance(each, Script) else each for name, each in scripts.items()}
        self.http = ScriptedHttp(lists, self.clock)
        self.providers = {
            name: Provider(
                name=name, base_url=f"https://{name}.test/v1", keys=(Key(name=f"{name.upper()}_KEY", value=KEY),)
            )
            for name in lists
        }
        targets = tuple(Target(provider=each, model="m") for each in self.providers.values())
        self.route = ModelRoute(name="answers", targets=targets, options=options or RouteOptions())
        self.client = ModelClient(
            Routes(models={"answers": self.route}), http=self.http, clock=self.clock, events=self.events
        )

    @property
    def seconds(self) -> float:
        """The time that has passed."""
        return self.clock.now_ns() / 1e9

    def calls(self, name: str) -> int:
        """Requests that went to a provider."""
        return sum(f"//{name}." in each.url for each in self.http.requests)
