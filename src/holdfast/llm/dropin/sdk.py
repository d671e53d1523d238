"""What has to be known of the official SDKs; everything that is not in their documentation stands here.

Their classes are found without importing them: who has a client has imported its package.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from holdfast.errors import ConfigError
from holdfast.llm.dropin.http_modules import module_of, raise_plain
from holdfast.llm.dropin.senders import AsyncResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core.ports import HttpRequest
    from holdfast.llm.dropin.http_modules import HttpxObject
    from holdfast.llm.routing.targets import Kind

__all__ = ["AsyncSdkHttp", "SdkClient", "SdkKind", "http_client", "known_client", "post", "with_http_client"]

SdkClient: TypeAlias = Any
"""A client of either SDK, in any generation."""

_RAW = {"X-Stainless-Raw-Response": "stream"}  # both SDKs: give the response as it is, its body not read
_FORWARDED = frozenset(
    {"anthropic-beta", "anthropic-version", "openai-beta", "traceparent", "tracestate", "x-request-id"}
)
"""Header fields of a caller that a fallback's own client does not make and may be told."""


class SdkKind(NamedTuple):
    """Which client it is."""

    protocol: Kind
    asynchronous: bool
    label: str


_CLASSES: Mapping[str, Mapping[str, bool]] = {
    "openai": {"OpenAI": False, "AsyncOpenAI": True},
    "anthropic": {"Anthropic": False, "AsyncAnthropic": True},
}
_RULE = "must be a client of openai (OpenAI, AsyncOpenAI, AzureOpenAI, ...) or anthropic (Anthropic, AsyncAnthropic)"


def known_client(client: SdkClient, field: str = "client") -> SdkKind:
    """Which SDK it is of.

    Raises:
        ConfigError: it is of neither, or of a kind that signs its requests itself.
    """
    for package, classes in _CLASSES.items():
        module = sys.modules.get(package)
        for name, asynchronous in classes.items():
            known = getattr(module, name, None)
            if isinstance(known, type) and isinstance(client, known):
                kind: Kind = "anthropic" if package == "anthropic" else "openai"
                return SdkKind(kind, asynchronous, name)
    raise ConfigError(field, type(client).__name__, _RULE)


def http_client(client: SdkClient) -> HttpxObject:
    """The client of httpx or httpx2 that an SDK's client sends its requests with.

    Raises:
        ConfigError: this version of the SDK keeps it elsewhere.
    """
    inner = getattr(client, "_client", None)  # both SDKs, since their first version; there is no public name
    if inner is None or module_of(inner) is None:
        package = type(client).__module__.partition(".")[0]
        version = getattr(sys.modules.get(package), "__version__", "of an unknown version")
        raise ConfigError("client", f"{package} {version}", "must be a version that is built on httpx or httpx2")
    return inner


def with_http_client(client: SdkClient, inner: HttpxObject) -> SdkClient:
    """A copy of ``client`` that sends its requests with ``inner``, and repeats none by itself."""
    return client.with_options(http_client=inner, max_retries=0)


# --- a fallback's own client ------------------------------------------------------------------------------------------


def post(client: SdkClient, request: HttpRequest, base_url: str, read_seconds: float) -> Any:  # noqa: ANN401
    """Put a question with a client's own address, key and settings; gives a response of httpx, or its awaitable.

    Args:
        client: of either SDK.
        request: its address begins with ``base_url``; its header fields are the caller's.
        base_url: what the client puts before the paths.
        read_seconds: for one read from the network, at most.
    """
    package = module_of(http_client(client))
    if package is None:
        raise AssertionError("http_client gives clients of httpx and httpx2 only")
    parts = urlsplit(request.url.removeprefix(base_url))
    connect = request.timeout if request.connect_timeout is None else request.connect_timeout
    kept = {name: value for name, value in request.headers.items() if name in _FORWARDED}
    options: dict[str, Any] = {
        "headers": {**kept, **_RAW},
        "max_retries": 0,
        "timeout": package.Timeout(read_seconds, connect=connect, pool=connect),
    }
    if parts.query:
        options["params"] = dict(parse_qsl(parts.query))
    return client.post(parts.path, cast_to=package.Response, body=json.loads(request.body), options=options)


def response_of(error: Exception, host: str) -> HttpxObject:
    """The response that an SDK's error is about, or Python's own error for one without a response."""
    response = getattr(error, "response", None)
    if response is not None and hasattr(response, "status_code"):
        return response
    if error.__cause__ is not None:
        raise_plain(error.__cause__, host)
    raise error


class AsyncSdkHttp:
    """An async client of an SDK as an ``Http`` port.

    Args:
        client: of either SDK; it stays the caller's.
        base_url: what it puts before the paths.
        read_seconds: for one read from the network, at most.
    """

    def __init__(self, client: SdkClient, *, base_url: str, read_seconds: float) -> None:
        self._client = client
        self._base_url = base_url
        self._read_seconds = read_seconds

    async def send(self, request: HttpRequest) -> AsyncResponse:
        """See :meth:`holdfast.core.ports.Http.send`."""
        try:
            response = await post(self._client, request, self._base_url, self._read_seconds)
        except Exception as error:  # noqa: BLE001  a failure is a response here, or a plain error
            response = response_of(error, urlsplit(request.url).hostname or "")
        return AsyncResponse(response, request.url)

    async def close(self) -> None:
        """Nothing: the client belongs to the caller."""


def sync_opener(client: SdkClient, *, base_url: str, read_seconds: float) -> Callable[[HttpRequest], HttpxObject]:
    """The same for a sync client, to be called on a thread."""

    def send(request: HttpRequest) -> HttpxObject:
        try:
            return post(client, request, base_url, read_seconds)
        except Exception as error:  # noqa: BLE001  as above
            return response_of(error, urlsplit(request.url).hostname or "")

    return send
