"""The application as a whole: its life, its health, its metrics, its page and its description."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from holdfast.errors import ConfigError
from holdfast.rag.settings import Settings
from holdfast.server.app import create_app
from holdfast.telemetry.events import AnswerReturned, TierChanged

if TYPE_CHECKING:
    import httpx2

KEY = "a-long-enough-key"
RETURNED = AnswerReturned(
    time_ns=1,
    correlation_id="req_1",
    status="ok",
    source="extract",
    tier="full",
    degraded=False,
    reasons=(),
    cost_usd=0.0,
    seconds=0.01,
)


async def test_engine_is_opened_and_closed_with_the_worker(app: Any, engine: Any, serving: Any) -> None:
    """The engine is open and the job worker runs while the application does, and neither longer."""
    async with serving(app):
        await asyncio.sleep(0)
        assert (engine.opened, engine.closed, engine.ingestor.running) == (1, 0, True)
    assert (engine.closed, engine.ingestor.running) == (1, False)
    assert not engine.events.active


async def test_worker_that_crashes_starts_again(app: Any, engine: Any, serving: Any, lines: Any) -> None:
    """A bug in a job is logged and does not end the work on later ones."""
    engine.ingestor.error = RuntimeError("bug")
    async with serving(app):
        for _ in range(50):
            await asyncio.sleep(0)
        assert engine.ingestor.running
    assert any("job worker failed" in line["event"] for line in lines)


async def test_health_is_as_the_contract_says(client: httpx2.AsyncClient) -> None:
    """Health has a status, a timestamp and a check for each part."""
    response = await client.get("/health")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ok"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", body["timestamp"])
    assert body["checks"]["store:fake"] == {
        "status": "ok",
        "detail": "42 documents",
        "latency_ms": 1.5,
        "breaker": "closed",
        "ready_in": None,
    }


@pytest.mark.parametrize(
    ("status", "codes"), [("ok", (200, 200, 200)), ("degraded", (200, 200, 200)), ("unavailable", (503, 200, 503))]
)
async def test_probes_follow_the_status(
    client: httpx2.AsyncClient, engine: Any, status: str, codes: tuple[int, ...]
) -> None:
    """A degraded service gets requests, whatever is missing; one that is not open gets none, and is not restarted."""
    engine.status = status
    paths = ("/health", "/health/live", "/health/ready")
    assert tuple([(await client.get(path)).status_code for path in paths]) == codes


async def test_metrics_count_what_the_engine_emits(client: httpx2.AsyncClient, engine: Any) -> None:
    """Events of the engine are seen at the next scrape."""
    engine.emits = (RETURNED,)
    await client.post("/v1/query", json={"question": "q"})
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'rag_requests_total{operation="query"} 1.0' in response.text


async def test_tier_header_follows_the_service(client: httpx2.AsyncClient, engine: Any) -> None:
    """A response without an answer of its own carries the service's tier."""
    assert (await client.get("/health/live")).headers["x-holdfast-tier"] == "full"
    engine.events.emit(TierChanged(time_ns=1, from_tier="full", to_tier="minimal", reasons=()))
    response = await client.get("/health/live")
    assert response.headers["x-holdfast-tier"] == "minimal"
    assert "x-holdfast-source" not in response.headers


async def test_request_has_one_line_without_the_question(client: httpx2.AsyncClient, engine: Any, lines: Any) -> None:
    """A request is logged once with its status and duration; the question's text is in no line."""
    engine.emits = (RETURNED,)
    await client.post("/v1/query", json={"question": "my private matter"})
    (line,) = [line for line in lines if line["event"] == "request finished"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/query", 200)
    assert any(line["event"] == "answer returned" for line in lines)
    assert "private" not in str(lines)


async def test_probes_are_quiet(client: httpx2.AsyncClient, lines: Any) -> None:
    """Health checks and scrapes do not fill the log."""
    await client.get("/health/live")
    await client.get("/metrics")
    assert {line["log_level"] for line in lines} == {"debug"}


async def test_page_runs_its_own_script_and_nothing_else(client: httpx2.AsyncClient) -> None:
    """The page's policy allows exactly its own script and style, and no other source."""
    response = await client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for kind in ("script", "style"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", response.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


async def test_page_needs_nothing_from_elsewhere(client: httpx2.AsyncClient) -> None:
    """The page names no other host, sets no markup from data and has no inline handlers."""
    text = (await client.get("/")).text
    assert re.findall(r"(?:src|href|action)=[\"'](?!data:|/|#)", text) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        " onclick=",
        " style=",
    ):
        assert forbidden not in text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "192.168.0.5"]
)
async def test_other_host_names_are_refused(client: httpx2.AsyncClient, host: str) -> None:
    """A service for this machine answers to this machine's names only, whatever name was re-pointed to it."""
    for path in ("/", "/health", "/v1/documents", "/nothing"):
        response = await client.get(path, headers={"host": host})
        assert response.status_code == 421
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_proxy_on_this_machine_may_pass_its_own_name_on(engine: Any, serving: Any) -> None:
    """A host that the operator allowed is served on loopback, whatever its case and port; others still are not."""
    settings = engine.settings.model_copy(update={"allowed_hosts": "help.example, Ask.Example"})
    async with serving(create_app(engine, settings)) as client:
        for host, status in (("help.example", 200), ("ASK.example:443", 200), ("evil.example", 421)):
            assert (await client.get("/health/live", headers={"host": host})).status_code == status


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:8000", "[::1]"])
async def test_names_of_this_machine_are_served(client: httpx2.AsyncClient, host: str) -> None:
    """Every name of this machine is fine, on any port."""
    assert (await client.get("/health/live", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_change_from_another_sites_page_is_refused(
    client: httpx2.AsyncClient, engine: Any, headers: dict[str, str]
) -> None:
    """A page of another site cannot hand in or remove documents through its visitor's browser."""
    files = [("files", ("a.md", b"# A", "text/markdown"))]
    assert (await client.post("/v1/documents", files=files, headers=headers)).status_code == 403
    assert (await client.delete("/v1/documents/a", headers=headers)).status_code == 403
    assert engine.jobs.items == []


async def test_change_from_the_own_page_is_served(client: httpx2.AsyncClient) -> None:
    """The service's own page may do what programs may."""
    headers = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert (await client.post("/v1/query", json={"question": "q"}, headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["[::1]evil", "[::1]:80:80", "localhost:evil", "127.0.0.1@evil.test", "a b", "[::1"])
async def test_host_that_is_none_is_refused(client: httpx2.AsyncClient, host: str) -> None:
    """A Host header that is neither a name nor an address is a 400, whatever it begins with."""
    response = await client.get("/health/live", headers={"host": host})
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "host"


@pytest.mark.parametrize("second", ["evil.example", "127.0.0.1:8000"])
async def test_second_host_is_refused(wire: Any, engine: Any, second: str) -> None:
    """Two Host headers are a 400: what stands in front of the service may have looked at the other one."""
    request = wire("POST", "/v1/query")
    request.scope["headers"].append((b"host", second.encode()))
    request.start(b'{"question": "q"}')
    await request.finish()
    assert request.status == 400
    assert engine.queries == []


@pytest.mark.parametrize(
    ("address", "headers"),
    [("/health/live", {f"x-{n}": "v" * 1_000 for n in range(33)}), (f"/v1/documents?{'a=&' * 12_000}", {})],
    ids=["headers", "address"],
)
async def test_large_heads_are_refused(client: httpx2.AsyncClient, address: str, headers: dict[str, str]) -> None:
    """Headers and addresses are bounded together; what is above is a 431 problem."""
    response = await client.get(address, headers=headers)
    assert response.status_code == 431
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/", "/health", "/health/ready", "/metrics", "/v1/documents", "/openapi.json"])
async def test_head_is_get_without_the_body(client: httpx2.AsyncClient, path: str) -> None:
    """Monitors ask with HEAD: it has GET's status and headers, and no body."""
    got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert "content-length" in head.headers


async def test_head_of_what_is_not_there_is_a_404(client: httpx2.AsyncClient) -> None:
    """HEAD tells failures by their status as well."""
    response = await client.head("/v1/documents/none")
    assert (response.status_code, response.content) == (404, b"")


def with_key(engine: Any, **changes: Any) -> Any:
    return create_app(engine, Settings(api_key=SecretStr(KEY), **changes))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": ""},
    ],
    ids=repr,
)
async def test_api_needs_its_key(engine: Any, serving: Any, headers: dict[str, str]) -> None:
    """With a key set, the API and the metrics are closed without it; the page and the probes are not."""
    async with serving(with_key(engine)) as client:
        for path in ("/v1/documents", "/v1/jobs/x", "/v1/nothing", "/metrics"):
            response = await client.get(path, headers=headers)
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"].startswith("Bearer")
        for path in ("/", "/health", "/health/ready"):
            assert (await client.get(path, headers=headers)).status_code == 200, path


@pytest.mark.parametrize(
    "headers", [{"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"x-api-key": KEY}]
)
async def test_key_opens_the_api(engine: Any, serving: Any, headers: dict[str, str]) -> None:
    """The key is taken as a bearer token or in its own header."""
    async with serving(with_key(engine)) as client:
        assert (await client.get("/v1/documents", headers=headers)).status_code == 200
        assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_other_machines_names_are_served_when_exposed(engine: Any, serving: Any) -> None:
    """A service for other machines answers to any name, and needs the key."""
    async with serving(with_key(engine, host="0.0.0.0"), host="rag.example") as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/v1/documents")).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "rag.example"])
async def test_exposed_service_without_a_key_is_refused(engine: Any, serving: Any, host: str) -> None:
    """To serve other machines without a key is refused at the start, with what to do."""
    with pytest.raises(ConfigError, match=r"holdfast keys create.*HOLDFAST_API_KEY") as caught:
        async with serving(create_app(engine, Settings(host=host))):
            raise AssertionError("it started")
    assert caught.value.field == "host"
    assert engine.closed == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_local_service_needs_no_key(engine: Any, host: str) -> None:
    """A service for this machine starts without a key."""
    assert create_app(engine, Settings(host=host)).title == "Holdfast"


def test_short_key_is_refused_without_being_shown(engine: Any) -> None:
    """A key that can be guessed is refused, and not repeated in the message."""
    with pytest.raises(ConfigError, match="at least 16") as caught:
        create_app(engine, Settings(api_key=SecretStr("short")))
    assert "short" not in str(caught.value)


async def test_openapi_is_complete(client: httpx2.AsyncClient) -> None:
    """The description names every route, body and problem, and every reference in it leads somewhere."""
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/v1/query", "/v1/search", "/v1/documents", "/v1/documents/{document_id}", "/v1/jobs/{job_id}",
        "/v1/dead-letters", "/v1/dead-letters/retry", "/v1/dead-letters/{letter_id}",
        "/v1/conversations", "/v1/conversations/{conversation_id}", "/v1/feedback",
        "/health", "/health/live", "/health/ready", "/metrics",
    }  # fmt: skip
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', (await client.get("/openapi.json")).text):
        assert reference in schemas
    query = document["paths"]["/v1/query"]["post"]
    assert {"200", "400", "401", "404", "413", "415", "422", "421", "500", "503"} <= set(query["responses"])
    assert query["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/QueryRequest"
    }
    assert schemas["QueryRequest"]["additionalProperties"] is False
    assert set(document["paths"]["/v1/documents"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "multipart/form-data",
    }
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and status != "503":
                    assert list(response["content"]) == ["application/problem+json"], operation["summary"]
