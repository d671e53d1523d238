"""Documents and jobs over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.errors import RetriesExhaustedError, StoreLockedError

if TYPE_CHECKING:
    import httpx2


async def test_documents_as_json_become_a_job(client: httpx2.AsyncClient, engine: Any) -> None:
    """Documents are written down as a job before they are acknowledged, and the worker is woken."""
    document = {
        "id": "a",
        "title": "A title",
        "text": "# Hello\n\nWörld",
        "uri": "https://example.com/a",
        "metadata": {"language": "en", "year": 2026},
    }
    response = await client.post("/v1/documents", json={"documents": [document, {"text": "b"}], "collection": "help"})
    assert response.status_code == 202
    assert response.json() == {"job_id": "job_1", "status": "queued"}
    assert response.headers["location"] == "/v1/jobs/job_1"
    assert engine.jobs.jobs["job_1"].collection == "help"
    assert engine.ingestor.woken == 1
    first, second = engine.jobs.items
    assert (first.document_id, first.title, first.uri, first.mime) == (
        "a",
        "A title",
        "https://example.com/a",
        "text/markdown",
    )
    assert first.payload == "# Hello\n\nWörld".encode()
    assert first.metadata == {"language": "en", "year": 2026}
    assert second.name.startswith("text-")


async def test_nameless_document_is_named_by_its_content(client: httpx2.AsyncClient, engine: Any) -> None:
    """The same text gets the same name at every request, another text another one."""
    names = []
    for text in ("one", "one", "two"):
        await client.post("/v1/documents", json={"documents": [{"text": text}]})
        names.append(engine.jobs.items[0].name)
    assert names[0] == names[1] != names[2]


async def test_files_become_a_job(client: httpx2.AsyncClient, engine: Any) -> None:
    """Uploaded files are handed on as they are, with their names and kinds."""
    files = [
        ("files", ("a.md", b"# A", "text/markdown")),
        ("files", ("b.pdf", b"%PDF-\x00\xff", "application/pdf")),
    ]
    response = await client.post("/v1/documents", files=files, data={"collection": "help"})
    assert response.status_code == 202, response.text
    assert [(one.name, one.mime, one.payload) for one in engine.jobs.items] == [
        ("a.md", "text/markdown", b"# A"),
        ("b.pdf", "application/pdf", b"%PDF-\x00\xff"),
    ]
    assert engine.jobs.jobs["job_1"].collection == "help"


async def test_unsupported_files_are_named_one_by_one(client: httpx2.AsyncClient, engine: Any) -> None:
    """Formats that cannot be read are told file by file, and nothing is accepted in part."""
    files = [
        ("files", ("a.md", b"# A", "text/markdown")),
        ("files", ("photo.png", b"\x89PNG", "image/png")),
        ("files", ("run.exe", b"MZ", "application/x-msdownload")),
    ]
    response = await client.post("/v1/documents", files=files)
    assert response.status_code == 415
    assert [one["field"] for one in response.json()["errors"]] == ["files[1] (photo.png)", "files[2] (run.exe)"]
    assert ".md" in response.json()["detail"]
    assert engine.jobs.items == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([("a.md", b"")], "is empty"),
        ([("a.md", b"x" * 50_001)], "at most 50,000"),
        ([("a.md", b"1"), ("a.md", b"2")], "the name of another file"),
        ([("x" * 201 + ".md", b"1")], "needs a file name"),
    ],
)
async def test_wrong_file_is_a_422(
    client: httpx2.AsyncClient, engine: Any, files: list[tuple[str, bytes]], said: str
) -> None:
    """Files that are empty, too large or named alike are told with the reason."""
    parts = [("files", (name, data, "text/markdown")) for name, data in files]
    response = await client.post("/v1/documents", files=parts)
    assert response.status_code == 422
    assert said in response.json()["errors"][0]["message"]
    assert engine.jobs.items == []


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "documents[0].text"),
        ({"text": ""}, "documents[0].text"),
        ({"text": " \n"}, "documents[0].text"),
        ({"text": "x" * 50_001}, "documents[0].text"),
        ({"text": 5}, "documents[0].text"),
        ({"text": "a", "id": ""}, "documents[0].id"),
        ({"text": "a", "id": "a\nb"}, "documents[0].id"),
        ({"text": "a", "id": "x" * 201}, "documents[0].id"),
        ({"text": "a", "title": "\u0007"}, "documents[0].title"),
        ({"text": "a", "uri": "x" * 2_001}, "documents[0].uri"),
        ({"text": "a", "metadata": {"k": None}}, "documents[0].metadata.k"),
        ({"text": "a", "metadata": {"k": {"deep": 1}}}, "documents[0].metadata.k"),
        ({"text": "a", "metadata": {str(n): n for n in range(33)}}, "documents[0].metadata"),
    ],
    ids=repr,
)
async def test_wrong_document_is_a_422(
    client: httpx2.AsyncClient, engine: Any, document: dict[str, Any], field: str
) -> None:
    """Each wrong field of a document is named by its path."""
    response = await client.post("/v1/documents", json={"documents": [document]})
    assert response.status_code == 422
    assert [one["field"] for one in response.json()["errors"]] == [field]
    assert engine.jobs.items == []


@pytest.mark.parametrize("documents", [[], [{"text": "a"}] * 1_001, "text", None])
async def test_wrong_number_of_documents_is_a_422(client: httpx2.AsyncClient, documents: Any) -> None:
    """No document, or more than a thousand, is refused."""
    response = await client.post("/v1/documents", json={"documents": documents})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "documents"


async def test_id_that_is_used_twice_is_a_422(client: httpx2.AsyncClient) -> None:
    """Two documents of one request cannot have the same id: one would silently replace the other."""
    documents = [{"id": "a", "text": "1"}, {"id": "a", "text": "2"}]
    response = await client.post("/v1/documents", json={"documents": documents})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "documents[1].id"


async def test_unsupported_mime_is_a_415(client: httpx2.AsyncClient) -> None:
    """A document in a format that no loader reads is refused by its field."""
    response = await client.post("/v1/documents", json={"documents": [{"text": "a", "mime": "image/png"}]})
    assert response.status_code == 415
    assert response.json()["errors"][0]["field"] == "documents[0].mime"


async def test_form_without_files_is_a_422(client: httpx2.AsyncClient) -> None:
    """A form must hold a file, and its other fields are known ones."""
    parts = {"colection": (None, "help")}
    response = await client.post("/v1/documents", files=parts)
    assert response.status_code == 422
    assert {one["field"] for one in response.json()["errors"]} == {"colection", "files"}


async def test_malformed_form_is_a_400(client: httpx2.AsyncClient) -> None:
    """A multipart body that is none is a 400 problem."""
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        response = await client.post("/v1/documents", content=b"nonsense", headers={"content-type": kind})
        assert response.status_code == 400, kind
        assert response.headers["content-type"] == "application/problem+json"


async def test_form_that_is_too_large_is_a_413(client: httpx2.AsyncClient, engine: Any) -> None:
    """Uploads are bounded as a whole while they arrive."""
    files = [("files", (f"{n}.md", b"x" * 40_000, "text/markdown")) for n in range(3)]
    response = await client.post("/v1/documents", files=files)
    assert response.status_code == 413
    assert engine.jobs.items == []


async def test_locked_store_is_a_503(client: httpx2.AsyncClient, engine: Any) -> None:
    """A store that another process holds is a 503 with a Retry-After, and nothing is lost: nothing was accepted."""
    engine.jobs.error = StoreLockedError("Another process is writing to the store.")
    response = await client.post("/v1/documents", json={"documents": [{"text": "a"}]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["type"].endswith("store-locked")


async def test_cause_of_exhausted_retries_is_what_is_told(client: httpx2.AsyncClient, engine: Any) -> None:
    """When the pipeline gave up, the problem is the last attempt's."""
    error = RetriesExhaustedError("gave up", attempts=3)
    error.__cause__ = StoreLockedError("Another process is writing to the store.")
    engine.store.error = error
    response = await client.get("/v1/documents")
    assert response.status_code == 503
    assert response.json()["type"].endswith("store-locked")


async def test_job_is_shown(client: httpx2.AsyncClient) -> None:
    """A job says where it stands."""
    await client.post("/v1/documents", json={"documents": [{"text": "a"}]})
    body = (await client.get("/v1/jobs/job_1")).json()
    assert {"status": "queued", "done": 0, "total": 1, "failures": []}.items() <= body.items()


async def test_job_is_cancelled(client: httpx2.AsyncClient) -> None:
    """A job that is cancelled says so, with what was dropped."""
    await client.post("/v1/documents", json={"documents": [{"text": "a"}]})
    body = (await client.delete("/v1/jobs/job_1")).json()
    assert body["status"] == "cancelled"
    assert body["failures"] == [{"document_id": "a", "reason": "cancelled", "kind": ""}]
    assert (body["stage"], body["documents"], body["chunks"]) == ("", 0, 0)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_job_and_document_are_404(client: httpx2.AsyncClient, method: str) -> None:
    """What does not exist is a 404 that names the parameter."""
    for path, field in (("/v1/jobs/none", "job_id"), ("/v1/documents/none", "document_id")):
        response = await client.request(method, path)
        assert response.status_code == 404
        assert response.json()["errors"][0]["field"] == field


async def test_documents_are_listed_in_pages(client: httpx2.AsyncClient, engine: Any) -> None:
    """A page says where to go on; the parameters reach the store through its pipeline."""
    for number in range(3):
        engine.store.add(f"d{number}", collection="help")
    params: dict[str, Any] = {"collection": "help", "limit": 2, "cursor": "x"}
    body = (await client.get("/v1/documents", params=params)).json()
    assert [one["id"] for one in body["documents"]] == ["d0", "d1"]
    assert body["next_cursor"] == "more"
    assert engine.store.asked == params
    assert engine.guard.calls == ["list"]


@pytest.mark.parametrize(
    ("params", "field"),
    [({"limit": "0"}, "limit"), ({"limit": "1001"}, "limit"), ({"limit": "many"}, "limit"), ({"pgae": "2"}, "pgae")],
)
async def test_wrong_parameter_is_a_422(client: httpx2.AsyncClient, params: dict[str, str], field: str) -> None:
    """A wrong or unknown parameter of the list is named."""
    response = await client.get("/v1/documents", params=params)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


async def test_document_is_read_and_removed(client: httpx2.AsyncClient, engine: Any) -> None:
    """A document is shown with its text, also when its id holds slashes, and is gone after its removal."""
    engine.store.add("help/a b.md", text="The text.")
    path = "/v1/documents/help/a%20b.md"
    assert (await client.get(path)).json()["text"] == "The text."
    response = await client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert engine.removing == ["help/a b.md"]
    assert engine.guard.calls == ["get"]  # not for the removal: a large document takes longer than a question may
    assert (await client.get(path)).status_code == 404


async def test_removal_is_given_up_when_the_service_stops(wire: Any, engine: Any, app: Any) -> None:
    """A removal that outlives the time for requests gets a 503 with a Retry-After."""
    engine.store.delete_hangs = True
    request = wire("DELETE", "/v1/documents/large")
    request.start(b"")
    await request.until(lambda: engine.removing)
    app.state.service.drain.expire()
    await request.finish()
    assert (request.status, request.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("name", ["rapport\u00a02026.md", "資料\u3000一.md", "क्\u200cष.md", "12\u202f000.md"])
async def test_names_in_any_script_are_taken(client: httpx2.AsyncClient, engine: Any, name: str) -> None:
    """Spaces and joiners of other scripts are parts of ordinary names: of files, ids, titles and collections."""
    files = [("files", (name, b"# A", "text/markdown"))]
    assert (await client.post("/v1/documents", files=files, data={"collection": name})).status_code == 202
    assert engine.jobs.items[0].name == name
    document = {"id": name, "title": name, "text": "a", "metadata": {name: 1}}
    response = await client.post("/v1/documents", json={"documents": [document], "collection": name})
    assert response.status_code == 202, response.text


@pytest.mark.parametrize("character", ["\u0007", "\u0085", "\u2028", "\u2029", "\u202e", "\u2066"])
async def test_names_that_do_not_read_as_written_are_refused(client: httpx2.AsyncClient, character: str) -> None:
    """Control characters, line separators and characters that turn the direction are in no name."""
    name = f"a{character}b.md"
    part = f'--x\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n\r\n# A\r\n--x--\r\n'
    form = {"content-type": "multipart/form-data; boundary=x"}
    for response in (
        await client.post("/v1/documents", content=part.encode(), headers=form),
        await client.post("/v1/documents", json={"documents": [{"id": name, "text": "a"}]}),
    ):
        assert response.status_code == 422
