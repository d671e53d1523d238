"""A reranker ranks what was found; one that is broken or slow costs its budget, and no answer."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.events import Events
from holdfast.errors import ConfigError
from holdfast.rag.narrator import Narrator
from holdfast.rag.reranking import RERANK_SECONDS, Reranker, Reranking
from holdfast.rag.types import Chunk, Hit, Reason, StoredChunk
from holdfast.telemetry.events import StageFailed
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence


def hit(name: str, score: float) -> Hit:
    chunk = Chunk(id=name, document_id=name, ordinal=0, start=0, end=1, heading="", text=name)
    return Hit(stored=StoredChunk(chunk=chunk, title="", uri=""), score=score)


HITS = [hit("a", 0.9), hit("b", 0.6), hit("c", 0.3)]


class Scripted:
    """Gives the scores that it was told to give, or raises, or never comes back."""

    name = "reranker:scripted"

    def __init__(self, scores: Any) -> None:
        self.scores = scores
        self.asked: list[tuple[str, int]] = []

    async def rerank(self, question: str, hits: Sequence[Hit]) -> Sequence[float]:
        self.asked.append((question, len(hits)))
        if isinstance(self.scores, Exception):
            raise self.scores
        if self.scores is None:
            await asyncio.Event().wait()
        result: Sequence[float] = self.scores
        return result


class World:
    """A reranking with its clock and what was told."""

    def __init__(self, reranker: Reranker | None, **options: Any) -> None:
        self.clock, events = FakeClock(), Events()
        self.recorder = EventRecorder(events)
        narrator = Narrator(events, self.clock)
        self.reranking = Reranking(
            reranker, clock=self.clock, rng=random.Random(1), events=events, narrator=narrator, **options
        )

    async def best(self, hits: Sequence[Hit] = HITS, k: int = 3) -> tuple[list[str], tuple[Reason, ...]]:
        found, reasons = await self.reranking.best("why?", hits, None, k=k)
        return [one.stored.chunk.id for one in found], reasons


async def test_without_a_reranker_the_usual_order_stands() -> None:
    """No reranker is no loss: the passages come as fused, and nothing is missing."""
    world = World(None)
    assert await world.best(k=2) == (["a", "b"], ())
    assert world.reranking.guard is None


async def test_a_reranker_decides_the_order() -> None:
    """The highest number comes first, scores are scaled to 0..1, and ties keep the order of the search."""
    reranker = Scripted([-3.0, 7.0, 2.0])
    world = World(reranker)
    found, reasons = await world.reranking.best("why?", HITS, None, k=2)
    assert [(one.stored.chunk.id, one.score) for one in found] == [("b", 1.0), ("c", 0.5)]
    assert (reasons, reranker.asked) == ((), [("why?", 3)])
    assert isinstance(reranker, Reranker)
    assert (await World(Scripted([1, 1, 1])).best())[0] == ["a", "b", "c"]


@pytest.mark.parametrize("scores", [ConnectionError("down"), [1.0], [1.0, 2.0, float("nan")], ["x", 1, 2], 7])
async def test_a_broken_reranker_leaves_the_usual_order_and_says_so(scores: Any) -> None:
    """Whatever is wrong with it or its numbers, the passages come as without it, with the reason."""
    world = World(Scripted(scores))
    assert await world.best(k=2) == (["a", "b"], (Reason.RERANKER_UNAVAILABLE,))
    (event,) = world.recorder.of(StageFailed)
    assert (event.stage, event.dependency, event.reason_code) == (
        "search",
        "reranker:scripted",
        "reranker_unavailable",
    )


async def test_a_slow_reranker_costs_its_budget() -> None:
    """After 0.3 s it is cancelled, and the usual order stands."""
    world = World(Scripted(None))
    asked = asyncio.create_task(world.best())
    for _ in range(10):
        await asyncio.sleep(0)
    world.clock.advance(RERANK_SECONDS - 0.01)
    await asyncio.sleep(0)
    assert not asked.done()
    world.clock.advance(0.02)
    assert await asked == (["a", "b", "c"], (Reason.RERANKER_UNAVAILABLE,))


async def test_a_reranker_that_keeps_failing_is_left_alone_for_a_while() -> None:
    """After five failures it is not asked for 15 s, so that nobody waits for it; then it is tried again."""
    reranker = Scripted(ConnectionError("down"))
    world = World(reranker)
    for _ in range(8):
        assert (await world.best())[1] == (Reason.RERANKER_UNAVAILABLE,)
    assert len(reranker.asked) == 5
    world.clock.advance(15.1)
    reranker.scores = [1, 2, 3]
    assert await world.best() == (["c", "b", "a"], ())


async def test_a_cancelled_question_is_cancelled() -> None:
    """A cancellation from outside is no failure of the reranker."""
    world = World(Scripted(None))
    asked = asyncio.create_task(world.best())
    for _ in range(10):
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not world.recorder.of(StageFailed)


async def test_one_passage_or_none_needs_no_ranking() -> None:
    """What cannot be put into another order is not sent anywhere."""
    reranker = Scripted([1.0])
    assert await World(reranker).best(HITS[:1]) == (["a"], ())
    assert await World(reranker).best([]) == ([], ())
    assert reranker.asked == []


async def test_options_out_of_their_range_are_refused() -> None:
    """The number of passages and the budget are checked."""
    with pytest.raises(ConfigError, match="k="):
        await World(Scripted([1, 2, 3])).best(k=0)
    with pytest.raises(ConfigError, match="seconds"):
        World(Scripted([]), seconds=0.0)
