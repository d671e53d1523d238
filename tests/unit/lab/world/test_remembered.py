"""What is remembered from one run to the next makes runs quicker, and changes nothing."""

from __future__ import annotations

import hashlib

from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.simulator import answers, tokens, vectors
from holdfast.lab.world import embedder
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Questions
from holdfast.lab.world.world import World, run_world
from holdfast.rag import chunking
from holdfast.rag.answering import candidates, prompting, supporting
from holdfast.rag.store import reader

_CACHES = (
    answers._statements_in,
    answers._stems_of_sentence,
    tokens._counted,
    vectors._features,
    embedder._vector,
    prompting._passage,
    supporting._words_of,
    reader._stored_chunk,
    chunking._is_made_of,
)


def play(seed: int) -> tuple[str, str]:
    """The trace of fifteen seconds, and a hash of all answers."""

    async def main(world: World) -> str:
        await world.traffic(6, 15, questions=Questions(world.draws, new_share=0.5, skew=1.0))
        return hashlib.sha256(repr(world.record.asked).encode()).hexdigest()

    ran = run_world(main, WorldOptions(seed=seed, faults=FaultPlan.everywhere(0.2)))
    return ran.trace, ran.value


def test_a_run_is_the_same_with_and_without_what_others_left() -> None:
    """A seed has the same trace and the same answers in a fresh process and after other runs."""
    for cache in _CACHES:
        cache.cache_clear()
    candidates._READ._known.clear()
    fresh = play(11)
    other = play(12)
    assert play(11) == fresh
    assert other != fresh
    assert all(cache.cache_info().hits for cache in _CACHES)
