"""Connections to providers over real sockets: used again, given back, whatever the answer was."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from tests.unit.llm.scripted import DONE, event, whole
from tests.unit.llm.world import REQUEST

from holdfast.llm.client import ModelClient
from holdfast.llm.http import AiohttpHttp
from holdfast.llm.routing.targets import ModelRoute, Provider, Routes, Target


class Server:
    """A provider that counts its connections."""

    def __init__(self, *, compressed: bool = False, lingers: float = 0.0) -> None:
        self.connections: set[object] = set()
        self._compressed = compressed
        self._lingers = lingers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Five words, streamed or not."""
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        if not (await request.json()).get("stream"):
            return web.Response(body=whole("word " * 5), content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        if self._compressed:
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        for piece in (*[event("word ")] * 5, event(finish="stop"), DONE):
            await response.write(piece)
        await asyncio.sleep(self._lingers)
        await response.write_eof()
        return response


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("options", [{}, {"compressed": True}, {"lingers": 0.05}], ids=["plain", "gzip", "late end"])
async def test_one_connection_serves_one_answer_after_the_other(options: dict[str, float], host: str) -> None:
    """Streams that came to their end give their connection back, though compressed, or ended late; so do others."""
    server = Server(compressed=bool(options.get("compressed")), lingers=options.get("lingers", 0.0))
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, 0).start()
        except OSError:
            pytest.skip(f"no address {host} on this machine")
        port = runner.addresses[0][1]
        provider = Provider(name="a", base_url=f"http://{f'[{host}]' if ':' in host else host}:{port}/v1")
        route = ModelRoute(name="answers", targets=(Target(provider=provider, model="m"),))
        async with ModelClient(Routes(models={"answers": route}), http=AiohttpHttp()) as client:
            for _ in range(3):
                async with client.stream("answers", REQUEST) as chunks:
                    assert "".join([chunk.text async for chunk in chunks]) == "word " * 5
                await client.complete("answers", REQUEST)
        assert len(server.connections) == 1
    finally:
        await runner.cleanup()
