"""Serving for real: the port, the signal, and requests that are under way when it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from pydantic import SecretStr

from holdfast.errors import ConfigError, StoreLockedError
from holdfast.rag.settings import Settings
from holdfast.server import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def test_taken_port_is_told_with_what_to_do() -> None:
    """A port in use is named, together with the variable that chooses another one."""
    with run.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=r"in use.*HOLDFAST_PORT") as caught:
            run.bind("127.0.0.1", port)
        assert (caught.value.field, caught.value.value) == ("port", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_foreign_address_is_told(host: str) -> None:
    """An address that is not this machine's is refused by the setting's name."""
    with pytest.raises(ConfigError, match="HOLDFAST_HOST") as caught:
        run.bind(host, 0)
    assert caught.value.field == "host"


def test_forbidden_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that needs more rights is told with the ports that do not."""

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    with pytest.raises(ConfigError, match="from 1024 on"):
        run.bind("127.0.0.1", 80)


def test_address_is_one_to_click_on() -> None:
    """The address holds the port that was really taken."""
    with run.bind("127.0.0.1", 0) as listener:
        assert run.address_of(listener, "127.0.0.1") == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert run.address_of(listener, "::1").startswith("http://[::1]:")


def test_every_secret_setting_is_known_to_the_log() -> None:
    """All secrets of the settings are handed to the log's redactor."""
    settings = Settings(api_key=SecretStr("a" * 20), redis_url=SecretStr("redis://:pw@host"))
    assert run.secrets_of(settings) == ["a" * 20, "redis://:pw@host"]


def test_every_key_of_a_provider_is_known_to_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that only the file of models names are handed to the redactor, too."""
    monkeypatch.setenv("SOME_KEY", "sk-some-0123456789")
    file = tmp_path / "models.toml"
    file.write_text(
        '[providers.p]\nbase_url = "https://p.test/v1"\nkeys = ["env:SOME_KEY"]\n[models.answers]\ntargets = ["p/m"]\n'
    )
    assert run.secrets_of(Settings(models_file=file)) == ["sk-some-0123456789"]


@asynccontextmanager
async def running(app: Any, *, grace_seconds: float = 5.0) -> AsyncIterator[tuple[run.Server, str, asyncio.Task[None]]]:
    ready = asyncio.Event()
    with run.bind("127.0.0.1", 0) as listener:
        server = run.Server(app, announce=ready.set, grace_seconds=grace_seconds)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.wait_for(ready.wait(), 10)
        try:
            yield server, run.address_of(listener, "127.0.0.1"), task
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 10)


async def test_answers_over_a_real_connection(app: Any) -> None:
    """A question over a real connection is answered, with the service's headers and no server banner."""
    async with running(app) as (_, address, _), httpx2.AsyncClient() as client:
        response = await client.post(f"{address}/v1/query", json={"question": "q"})
        assert response.status_code == 200
        assert response.headers["x-holdfast-tier"] == "full"
        assert "server" not in response.headers


async def test_refused_upload_is_told_over_a_real_connection(app: Any) -> None:
    """A body that is too large gets its 413 although the client is still sending."""
    async with running(app) as (_, address, _), httpx2.AsyncClient() as client:
        response = await client.post(
            f"{address}/v1/query", content=b" " * 150_000, headers={"content-type": "application/json"}
        )
        assert response.status_code == 413


async def test_signal_lets_requests_finish(app: Any, engine: Any) -> None:
    """After SIGTERM no new connection is taken, the request under way is answered, and the service ends in order."""
    go = asyncio.Event()
    asked, ask = asyncio.Event(), engine.ask

    async def slow(query: Any) -> Any:
        asked.set()
        await go.wait()
        return await ask(query)

    engine.ask = slow
    async with running(app) as (server, address, task), httpx2.AsyncClient() as client:
        question = asyncio.create_task(client.post(f"{address}/v1/query", json={"question": "q"}))
        await asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(500):
            if not any(one.is_serving() for one in server.servers):
                break
            await asyncio.sleep(0.01)
        assert not any(one.is_serving() for one in server.servers)
        go.set()
        assert (await question).status_code == 200
        await asyncio.wait_for(task, 10)
    assert engine.closed == 1


async def test_stream_ends_with_done_when_its_time_is_over(app: Any, engine: Any) -> None:
    """A stream that outlives the grace period is told so and ends with done, not in the middle."""
    engine.hangs, engine.error_after = True, 1
    async with running(app, grace_seconds=0.01) as (server, address, task), httpx2.AsyncClient() as client:
        body = b""
        async with client.stream("POST", f"{address}/v1/query", json={"question": "q", "stream": True}) as response:
            async for piece in response.aiter_bytes():
                body += piece
                server.should_exit = True
        await asyncio.wait_for(task, 10)
    assert body.count(b"event: error\n") == 1
    assert body.endswith(b"event: done\ndata: {}\n\n")
    assert engine.cancelled


async def test_client_that_hangs_up_cancels_the_work_for_real(app: Any, engine: Any) -> None:
    """A closed connection is noticed while the engine works, and ends its work."""
    engine.hangs = True
    async with running(app) as (_, address, _), httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(f"{address}/v1/query", json={"question": "q"}, timeout=0.2)
        for _ in range(200):
            if engine.cancelled:
                break
            await asyncio.sleep(0.01)
        assert engine.cancelled


@pytest.mark.usefixtures("restored_logging")
def test_serve_announces_itself_and_returns_after_the_signal(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """serve() tells its address once it answers, and returns when it is told to stop."""
    monkeypatch.setattr(run, "build_engine", lambda _: engine)
    addresses = []

    def ready(address: str) -> None:
        addresses.append(address)
        os.kill(os.getpid(), signal.SIGTERM)

    run.serve(Settings(port=0), ready=ready)
    assert len(addresses) == 1
    assert addresses[0].startswith("http://127.0.0.1:")
    assert engine.closed >= 1


@pytest.mark.usefixtures("restored_logging")
def test_store_that_cannot_be_opened_ends_serve(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that another process holds ends serve() with its own error, before anything is announced."""

    async def locked() -> None:
        raise StoreLockedError("Another process holds the store.")

    engine.open = locked
    monkeypatch.setattr(run, "build_engine", lambda _: engine)
    with pytest.raises(StoreLockedError):
        run.serve(Settings(port=0), ready=pytest.fail)
    assert engine.closed == 1


@pytest.mark.usefixtures("restored_logging")
def test_exposed_service_is_refused_before_the_port_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a key, nothing is opened towards other machines, not even for a moment."""
    monkeypatch.setattr(run, "bind", pytest.fail)
    with pytest.raises(ConfigError, match=r"holdfast keys create.*HOLDFAST_API_KEY"):
        run.serve(Settings(host="0.0.0.0", data_dir=tmp_path))
