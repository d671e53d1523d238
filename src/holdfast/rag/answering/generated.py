"""The answerer that has a model write: from the passages that were found, with citations, or "I don't know"."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.deadline import deadline_at, deadline_ns
from holdfast.core.patience import Patience
from holdfast.errors import ConfigError, DeadlineExceededError, EmptyAnswerError
from holdfast.llm.messages import ChatRequest, Finish
from holdfast.rag.answering.base import Draft, pieces_of
from holdfast.rag.answering.citing import citations
from holdfast.rag.answering.judging import MIN_CONFIDENCE, judge, refuse
from holdfast.rag.answering.prompting import prompt
from holdfast.rag.answering.reading import AnswerReader
from holdfast.rag.types import Reason, Source
from holdfast.rag.wording import broken_off

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Sequence

    from holdfast.core.ports import Blocking
    from holdfast.llm.client import ModelClient
    from holdfast.llm.costs import CallCost
    from holdfast.llm.messages import Completion
    from holdfast.llm.routing.targets import Target
    from holdfast.llm.streams.chat_stream import ChatStream
    from holdfast.llm.wire.base import Chunk
    from holdfast.rag.answering.base import AnswerRequest
    from holdfast.rag.answering.judging import Judged
    from holdfast.rag.types import Citation, Hit

__all__ = ["GenerationOptions", "ModelAnswerer"]

_LONG_SECONDS = 3600.0
"""Time for a model where no deadline holds; the route's own timers end it long before."""
_MOST_KEPT_NS = NS_PER_SECOND
_SHARE_KEPT = 10
"""A tenth of the time that is left, and at most a second, is kept for what stands in when the model is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """How an answer is asked for.

    Attributes:
        max_tokens: tokens that it may have, 1 or more (default 500).
        brief: whether the prompt is the short one, that asks for a few sentences.
        min_confidence: below this confidence in what was found the model is not asked: "I don't know", 0 to 1
            (default 0.5); 0 always asks.

    Raises:
        ConfigError: a value is out of its range.
    """

    max_tokens: int = 500
    brief: bool = False
    min_confidence: float = MIN_CONFIDENCE

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError("max_tokens", self.max_tokens, "must be at least 1")
        if not (isfinite(self.min_confidence) and 0 <= self.min_confidence <= 1):
            raise ConfigError("min_confidence", self.min_confidence, "must be from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is put to the model: nothing (``chat`` is None) when nothing was found that could answer the question."""

    request: AnswerRequest
    judged: Judged
    chat: ChatRequest | None = None
    hits: Sequence[Hit] = ()


class ModelAnswerer:
    """Has a model answer from the passages that were found.

    The confidence of its answers is that in what was found, as the extractive answerer has it: what a model says of its
    own certainty is not worth much. Where it is too low the model is not asked at all, which costs nothing.

    Args:
        models: asks the model.
        route: the chat route to ask.
        blocking: looks at the passages, a few milliseconds of CPU, as ``"answer.extract"``.
        rng: makes up the tags around the passages.
        options: how an answer is asked for.

    Raises:
        NotFoundError: there is no such route.
    """

    def __init__(
        self,
        models: ModelClient,
        route: str,
        *,
        blocking: Blocking,
        rng: random.Random,
        options: GenerationOptions | None = None,
    ) -> None:
        self._models = models
        self._route = models.routes.model(route)
        self._blocking = blocking
        self._rng = rng
        self._options = options or GenerationOptions()
        self._clock = models.network.clock
        self._patience = Patience(self._clock)
        self._at_home = frozenset(target.provider.name for target in self._route.home)
        targets = self._route.targets
        self._max_tokens = min(
            [self._options.max_tokens, *(one.max_output_tokens for one in targets if one.max_output_tokens)]
        )
        self._context = min((one.context_tokens for one in targets if one.context_tokens), default=None)

    @property
    def name(self) -> str:
        """The dependency's name."""
        return f"answerer:{self._route.name}"

    async def answer(self, request: AnswerRequest) -> Draft:
        """Answer from ``request.hits`` only.

        Raises:
            ProviderError, TargetsExhaustedError, DeadlineExceededError: the model gave no answer.
        """
        asked = await self._prepare(request)
        if asked.chat is None:
            return refuse(request, asked.judged)
        with deadline_at(self._due_ns()):
            answered = await self._models.complete(self._route.name, asked.chat)
        reader = AnswerReader(asked.hits, request.question)
        reader.push(answered.completion.text)
        reader.finish()
        return self._draft(asked, reader, answered.completion, answered.target, answered.costs)

    async def stream(self, request: AnswerRequest) -> AsyncGenerator[str | Draft, None]:
        """The answer as the model writes it, and then the draft.

        Raises:
            ProviderError, TargetsExhaustedError, DeadlineExceededError: the model gave no answer; before the first
                piece. What happens later ends the answer with a piece that says so.
        """
        asked = await self._prepare(request)
        if asked.chat is None:
            draft = refuse(request, asked.judged)
            for piece in pieces_of(draft.text):
                yield piece
            yield draft
            return
        reader, due_ns = AnswerReader(asked.hits, request.question), self._due_ns()
        failure: Exception | None = None
        chunks = self._models.stream(self._route.name, asked.chat)
        try:
            while (chunk := await self._next(chunks, due_ns)) is not None:
                if piece := reader.push(chunk.text):
                    yield piece
        except Exception as error:
            if not reader.text:
                raise
            failure = error
        finally:
            await chunks.aclose()
        if piece := reader.finish():
            yield piece
        draft = self._draft(asked, reader, chunks.completion, chunks.target, chunks.costs, failure=failure)
        for piece in pieces_of(draft.text.removeprefix(reader.text)):
            yield piece  # what the service says in place of the model, or behind it
        yield draft

    async def _prepare(self, request: AnswerRequest) -> _Asked:
        judged = await self._blocking.run("answer.extract", judge, request)
        if not judged.candidates or judged.confidence < self._options.min_confidence:
            return _Asked(request=request, judged=judged)
        room = None if self._context is None else self._context - self._max_tokens
        messages, count = prompt(
            request.question,
            request.hits,
            rng=self._rng,
            tokens=room,
            brief=self._options.brief,
            earlier=request.conversation,
        )
        # no temperature: reasoning models refuse any, and others are asked to keep to the passages anyway
        chat = ChatRequest(messages=messages, max_tokens=self._max_tokens)
        return _Asked(request=request, judged=judged, chat=chat, hits=request.hits[:count])

    def _draft(
        self,
        asked: _Asked,
        reader: AnswerReader,
        completion: Completion,
        target: Target | None,
        costs: Sequence[CallCost],
        *,
        failure: Exception | None = None,
    ) -> Draft:
        if target is None:
            raise AssertionError("whoever answered is known")
        text = reader.text
        found: tuple[Citation, ...] = ()
        reasons: tuple[Reason, ...] = ()
        if reader.unknown:
            text = refuse(asked.request, asked.judged).text
        elif not text:
            what = f"{target.name} gave an answer in which nothing is left without its marks."
            raise EmptyAnswerError(what, provider=target.provider.name)
        else:
            found = citations(text, reader.marks.cited, asked.hits, asked.judged.candidates)
            text = text if failure is None else f"{text}\n\n{broken_off()}"
            reasons = _reasons(reader, completion, failure)
        return Draft(
            text=text,
            citations=found,
            confidence=asked.judged.confidence,
            answered=not reader.unknown,
            source=Source.LIVE if target.provider.name in self._at_home else Source.OTHER_PROVIDER,
            reasons=reasons,
            second_choice=target in self._route.targets and target not in self._route.home,
            failure=failure,
            model=target.name,
            usage=completion.usage,
            cost_usd=sum(cost.usd for cost in costs),
        )

    # --- time ---------------------------------------------------------------------------------------------------------

    def _due_ns(self) -> int:
        """When the model's time is up: a little before the deadline."""
        until, now = deadline_ns(), self._clock.now_ns()
        if until is None:
            return now + to_ns(_LONG_SECONDS)
        left = max(0, until - now)
        return until - min(_MOST_KEPT_NS, left // _SHARE_KEPT)

    async def _next(self, chunks: ChatStream, due_ns: int) -> Chunk | None:
        with deadline_at(due_ns):
            return await self._patience.until(due_ns, anext(chunks, None), _late)


def _late() -> DeadlineExceededError:
    return DeadlineExceededError("The time allowed for the question was used up while the model wrote its answer.")


def _reasons(reader: AnswerReader, completion: Completion, failure: Exception | None) -> tuple[Reason, ...]:
    found: list[Reason] = []
    if failure is not None:
        found.append(Reason.ANSWER_INTERRUPTED)
    elif completion.finish is Finish.LENGTH:
        found.append(Reason.ANSWER_CUT)
    if reader.marks.removed:
        found.append(Reason.CITATIONS_REMOVED)
    if reader.links.removed:
        found.append(Reason.LINKS_REMOVED)
    if failure is None and not reader.marks.cited:
        found.append(Reason.CITATIONS_MISSING)
    return tuple(found)
