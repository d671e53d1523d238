"""Dead letters over HTTP, with a real engine and its worker."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.rag.app import build_engine
from holdfast.rag.settings import load_settings
from holdfast.rag.store.dead_letters import DeadLetter
from holdfast.server.app import create_app
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import httpx2
    from fastapi import FastAPI

    from holdfast.rag.engine import Engine

    Serving = Callable[[FastAPI], AbstractAsyncContextManager[httpx2.AsyncClient]]

PDF = ("broken.pdf", b"%PDF-1.7 and nothing more", "application/pdf")


@pytest.fixture
def served(tmp_path: Path, serving: Serving) -> Callable[[], Any]:
    """The service on a store of its own: ``async with served() as (client, engine)``."""

    @asynccontextmanager
    async def start() -> AsyncIterator[tuple[httpx2.AsyncClient, Engine]]:
        settings = load_settings(environ={}, data_dir=tmp_path / "data", embedder="none")
        engine = build_engine(settings, clock=FakeClock(auto=False), rng=random.Random(7), blocking=InlineBlocking())
        async with serving(create_app(engine, settings)) as client:
            yield client, engine

    return start


async def finished(client: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    """The job when it is over."""
    for _ in range(5_000):
        body: dict[str, Any] = (await client.get(f"/v1/jobs/{job_id}")).json()
        if body["status"] not in {"queued", "running"}:
            return body
        await asyncio.sleep(0)
    raise AssertionError("the job is not over")


async def test_a_broken_upload_is_listed_with_its_reason(served: Callable[[], Any]) -> None:
    """What could not be read is a failure of its job with its kind, and stands in the list with what to do."""
    async with served() as (client, _):
        accepted = await client.post("/v1/documents", files=[("files", PDF), ("files", ("a.md", b"# A\n\nHello.", ""))])
        job = await finished(client, accepted.json()["job_id"])
        assert (job["status"], job["done"], job["documents"]) == ("partial", 2, 1)
        assert [each["kind"] for each in job["failures"]] == ["unreadable"]
        listed = (await client.get("/v1/dead-letters")).json()
        (letter,) = listed["dead_letters"]
        assert listed["next_cursor"] is None
        assert (letter["uri"], letter["kind"], letter["tries"], letter["retryable"]) == (
            "broken.pdf",
            "unreadable",
            1,
            True,
        )
        assert "PDF" in letter["reason"]
        assert (await client.get(f"/v1/dead-letters/{letter['id']}")).json() == letter
        assert (await client.get("/v1/dead-letters?collection=books")).json()["dead_letters"] == []


async def test_a_retry_is_a_job(served: Callable[[], Any]) -> None:
    """Trying again what still fails counts a try more; throwing it away removes it, once."""
    async with served() as (client, _):
        accepted = await client.post("/v1/documents", files=[("files", PDF)])
        await finished(client, accepted.json()["job_id"])
        for tries, body in ((2, {}), (3, {"ids": [(await letters(client))[0]["id"]]})):
            response = await client.post("/v1/dead-letters/retry", json=body)
            assert response.status_code == 202
            assert (response.json()["retried"], response.json()["left"]) == (1, [])
            assert response.headers["location"] == f"/v1/jobs/{response.json()['job_id']}"
            assert (await finished(client, response.json()["job_id"]))["status"] == "failed"
            assert [each["tries"] for each in await letters(client)] == [tries]
        address = f"/v1/dead-letters/{(await letters(client))[0]['id']}"
        assert (await client.delete(address)).status_code == 204
        assert (await client.delete(address)).status_code == 404
        assert (await client.get(address)).status_code == 404
        assert (await client.post("/v1/dead-letters/retry", json={})).json()["retried"] == 0


async def letters(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    """The dead letters of the service's own collection."""
    listed: list[dict[str, Any]] = (await client.get("/v1/dead-letters")).json()["dead_letters"]
    return listed


async def test_files_are_left_to_their_machine(served: Callable[[], Any]) -> None:
    """A path is never read over HTTP: asked for by name it is a 422 with the command, in a retry of all it is left."""
    async with served() as (client, engine):
        file = DeadLetter(
            collection="default", uri="docs/a.md", reason="no", kind="unreadable", stage="read", path="/etc/passwd"
        )
        part = DeadLetter(collection="default", uri="x.jsonl#L3", reason="no", kind="unreadable", stage="read")
        await engine.jobs.bury([file, part])
        for letter, said in ((file, f"holdfast ingest --retry {file.id}"), (part, "hand it in again")):
            response = await client.post("/v1/dead-letters/retry", json={"ids": [letter.id]})
            assert response.status_code == 422
            assert said in response.json()["detail"]
        response = await client.post("/v1/dead-letters/retry", json={})
        assert (response.json()["retried"], sorted(response.json()["left"])) == (0, sorted([file.id, part.id]))
        wrong = {"ids": [file.id], "collection": "books"}
        assert (await client.post("/v1/dead-letters/retry", json=wrong)).status_code == 404


@pytest.mark.parametrize("body", [{"ids": []}, {"ids": [1]}, {"ids": ["x" * 101]}, {"id": "a"}, []])
async def test_a_wrong_retry_is_a_422(served: Callable[[], Any], body: object) -> None:
    """A retry of nothing, of no ids, or with unknown fields is refused by its field."""
    async with served() as (client, _):
        response = await client.post("/v1/dead-letters/retry", json=body)
        assert response.status_code == 422
        assert response.json()["errors"]


async def test_pages_of_letters(served: Callable[[], Any]) -> None:
    """``limit`` and ``cursor`` lead through the list; a wrong limit is a 422."""
    async with served() as (client, engine):
        await engine.jobs.bury(
            [
                DeadLetter(collection="default", document_id=f"d{n}", uri="u", reason="r", kind="k", stage="read")
                for n in range(5)
            ]
        )
        found: list[str] = []
        cursor: str | None = ""
        for _ in range(3):
            page = (await client.get(f"/v1/dead-letters?limit=2{cursor and f'&cursor={cursor}'}")).json()
            found += [each["document_id"] for each in page["dead_letters"]]
            cursor = page["next_cursor"]
        assert sorted(found) == [f"d{n}" for n in range(5)]
        assert cursor is None
        assert (await client.get("/v1/dead-letters?limit=0")).status_code == 422
