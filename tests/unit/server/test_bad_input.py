"""Hostile and mistaken input: each gets a problem that names the field, and costs nothing."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from holdfast.server import bodies
from holdfast.server.request_bodies import MAX_ERRORS, ErrorBudget, IngestRequest
from holdfast.server.routes.query import MAX_QUESTION_BODY_BYTES

if TYPE_CHECKING:
    import httpx2

ASK = {"question": "How long do refunds take?"}
JSON = {"content-type": "application/json"}


def assert_problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The response is a problem document that agrees with itself."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) == {"type", "title", "status", "detail", "errors", "request_id"}
    assert body["type"].startswith("urn:holdfast:problem:")
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-holdfast-tier"]
    return body


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": ""}, "question"),
        ({"question": "   \n"}, "question"),
        ({"question": "a\u0000b"}, "question"),
        ({"question": "a\u001b[2Jb"}, "question"),
        ({"question": 7}, "question"),
        ({"question": None}, "question"),
        ({"question": ["a"]}, "question"),
        ({"question": "x" * 4_001}, "question"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 51}, "top_k"),
        ({"top_k": "5"}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": True}, "top_k"),
        ({"top_k": 10**30}, "top_k"),
        ({"priority": 10}, "priority"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"deadline_seconds": -1}, "deadline_seconds"),
        ({"deadline_seconds": 601}, "deadline_seconds"),
        ({"stream": "yes"}, "stream"),
        ({"collection": ""}, "collection"),
        ({"collection": "x" * 101}, "collection"),
        ({"collection": "a\nb"}, "collection"),
        ({"conversation_id": ""}, "conversation_id"),
        ({"filters": {"a": None}}, "filters.a"),
        ({"filters": {"a": [1]}}, "filters.a"),
        ({"filters": {"a": {"$gt": 1}}}, "filters.a"),
        ({"filters": {"a": 2**63}}, "filters.a"),
        ({"filters": {"a": "x" * 1_001}}, "filters.a"),
        ({"filters": {str(number): 1 for number in range(17)}}, "filters"),
        ({"filters": "a=b"}, "filters"),
    ],
    ids=repr,
)
async def test_wrong_value_names_its_field(
    client: httpx2.AsyncClient, engine: Any, change: dict[str, Any], field: str
) -> None:
    """A value out of its range or of the wrong type is a 422 with exactly that field; the engine is not asked."""
    body = assert_problem(await client.post("/v1/query", json={**ASK, **change}), 422)
    assert [one["field"] for one in body["errors"]] == [field]
    assert engine.queries == []


async def test_missing_question_is_named(client: httpx2.AsyncClient) -> None:
    """A request without a question says what is missing."""
    body = assert_problem(await client.post("/v1/query", json={}), 422)
    assert body["errors"] == [{"field": "question", "message": "is missing"}]


@pytest.mark.parametrize("path", ["/v1/query", "/v1/search"])
async def test_misspelled_field_names_the_closest_one(client: httpx2.AsyncClient, path: str) -> None:
    """An unknown field is an error that names the field which was probably meant."""
    body = assert_problem(await client.post(path, json={**ASK, "colection": "help"}), 422)
    assert body["errors"][0]["field"] == "colection"
    assert "did you mean “collection”?" in body["errors"][0]["message"]


async def test_misspelled_field_of_a_document_names_the_closest_one(client: httpx2.AsyncClient) -> None:
    """The help with spelling reaches into the documents of an ingest."""
    body = assert_problem(await client.post("/v1/documents", json={"documents": [{"txet": "a", "text": "b"}]}), 422)
    assert body["errors"][0]["field"] == "documents[0].txet"
    assert "did you mean “text”?" in body["errors"][0]["message"]


async def test_one_megabyte_question_is_told_by_its_field(client: httpx2.AsyncClient, app: Any, engine: Any) -> None:
    """A question of a megabyte is refused by the name of its field, with the limit."""
    app.state.service.settings = engine.settings.model_copy(update={"max_body_bytes": 32 * 1024 * 1024})
    body = assert_problem(await client.post("/v1/query", json={"question": "x" * 1_000_000}), 422)
    assert body["errors"][0]["field"] == "question"
    assert "4,000" in body["detail"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"{", "line 1"),
        (b'{"question": }', "line 1"),
        (b'{"question": "\xff"}', "line 1"),
        (b'{"question": "\\ud800"}', "line 1"),
        (b"[" * 50_000, "recursion"),
        (b'{"filters":' * 8_000, "recursion"),
    ],
    ids=lambda value: repr(value[:20]),
)
async def test_malformed_json_is_a_400(client: httpx2.AsyncClient, content: bytes, said: str) -> None:
    """What is not JSON, or nested without end, is a 400 that says where."""
    body = assert_problem(await client.post("/v1/query", content=content, headers=JSON), 400)
    assert body["type"].endswith("malformed-json")
    assert said in body["detail"]


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"7", b"null", b"true"])
async def test_json_that_is_no_object_is_a_422(client: httpx2.AsyncClient, content: bytes) -> None:
    """JSON of another shape than an object is told as such."""
    body = assert_problem(await client.post("/v1/query", content=content, headers=JSON), 422)
    assert body["errors"][0]["field"] == "body"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "", "garbage"])
async def test_other_media_types_are_a_415(client: httpx2.AsyncClient, kind: str) -> None:
    """A body of another kind is refused before it is read, with the kind that is wanted."""
    response = await client.post("/v1/query", content=json.dumps(ASK), headers={"content-type": kind})
    body = assert_problem(response, 415)
    assert "application/json" in body["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
async def test_json_in_any_spelling_is_read(client: httpx2.AsyncClient, kind: str) -> None:
    """Parameters and capitals of the media type do not matter."""
    response = await client.post("/v1/query", content=json.dumps(ASK), headers={"content-type": kind})
    assert response.status_code == 200


async def test_announced_size_is_refused_before_reading(wire: Any) -> None:
    """A body that is announced as too large is refused without reading any of it."""
    request = wire("POST", "/v1/query", headers={"content-length": "999999999"})
    request.start(b"{", whole=False)
    await request.finish()
    assert request.status == 413
    assert request.headers["connection"] == "close"
    assert request.pieces_taken == 0


async def test_unannounced_size_is_refused_while_reading(wire: Any) -> None:
    """A body without an announced size is refused as soon as it is too large, not after it has all arrived."""
    request = wire("POST", "/v1/query")
    request.start(*[b" " * 40_000] * 10, whole=False)
    await request.finish()
    assert request.status == 413
    assert request.pieces_taken == 3
    assert json.loads(request.body)["errors"][0]["field"] == "body"


@pytest.mark.parametrize("length", ["-5", "abc", "9" * 400, "1e9"])
async def test_nonsense_length_does_no_harm(wire: Any, length: str) -> None:
    """A content-length that is no number is ignored; what arrives is counted."""
    request = wire("POST", "/v1/query", headers={"content-length": length})
    request.start(json.dumps(ASK).encode())
    await request.finish()
    assert request.status == 200


async def test_client_that_hangs_up_while_sending_is_let_go(wire: Any, engine: Any, lines: Any) -> None:
    """A client that goes away in the middle of its request leaves nothing behind."""
    request = wire("POST", "/v1/query")
    request.start(b'{"question": "How', whole=False)
    request.hang_up()
    await request.finish()
    assert engine.queries == []
    assert not any(line.get("exc_info") for line in lines)


async def test_unknown_address_is_a_problem(client: httpx2.AsyncClient) -> None:
    """An address that does not exist is a 404 that says where the API is described."""
    assert "/openapi.json" in assert_problem(await client.get("/v1/nothing"), 404)["detail"]


async def test_wrong_method_is_a_problem(client: httpx2.AsyncClient) -> None:
    """A method that an address does not take is a 405 that names the one it takes."""
    response = await client.get("/v1/query")
    assert "POST" in assert_problem(response, 405)["detail"]
    assert response.headers["allow"] == "POST"


async def test_accident_is_a_500_without_its_stack(client: httpx2.AsyncClient, engine: Any, lines: Any) -> None:
    """An unexpected exception is a sentence with the request's id and nothing of the inside; the stack is logged."""
    engine.error = RuntimeError("password is hunter2")
    response = await client.post("/v1/query", json=ASK)
    body = assert_problem(response, 500)
    assert "hunter2" not in response.text
    assert "RuntimeError" not in response.text
    assert "id" in body["detail"]
    assert [line["event"] for line in lines if line.get("exc_info")] == ["request failed unexpectedly"]


@pytest.mark.parametrize("given", ["a b", "x" * 129, "a\tb", "<script>", "", "ü"])
async def test_invalid_request_id_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    """A request id that could forge a log line or a header is not taken over."""
    response = await client.get("/health/live", headers={b"x-request-id": given.encode()})
    assert response.headers["x-request-id"] != given
    assert response.headers["x-request-id"].startswith("req_")


async def test_many_errors_are_bounded(client: httpx2.AsyncClient) -> None:
    """A body that is wrong a thousand times gets a short answer."""
    body = assert_problem(await client.post("/v1/query", json={**ASK, **{f"f{n}": 1 for n in range(1_000)}}), 422)
    assert len(body["errors"]) <= 21


async def test_reflected_names_are_cut(client: httpx2.AsyncClient) -> None:
    """A field name of fifty thousand characters is not sent back whole."""
    response = await client.post("/v1/query", json={**ASK, "x" * 50_000: 1})
    assert_problem(response, 422)
    assert len(response.text) < 5_000


def test_limit_lets_the_field_be_named() -> None:
    """The bound of a question's body is far above a megabyte, so that the question itself is what is refused."""
    assert MAX_QUESTION_BODY_BYTES > 2_000_000


async def test_few_unknown_fields_are_all_named(client: httpx2.AsyncClient) -> None:
    """Up to the bound each unknown field has its own sentence."""
    body = assert_problem(await client.post("/v1/query", json={**ASK, **{f"f{n}": 1 for n in range(20)}}), 422)
    assert len(body["errors"]) == 20


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("/v1/query", {**ASK, **{f"f{n}": 1 for n in range(5_000)}}, "body"),
        ("/v1/query", {**ASK, "filters": {f"f{n}": None for n in range(5_000)}}, "filters"),
        ("/v1/documents", {"documents": [{"text": "a", "metadata": {f"f{n}": [] for n in range(3_000)}}]},
         "documents[0].metadata"),
        ("/v1/documents", {"documents": [7] * 5_000}, "documents"),
    ],
)  # fmt: skip
async def test_flood_of_entries_is_one_error(
    client: httpx2.AsyncClient, path: str, content: dict[str, Any], field: str
) -> None:
    """An object or list with far too many entries is refused as a whole, with one error."""
    body = assert_problem(await client.post(path, json=content), 422)
    assert [one["field"] for one in body["errors"]] == [field]


@pytest.mark.parametrize("document", [{"text": "a", **{f"f{n}": 1 for n in range(15)}}, {"text": 1}, 7])
def test_work_on_many_wrong_documents_is_bounded(document: object) -> None:
    """After too many errors the rest of the documents is not looked at."""
    with pytest.raises(ValidationError) as caught:
        IngestRequest.model_validate_json(json.dumps({"documents": [document] * 1_000}), context=ErrorBudget())
    assert MAX_ERRORS < caught.value.error_count() <= 2 * MAX_ERRORS


async def test_spelling_is_looked_up_for_shown_errors_only(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow search for the field that was meant is done for what is shown, and not for every error."""
    calls: list[str] = []
    get_close_matches = difflib.get_close_matches

    def counted(word: str, known: list[str], n: int) -> list[str]:
        calls.append(word)
        return get_close_matches(word, known, n)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    documents = [{"text": "a", **{f"f{n}": 1 for n in range(15)}}] * 100
    body = assert_problem(await client.post("/v1/documents", json={"documents": documents}), 422)
    assert len(calls) == MAX_ERRORS
    assert len(body["errors"]) == MAX_ERRORS + 1
    assert "at least 10 more" in body["errors"][-1]["message"]


def test_document_is_checked_without_a_budget_as_well() -> None:
    """Whoever validates without a budget gets every error."""
    with pytest.raises(ValidationError) as caught:
        IngestRequest.model_validate_json(json.dumps({"documents": [7] * 50}))
    assert caught.value.error_count() == 50


async def test_many_wrong_parameters_are_bounded(client: httpx2.AsyncClient) -> None:
    """An address with very many unknown parameters gets a short answer."""
    response = await client.get("/v1/documents?" + "&".join(f"p{n}=" for n in range(1_000)))
    assert len(assert_problem(response, 422)["errors"]) <= MAX_ERRORS + 1


FORM = {"content-type": "multipart/form-data; boundary=x"}
SLOW = [
    ("/v1/query", {}, b'{"question": "How'),
    ("/v1/search", {}, b'{"question": "How'),
    ("/v1/documents", {}, b'{"documents": ['),
    ("/v1/documents", FORM, b'--x\r\ncontent-disposition: form-data; name="files"; filename="a.md"\r\n\r\n# A'),
]


@pytest.mark.parametrize(("path", "headers", "piece"), SLOW)
async def test_slow_body_is_given_up_in_time(
    wire: Any, app: Any, lines: Any, path: str, headers: dict[str, str], piece: bytes
) -> None:
    """A body that does not arrive in the time for bodies is a 408 problem."""
    app.state.service.body_seconds = 0.0
    request = wire("POST", path, headers=headers)
    request.start(piece, whole=False)
    await request.finish()
    assert request.status == 408
    assert request.headers["connection"] == "close"
    assert json.loads(request.body)["type"].endswith("body-too-slow")
    assert not any(line.get("exc_info") for line in lines)


@pytest.mark.parametrize(("path", "headers", "piece"), SLOW)
async def test_slow_body_does_not_hold_up_the_stop(
    wire: Any, app: Any, lines: Any, path: str, headers: dict[str, str], piece: bytes
) -> None:
    """A request whose body is still on its way when the time for requests is over is a 503 problem."""
    request = wire("POST", path, headers=headers)
    request.start(piece, whole=False)
    await request.until(lambda: request.pieces_taken == 1)
    assert not request.sent
    app.state.service.drain.expire()
    await request.finish()
    assert (request.status, request.headers["retry-after"]) == (503, "5")
    assert not any(line.get("exc_info") for line in lines)


@pytest.mark.parametrize(("length", "seconds"), [(None, 30), ("65536", 31), ("33554432", 542), ("nonsense", 30)])
def test_large_bodies_have_more_time(length: str | None, seconds: float) -> None:
    """A body has 30 s, and a second more for each 64 KiB that it announces."""
    headers = [] if length is None else [(b"content-length", length.encode())]
    assert bodies.seconds_for(Request({"type": "http", "headers": headers})) == seconds
