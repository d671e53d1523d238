"""Drills on a whole engine, with a provider, an embedder and a store, in virtual time."""

from __future__ import annotations

import random
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.scripted import ARTICLES, Provider

from holdfast.core.events import Events
from holdfast.errors import ConfigError, NotFoundError, QueueFullError
from holdfast.rag.app import build_engine
from holdfast.rag.injection.drill import Asked, Broken, Healed, Recovered, drill, scenario_named, subjects
from holdfast.rag.injection.kinds import Dependency, Kind
from holdfast.rag.injection.scenarios import Ask, Heal, Inject, Recover, Scenario, scenarios
from holdfast.rag.settings import load_settings
from holdfast.rag.types import Reason, Source, Tier
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.rag.engine import Engine
    from holdfast.rag.injection.drill import Moment

MOST_TO_RECOVER = 30.0
"""Seconds of virtual time, from the end of a fault to the first answer that is as good as before."""


def in_place(role: Dependency, part: Any) -> Any:
    """No model of embeddings is needed."""
    return HashEmbedder(dimension=256) if role is Dependency.EMBEDDER else part


@asynccontextmanager
async def engine_with(folder: Path, *, articles: bool = True, **settings: Any) -> AsyncIterator[Engine]:
    engine = build_engine(
        load_settings(environ={}, data_dir=folder, **({"fault_injection": True} | settings)),
        clock=FakeClock(),
        rng=random.Random(7),
        blocking=InlineBlocking(),
        events=Events(),
        http=Provider(),
        environ={"OPENAI_API_KEY": "sk-openai-secret"},
        wrap=in_place,
    )
    await engine.open()
    try:
        if articles:
            for name, text in ARTICLES.items():
                (folder / name).write_text(text)
            await engine.ingestor.ingest_paths([folder / name for name in ARTICLES])
        yield engine
    finally:
        await engine.close()


@dataclass
class Played:
    """What a drill told."""

    moments: list[Moment]

    def asked(self, phase: str) -> list[Asked]:
        return [each for each in self.moments if isinstance(each, Asked) and each.phase == phase]

    def answers(self, phase: str) -> list[tuple[Tier, Source]]:
        return [(each.answer.tier, each.answer.source) for each in self.asked(phase) if each.answer is not None]

    def reasons(self, phase: str) -> set[Reason]:
        return {reason for each in self.asked(phase) if each.answer is not None for reason in each.answer.reasons}

    @property
    def recovered(self) -> Recovered:
        last = self.moments[-1]
        assert isinstance(last, Recovered)
        return last


async def play(folder: Path, scenario: Scenario, **settings: Any) -> Played:
    async with engine_with(folder, **settings) as engine:
        about = await subjects(engine, "default")
        async with aclosing(drill(engine, scenario, about, collection="default")) as moments:
            played = Played([moment async for moment in moments])
        assert engine.injections is not None
        assert engine.injections.quiet
        return played


MODEL = "openai/gpt-4o-mini"


@pytest.mark.parametrize("name", scenarios())
async def test_every_scenario_is_answered_and_climbs_back(tmp_path: Path, name: str) -> None:
    """In every scenario each question gets an answer, and the engine is as before within 30 s of virtual time."""
    played = await play(tmp_path, scenarios()[name], model=MODEL)
    assert {tier for tier, _ in played.answers("before")} == {Tier.FULL}
    assert all(each.answer is not None and not each.refused for each in played.moments if isinstance(each, Asked))
    broken = [moment.injection for moment in played.moments if isinstance(moment, Broken)]
    healed = next(moment for moment in played.moments if isinstance(moment, Healed))
    assert healed.hits == sum(injection.hits for injection in broken) > 0
    assert played.recovered.seconds is not None
    assert played.recovered.seconds < MOST_TO_RECOVER
    assert played.recovered.still_open == ()
    assert played.answers("recovering")[-1][0] is Tier.FULL


async def test_a_model_that_is_down_is_replaced_by_quotes(tmp_path: Path) -> None:
    """While the only model is down the answers are quoted from the documents, and say so."""
    played = await play(tmp_path, scenarios()["model-down"], model=MODEL)
    assert set(played.answers("before")) == {(Tier.FULL, Source.LIVE)}
    assert {source for _, source in played.answers("broken")} == {Source.EXTRACT}
    assert Tier.FULL not in {tier for tier, _ in played.answers("broken")}
    assert Reason.LLM_UNAVAILABLE in played.reasons("broken")


@pytest.mark.parametrize(("megabytes", "instead"), [(100, Source.LIVE), (0, Source.STATIC)])
async def test_a_store_that_is_down_leaves_what_is_remembered(tmp_path: Path, megabytes: int, instead: Source) -> None:
    """What was asked before comes from memory; what was not is looked up in the copy, or gets a polite sentence."""
    played = await play(tmp_path, scenarios()["store-down"], model=MODEL, standby_megabytes=megabytes)
    sources = [(each.again, each.answer.source) for each in played.asked("broken") if each.answer is not None]
    assert [again for again, _ in sources] == [True, True, True, False, False, False]
    assert {source for again, source in sources if again} == {Source.CACHE}
    assert {source for again, source in sources if not again} == {instead}


async def test_an_embedder_that_is_down_leaves_the_words(tmp_path: Path) -> None:
    """Without the embedder every answer is found by words, and says so."""
    played = await play(tmp_path, scenarios()["embedder-down"])
    assert {tier for tier, _ in played.answers("broken")} == {Tier.DEGRADED}
    assert played.reasons("broken") == {Reason.EMBEDDER_UNAVAILABLE}


async def test_a_cache_that_is_down_is_not_noticed(tmp_path: Path) -> None:
    """Without its cache the engine answers as well as before."""
    played = await play(tmp_path, scenarios()["cache-down"], model=MODEL)
    assert {tier for tier, _ in played.answers("broken")} == {Tier.FULL}
    assert played.reasons("broken") == set()


async def test_without_a_model_what_needs_one_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """A scenario that breaks what is not in use is not played; one that does not exist names those that do."""
    async with engine_with(tmp_path) as engine:
        assert engine.injections is not None
        with pytest.raises(NotFoundError, match="model-down breaks what is not in use here: model"):
            scenario_named("model-down", engine.injections)
        with pytest.raises(NotFoundError, match=r"There is no scenario 'modl'. There are: model-down, "):
            scenario_named("modl", engine.injections)
        assert scenario_named("answerer-down", engine.injections).needs == {"answerer"}


async def test_a_drill_that_is_left_leaves_no_fault_behind(tmp_path: Path) -> None:
    """Whoever stops a drill in its middle has a service without faults."""
    async with engine_with(tmp_path) as engine:
        moments = drill(engine, scenarios()["blackout"], ["Lamps are lit at six"], collection="default")
        async for moment in moments:
            if isinstance(moment, Broken):
                break
        assert engine.injections is not None
        assert engine.injections.active()
        await moments.aclose()
        assert engine.injections.active() == ()


async def test_what_does_not_recover_is_told(tmp_path: Path) -> None:
    """A drill that is not over in its time says so, with the breakers that are still open."""
    impatient = Scenario(
        name="impatient",
        says="It is not waited for.",
        steps=(
            Ask(count=1),
            Inject(dependency="store", kind=Kind.UNAVAILABLE),
            Ask(count=3),
            Heal(),
            Recover(seconds=2.0),
        ),
    )
    played = await play(tmp_path, impatient)
    assert played.recovered == Recovered(seconds=None, still_open=("store:sqlite",))


async def test_a_refused_question_is_told_and_not_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine refuses is a moment of the drill like any other."""
    async with engine_with(tmp_path) as engine:

        def full(query: object) -> Any:
            raise QueueFullError("The queue is full.")

        monkeypatch.setattr(engine, "stream", full)
        asking = Scenario(name="asking", says="It is refused.", steps=(Ask(count=1),))
        moments = [moment async for moment in drill(engine, asking, ["Lamps are lit at six"], collection="default")]
        assert [(each.answer, each.refused) for each in moments if isinstance(each, Asked)] == [
            (None, "The queue is full.")
        ]


async def test_a_drill_needs_a_switchboard_and_something_to_ask(tmp_path: Path) -> None:
    """Without fault_injection, or without a subject, a drill is refused; an empty collection has no subject."""
    scenario = scenarios()["store-down"]
    async with engine_with(tmp_path, articles=False) as engine:
        assert sorted(await subjects(engine, "default"), reverse=True) == []
        with pytest.raises(ConfigError, match=r"about=.*must be at least one sentence"):
            await anext(drill(engine, scenario, [], collection="default"))
    async with engine_with(tmp_path, fault_injection=False) as engine:
        assert engine.injections is None
        assert sorted(await subjects(engine, "default"), reverse=True) == [
            "Most products can be sent back within 30 days of delivery",
            "Kitchen appliances carry a warranty of three years from the day of delivery",
        ]
        with pytest.raises(ConfigError, match="fault_injection=False: must be on for a drill"):
            await anext(drill(engine, scenario, ["x"], collection="default"))
