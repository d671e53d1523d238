"""Asks the questions, one after another, as a user would; at one tier of the service, or at several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from holdfast.core.clock import SystemClock
from holdfast.errors import ConfigError
from holdfast.rag.evaluation.measures import article_of, contains_fact
from holdfast.rag.evaluation.report import EvalReport, Record, summarize
from holdfast.rag.query import MAX_TOP_K, Query
from holdfast.rag.tiers.levels import Levels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.evaluation.questions import Question
    from holdfast.rag.types import Answer, SearchResult, Tier

__all__ = ["EvalProgress", "Evaluable", "evaluate", "evaluate_tiers"]

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
    """Ask every question and count what comes back, at the tier that the service is at.

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
    (report,) = await _evaluated(
        engine,
        questions,
        unanswerable,
        (None,),
        levels=Levels(),
        k=k,
        collection=collection,
        progress=progress,
        clock=clock,
    )
    return report


async def evaluate_tiers(
    engine: Evaluable,
    questions: Sequence[Question],
    unanswerable: Sequence[Question] = (),
    *,
    tiers: Sequence[Tier],
    levels: Levels | None = None,
    k: int = 5,
    collection: str = "default",
    progress: EvalProgress | None = None,
    clock: Clock | None = None,
) -> Mapping[Tier, EvalReport]:
    """Ask every question once for each of ``tiers``, as the best tier that may be used, and count what comes back.

    The search is judged by as many passages as a tier's answers rest on, at most ``k``.

    Args:
        engine, questions, unanswerable, k, collection, progress, clock: as for :func:`evaluate`.
        tiers: at least one, each once.
        levels: what each tier does; None: the defaults.

    Raises:
        ConfigError, StoreError: as for :func:`evaluate`.
    """
    reports = await _evaluated(
        engine,
        questions,
        unanswerable,
        tiers,
        levels=levels or Levels(),
        k=k,
        collection=collection,
        progress=progress,
        clock=clock,
    )
    return dict(zip(tiers, reports, strict=True))


async def _evaluated(
    engine: Evaluable,
    questions: Sequence[Question],
    unanswerable: Sequence[Question],
    tiers: Sequence[Tier | None],
    *,
    levels: Levels,
    k: int,
    collection: str,
    progress: EvalProgress | None,
    clock: Clock | None,
) -> list[EvalReport]:
    if not 1 <= k <= MAX_TOP_K:
        raise ConfigError("k", k, f"must be from 1 to {MAX_TOP_K}")
    clock = clock or SystemClock()
    everything = [*questions, *unanswerable]
    records: dict[Tier | None, list[Record]] = {tier: [] for tier in tiers}
    for done, question in enumerate(everything, start=1):
        searched = Query(question=question.question, collection=collection, top_k=max(k, _SEARCH_DEPTH))
        found = tuple(article_of(hit.stored.uri) for hit in (await engine.search(searched)).hits)
        for tier in tiers:
            asked = Query(question=question.question, collection=collection, top_k=k, tier=tier)
            records[tier].append(await _asked(engine, question, asked, found, clock))
        if progress is not None:
            progress("eval", done, len(everything), question.id)
    return [summarize(each, k=_passages(tier, levels, k), tier=tier) for tier, each in records.items()]


def _passages(tier: Tier | None, levels: Levels, k: int) -> int:
    """How many passages an answer of this tier rests on; 0 where nothing is searched."""
    if tier is None:
        return k
    level = levels[tier]
    return level.passages_for(k) if level.searches else 0


async def _asked(engine: Evaluable, question: Question, query: Query, found: tuple[str, ...], clock: Clock) -> Record:
    started = clock.now_ns()
    answer = await engine.ask(query)
    latency_ms = (clock.now_ns() - started) / 1e6
    cited = [article_of(citation.uri) for citation in answer.citations]
    right = [
        article == question.article or contains_fact(citation.text, question.facts)
        for article, citation in zip(cited, answer.citations, strict=True)
    ]
    return Record(
        id=question.id,
        question=question.question,
        style=question.style,
        article=question.article,
        facts=question.facts,
        rank=found.index(question.article) + 1 if question.article in found else None,
        found=found,
        answer=answer.text,
        cited=tuple(dict.fromkeys(cited)),
        confidence=answer.confidence,
        refused=not answer.answered,
        correct=contains_fact(answer.text, question.facts) if question.facts else None,
        source=answer.source.value,
        tier=answer.tier.value,
        reasons=tuple(reason.value for reason in answer.reasons),
        latency_ms=round(latency_ms, 3),
        model=answer.model or "",
        cost_usd=answer.cost_usd,
        citations=len(cited),
        citations_right=sum(right) if question.article else None,
    )
