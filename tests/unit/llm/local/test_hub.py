"""The download from the model hub, against a hub in process that can break off, redirect and lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from holdfast.core.ports import HttpRequest
from holdfast.llm.local import hub
from holdfast.llm.local.fetch import SourceUnavailableError
from holdfast.llm.local.hub import HubSource
from holdfast.testing.blocking import InlineBlocking

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.llm.local.manifest import LocalModel


class Response:
    """A response with a body in pieces; ``broken`` breaks the connection after them, ``stalled`` never ends."""

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        broken: bool = False,
        stalled: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.closed = False
        self._body, self._broken, self._stalled = body, broken, stalled

    async def body(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 1000):
            yield self._body[start : start + 1000]
        if self._broken:
            raise ConnectionResetError("the connection to hub.test broke")
        if self._stalled:
            await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


Answer = Callable[[HttpRequest], Response]


class FakeHttp:
    """Answers with a function; keeps what was asked and answered."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[HttpRequest] = []
        self.responses: list[Response] = []

    async def send(self, request: HttpRequest) -> Response:
        self.requests.append(request)
        response = self._answer(request)
        self.responses.append(response)
        return response

    async def close(self) -> None:
        pass


class Watch:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int | None]] = []

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        self.told.append((stage, done, total))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start_of(request: HttpRequest) -> int:
    """Where the range of a request begins."""
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def serving(contents: dict[str, bytes]) -> Answer:
    """A hub that answers as it should."""

    def answer(request: HttpRequest) -> Response:
        content, start = contents[request.url.rsplit("/", 1)[1]], start_of(request)
        return Response(206, content[start:]) if start else Response(200, content)

    return answer


async def test_files_are_downloaded_with_progress(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """Both files come whole; the progress grows to the size of each; nothing is asked for compressed."""
    http, watch = FakeHttp(serving(tiny_contents)), Watch()
    got = await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, watch)
    assert got == tiny_contents
    assert [request.url for request in http.requests] == [
        "https://hub.test/tiny/resolve/main/tokenizer.json",
        "https://hub.test/tiny/resolve/main/model.safetensors",
    ]
    assert {request.headers["Accept-Encoding"] for request in http.requests} == {"identity"}
    size = tiny_model.weights.size
    assert watch.told[-1] == ("download", size, size)
    assert all(response.closed for response in http.responses)


async def test_machine_without_network_is_told_at_once(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A hub that cannot be reached costs one short try and gives a reason with its name."""

    def refuse(request: HttpRequest) -> Response:
        raise ConnectionRefusedError("no connection to hub.test: name not known")

    http = FakeHttp(refuse)
    with pytest.raises(SourceUnavailableError, match=r"hub\.test: no connection"):
        await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())
    assert len(http.requests) == 1
    assert http.requests[0].timeout < 5


async def test_a_broken_download_goes_on_where_it_was(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """After a break only what is missing is asked for."""
    whole = serving(tiny_contents)

    def breaking(request: HttpRequest) -> Response:
        response = whole(request)
        if request.url.endswith("safetensors") and start_of(request) == 0:
            return Response(200, tiny_contents["model.safetensors"][:5000], broken=True)
        return response

    http = FakeHttp(breaking)
    assert await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch()) == tiny_contents
    assert http.requests[-1].headers["Range"] == "bytes=5000-"


async def test_the_next_installation_goes_on_too(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """What a given-up download left in the work folder is not fetched again."""
    (tmp_path / "model.safetensors.part").write_bytes(tiny_contents["model.safetensors"][:7000])
    (tmp_path / "tokenizer.json.part").write_bytes(tiny_contents["tokenizer.json"])
    http = FakeHttp(serving(tiny_contents))
    assert await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch()) == tiny_contents
    assert [start_of(request) for request in http.requests] == [7000]


@pytest.mark.parametrize("status", [200, 416])
async def test_a_hub_that_cannot_continue_sends_the_whole_file(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], status: int
) -> None:
    """If the range is ignored or refused, the download starts again from the beginning."""
    (tmp_path / "tokenizer.json.part").write_bytes(b"half")
    whole = serving(tiny_contents)

    def answer(request: HttpRequest) -> Response:
        if start_of(request) and status == 416:
            return Response(416)
        return Response(200, tiny_contents[request.url.rsplit("/", 1)[1]]) if start_of(request) else whole(request)

    got = await HubSource(FakeHttp(answer), blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())
    assert got == tiny_contents


async def test_a_file_of_another_size_is_not_kept(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A page that stands in for the file, as some proxies send, is told by its size and removed."""
    http = FakeHttp(lambda request: Response(200, b"<html>please log in</html>"))
    with pytest.raises(SourceUnavailableError, match=r"sent 26 bytes as tokenizer\.json"):
        await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())
    assert names_in(tmp_path) == []
    assert len(http.requests) == 1


async def test_an_endless_file_is_cut_off(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A body larger than the published file is not read to its end."""
    http = FakeHttp(lambda request: Response(200, b"x" * (tiny_model.tokenizer.size + 500_000)))
    with pytest.raises(SourceUnavailableError, match=r"of the published file"):
        await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())
    assert http.responses[0].closed


async def test_a_download_that_stands_still_ends(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A connection that sends nothing more is given up after the stall time, and what came is kept for the next try."""
    http = FakeHttp(lambda request: Response(206 if start_of(request) else 200, b"", stalled=True))
    source = HubSource(http, blocking=InlineBlocking(), stall_seconds=0.01)
    with pytest.raises(SourceUnavailableError, match=r"stood still"):
        await source.read(tiny_model, tmp_path, Watch())


@pytest.mark.parametrize("status", [403, 404, 429, 503])
async def test_a_refusal_is_reported(tmp_path: Path, tiny_model: LocalModel, status: int) -> None:
    """A status that is no success is named."""
    http = FakeHttp(lambda request: Response(status))
    with pytest.raises(SourceUnavailableError, match=rf"hub\.test answered {status} for tokenizer\.json"):
        await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())
    assert http.responses[0].closed


@pytest.mark.parametrize("location", ["https://cdn.test/file", "/other/path"])
async def test_redirects_are_followed(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], location: str
) -> None:
    """The hub may send us to its storage, by a full address or by a path."""
    sizes = [tiny_contents["tokenizer.json"], tiny_contents["model.safetensors"]]

    def answer(request: HttpRequest) -> Response:
        if "resolve/main" in request.url:
            return Response(302, headers={"location": location})
        return Response(200, sizes.pop(0))

    http = FakeHttp(answer)
    assert await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch()) == tiny_contents
    assert http.requests[1].url in {"https://cdn.test/file", "https://hub.test/other/path"}


@pytest.mark.parametrize("location", ["http://cdn.test/file", "", "file:///etc/passwd"])
async def test_only_https_is_followed(tmp_path: Path, tiny_model: LocalModel, location: str) -> None:
    """A redirect to anything but https, or to nowhere, is refused."""
    http = FakeHttp(lambda request: Response(302, headers={"location": location}))
    with pytest.raises(SourceUnavailableError, match="not https"):
        await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())


async def test_redirects_in_a_circle_end(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A hub that redirects for ever is given up."""
    http = FakeHttp(lambda request: Response(302, headers={"location": request.url}))
    with pytest.raises(SourceUnavailableError, match="redirected more than 5 times"):
        await HubSource(http, blocking=InlineBlocking()).read(tiny_model, tmp_path, Watch())
    assert len(http.requests) == 6


async def test_a_large_file_is_written_in_pieces(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has arrived goes to the disk on the way, and the pieces make the file."""
    monkeypatch.setattr(hub, "_WRITE_BYTES", 2500)
    blocking = InlineBlocking()
    got = await HubSource(FakeHttp(serving(tiny_contents)), blocking=blocking).read(tiny_model, tmp_path, Watch())
    assert got == tiny_contents
    assert blocking.kinds.count("file.write") > tiny_model.weights.size // 3000
