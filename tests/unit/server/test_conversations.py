"""``/v1/conversations`` and ``/v1/feedback``, over real records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.rag.records.feedback import Feedback
from holdfast.rag.records.sqlite import FILE_NAME
from holdfast.testing.record_conformance import sample_turn

if TYPE_CHECKING:
    import httpx2


async def fill(engine: Any, *names: str, turns: int = 3) -> None:
    for name in names:
        for n in range(turns):
            await engine.records.conversations.append(name, sample_turn(n, asked_at=float(n)))
        engine.clock.advance(1)


def break_records(engine: Any) -> None:
    for file in Path(engine.folder.name).iterdir():
        file.write_bytes(b"damaged " * 1_000)


async def test_conversations_are_listed_page_by_page(client: httpx2.AsyncClient, engine: Any) -> None:
    """Conversations come with their counts and how they began, the latest first; the cursor leads on."""
    await fill(engine, "a", "b", "c")
    first = (await client.get("/v1/conversations?limit=2")).json()
    assert [each["id"] for each in first["conversations"]] == ["c", "b"]
    assert first["conversations"][0] == {
        "id": "c",
        "turn_count": 3,
        "first_question": "Question 0?",
        "created_at": 1_767_225_602.0,
        "updated_at": 1_767_225_602.0,
    }
    rest = (await client.get("/v1/conversations", params={"cursor": first["next_cursor"]})).json()
    assert [each["id"] for each in rest["conversations"]] == ["a"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=", "cursor=nonsense", "cursor=%00", "colour=red"]
)
async def test_paging_is_checked(client: httpx2.AsyncClient, query: str) -> None:
    """A parameter that is wrong or unknown is a 422 problem that names it."""
    response = await client.get(f"/v1/conversations?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] in query


async def test_a_conversation_is_read(client: httpx2.AsyncClient, engine: Any) -> None:
    """A conversation comes with numbered turns and its summary; ``last`` asks for its end."""
    await fill(engine, "c:1.a-b_C")
    await engine.records.conversations.summarise("c:1.a-b_C", "Two questions.", upto=2)
    body = (await client.get("/v1/conversations/c:1.a-b_C")).json()
    assert [turn["number"] for turn in body["turns"]] == [0, 1, 2]
    assert body["turns"][1] == {
        "number": 1,
        "request_id": "req_1",
        "question": "Question 1?",
        "standalone": "Question 1 of the returns?",
        "answer": "Answer 1.",
        "asked_at": 1.0,
        "source": "live",
        "tier": "full",
    }
    assert (body["id"], body["turn_count"]) == ("c:1.a-b_C", 3)
    assert (body["summary"], body["summarised"]) == ("Two questions.", 2)
    body = (await client.get("/v1/conversations/c:1.a-b_C?last=1")).json()
    assert ([turn["number"] for turn in body["turns"]], body["turn_count"]) == ([2], 3)
    body = (await client.get("/v1/conversations/c:1.a-b_C?last=0")).json()
    assert (body["turns"], body["turn_count"]) == ([], 3)


async def test_a_conversation_is_removed_with_its_feedback(client: httpx2.AsyncClient, engine: Any) -> None:
    """A removed conversation is gone, a second removal is a 404, and so is what was said of its answers."""
    await fill(engine, "a", "b")
    await client.post("/v1/feedback", json={"request_id": "req_1", "useful": False, "comment": "Wrong."})
    response = await client.delete("/v1/conversations/a")
    assert (response.status_code, response.content) == (204, b"")
    for response in (await client.get("/v1/conversations/a"), await client.delete("/v1/conversations/a")):
        assert response.status_code == 404
        assert response.json()["errors"][0]["field"] == "conversation_id"
    assert (await client.get("/v1/conversations/b")).status_code == 200
    assert await engine.records.feedback.get("req_1") is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("conversation_id", ["a%20b", "%C3%BC", "x" * 101, "a%00"])
async def test_ids_are_checked(client: httpx2.AsyncClient, method: str, conversation_id: str) -> None:
    """An id that cannot be one is a problem and no error of ours."""
    response = await client.request(method, f"/v1/conversations/{conversation_id}")
    assert response.status_code in {404, 422}
    assert response.headers["content-type"] == "application/problem+json"


async def test_feedback_is_kept_and_may_be_changed(client: httpx2.AsyncClient, engine: Any) -> None:
    """Feedback is answered as it is kept; the last word on an answer counts."""
    response = await client.post("/v1/feedback", json={"request_id": "req_1", "useful": False, "comment": "Nö\u0000."})
    assert response.status_code == 200
    assert response.json() == {
        "request_id": "req_1",
        "useful": False,
        "comment": "Nö\u0000.",
        "given_at": 1_767_225_600.0,
    }
    assert (await client.post("/v1/feedback", json={"request_id": "req_1", "useful": True})).json()["comment"] == ""
    found = await engine.records.feedback.get("req_1")
    assert found == Feedback(request_id="req_1", useful=True, given_at=1_767_225_600.0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "request_id"),
        ({"request_id": "r"}, "useful"),
        ({"request_id": "r", "useful": "yes"}, "useful"),
        ({"request_id": "", "useful": True}, "request_id"),
        ({"request_id": "a b", "useful": True}, "request_id"),
        ({"request_id": "x" * 129, "useful": True}, "request_id"),
        ({"request_id": "r", "useful": True, "comment": "x" * 2_001}, "comment"),
        ({"request_id": "r", "useful": True, "comment": None}, "comment"),
        ({"request_id": "r", "usefull": True}, "usefull"),
    ],
)
async def test_feedback_is_checked(client: httpx2.AsyncClient, body: dict[str, Any], field: str) -> None:
    """What is missing, wrong or misspelt is a 422 problem that names it."""
    response = await client.post("/v1/feedback", json=body)
    assert response.status_code == 422
    assert field in {error["field"] for error in response.json()["errors"]}


async def test_feedback_is_bounded(client: httpx2.AsyncClient) -> None:
    """A body that is far larger than any feedback is refused before it is read; another media type is, too."""
    body = b'{"request_id": "r", "useful": true, "comment": "' + b"x" * 40_000 + b'"}'
    response = await client.post("/v1/feedback", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 413
    response = await client.post("/v1/feedback", content=b"useful=1", headers={"content-type": "text/plain"})
    assert response.status_code == 415


async def test_broken_records_are_told_and_questions_go_on(client: httpx2.AsyncClient, engine: Any) -> None:
    """While the records are broken their routes are 503 problems with a sentence; questions are answered."""
    await fill(engine, "a")
    await engine.records.close()
    break_records(engine)
    await engine.records.open()
    for method, path, body in (
        ("GET", "/v1/conversations", None),
        ("GET", "/v1/conversations/a", None),
        ("DELETE", "/v1/conversations/a", None),
        ("POST", "/v1/feedback", {"request_id": "r", "useful": True}),
    ):
        response = await client.request(method, path, json=body)
        assert response.status_code == 503, path
        assert "retry-after" in response.headers
        assert FILE_NAME in response.json()["detail"] or "keeps failing" in response.json()["detail"]
    assert (await client.post("/v1/query", json={"question": "q"})).status_code == 200
    assert (await client.get("/v1/documents")).status_code == 200


async def test_head_and_other_methods(client: httpx2.AsyncClient, engine: Any) -> None:
    """HEAD is GET without a body; a method that a route does not take is a 405 problem."""
    await fill(engine, "a")
    head = await client.head("/v1/conversations/a")
    assert (head.status_code, head.content) == (200, b"")
    for method, path in (("POST", "/v1/conversations"), ("PUT", "/v1/conversations/a"), ("GET", "/v1/feedback")):
        assert (await client.request(method, path)).status_code == 405


async def test_conversation_ids_of_questions_are_checked(client: httpx2.AsyncClient) -> None:
    """A question that names a conversation by an id that cannot be one is a 422 problem."""
    response = await client.post("/v1/query", json={"question": "q", "conversation_id": "a b"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "conversation_id"
