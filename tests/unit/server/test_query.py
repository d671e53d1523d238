"""Questions over HTTP: the contract, the stream, and what ends the work."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.errors import BulkheadFullError, CircuitOpenError, NotFoundError, RateLimitedError, StoreUnavailableError
from holdfast.rag.types import Reason, Source, Tier

if TYPE_CHECKING:
    import httpx2

ASK = {"question": "How long do refunds take?"}


def events_of(body: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, checked for their framing."""
    assert body.endswith("\n\n")
    events = []
    for frame in body.removesuffix("\n\n").split("\n\n"):
        if frame.startswith(":"):
            continue
        first, second = frame.split("\n")
        events.append((first.removeprefix("event: "), json.loads(second.removeprefix("data: "))))
    return events


async def test_answer_is_as_the_contract_says(client: httpx2.AsyncClient) -> None:
    """The answer has every field of the contract, and its citations theirs."""
    response = await client.post("/v1/query", json=ASK)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {
        "answer", "answered", "citations", "source", "tier", "quality", "degraded", "reasons", "notice", "age_seconds",
        "confidence", "conversation_id", "request_id", "model", "usage", "cost_usd", "timings_ms",
    }  # fmt: skip
    assert body["answer"] == "Refunds take 5 to 7 working days [1]."
    assert (body["source"], body["tier"], body["quality"]) == ("extract", "full", 0.85)
    (citation,) = body["citations"]
    wanted = {"document_id", "chunk_id", "title", "uri", "text", "start", "end", "score"}
    assert wanted <= set(citation)
    assert citation["end"] - citation["start"] == len(citation["text"])


async def test_headers_name_the_request_the_tier_and_the_source(client: httpx2.AsyncClient) -> None:
    """The three headers agree with the body, and the caller's own request id is taken over."""
    response = await client.post("/v1/query", json=ASK, headers={"x-request-id": "abc-123"})
    assert response.headers["x-request-id"] == response.json()["request_id"] == "abc-123"
    assert response.headers["x-holdfast-tier"] == "full"
    assert response.headers["x-holdfast-source"] == "extract"


async def test_every_option_reaches_the_engine(client: httpx2.AsyncClient, engine: Any) -> None:
    """All fields of the request are handed on."""
    options = {
        "conversation_id": "c1",
        "collection": "help",
        "top_k": 3,
        "filters": {"language": "en", "year": 2026, "draft": False},
        "deadline_seconds": 2,
        "priority": 9,
    }
    assert (await client.post("/v1/query", json={**ASK, **options})).status_code == 200
    (query,) = engine.queries
    for name, value in options.items():
        assert getattr(query, name) == value


async def test_collection_of_the_settings_is_the_default(client: httpx2.AsyncClient, engine: Any) -> None:
    """Without a collection the service's own is asked."""
    await client.post("/v1/query", json=ASK)
    assert engine.queries[0].collection == engine.settings.collection


async def test_degraded_answer_is_a_200(client: httpx2.AsyncClient, engine: Any) -> None:
    """An offline answer is an answer: 200, and the tier says what it is worth."""
    engine.answer = replace(
        engine.answer,
        source=Source.STATIC,
        tier=Tier.OFFLINE,
        degraded=True,
        reasons=(Reason.SERVICE_UNAVAILABLE,),
        citations=(),
    )
    response = await client.post("/v1/query", json=ASK)
    assert response.status_code == 200
    assert response.headers["x-holdfast-tier"] == "offline"
    assert response.json()["reasons"] == ["service_unavailable"]


async def test_stream_ends_with_answer_and_done(client: httpx2.AsyncClient) -> None:
    """A stream is deltas, then the whole answer, then done; the deltas add up to the answer's text."""
    response = await client.post("/v1/query", json={**ASK, "stream": True})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert "no-cache" in response.headers["cache-control"]
    assert "content-length" not in response.headers
    events = events_of(response.text)
    assert [name for name, _ in events] == ["delta", "delta", "answer", "done"]
    assert "".join(data["text"] for name, data in events if name == "delta") == events[2][1]["answer"]
    assert events[2][1]["request_id"] == response.headers["x-request-id"]


async def test_text_with_line_ends_stays_one_event(client: httpx2.AsyncClient, engine: Any) -> None:
    """Line ends, quotes and event names inside the text do not break the framing."""
    engine.pieces = ("one\n\nevent: done\ndata: {}\n\n", "two\r\n“three”\u2028")
    events = events_of((await client.post("/v1/query", json={**ASK, "stream": True})).text)
    assert [data["text"] for name, data in events if name == "delta"] == list(engine.pieces)


async def test_failure_before_the_first_piece_has_a_status(client: httpx2.AsyncClient, engine: Any) -> None:
    """An unknown conversation is a 404 with its field, also when a stream was asked for."""
    engine.error = NotFoundError("conversation_id", "There is no conversation with this id.")
    for stream in (False, True):
        response = await client.post("/v1/query", json={**ASK, "conversation_id": "nope", "stream": stream})
        assert response.status_code == 404
        assert response.json()["errors"][0]["field"] == "conversation_id"


async def test_failure_within_a_stream_is_told_in_it(client: httpx2.AsyncClient, engine: Any) -> None:
    """A failure after the first piece is an error event with a problem, and then done."""
    engine.error, engine.error_after = StoreUnavailableError("The store is gone."), 1
    events = events_of((await client.post("/v1/query", json={**ASK, "stream": True})).text)
    assert [name for name, _ in events] == ["delta", "error", "done"]
    assert (events[1][1]["status"], events[1][1]["detail"]) == (503, "The store is gone.")


async def test_accident_within_a_stream_tells_no_secrets(client: httpx2.AsyncClient, engine: Any) -> None:
    """A bug after the first piece ends the stream in order, without its message."""
    engine.error, engine.error_after = RuntimeError("internal thing"), 1
    response = await client.post("/v1/query", json={**ASK, "stream": True})
    assert [name for name, _ in events_of(response.text)] == ["delta", "error", "done"]
    assert "internal thing" not in response.text


async def test_rejection_names_when_to_come_back(client: httpx2.AsyncClient, engine: Any) -> None:
    """A rejected request is a 503 with a Retry-After in whole seconds, rounded up."""
    engine.error = CircuitOpenError("The store is resting.", dependency="store", retry_after=7.2)
    response = await client.post("/v1/query", json=ASK)
    assert (response.status_code, response.headers["retry-after"]) == (503, "8")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("retry_after", "header"), [(0.3, "1"), (None, "5")])
async def test_too_many_questions_have_a_status(
    client: httpx2.AsyncClient, engine: Any, retry_after: float | None, header: str, *, stream: bool
) -> None:
    """A question that the engine does not take on is a 503 problem with a Retry-After, also when streamed."""
    engine.error = BulkheadFullError("Too many questions are under way.", retry_after=retry_after)
    response = await client.post("/v1/query", json={**ASK, "stream": stream})
    assert (response.status_code, response.headers["retry-after"]) == (503, header)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "Too many questions are under way."
    assert response.headers["x-holdfast-source"] == "rejected"


async def test_who_asks_too_much_is_told_so(client: httpx2.AsyncClient, engine: Any) -> None:
    """A limit of the caller's own is a 429 with a Retry-After: the service itself is well."""
    engine.error = RateLimitedError("60 questions a minute are allowed.", retry_after=1.5)
    response = await client.post("/v1/query", json=ASK)
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.json()["title"] == "Too many requests"


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_goes_away_cancels_the_work(wire: Any, engine: Any, *, stream: bool) -> None:
    """When the client hangs up before there is an answer, the engine's work is cancelled."""
    engine.hangs = True
    request = wire("POST", "/v1/query")
    request.start(json.dumps({**ASK, "stream": stream}).encode())
    await request.until(lambda: engine.queries)
    assert not engine.cancelled
    request.hang_up()
    await request.finish()
    assert engine.cancelled


async def test_client_that_goes_away_within_a_stream_cancels_the_work(wire: Any, engine: Any) -> None:
    """When the client hangs up between two pieces, the engine's work is cancelled and nothing more is sent."""
    engine.hangs, engine.error_after = True, 1
    request = wire("POST", "/v1/query")
    request.start(json.dumps({**ASK, "stream": True}).encode())
    await request.until(lambda: b"delta" in request.body)
    request.hang_up()
    await request.finish()
    assert engine.cancelled
    assert b"done" not in request.body


async def test_pieces_are_sent_as_they_come(wire: Any, engine: Any) -> None:
    """The first piece is with the client while the second is still being made."""
    engine.hangs, engine.error_after = True, 1
    request = wire("POST", "/v1/query")
    request.start(json.dumps({**ASK, "stream": True}).encode())
    await request.until(lambda: b"Refunds take" in request.body)
    assert not request.ended


async def test_stream_ends_in_order_when_the_service_stops(wire: Any, engine: Any, app: Any) -> None:
    """When the time for requests is over, a stream gets its error and its done."""
    engine.hangs, engine.error_after = True, 1
    request = wire("POST", "/v1/query")
    request.start(json.dumps({**ASK, "stream": True}).encode())
    await request.until(lambda: b"delta" in request.body)
    app.state.service.drain.expire()
    await request.finish()
    assert [name for name, _ in events_of(request.body.decode())] == ["delta", "error", "done"]
    assert request.ended
    assert engine.cancelled


async def test_question_is_given_up_when_the_service_stops(wire: Any, engine: Any, app: Any) -> None:
    """When the time for requests is over, a question that still runs gets a 503 with a Retry-After."""
    engine.hangs = True
    request = wire("POST", "/v1/query")
    request.start(json.dumps(ASK).encode())
    await request.until(lambda: engine.queries)
    app.state.service.drain.expire()
    await request.finish()
    assert (request.status, request.headers["retry-after"]) == (503, "5")
    assert engine.cancelled


async def test_search_is_as_the_contract_says(client: httpx2.AsyncClient) -> None:
    """A search gives hits with their passages, the tier and the reasons."""
    response = await client.post("/v1/search", json={**ASK, "top_k": 3})
    assert response.status_code == 200
    body = response.json()
    assert {"hits", "tier", "degraded", "reasons"} <= set(body)
    assert (body["tier"], body["degraded"], body["reasons"]) == ("degraded", True, ["embedder_unavailable"])
    assert body["hits"][0]["heading"] == "A › B"
    assert response.headers["x-holdfast-tier"] == "degraded"


async def test_search_that_cannot_search_is_a_503(client: httpx2.AsyncClient, engine: Any) -> None:
    """When nothing can be searched, the search says so."""
    engine.error = StoreUnavailableError("The store cannot be read.")
    response = await client.post("/v1/search", json=ASK)
    assert response.status_code == 503
    assert response.json()["detail"] == "The store cannot be read."
