"""The place for a reranker: what reads question and passages together, and ranks them finer than a search can.

None is needed: :func:`holdfast.rag.retrieval.rerank` ranks by the best sentence and costs nothing. A reranker of your
own (a cross-encoder, a service) takes its place, and is a dependency like any other: it has a short time and a breaker,
and when it fails the passages come in the order that they have without it.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.errors import DependencyError
from holdfast.rag.retrieval import rerank
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.types import Hit

__all__ = ["RERANK_SECONDS", "Reranker", "Reranking"]

RERANK_SECONDS = 0.3
"""The time that a reranker has for a question."""


@runtime_checkable
class Reranker(Protocol):
    """Says how well each passage answers a question."""

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs; begins with ``"reranker:"``."""
        ...

    async def rerank(self, question: str, hits: Sequence[Hit]) -> Sequence[float]:
        """A finite number for each of ``hits``, in their order; the higher the better, only the order counts.

        Args:
            hits: up to 20 passages, or as many as are asked for when these are more; ``hit.stored`` has title,
                heading and text.
        """
        ...


class Reranking:
    """Ranks what was found, by a reranker where there is one and it works.

    Args:
        reranker: None: by the best sentence, which is what stands in for a reranker that fails, too.
        seconds: the time that it has, above 0.

    Attributes:
        guard: the pipeline around the reranker; None without one.
    """

    def __init__(
        self,
        reranker: Reranker | None,
        *,
        clock: Clock,
        rng: random.Random,
        events: Events,
        narrator: Narrator,
        seconds: float = RERANK_SECONDS,
    ) -> None:
        self._reranker = reranker
        self._narrator = narrator
        self.guard = (
            None
            if reranker is None
            else Pipeline(
                CircuitBreaker(failure_threshold=5, recovery_timeout=15.0),
                Timeout(seconds=seconds),
                name=reranker.name,
                clock=clock,
                rng=rng,
                events=events,
            )
        )

    async def best(
        self, question: str, hits: Sequence[Hit], query_vector: Vectors | None, *, k: int
    ) -> tuple[list[Hit], tuple[Reason, ...]]:
        """The ``k`` best of ``hits``, best first, and what was missing. Never raises for a reranker that is broken.

        Args:
            hits: fused passages, best first, several times ``k``.
            query_vector: the embedded question, or None.
            k: how many to return, at least 1.

        Raises:
            ConfigError: ``k`` is out of its range.
        """
        usual = rerank(hits, query_vector, k=k)
        if self._reranker is None or self.guard is None or len(hits) < 2:
            return usual, ()
        try:
            scores = await self.guard.call(_scores, self._reranker, question, hits)
        except Exception as error:  # noqa: BLE001 - whatever it was, the usual order is there
            self._narrator.stage_failed("search", self._reranker.name, Reason.RERANKER_UNAVAILABLE, error)
            return usual, (Reason.RERANKER_UNAVAILABLE,)
        return _ranked(hits, scores)[:k], ()


async def _scores(reranker: Reranker, question: str, hits: Sequence[Hit]) -> Sequence[float]:
    scores = [float(score) for score in await reranker.rerank(question, hits)]
    if len(scores) != len(hits) or not all(map(isfinite, scores)):
        raise DependencyError(f"{reranker.name} gave no finite number for each of {len(hits)} passages.")
    return scores


def _ranked(hits: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """The hits by their new scores, which are scaled to 0..1; ties keep their order."""
    low, high = min(scores), max(scores)
    span = high - low
    scaled = [
        replace(hit, score=(score - low) / span if span > 0 else hit.score)
        for hit, score in zip(hits, scores, strict=True)
    ]
    return sorted(scaled, key=lambda hit: -hit.score)
