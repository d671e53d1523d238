"""Getting the files of the model from the model hub, over the HTTP port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from holdfast.core.ports import Blocking, Http, HttpRequest, HttpResponse
from holdfast.llm.local.fetch import Progress, SourceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from holdfast.llm.local.manifest import LocalModel, ModelFile

__all__ = ["HubSource"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_MAX_CONTINUATIONS = 5
_WRITE_BYTES = 1 << 20  # one trip to a thread for each, not for each packet


class HubSource:
    """Downloads, and goes on from where a download broke off.

    What has arrived stands in ``<name>.part`` in the work folder. A connection that breaks is continued with a range
    request as long as it brings something, and so is, by the next installation, a download that was given up.

    Args:
        http: sends the requests.
        blocking: writes and reads the files.
        answer_seconds: how long the hub may take to answer; short, so that a machine without network does not wait.
        stall_seconds: how long a download may stand still.
    """

    def __init__(
        self, http: Http, *, blocking: Blocking, answer_seconds: float = 4.0, stall_seconds: float = 30.0
    ) -> None:
        self._http = http
        self._blocking = blocking
        self._answer_seconds = answer_seconds
        self._stall_seconds = stall_seconds

    async def read(self, model: LocalModel, work: Path, progress: Progress) -> Mapping[str, bytes]:
        """Download the files. See :meth:`fetch.Source.read`."""
        contents: dict[str, bytes] = {}
        for file in model.files:
            part = work / f"{file.name}.part"
            await self._download(f"{model.hub_address}/{file.name}", file, part, progress)
            contents[file.name] = await self._blocking.run("file.read", part.read_bytes)
        return contents

    async def _download(self, url: str, file: ModelFile, part: Path, progress: Progress) -> None:
        host = urlsplit(url).hostname
        have = await self._blocking.run("file.read", _size, part)
        for _ in range(_MAX_CONTINUATIONS + 1):
            before = have
            try:
                have = await self._continue(url, file, part, have, progress)
            except (ConnectionError, TimeoutError) as error:
                have = await self._blocking.run("file.read", _size, part)
                if have == before:
                    raise SourceUnavailableError(f"{host}: {error}") from error
                continue
            if have == file.size:
                return
            if have:  # it ended of itself, and it is not the file
                break
        await self._blocking.run("file.write", part.unlink)
        raise SourceUnavailableError(
            f"{host} sent {have} bytes as {file.name}, not the {file.size} of the published file"
        )

    async def _continue(self, url: str, file: ModelFile, part: Path, have: int, progress: Progress) -> int:
        """Ask for what is missing and append it; return how much of the file is there then."""
        if have == file.size:
            return have
        response = await self._get(url, have)
        try:
            if response.status not in {200, 206, 416}:
                raise SourceUnavailableError(f"{urlsplit(url).hostname} answered {response.status} for {file.name}")
            if response.status != 206:  # the whole file from its start, or nothing that fits what we have
                have = 0
                await self._blocking.run("file.write", part.write_bytes, b"")
            if response.status != 416:
                have = await self._append(response, file, part, have, progress)
        finally:
            await response.close()
        return have

    async def _append(self, response: HttpResponse, file: ModelFile, part: Path, have: int, progress: Progress) -> int:
        body = response.body()
        waiting = bytearray()
        progress("download", have, file.size)
        try:
            while have <= file.size:
                async with asyncio.timeout(self._stall_seconds):
                    piece = await anext(body, b"")
                if not piece:
                    break
                waiting += piece
                have += len(piece)
                progress("download", have, file.size)
                if len(waiting) >= _WRITE_BYTES:
                    full, waiting = bytes(waiting), bytearray()  # emptied first: a cancelled write still happens
                    await self._blocking.run("file.write", _append_bytes, part, full)
        except TimeoutError as error:
            raise TimeoutError(f"the download of {file.name} stood still for {self._stall_seconds:g} s") from error
        finally:  # also when it broke: the next try goes on from here
            if waiting:
                await self._blocking.run("file.write", _append_bytes, part, bytes(waiting))
        return have

    async def _get(self, url: str, have: int) -> HttpResponse:
        headers = {"Accept-Encoding": "identity"}  # the range and the size speak of the file, not of its compression
        if have:
            headers["Range"] = f"bytes={have}-"
        for _ in range(_MAX_REDIRECTS + 1):
            request = HttpRequest(method="GET", url=url, headers=headers, timeout=self._answer_seconds)
            response = await self._http.send(request)
            if response.status not in _REDIRECTS:
                return response
            target = response.headers.get("location", "")
            await response.close()
            url = urljoin(url, target)
            if not target or urlsplit(url).scheme != "https":
                raise SourceUnavailableError(f"{urlsplit(url).hostname} redirected to an address that is not https")
        raise SourceUnavailableError(f"{urlsplit(url).hostname} redirected more than {_MAX_REDIRECTS} times")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append_bytes(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
