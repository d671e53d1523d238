"""What is asked of a model, and what it answers, whoever the provider is.

The fields that every provider knows have names here. Everything else that a caller sends travels in ``extra``,
untouched, and everything else that a provider sends stays in ``raw``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ChatRequest", "Completion", "Finish", "Message", "Role", "ToolCall", "Usage"]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


class Finish(StrEnum):
    """Why a model stopped writing."""

    STOP = "stop"
    """It came to its end, or to a stop sequence."""
    LENGTH = "length"
    """It reached ``max_tokens`` or the end of its context window."""
    TOOL_CALLS = "tool_calls"
    """It wants tools to be called."""
    CONTENT_FILTER = "content_filter"
    """The provider withholds the answer, or the rest of it."""
    UNKNOWN = "unknown"
    """The answer is whole and says nothing about why it ends (some servers never do), or names a reason of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that a model read and wrote.

    Attributes:
        prompt_tokens: tokens read, those from the provider's cache included.
        completion_tokens: tokens written, reasoning included.
        cached_tokens: those of ``prompt_tokens`` that came from the provider's cache and cost less.
        estimated: whether a part was counted by us, because the provider did not say (an answer that was cut short).
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Read and written together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model asks for. ``arguments`` is the JSON text as the model wrote it, which may not be valid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation.

    Attributes:
        content: the text; empty where an assistant only calls tools.
        tool_calls: what an assistant asked for.
        tool_call_id: for a ``tool`` message, the call that it answers.
    """

    role: Role
    content: str = ""
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A question to a model.

    Attributes:
        max_tokens: tokens that the answer may have; None is the provider's own limit (1,024 where it has none).
        temperature: 0 to 2; None is the provider's default.
        stop: texts at which the answer ends.
        tools: tools in OpenAI's form (``{"type": "function", "function": {...}}``), translated for others.
        json_mode: whether the answer must be a JSON object.
        extra: fields for the provider, sent as they are; they win over ours.
    """

    messages: Sequence[Message]
    max_tokens: int | None = None
    temperature: float | None = None
    stop: Sequence[str] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    json_mode: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer.

    Attributes:
        model: the model as the provider names it, which may be more precise than what was asked for.
        id: the provider's id of the answer.
        raw: the provider's answer as it came, parsed; of a stream, empty.
    """

    text: str
    finish: Finish = Finish.STOP
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
