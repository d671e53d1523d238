"""A request and its answer, whoever's protocol they are written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence

__all__ = ["Answer", "Embeddings", "Finish", "Prompt", "Stamp", "TextsToEmbed", "Tool", "Turn"]

Finish: TypeAlias = Literal["stop", "length", "tool", "filtered", "refused", "unsaid"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, as text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, or with ``arguments`` filled in a call of it."""

    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question to a model.

    Attributes:
        extra_tokens: tokens of what is read besides the turns: tools, schemas.
        tool: the tool that has to be called.
        json_mode: whether the answer has to be a JSON object.
        schema: what that object has to look like.
        include_usage: whether a stream says its token counts.
    """

    model: str
    turns: Sequence[Turn]
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    stream: bool = False
    extra_tokens: int = 0
    tool: Tool | None = None
    json_mode: bool = False
    schema: Mapping[str, Any] | None = None
    include_usage: bool = False
    logprobs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model writes.

    Attributes:
        tokens: the text in tokens; of a tool call, its arguments.
        tool: the name of the tool that is called.
        refusal: the words with which the model refuses.
        stop_sequence: the text at which it stopped.
    """

    tokens: Sequence[str]
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    tool: str | None = None
    refusal: str | None = None
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsToEmbed:
    """A request for embeddings."""

    model: str
    texts: Sequence[str]
    tokens: int
    dimension: int | None = None
    base64: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """The vectors for it."""

    vectors: Sequence[array[float]]
    tokens: int
    base64: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an answer is marked with: an id of 24 hexadecimal digits, the Unix time in seconds, the model's name."""

    id: str
    created: int
    model: str
