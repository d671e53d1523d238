"""What both transports are made of: the inner client, and answers in the classes of its package."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from holdfast.errors import ConfigError
from holdfast.llm.dropin.endpoints import Waits, read_question
from holdfast.llm.dropin.http_modules import module_of
from holdfast.llm.dropin.senders import AsyncHttpx, Through

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from holdfast.core.ports import HttpRequest
    from holdfast.llm.dropin.endpoints import Asked
    from holdfast.llm.dropin.http_modules import HttpxObject
    from holdfast.llm.dropin.portal import BodyReader
    from holdfast.llm.dropin.senders import AsyncResponse
    from holdfast.llm.dropin.stack import Answer, AnswerBody, UnreachableError

__all__ = ["Inner", "InnerHttp", "async_response", "question_in", "raise_as_client", "sync_response"]


class Inner:
    """The inner client or transport; where none is given, one of the package that the first request belongs to.

    Args:
        given: a client or a transport.
        asynchronous: of which kind it has to be.

    Raises:
        ConfigError: it is nothing of that.
    """

    def __init__(self, given: HttpxObject | None, *, asynchronous: bool) -> None:
        self._asynchronous = asynchronous
        self._through: Through | None = None
        self.ours = given is None
        if given is None:
            return
        package = module_of(given)
        wanted = "aclose" if asynchronous else "close"
        if package is None or not hasattr(given, wanted):
            sort = "an async" if asynchronous else "a sync"
            raise ConfigError("inner", type(given).__name__, f"must be {sort} client or transport of httpx or httpx2")
        self._through = Through(given, package, asynchronous=asynchronous)

    def meet(self, request: HttpxObject) -> HttpxObject:
        """The package that ``request`` belongs to.

        Raises:
            ConfigError: it is not the one of the inner client.
        """
        package = module_of(request)
        if self._through is None:
            if package is None:
                raise ConfigError("request", type(request).__name__, "must be one of httpx or httpx2")
            made = package.AsyncHTTPTransport() if self._asynchronous else package.HTTPTransport()
            self._through = Through(made, package, asynchronous=self._asynchronous)
        if package is not self._through.package:
            rule = f"must be for clients of {self._through.package.__name__}, as this one is"
            raise ConfigError("inner", type(self._through.inner).__name__, rule)
        return package

    @property
    def through(self) -> Through:
        """The way to the network."""
        if self._through is None:
            raise AssertionError("asked before the first request")
        return self._through

    @property
    def package(self) -> HttpxObject:
        """Httpx or httpx2."""
        return self.through.package


class InnerHttp:
    """The inner client of an async transport as an ``Http`` port, from the first request on."""

    def __init__(self, inner: Inner, read_seconds: float) -> None:
        self._inner = inner
        self._read_seconds = read_seconds

    async def send(self, request: HttpRequest) -> AsyncResponse:
        """See :meth:`holdfast.core.ports.Http.send`."""
        return await AsyncHttpx(self._inner.through, read_seconds=self._read_seconds).send(request)

    async def close(self) -> None:
        """Nothing: the transport closes it, if it is its own."""


def question_in(request: HttpxObject) -> Asked | None:
    """The question in a request to a model's endpoint, whose body is read; None where there is none."""
    timeouts = request.extensions.get("timeout") or {}
    waits = Waits(connect=timeouts.get("connect"), read=timeouts.get("read"))
    headers = {name.lower(): value for name, value in request.headers.items()}
    return read_question(str(request.url), request.content, headers, waits)


def raise_as_client(request: HttpxObject, error: UnreachableError) -> NoReturn:
    """What a client of ``request``'s package raises when there is no response; our own error is its cause."""
    package = module_of(request)
    if package is None:
        raise error
    kind = package.ReadTimeout if error.late else package.ConnectError
    raise kind(str(error), request=request) from (error.__cause__ or error)


def sync_response(package: HttpxObject, answer: Answer, reader: BodyReader) -> HttpxObject:
    """``answer`` for a sync client."""
    return package.Response(answer.status, headers=dict(answer.headers), stream=_sync_body(package)(reader))


def async_response(package: HttpxObject, answer: Answer) -> HttpxObject:
    """``answer`` for an async client."""
    return package.Response(answer.status, headers=dict(answer.headers), stream=_async_body(package)(answer.body))


@cache
def _sync_body(package: HttpxObject) -> Any:  # noqa: ANN401
    class Body(package.SyncByteStream):  # type: ignore[misc]  # known when it runs
        def __init__(self, reader: BodyReader) -> None:
            self._reader = reader

        def __iter__(self) -> Iterator[bytes]:
            yield from self._reader

        def close(self) -> None:
            self._reader.close()

    return Body


@cache
def _async_body(package: HttpxObject) -> Any:  # noqa: ANN401
    class Body(package.AsyncByteStream):  # type: ignore[misc]  # known when it runs
        def __init__(self, body: AnswerBody) -> None:
            self._body = body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with suppress(StopAsyncIteration):
                while True:
                    yield await anext(self._body)

        async def aclose(self) -> None:
            await self._body.aclose()

    return Body
