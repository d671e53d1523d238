"""httpx and httpx2: one programming interface in two packages. Here is what has to know which of them it is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from holdfast.llm.wire.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HttpxObject", "headers_of", "module_of", "plain_errors", "raise_plain"]

HttpxObject: TypeAlias = Any
"""A module, a client, a request or a response of either package; they have no type in common."""

_NOTHING_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
_PACKAGES = ("httpx", "httpx2")


def module_of(thing: HttpxObject) -> HttpxObject | None:
    """The package that a client, transport or request belongs to, by the classes that it is made from; else None."""
    for each in type(thing).__mro__:
        package = each.__module__.partition(".")[0]
        if package in _PACKAGES:
            return sys.modules.get(package)
    return None


@contextmanager
def plain_errors(url: str) -> Iterator[None]:
    """Turn the exceptions of httpx and httpx2 into those that :class:`holdfast.core.ports.Http` promises.

    Others, such as one that an event hook raises, pass.
    """
    try:
        yield
    except Exception as error:
        raise_plain(error, urlsplit(url).hostname or "")
        raise


def raise_plain(error: BaseException, host: str) -> None:
    """Raise Python's own error for one of httpx; return for any other."""
    names = {each.__name__ for each in type(error).__mro__ if each.__module__.partition(".")[0] in _PACKAGES}
    why = redact(str(error)) or type(error).__name__
    if names & _NOTHING_SENT:
        raise ConnectionRefusedError(f"no connection to {host}: {why}") from error
    if "TimeoutException" in names:
        raise TimeoutError(f"{host} did not answer in time: {why}") from error
    if names & {"TransportError", "DecodingError", "StreamError"}:
        raise ConnectionResetError(f"the connection to {host} broke: {why}") from error


def headers_of(response: HttpxObject) -> Mapping[str, str]:
    """Header fields, names in lower case; a field that came several times is joined with commas."""
    fields: dict[str, str] = {}
    for name, value in response.headers.multi_items():
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return fields
