"""What is known of a request before its body is understood: where it goes, whose protocol, which key, which model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from holdfast.lab.simulator.fault_table import Traits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.lab.simulator.failures import ProviderKind

__all__ = ["Incoming", "incoming"]

_ENDPOINTS = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/messages": "messages",
    "/messages/count_tokens": "count_tokens",
    "/embeddings": "embeddings",
    "/models": "models",
}
_VOYAGE = "voyage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request, looked at from outside.

    Attributes:
        path: without the provider's prefix and version.
        headers: names in lower case.
        endpoint: what it is for; ``"unknown"`` for another address.
        body: the JSON object in ``content``; None when it is none.
        key: the API key; None when there is none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes
    body: dict[str, Any] | None
    endpoint: str
    provider: ProviderKind
    key: str | None
    model: str
    stream: bool
    json_mode: bool

    @property
    def traits(self) -> Traits:
        """What faults go by."""
        return Traits(self.endpoint, self.stream, self.json_mode)


def incoming(method: str, path: str, headers: Mapping[str, str], content: bytes) -> Incoming:
    """Look at a request. Nothing in it can make this fail.

    ``/v1`` may stand in front of the path, and ``/voyage`` before that for Voyage's protocol; without it a model whose
    name begins with ``voyage`` gets it.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    path = unquote(path.partition("?")[0])
    inner = path.removeprefix("/voyage")
    inner = inner.removeprefix("/v1").rstrip("/") or "/"
    endpoint = _ENDPOINTS.get(inner) or ("models" if inner.startswith("/models/") else "unknown")
    body = _peek(content)
    peeked = body or {}
    model = peeked.get("model")
    model = model if isinstance(model, str) else ""
    provider: ProviderKind = "openai"
    if endpoint in {"messages", "count_tokens"} or "anthropic-version" in lower:
        provider = "anthropic"
    elif endpoint == "embeddings" and (path.startswith("/voyage/") or model.startswith(_VOYAGE)):
        provider = "voyage"
    return Incoming(
        method=method.upper(),
        path=inner,
        headers=lower,
        content=content,
        body=body,
        endpoint=endpoint,
        provider=provider,
        key=_key(lower),
        model=model,
        stream=peeked.get("stream") is True,
        json_mode=_wants_json(peeked),
    )


def _peek(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _wants_json(body: Mapping[str, Any]) -> bool:
    text = body.get("text")
    form = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    return isinstance(form, dict) and form.get("type") in ("json_object", "json_schema")


def _key(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key") or None
