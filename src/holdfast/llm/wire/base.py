"""What a wire format is: how a question becomes a body, and how bytes become an answer or an error.

A wire judges what it reads: a 200 that holds an error, nothing, or half an answer raises what it is. What it passes is
an answer that a caller can use. It keeps the bytes, so that whoever only relays an answer changes nothing in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from holdfast.llm.messages import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.embedding import EmbedKind
    from holdfast.llm.messages import ChatRequest, Completion, Finish

__all__ = ["ChatWire", "Chunk", "EmbeddingWire", "Quirks", "Reply", "StreamReader", "ToolDelta", "Wire"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """In what a provider differs from its protocol.

    Attributes:
        provider: whose error codes to go by, see :func:`holdfast.core.classify.classify`; None goes by all of them.
        name: the provider's name in errors.
        finish_required: whether a whole answer always says why it ends. Servers that send no finish reason (Ollama) do
            not, and for them a clean end of the stream has to be believed.
        secrets: texts that must never appear in an error.
        continued: whether the answer goes on where another one had said its end and was not believed. An empty one
            that says it stops has then nothing to add, and is whole.
    """

    provider: str | None = None
    name: str = "the provider"
    finish_required: bool = True
    continued: bool = False
    secrets: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDelta:
    """A piece of a tool call; ``id`` and ``name`` come with its first piece."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One event of a streamed answer.

    Attributes:
        raw: the event's bytes as they came, with the blank line that ends it.
        text: what it adds to the answer.
        reasoning: what it adds to the model's reasoning, where the provider shows it.
        real: whether it carries output: text, reasoning, a refusal or a piece of a tool call. The first chunk of a
            stream that only names the role is not real, nor is a ping.
        finish: why the answer ends, in the chunk that says so.
        usage: tokens so far, or of the whole, where the chunk says so.
        last: whether nothing follows (``[DONE]``, ``message_stop``, ``response.completed``).
    """

    raw: bytes
    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolDelta] = ()
    real: bool = False
    finish: Finish | None = None
    usage: Usage | None = None
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer that can be used.

    Attributes:
        content: the body as it came.
        completion: the answer of a chat.
        vectors: the answer of an embedding request, in the order of its inputs.
        models: the answer of a request for the list of models.
        usage: tokens; also in ``completion``.
    """

    content: bytes
    completion: Completion | None = None
    vectors: Sequence[Sequence[float]] = ()
    models: Sequence[str] = ()
    usage: Usage = field(default_factory=Usage)


class StreamReader(Protocol):
    """Reads one streamed answer, piece by piece."""

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """The chunks that ``data`` completes. One line that is not valid is left out, and counted in ``skipped``.

        Raises:
            ProviderError: the stream says that it failed. What came before it in ``data`` is lost to the caller only if
                nothing of it was real: chunks that precede an error are given first, and the error by the next call.
        """
        ...

    def end(self) -> Sequence[Chunk]:
        """What was left when the connection ended in good order.

        Raises:
            TruncatedAnswerError: the answer was not whole.
            EmptyAnswerError: it was whole, and there was no output in it.
        """
        ...

    @property
    def completion(self) -> Completion:
        """Everything so far as one answer: text, tool calls put together, the last usage, model and id."""
        ...

    @property
    def skipped(self) -> int:
        """Lines that were not valid."""
        ...

    @property
    def said_end(self) -> bool:
        """Whether the answer has said that it ends, by a reason or by its end mark, whatever of that is missing."""
        ...


@runtime_checkable
class Wire(Protocol):
    """One protocol of one endpoint."""

    @property
    def name(self) -> str:
        """``"openai.chat"``, ``"openai.responses"``, ``"openai.embeddings"``, ``"anthropic.messages"``, ..."""
        ...

    @property
    def path(self) -> str:
        """The endpoint, to be put behind the provider's base address, e.g. ``"/chat/completions"``."""
        ...

    def headers(self, key: str) -> Mapping[str, str]:
        """The header fields of every request, the key among them; an empty key sends none."""
        ...

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:
        """A caller's ``body`` for another model; everything else stays as it is.

        Args:
            model: the model's name at the target.
            prefix: text of the answer that was already given out, to be continued and not repeated.
        """
        ...

    def with_text(self, chunk: Chunk, text: str) -> Chunk:
        """``chunk``, which carries text, with another one: where an answer is joined from two."""
        ...

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """A whole response.

        Args:
            headers: names in lower case.

        Raises:
            ProviderError: the status, or the body whatever the status, is a failure; or the answer cannot be used.
        """
        ...

    def reader(self, quirks: Quirks) -> StreamReader:
        """A reader for the body of one successful streamed response.

        Raises:
            ConfigError: nothing is streamed in this protocol (embeddings, the list of models).
        """
        ...


@runtime_checkable
class ChatWire(Wire, Protocol):
    """A protocol for chats."""

    def encode(self, request: ChatRequest, *, model: str, stream: bool, prefix: str = "") -> dict[str, Any]:
        """The body for ``request``; a streamed one asks for usage where that is an option. ``prefix``: see retarget."""
        ...


@runtime_checkable
class EmbeddingWire(Wire, Protocol):
    """A protocol for embeddings."""

    def encode(
        self, texts: Sequence[str], *, model: str, dimensions: int | None = None, kind: EmbedKind = "document"
    ) -> dict[str, Any]:
        """The body for ``texts``."""
        ...
