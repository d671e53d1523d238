"""What an evaluation found: rates, a breakdown by style, and every single question with what came of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from holdfast.rag.evaluation.measures import auc, mean, percentile, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.rag.types import Tier

__all__ = ["EvalReport", "Record", "Scores", "summarize"]

_MRR_DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One question: what was expected and what came.

    Attributes:
        article: the article that answers it; empty when none does.
        rank: the place of the first passage of that article in the search, from 1; None when it was not found (or none
            was expected).
        found: the articles of the passages that were found, best first.
        cited: the articles that the answer cites.
        citations: how many passages it cites.
        citations_right: how many of these hold a fact or come from the right article; None when no document answers
            the question.
        refused: the service said that it does not know: the answer cites nothing.
        correct: the answer holds one of the facts; None when no facts are known.
        latency_ms: how long the answer took, milliseconds.
        model: provider and model that wrote the answer; empty when none did.
        cost_usd: what it cost.
    """

    id: str
    question: str
    style: str
    article: str
    facts: tuple[str, ...]
    rank: int | None
    found: tuple[str, ...]
    answer: str
    cited: tuple[str, ...]
    confidence: float
    refused: bool
    correct: bool | None
    source: str
    tier: str
    reasons: tuple[str, ...]
    latency_ms: float
    model: str = ""
    cost_usd: float = 0.0
    citations: int = 0
    citations_right: int | None = None

    @property
    def answerable(self) -> bool:
        """Whether a document answers it."""
        return bool(self.article)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Rates from 0 to 1 over answerable questions; None where nothing was measured.

    Attributes:
        questions: how many answerable questions there were.
        recall_at_1: the best passage is from the right article.
        recall_at_k: one of the ``k`` best passages, those that the answer rests on, is.
        mrr_at_10: the mean of 1/rank of the right article's first passage among the best ten.
        fact_in_answer: the answer contains one of the known facts.
        cites_article: the answer cites the right article.
        citation_precision: of all passages that the answers cite, the share that holds a fact or comes from the right
            article.
        refused: the service said that it does not know, though a document answers the question.
    """

    questions: int
    recall_at_1: float | None
    recall_at_k: float | None
    mrr_at_10: float | None
    fact_in_answer: float | None
    cites_article: float | None
    citation_precision: float | None
    refused: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalReport:
    """The result of an evaluation.

    Attributes:
        k: how many passages an answer rests on; 0 where none is searched for.
        tier: the best tier that the questions were allowed; None: the service's own.
        overall: the rates over all answerable questions.
        styles: the same for each style of question, by name.
        unanswerable: how many questions were asked that no document answers.
        unanswerable_refused: the share of these that the service refused to answer.
        unanswerable_refused_by_style: the same for each style of them, by name.
        confidence_auc: how well the confidence tells answerable from unanswerable questions: 1 is perfect, 0.5 chance.
        latency_ms_p50, latency_ms_p99: how long an answer took, milliseconds, over all questions.
        sources, tiers, reasons: how many answers came from where, at which tier, and what was missing. Latencies and
            rates mean what they should only when no answer came from a cache and none was degraded.
        models: how many answers each model wrote.
        cost_usd: what all answers cost.
        records: one for each question, in the order asked.
    """

    k: int
    overall: Scores
    styles: Mapping[str, Scores]
    unanswerable: int
    unanswerable_refused: float | None
    unanswerable_refused_by_style: Mapping[str, float]
    confidence_auc: float | None
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    sources: Mapping[str, int]
    tiers: Mapping[str, int]
    reasons: Mapping[str, int]
    models: Mapping[str, int]
    cost_usd: float
    records: tuple[Record, ...]
    tier: Tier | None = None

    def to_dict(self) -> dict[str, object]:
        """All of it as JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """All of it as a JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"


def summarize(records: Sequence[Record], *, k: int, tier: Tier | None = None) -> EvalReport:
    """Count what the records say."""
    answerable = [record for record in records if record.answerable]
    foreign = [record for record in records if not record.answerable]
    styles = sorted({record.style for record in answerable if record.style})
    latencies = [record.latency_ms for record in records]
    return EvalReport(
        k=k,
        overall=_scores(answerable, k=k),
        styles={style: _scores([record for record in answerable if record.style == style], k=k) for style in styles},
        unanswerable=len(foreign),
        unanswerable_refused=mean(record.refused for record in foreign),
        unanswerable_refused_by_style=_refused_by_style(foreign),
        confidence_auc=auc([record.confidence for record in answerable], [record.confidence for record in foreign]),
        latency_ms_p50=percentile(latencies, 0.50),
        latency_ms_p99=percentile(latencies, 0.99),
        sources=dict(Counter(record.source for record in records)),
        tiers=dict(Counter(record.tier for record in records)),
        reasons=dict(Counter(reason for record in records for reason in record.reasons)),
        models=dict(Counter(record.model for record in records if record.model)),
        cost_usd=sum(record.cost_usd for record in records),
        records=tuple(records),
        tier=tier,
    )


def _scores(records: Sequence[Record], *, k: int) -> Scores:
    ranks = [record.rank for record in records] if k else []  # without a search there is nothing to rank
    judged = [record for record in records if record.citations_right is not None]
    return Scores(
        questions=len(records),
        recall_at_1=mean(rank == 1 for rank in ranks),
        recall_at_k=mean(rank is not None and rank <= k for rank in ranks),
        mrr_at_10=mean(1 / rank if rank is not None and rank <= _MRR_DEPTH else 0.0 for rank in ranks),
        fact_in_answer=mean(record.correct for record in records if record.correct is not None),
        cites_article=mean(record.article in record.cited for record in records),
        citation_precision=share(
            sum(record.citations_right or 0 for record in judged), sum(record.citations for record in judged)
        ),
        refused=mean(record.refused for record in records),
    )


def _refused_by_style(records: Sequence[Record]) -> dict[str, float]:
    by_style: dict[str, list[bool]] = {}
    for record in records:
        if record.style:
            by_style.setdefault(record.style, []).append(record.refused)
    return {style: sum(refused) / len(refused) for style, refused in sorted(by_style.items())}
