"""What is asked, ready to be put to any target: each writes it in the words of the target's own protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.core.ports import HttpRequest
from holdfast.errors import ConfigError
from holdfast.llm.wire.anthropic_messages import AnthropicMessages
from holdfast.llm.wire.openai_chat import OpenAIChat
from holdfast.llm.wire.openai_embeddings import OpenAIEmbeddings
from holdfast.llm.wire.vectors import check as check_vectors
from holdfast.llm.wire.voyage_embeddings import VoyageEmbeddings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.embedding import EmbedKind
    from holdfast.llm.messages import ChatRequest
    from holdfast.llm.routing.targets import EmbeddingRoute, Kind, LimitField, ModelRoute, Target
    from holdfast.llm.wire.base import ChatWire, EmbeddingWire, Quirks, Reply, Wire

__all__ = ["ChatQuestion", "EmbeddingQuestion", "Question", "RawQuestion", "check_protocol", "http_request"]

_ANTHROPIC = AnthropicMessages()
_OPENAI: Mapping[LimitField, ChatWire] = {
    "max_tokens": OpenAIChat(),
    "max_completion_tokens": OpenAIChat(limit_field="max_completion_tokens"),
}
_EMBEDDINGS: Mapping[Kind, EmbeddingWire] = {"openai": OpenAIEmbeddings(), "voyage": VoyageEmbeddings()}
"""A route holds no target that has no protocol for it: that is checked where routes are made."""

_CHARS_A_TOKEN = 4
"""The rule of thumb for English text; good enough to reserve by, and corrected by what the provider counts."""

_PROTOCOLS = frozenset({"openai", "anthropic", "voyage"})
"""The kinds of provider; the name of a wire begins with that of its protocol."""

_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "accept-encoding"})
_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"})
"""Header fields that are for the caller's own provider, and for nobody else."""
_NOT_FOR_OTHERS = _HOP_BY_HOP | _CREDENTIALS

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""``json.dumps`` would make an encoder for each request."""


class Question(Protocol):
    """What is asked, whoever is asked."""

    @property
    def streamed(self) -> bool:
        """Whether the answer is to come piece by piece."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens a model has to read."""
        ...

    @property
    def tokens(self) -> int:
        """About how many tokens it may cost, the answer included: what is reserved."""
        ...

    def wire(self, target: Target) -> Wire:
        """The protocol to ask ``target`` in."""
        ...

    def body(self, target: Target, prefix: str) -> Mapping[str, Any]:
        """The body for ``target``; ``prefix`` is the text of the answer that was already given out."""
        ...

    def check(self, reply: Reply, quirks: Quirks) -> None:
        """Raise ``MalformedAnswerError`` for a reply that reads well and does not answer this."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields to send along, names in lower case."""
        ...

    @property
    def path(self) -> str | None:
        """The endpoint behind a target's base address, where it is not the protocol's own."""
        ...

    @property
    def home(self) -> str | None:
        """The provider that the credentials in ``headers`` are for, by name; others do not get them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatQuestion:
    """A question in our own words; every target gets it in its own protocol."""

    request: ChatRequest
    streamed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    home: str | None = None

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens a model has to read."""
        return _tokens(sum(len(message.content) for message in self.request.messages))

    @property
    def tokens(self) -> int:
        """About how many tokens it may cost: what is read, and all that may be written."""
        return self.prompt_tokens + (self.request.max_tokens or 0)

    def wire(self, target: Target) -> Wire:
        """The chat protocol of the target's provider."""
        return _chat_wire(target)

    def body(self, target: Target, prefix: str) -> Mapping[str, Any]:
        """The body for ``target``."""
        return _chat_wire(target).encode(self.request, model=target.model, stream=self.streamed, prefix=prefix)

    def check(self, reply: Reply, quirks: Quirks) -> None:
        """Any text answers a chat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingQuestion:
    """Texts to be embedded.

    Attributes:
        dimensions: the dimension to ask for, where that is not what the model gives by itself.
        dimension: the dimension that the vectors must have, where it is known.
    """

    texts: Sequence[str]
    kind: EmbedKind = "document"
    dimensions: int | None = None
    dimension: int | None = None
    streamed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    home: str | None = None

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens a model has to read."""
        return _tokens(sum(map(len, self.texts)))

    @property
    def tokens(self) -> int:
        """The same: nothing is written."""
        return self.prompt_tokens

    def wire(self, target: Target) -> Wire:
        """The embedding protocol of the target's provider."""
        return _EMBEDDINGS[target.provider.kind]

    def body(self, target: Target, prefix: str) -> Mapping[str, Any]:  # noqa: ARG002  vectors are not continued
        """The body for ``target``."""
        wire = _EMBEDDINGS[target.provider.kind]
        return wire.encode(self.texts, model=target.model, dimensions=self.dimensions, kind=self.kind)

    def check(self, reply: Reply, quirks: Quirks) -> None:
        """A vector for each text, all of the model's dimension, with numbers in them."""
        check_vectors(self.texts, reply, self.dimension, quirks=quirks)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawQuestion:
    """A caller's own body, in a protocol that all targets speak; only the model's name is changed in it.

    Attributes:
        wire_format: the protocol.
        content: the body, parsed.
        headers: the caller's header fields; those of the connection are left out.
        path: the endpoint behind the base address, with its query, where it is not the protocol's own.
        home: the provider that the credentials in ``headers`` are for, by name.
    """

    wire_format: Wire
    content: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    path: str | None = None
    home: str | None = None

    @property
    def streamed(self) -> bool:
        """Whether the caller asked for a stream."""
        return self.content.get("stream") is True

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens a model has to read."""
        return _tokens(len(json.dumps(self.content.get("messages") or self.content.get("input") or "")))

    @property
    def tokens(self) -> int:
        """About how many tokens it may cost."""
        most = next((self.content[name] for name in _MOST if isinstance(self.content.get(name), int)), 0)
        return self.prompt_tokens + int(most)

    def wire(self, target: Target) -> Wire:  # noqa: ARG002  the caller has chosen
        """The caller's protocol."""
        return self.wire_format

    def body(self, target: Target, prefix: str) -> Mapping[str, Any]:
        """The caller's body for ``target``."""
        return self.wire_format.retarget(self.content, model=target.model, prefix=prefix)

    def check(self, reply: Reply, quirks: Quirks) -> None:
        """A caller's own body is the caller's to judge; the protocol has looked at the answer."""


_MOST = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def http_request(
    question: Question, target: Target, key: str, *, timeout: float, connect_timeout: float, prefix: str = ""
) -> HttpRequest:
    """The request that puts ``question`` to ``target``.

    Args:
        key: the secret to send; empty sends none of ours.
        timeout, connect_timeout: see :class:`~holdfast.core.ports.HttpRequest`.
        prefix: text of the answer that was already given out.
    """
    wire = question.wire(target)
    dropped = _HOP_BY_HOP if question.home == target.provider.name else _NOT_FOR_OTHERS
    own = {name.lower(): value for name, value in question.headers.items() if name.lower() not in dropped}
    theirs = {name.lower(): value for name, value in (*wire.headers(key).items(), *target.provider.headers.items())}
    return HttpRequest(
        method="POST",
        url=target.provider.base_url.rstrip("/") + (question.path or wire.path),
        headers={**theirs, **own, "content-type": "application/json"},
        body=_to_json(question.body(target, prefix)).encode(),
        timeout=timeout,
        connect_timeout=connect_timeout,
    )


def check_protocol(route: ModelRoute | EmbeddingRoute, wire: Wire) -> None:
    """Refuse a route to which a body in the protocol of ``wire`` cannot be relayed.

    Raises:
        ConfigError: a target of the route speaks another protocol.
    """
    protocol = wire.name.partition(".")[0]
    for target in route.every_target:
        if target.provider.kind != protocol and protocol in _PROTOCOLS:
            rule = f"must speak the protocol {protocol}, for bodies in it are relayed as they are ({wire.name})"
            raise ConfigError("targets", target.name, rule)


def _chat_wire(target: Target) -> ChatWire:
    provider = target.provider
    return _ANTHROPIC if provider.kind == "anthropic" else _OPENAI[provider.limit_field]


def _tokens(chars: int) -> int:
    return chars // _CHARS_A_TOKEN + 1
