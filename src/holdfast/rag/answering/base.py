"""What an answerer is: a question and what was found for it in, a cited draft out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.rag.types import Source, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.types import Citation, Hit, Reason

__all__ = ["AnswerRequest", "Answerer", "Draft", "Earlier", "pieces_of"]


class Earlier(Protocol):
    """What was said in the conversation before a question; :class:`holdfast.rag.conversations.context.Context` is."""

    def for_prompt(self, tokens: int | None = None) -> str:
        """It as text of at most so many tokens (None: as many as it likes); empty when there is nothing to say."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """Everything an answerer may rest on.

    Attributes:
        hits: what the search found, best first; their chunks carry sentence vectors when the store has them.
        query_vector: the embedded question, shape (dimension,), or None when the search was lexical only.
        document_frequency: for words of the question, the number of chunks that hold them.
        chunk_count: how many chunks the store holds.
        conversation: what was said before, for an answerer that can make use of it; None: nothing was.
    """

    question: str
    hits: Sequence[Hit]
    query_vector: Vectors | None = None
    document_frequency: Mapping[str, int] = field(default_factory=dict)
    chunk_count: int = 0
    conversation: Earlier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer before the service puts its label on it.

    Attributes:
        text: the answer; cited passages are marked ``[1]``, ``[2]``, ... in the order of ``citations``.
        confidence: 0 to 1.
        answered: False when the answerer says that it does not know.
        source: who wrote it.
        reasons: what is not as it should be about it, though it is whole.
        second_choice: whether it is the work of a model that is asked when the first one fails.
        failure: what broke it off after a part of it had been given out; None: it is whole.
        model: provider and model that wrote it, ``"openai/gpt-4o-mini"``; None when no model did.
        usage: tokens of all calls that wrote on it.
        cost_usd: US dollars, calls that gave nothing included.
    """

    text: str
    citations: tuple[Citation, ...]
    confidence: float
    answered: bool
    source: Source = Source.EXTRACT
    reasons: tuple[Reason, ...] = ()
    second_choice: bool = False
    failure: Exception | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0


@runtime_checkable
class Answerer(Protocol):
    """Writes an answer from what was found."""

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs, e.g. ``"answerer:extractive"``."""
        ...

    async def answer(self, request: AnswerRequest) -> Draft:
        """Answer from ``request.hits`` only; no hits, or none that fits: a draft with ``answered=False``."""
        ...

    def stream(self, request: AnswerRequest) -> AsyncGenerator[str | Draft, None]:
        """The same answer piece by piece, and then the draft as the last item; the pieces add up to its text.

        What it raises, it raises before the first piece. An answer that breaks later ends with a piece that says so,
        and a draft with a ``failure``.
        """
        ...


def pieces_of(text: str) -> list[str]:
    """A text that is there all at once, in pieces to give out: its lines."""
    return text.splitlines(keepends=True)
