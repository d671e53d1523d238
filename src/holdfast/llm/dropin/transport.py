"""Transports for clients of httpx and httpx2: questions to models fail over, everything else passes.

    client = httpx.Client(transport=HoldfastTransport(fallbacks=["openrouter/openai/gpt-4o"]))

A question is a POST to ``.../chat/completions``, ``.../responses``, ``.../embeddings`` or ``.../v1/messages``. Of other
requests nobody knows whether they may be sent twice (files, batches, ...): they go straight to the inner transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.llm.dropin.backups import standbys
from holdfast.llm.dropin.endpoints import is_model_endpoint
from holdfast.llm.dropin.options import Options
from holdfast.llm.dropin.own_http import OwnHttp
from holdfast.llm.dropin.plumbing import (
    Inner,
    InnerHttp,
    async_response,
    question_in,
    raise_as_client,
    sync_response,
)
from holdfast.llm.dropin.portal import portal
from holdfast.llm.dropin.sdk import AsyncSdkHttp, sync_opener
from holdfast.llm.dropin.senders import SyncHttpx
from holdfast.llm.dropin.stack import Stack, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self, Unpack

    import httpx
    import httpx2

    from holdfast.core.ports import Blocking, Http, HttpRequest
    from holdfast.llm.client import ModelClient
    from holdfast.llm.dropin.backups import Backup, Standby
    from holdfast.llm.dropin.endpoints import Asked
    from holdfast.llm.dropin.http_modules import HttpxObject
    from holdfast.llm.dropin.options import Keywords
    from holdfast.llm.dropin.stack import Answer

    class _SyncTransport(httpx.BaseTransport, httpx2.BaseTransport):  # type: ignore[misc]
        """To a type checker ours are transports of both packages; to the packages they are what they can do."""

    class _AsyncTransport(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):  # type: ignore[misc]
        """As above."""

else:
    _SyncTransport = _AsyncTransport = object

__all__ = ["AsyncHoldfastTransport", "HoldfastTransport"]


class HoldfastTransport(_SyncTransport):
    """For ``httpx.Client`` and ``httpx2.Client``.

    Args:
        inner: sends the requests: a transport or a client of either package; by default the package's own transport.
            It is closed with this one when it was made here.
        fallbacks: who is asked when the addressed provider fails: targets by their names.
        options: see ``docs/how-to/wrap-an-sdk.md``.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport | httpx2.BaseTransport | httpx.Client | httpx2.Client | None = None,
        *,
        fallbacks: Sequence[Backup | Standby | str] = (),
        **options: Unpack[Keywords],
    ) -> None:
        checked = Options.read("HoldfastTransport", options)
        ready = standbys(fallbacks, like=None, taken=(), options=checked)
        self._inner = met = Inner(inner, asynchronous=False)
        seconds = checked.read_seconds

        def blocking() -> Blocking:
            return portal().blocking  # that of this process, which may have been forked

        def send(request: HttpRequest) -> HttpxObject:
            through = met.through
            return through.send(through.request(request, seconds))

        https: dict[str, Http] = {}
        for each in ready:
            provider, client = each.provider, each.client
            https[provider.name] = (
                OwnHttp(provider, lambda: met.package, read_seconds=seconds)
                if client is None
                else SyncHttpx(sync_opener(client, base_url=provider.base_url, read_seconds=seconds), blocking)
            )
        self._stack = Stack(home=SyncHttpx(send, blocking), standbys=ready, https=https, options=checked)

    @property
    def models(self) -> ModelClient:
        """The client underneath: ``snapshot()``, ``costs()``, ``events``."""
        return self._stack.models

    def handle_request(self, request: HttpxObject) -> HttpxObject:
        """Called by the client."""
        package = self._inner.meet(request)
        if is_model_endpoint(request.method, request.url.path):
            request.read()
            asked = question_in(request)
            if asked is not None and (answer := self._answer(request, asked)) is not None:
                return sync_response(package, answer, portal().read(answer.body))
        through = self._inner.through
        return through.send(through.again(request))

    def _answer(self, request: HttpxObject, asked: Asked) -> Answer | None:
        try:
            return portal().call(lambda: self._stack.ask(asked))
        except UnreachableError as error:
            raise_as_client(request, error)

    def close(self) -> None:
        """Close the connections that were made here."""
        portal().call(self._stack.models.close)
        if self._inner.ours:
            self._inner.through.inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class AsyncHoldfastTransport(_AsyncTransport):
    """For ``httpx.AsyncClient`` and ``httpx2.AsyncClient``; arguments as for :class:`HoldfastTransport`."""

    def __init__(
        self,
        inner: (
            httpx.AsyncBaseTransport | httpx2.AsyncBaseTransport | httpx.AsyncClient | httpx2.AsyncClient | None
        ) = None,
        *,
        fallbacks: Sequence[Backup | Standby | str] = (),
        **options: Unpack[Keywords],
    ) -> None:
        checked = Options.read("AsyncHoldfastTransport", options)
        ready = standbys(fallbacks, like=None, taken=(), options=checked)
        self._inner = met = Inner(inner, asynchronous=True)
        seconds = checked.read_seconds
        https: dict[str, Http] = {}
        for each in ready:
            provider, client = each.provider, each.client
            https[provider.name] = (
                OwnHttp(provider, lambda: met.package, read_seconds=seconds)
                if client is None
                else AsyncSdkHttp(client, base_url=provider.base_url, read_seconds=seconds)
            )
        self._stack = Stack(home=InnerHttp(met, seconds), standbys=ready, https=https, options=checked)

    @property
    def models(self) -> ModelClient:
        """The client underneath: ``snapshot()``, ``costs()``, ``events``."""
        return self._stack.models

    async def handle_async_request(self, request: HttpxObject) -> HttpxObject:
        """Called by the client."""
        package = self._inner.meet(request)
        if is_model_endpoint(request.method, request.url.path):
            await request.aread()
            asked = question_in(request)
            if asked is not None and (answer := await self._answer(request, asked)) is not None:
                return async_response(package, answer)
        through = self._inner.through
        return await through.send(through.again(request))

    async def _answer(self, request: HttpxObject, asked: Asked) -> Answer | None:
        try:
            return await self._stack.ask(asked)
        except UnreachableError as error:
            raise_as_client(request, error)

    async def aclose(self) -> None:
        """Close the connections that were made here."""
        await self._stack.models.close()
        if self._inner.ours:
            await self._inner.through.inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()
