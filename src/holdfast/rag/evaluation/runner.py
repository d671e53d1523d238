"""Asks the questions, one after another, as a user would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from holdfast.core.clock import SystemClock
from holdfast.errors import ConfigError
from holdfast.rag.evaluation.measures import article_of, contains_fact
from holdfast.rag.evaluation.report import EvalReport, Record, summarize
from holdfast.rag.query import MAX_TOP_K, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.evaluation.questions import Question
    from holdfast.rag.types import Answer, SearchResult

__all__ = ["EvalProgress", "Evaluable", "evaluate"]

_SEARCH_DEPTH = 10


class Evaluable(Protocol):
    """What is evaluated: an engine, or anything that answers like one."""

    async def ask(self, query: Query) -> Answer:
        """Answer a question."""
        ...

    async def search(self, query: Query) -> SearchResult:
        """The passages that fit a question best."""
        ...


class EvalProgress(Protocol):
    """Called after each question, as ingest calls its own: ``stage`` is ``"eval"``, ``detail`` the question's id."""

    def __call__(self, stage: str, done: int, total: int, detail: str) -> None:
        """``done`` of ``total`` questions have their answer."""
        ...


async def evaluate(
    engine: Evaluable,
    questions: Sequence[Question],
    unanswerable: Sequence[Question] = (),
    *,
    k: int = 5,
    collection: str = "default",
    progress: EvalProgress | None = None,
    clock: Clock | None = None,
) -> EvalReport:
    """Ask every question and count what comes back.

    Switch the answer cache off for it (``cache_size=0``), so that the latencies are those of the whole path.

    Args:
        engine: whom to ask.
        questions: questions that name the article that answers them.
        unanswerable: questions that no document answers: the right answer is "I don't know".
        k: how many passages an answer rests on, 1 to 50.
        collection: where to ask.
        progress: called after each question.
        clock: measures the latency; the system's clock by default.

    Raises:
        ConfigError: ``k`` is out of its range.
        StoreError: the store could not be searched: a broken service has no quality to measure.
    """
    if not 1 <= k <= MAX_TOP_K:
        raise ConfigError("k", k, f"must be from 1 to {MAX_TOP_K}")
    clock = clock or SystemClock()
    everything = [*questions, *unanswerable]
    records = []
    for done, question in enumerate(everything, start=1):
        records.append(await _ask(engine, question, k=k, collection=collection, clock=clock))
        if progress is not None:
            progress("eval", done, len(everything), question.id)
    return summarize(records, k=k)


async def _ask(engine: Evaluable, question: Question, *, k: int, collection: str, clock: Clock) -> Record:
    depth = max(k, _SEARCH_DEPTH)
    result = await engine.search(Query(question=question.question, collection=collection, top_k=depth))
    found = tuple(article_of(hit.stored.uri) for hit in result.hits)
    started = clock.now_ns()
    answer = await engine.ask(Query(question=question.question, collection=collection, top_k=k))
    latency_ms = (clock.now_ns() - started) / 1e6
    return Record(
        id=question.id,
        question=question.question,
        style=question.style,
        article=question.article,
        facts=question.facts,
        rank=found.index(question.article) + 1 if question.article in found else None,
        found=found,
        answer=answer.text,
        cited=tuple(dict.fromkeys(article_of(citation.uri) for citation in answer.citations)),
        confidence=answer.confidence,
        refused=not answer.answered,
        correct=contains_fact(answer.text, question.facts) if question.facts else None,
        source=answer.source.value,
        tier=answer.tier.value,
        reasons=tuple(reason.value for reason in answer.reasons),
        latency_ms=round(latency_ms, 3),
        model=answer.model or "",
        cost_usd=answer.cost_usd,
    )
