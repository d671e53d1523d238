"""API keys out of the records: who gets in with which, and what while they cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from holdfast.errors import ConfigError, StoreUnavailableError
from holdfast.rag.records.keys import make_key
from holdfast.rag.settings import Settings
from holdfast.server.app import create_app

if TYPE_CHECKING:
    import httpx2

SETTING = "a-long-enough-key"


async def stored(engine: Any, name: str = "web", **options: Any) -> str:
    """A new key in the records."""
    key, secret = make_key(name, now=engine.clock.wall_ns() / 1e9, **options)
    await engine.records.keys.add(key)
    return secret


async def status(client: httpx2.AsyncClient, key: str = "") -> int:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return (await client.get("/v1/documents", headers=headers)).status_code


def break_records(engine: Any) -> None:
    async def fail() -> None:
        raise StoreUnavailableError("The disk is gone.")

    engine.records.keys.keys = fail


async def test_a_stored_key_opens_the_api(engine: Any, serving: Any) -> None:
    """A stored key is taken as a bearer token or in its own header; another one and none are not."""
    secret = await stored(engine)
    async with serving(create_app(engine, Settings())) as client:
        assert await status(client, secret) == 200
        assert (await client.get("/metrics", headers={"x-api-key": secret})).status_code != 401
        assert await status(client, secret[:-1]) == 401
        assert await status(client) == 401
        assert (await client.get("/health")).status_code == 200


async def test_the_setting_and_stored_keys_work_side_by_side(engine: Any, serving: Any) -> None:
    """With the setting and a stored key either opens the API."""
    secret = await stored(engine)
    async with serving(create_app(engine, Settings(api_key=SecretStr(SETTING)))) as client:
        assert await status(client, secret) == 200
        assert await status(client, SETTING) == 200
        assert await status(client, "another") == 401


async def test_without_any_key_a_local_service_is_open(engine: Any, serving: Any) -> None:
    """On a loopback address, without setting and keys, no key is asked for; the first key changes that in seconds."""
    async with serving(create_app(engine, Settings())) as client:
        assert await status(client) == 200
        assert await status(client, "any") == 200
        secret = await stored(engine)
        engine.clock.advance(3.1)
        assert await status(client) == 401
        assert await status(client, secret) == 200


async def test_the_last_key_does_not_open_the_service_when_it_ends(engine: Any, serving: Any) -> None:
    """When the only key expires or is revoked the service stays closed; when it is deleted it is open as before."""
    secret = await stored(engine, expires_at=engine.clock.wall_ns() / 1e9 + 60)
    (key,) = await engine.records.keys.keys()
    async with serving(create_app(engine, Settings())) as client:
        assert await status(client, secret) == 200
        engine.clock.advance(60)
        assert await status(client, secret) == 401
        assert await status(client) == 401
        await engine.records.keys.revoke(key.digest, at=1.0)
        engine.clock.advance(3.1)
        assert await status(client) == 401
        await engine.records.keys.delete(key.digest)
        engine.clock.advance(3.1)
        assert await status(client) == 200


async def test_an_exposed_service_starts_with_a_stored_key(engine: Any, serving: Any) -> None:
    """A stored key is enough to serve other machines; one that is revoked or expired is not."""
    secret = await stored(engine)
    async with serving(create_app(engine, Settings(host="0.0.0.0"))) as client:
        assert await status(client, secret) == 200
        assert await status(client) == 401
    (key,) = await engine_keys(engine)
    await engine.records.open()
    await engine.records.keys.revoke(key.digest, at=1.0)
    engine.clock.advance(3.1)
    with pytest.raises(ConfigError, match="holdfast keys create"):
        async with serving(create_app(engine, Settings(host="0.0.0.0"))):
            raise AssertionError("it started")


async def engine_keys(engine: Any) -> Any:
    await engine.records.open()
    return await engine.records.keys.keys()


async def test_known_keys_work_while_the_records_are_down(engine: Any, serving: Any) -> None:
    """While the records are down a known key works and the setting does; an unknown one is a 503 with a sentence."""
    secret = await stored(engine)
    async with serving(create_app(engine, Settings(api_key=SecretStr(SETTING)))) as client:
        assert await status(client, secret) == 200
        break_records(engine)
        engine.clock.advance(3.1)
        assert await status(client, secret) == 200
        assert await status(client, SETTING) == 200
        assert await status(client) == 401
        response = await client.get("/v1/documents", headers={"x-api-key": "hf_unknown"})
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert "cannot be checked now" in response.json()["detail"]
        assert "disk" not in response.text


async def test_an_exposed_service_whose_records_are_down_lets_nobody_in(
    engine: Any, serving: Any, lines: list[Any]
) -> None:
    """It starts, says so, and answers 503 until the keys can be read."""
    break_records(engine)
    async with serving(create_app(engine, Settings(host="0.0.0.0"))) as client:
        assert any("cannot be read now" in line["event"] for line in lines)
        assert await status(client, "hf_any") == 503
        assert await status(client) == 401
        assert (await client.get("/health")).status_code == 200


async def test_a_local_service_whose_records_are_down_stays_open(engine: Any, serving: Any) -> None:
    """A service for this machine answers when its records are down; one behind a proxy lets nobody in."""
    break_records(engine)
    async with serving(create_app(engine, Settings())) as client:
        assert await status(client) == 200
    break_records(engine)
    async with serving(create_app(engine, Settings(allowed_hosts="rag.example"))) as client:
        assert await status(client) == 503


async def test_requests_do_not_read_the_records(engine: Any, serving: Any) -> None:
    """A hundred requests with good and bad keys read the keys once."""
    secret = await stored(engine)
    kinds = engine.records.keys._place._blocking.kinds
    async with serving(create_app(engine, Settings())) as client:
        await status(client, secret)
        before = len(kinds)
        for n in range(50):
            assert await status(client, secret) == 200
            assert await status(client, f"hf_{n}") == 401
        assert len(kinds) == before


def content_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_keys_are_nowhere_in_the_file(engine: Any) -> None:
    """The records hold a key's hash, and not the key."""
    secret = await stored(engine)
    await engine.records.close()
    content = content_of(Path(engine.folder.name))
    assert secret.encode() not in content
    assert secret[3:].encode() not in content
