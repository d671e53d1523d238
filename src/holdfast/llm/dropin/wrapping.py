"""``holdfast.wrap``: an official SDK's client that fails over, and stays what it was."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, TypeVar

from holdfast.errors import ConfigError
from holdfast.llm.dropin.backups import provider_for, standbys
from holdfast.llm.dropin.http_modules import module_of
from holdfast.llm.dropin.options import Options
from holdfast.llm.dropin.sdk import http_client, known_client, with_http_client
from holdfast.llm.dropin.transport import AsyncHoldfastTransport, HoldfastTransport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Unpack

    from holdfast.llm.client import ModelClient
    from holdfast.llm.dropin.backups import Backup
    from holdfast.llm.dropin.options import Keywords

__all__ = ["wrap", "wrapped"]

ClientT = TypeVar("ClientT")

_WRAPPED: weakref.WeakKeyDictionary[Any, ModelClient] = weakref.WeakKeyDictionary()
"""The engines by the HTTP clients that lead to them; copies of a wrapped client have the same one."""


def wrap(client: ClientT, fallbacks: Sequence[Backup | str | ClientT] = (), **options: Unpack[Keywords]) -> ClientT:
    """A client of the same type, whose questions to models have breakers, fail-over and streams that never just stop.

        client = holdfast.wrap(OpenAI(), fallbacks=[OpenAI(base_url=..., api_key=...), "openrouter/openai/gpt-4o"])

    It repeats nothing by itself any more; the engine does, and knows when. The client that is given stays as it was,
    and sends what is addressed to its provider, with its own proxies, certificates and event hooks; closing the wrapped
    one does not close it. Requests that are no questions to a model pass unchanged, once.

    Args:
        client: ``openai.OpenAI``, ``AsyncOpenAI`` (with their Azure kinds), ``anthropic.Anthropic`` or
            ``AsyncAnthropic``.
        fallbacks: who is asked when its provider fails, in this order: clients of the same SDK, sync or async as this
            one; targets by their names, whose keys come from the environment; :class:`Backup` for either of them with
            another model. Each gets its own credentials, and nobody else's.
        options: see ``docs/how-to/wrap-an-sdk.md``.

    Raises:
        ConfigError: the client is of another kind, or wrapped already; or an option is out of its range.
    """
    checked = Options.read("wrap", options)
    kind = known_client(client)
    inner = http_client(client)
    if inner in _WRAPPED:
        raise ConfigError("client", type(client).__name__, "must be one that is not wrapped already")
    given: Any = client
    home = provider_for(str(given.base_url), protocol=kind.protocol, taken=(), options=checked)
    ready = standbys(fallbacks, like=kind, taken=(home.name,), options=checked)
    package = module_of(inner)
    if package is None:
        raise AssertionError("http_client gives clients of httpx and httpx2 only")
    transport: HoldfastTransport | AsyncHoldfastTransport
    if kind.asynchronous:
        transport = AsyncHoldfastTransport(inner, fallbacks=ready, **options)
        outer = package.AsyncClient(transport=transport, timeout=inner.timeout)
    else:
        transport = HoldfastTransport(inner, fallbacks=ready, **options)
        outer = package.Client(transport=transport, timeout=inner.timeout)
    outer.headers.clear()  # those of the inner client count
    _WRAPPED[outer] = transport.models
    made: ClientT = with_http_client(client, outer)
    return made


def wrapped(client: object) -> ModelClient:
    """The engine of a client that :func:`wrap` gave, or of a copy of it: ``snapshot()``, ``costs()``, ``events``.

    Raises:
        ConfigError: the client is not wrapped.
    """
    known_client(client)
    found = _WRAPPED.get(http_client(client))
    if found is None:
        raise ConfigError("client", type(client).__name__, "must be one that holdfast.wrap has made")
    return found
