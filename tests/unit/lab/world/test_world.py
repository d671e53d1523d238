"""The world: the production engine in virtual time, with faults, users and a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.draws import Draws
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.latency import Latency
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.virtual.running import run
from holdfast.lab.world.embedder import HashedEmbedder
from holdfast.lab.world.library import scratch_folder
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question, Questions, sample_questions
from holdfast.lab.world.world import World, run_world
from holdfast.rag.policies import Policies

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.lab.virtual.clock import VirtualClock
    from holdfast.lab.world.record import Asked

QUESTION = "How many days do I have to send back a toaster I don't like?"
FAST = SimulatorOptions(speed=0)


def ask(*faults: Fault, times: int = 1, **options: Any) -> list[Asked]:
    """The same question, some times, in a world of its own."""

    async def main(world: World) -> list[Asked]:
        return [await world.ask(QUESTION) for _ in range(times)]

    return run_world(main, WorldOptions(**{"faults": FaultPlan(faults), "provider": FAST, **options})).value


def test_a_question_is_answered_by_the_production_engine() -> None:
    """The answer comes from the first model, over the wire, in the time that the models of latency say."""

    async def main(world: World) -> None:
        asked = await world.ask(Question(QUESTION, ("30 days",)))
        assert (asked.tier, asked.source, asked.error, asked.useful, asked.fact) == ("full", "live", "", True, True)
        assert asked.model.endswith("gpt-4o-mini")
        assert asked.cost_usd > 0
        assert 0.2 < asked.seconds < 5
        assert asked.request == "ask-1"
        assert (await world.ask(QUESTION)).source == "cache"
        assert len(world.providers["openai"].calls) == 1
        assert len(world.providers["anthropic"].calls) == 0
        assert world.blocking.calls["store.read"] > 0
        assert world.http.in_use == 0
        assert world.engine.settings.data_dir.is_dir()
        folders.append(world.engine.settings.data_dir)

    folders: list[Path] = []
    ran = run_world(main)
    assert ran.left == 0
    assert not folders[0].exists()


def test_streams_run_in_virtual_time() -> None:
    """A streamed answer begins before it ends; when the provider falls silent in its middle another one goes on."""

    async def main(world: World) -> tuple[Asked, Asked]:
        good = await world.ask(QUESTION, streamed=True)
        world.strike(Fault(component="model:openai", kind=Kind.HANG, way="stall", begin=world.seconds))
        return good, await world.ask(QUESTION, streamed=True)

    slowly = SimulatorOptions(first_token=0.5, first_token_sigma=0, per_token=0.1, per_token_sigma=0)
    good, cut = run_world(main, WorldOptions(provider=slowly, settings={"cache_size": 0})).value
    assert good.first is not None
    assert 0.4 < good.first < good.seconds - 0.5
    assert (good.source, good.useful) == ("live", True)
    assert cut.useful
    assert cut.seconds > good.seconds + 5


def test_each_dependency_can_fail() -> None:
    """With a dependency down the answer says which one was missing, and comes all the same."""
    down = {
        name: ask(Fault(component=name, kind=Kind.DOWN))[0] for name in ("cache", "embedder", "model:openai", "model")
    }
    assert (down["cache"].tier, down["cache"].source) == ("full", "live")
    assert "embedder_unavailable" in down["embedder"].reasons
    assert down["model:openai"].source == "other_provider"
    assert down["model"].source not in {"live", "other_provider"}
    assert all(each.useful for each in down.values())


def test_a_store_that_is_down_leaves_little() -> None:
    """Without the store, its copy and anything remembered there is no live answer; the world records it as it is."""
    asked = ask(Fault(component="store", kind=Kind.DOWN), policies=Policies(standby=False))[0]
    assert asked.source not in {"live", "other_provider", "cache"}
    assert asked.reasons or asked.error


def test_a_store_that_is_down_leaves_the_copy() -> None:
    """A world begins with a copy of the documents that is as the store is: a new question is answered from it."""
    asked = ask(Fault(component="store", kind=Kind.DOWN))[0]
    assert (asked.tier, asked.source, asked.useful) == ("degraded", "live", True)
    assert asked.reasons == ("vector_store_unavailable",)


def test_the_faq_stands_in() -> None:
    """A common question has an answer even without the store and its copy, unless the world has no FAQ."""

    async def main(world: World) -> str:
        return (await world.ask("How do I return an item?")).source

    faults = FaultPlan([Fault(component="store", kind=Kind.DOWN)])
    alone = Policies(standby=False)
    assert run_world(main, WorldOptions(faults=faults, policies=alone)).value == "faq"
    assert run_world(main, WorldOptions(faults=faults, policies=alone, faq=False)).value == "static"


def test_a_defect_is_an_outcome_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that the engine does not raise on purpose is recorded, and kept for people, up to twenty times."""

    async def main(world: World) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("a defect")

        monkeypatch.setattr(world.engine, "ask", broken)
        for _ in range(25):
            assert (await world.ask(QUESTION)).error == "ZeroDivisionError"
        assert len(world.record.crashes) == 20
        assert "a defect" in world.record.crashes[0]

    run_world(main, WorldOptions(provider=FAST))


def test_faults_begin_and_end() -> None:
    """A fault hits what is asked in its time; one may be added on the way, for providers too."""

    async def main(world: World) -> list[str]:
        sources = []
        for wait in (0, 10, 10):
            await world.wait(wait)
            sources.append((await world.ask(QUESTION)).source)
        world.strike(Fault(component="model:openai", kind=Kind.DOWN, begin=world.seconds))
        sources.append((await world.ask(QUESTION)).source)
        return sources

    faults = FaultPlan([Fault(component="model:openai", kind=Kind.DOWN, begin=5, end=15)])
    options = WorldOptions(faults=faults, provider=FAST, settings={"cache_size": 0})
    assert run_world(main, options).value == ["live", "other_provider", "live", "other_provider"]


def test_wrong_faults_are_refused() -> None:
    """A way of failing that a part does not have is an error when the world is made, or when it is added."""
    with pytest.raises(ConfigError, match="way"):
        ask(Fault(component="store", kind=Kind.GARBAGE, way="gremlins"))
    with pytest.raises(ConfigError, match="way"):
        ask(Fault(component="model", kind=Kind.GARBAGE, way="gremlins"))

    async def main(world: World) -> None:
        world.strike(Fault(component="store", kind=Kind.ERRORS, way="gremlins"))

    with pytest.raises(ConfigError, match="way"):
        run_world(main)


def test_an_error_is_an_outcome() -> None:
    """A question that is refused is recorded with the error's name, and is not useful."""

    async def main(world: World) -> None:
        asked = await world.ask(" ")
        assert (asked.error, asked.useful, asked.tier) == ("InvalidInputError", False, "")
        assert world.record.summary()["errors"] == {"InvalidInputError": 1}
        assert world.record.useful_share() == 0.0

    run_world(main, WorldOptions(dimension=None))


def test_traffic_is_open_loop_and_its_own() -> None:
    """Arrivals are Poisson at the rate, and the same whatever else is configured; everybody gets an answer."""

    async def main(world: World) -> list[tuple[str, float, str]]:
        await world.traffic(rate=10, seconds=8)
        assert world.seconds >= 8
        return sorted((each.request, each.at, each.question) for each in world.record.asked)

    plain = run_world(main, WorldOptions(seed=3)).value
    slow = run_world(
        main,
        WorldOptions(seed=3, parts={"store": Latency(0.1)}, round_trip=Latency(0.2), settings={"cache_size": 0}),
    ).value
    assert plain == slow
    assert 45 < len(plain) < 120
    assert run_world(main, WorldOptions(seed=4)).value != plain


def test_two_configurations_meet_the_same_faults() -> None:
    """A request that the first provider fails under one configuration is failed by it under another."""

    async def main(world: World) -> dict[str, str]:
        await world.traffic(rate=5, seconds=20)
        calls = world.providers["openai"].calls
        return {call.drawn[0]: call.fault or "" for call in calls if call.drawn[1] == 1}  # type: ignore[index]

    faults = FaultPlan([Fault(component="model:openai", kind=Kind.ERRORS, rate=0.2)])
    met = run_world(main, WorldOptions(seed=5, faults=faults)).value
    others = run_world(
        main,
        WorldOptions(seed=5, faults=faults, settings={"cache_size": 0}, provider=FAST, parts={"cache": Latency(0.01)}),
    ).value
    both = met.keys() & others.keys()
    assert len(both) > 20
    assert {request: met[request] for request in both} == {request: others[request] for request in both}
    assert any(met[request] for request in both)


def test_the_record_hears_breakers_and_tiers() -> None:
    """An outage opens breakers and moves the tier, and its end closes and lifts them; the summary counts."""

    async def main(world: World) -> None:
        await world.traffic(rate=5, seconds=60)
        record = world.record
        assert any(move.dependency.startswith("store:") and move.after == "open" for move in record.breakers)
        assert record.tiers
        assert record.tiers[0].before == "full"
        assert all(move.at >= 10 for move in record.tiers)
        assert record.failures
        assert record.retries["store:sqlite"] > 0
        assert record.useful_share(0, 10) == 1.0
        assert record.useful_share(100, 200) == 1.0
        summary = record.summary()
        assert summary["asked"] == len(record.asked)
        assert summary["opened"] == {"store:sqlite": sum(move.after == "open" for move in record.breakers)}
        record.stop()

    faults = FaultPlan([Fault(component="store", kind=Kind.ERRORS, way="interrupted", begin=10, end=30)])
    run_world(main, WorldOptions(seed=1, faults=faults, settings={"cache_size": 0}, provider=FAST))


def test_a_provider_embeds() -> None:
    """With an embedder in the settings that is a provider's, questions are embedded over the wire, and fail there."""

    async def main(world: World) -> list[tuple[str, ...]]:
        return [(await world.ask(QUESTION)).reasons]

    settings = {"embedder": "openai/text-embedding-3-small", "cache_size": 0}
    faults = FaultPlan([Fault(component="embedder", kind=Kind.DOWN)])
    healthy = run_world(main, WorldOptions(settings=settings, provider=FAST)).value
    failing = run_world(main, WorldOptions(settings=settings, provider=FAST, faults=faults)).value
    assert "embedder_unavailable" in failing[0]
    assert "embedder_unavailable" not in healthy[0]


def test_without_models() -> None:
    """Without models the engine quotes the documents, and nothing is simulated."""

    async def main(world: World) -> str:
        assert world.providers == {}
        world.strike(Fault(component="model", kind=Kind.DOWN))
        return (await world.ask(QUESTION)).source

    assert run_world(main, WorldOptions(settings={"model": None})).value == "extract"


def test_other_documents(tmp_path: Path) -> None:
    """A world may be about a folder of one's own."""
    (tmp_path / "note.md").write_text("# Gadgets\n\nThe gadget weighs 312 grams.\n", encoding="utf-8")

    async def main(world: World) -> str:
        return (await world.ask("How much does the gadget weigh?")).text

    assert "312 grams" in run_world(main, WorldOptions(documents=tmp_path)).value
    with pytest.raises(ConfigError, match=r"documents=.*nowhere.*must be a folder with documents"):
        run_world(main, WorldOptions(documents=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"seed": -1}, "seed"),
        ({"dimension": 0}, "dimension"),
        ({"max_connections": 0}, "max_connections"),
        ({"sed": 1}, "sed"),
    ],
)
def test_options_are_checked(options: dict[str, Any], field: str) -> None:
    """An option out of its range is refused by name."""
    with pytest.raises(ConfigError, match=field):
        WorldOptions(**options)


def test_questions_are_drawn_by_request() -> None:
    """A request asks the same every time; a few questions are asked often; a share is worded anew."""
    draws = Draws(1)
    plain, skewed = Questions(draws), Questions(draws, skew=1.0)
    assert plain.of("user-1") == plain.of("user-1")
    asked = [skewed.of(f"user-{number}").text for number in range(1_000)]
    assert asked.count(sample_questions()[0].text) > 100
    anew = [Questions(draws, new_share=0.3).of(f"user-{number}").text for number in range(1_000)]
    assert 200 < sum("(Asked as" in each for each in anew) < 400
    own = Questions(draws, [Question("Why?")])
    assert own.of("user-1") == Question("Why?")


def test_the_embedder_is_behind_its_door() -> None:
    """The local embedder gives unit vectors in the time that the door charges, and none for no text."""

    async def main(clock: VirtualClock) -> None:
        async with World.open(clock) as world:
            embedder = HashedEmbedder(world.blocking, dimension=16)
            vectors = await embedder.embed(["a lamp", "lamps"], kind="query")
            assert vectors.shape == (2, 16)
            assert abs(float((vectors[0] ** 2).sum()) - 1) < 1e-5
            assert (await embedder.embed([])).shape == (0, 16)
            assert world.blocking.calls["embed.query"] >= 1
            await embedder.close()

    assert run(main).seconds > 0


def test_scratch_folders_are_private() -> None:
    """A folder is new, empty and its owner's alone."""
    folder = scratch_folder()
    assert (list(folder.iterdir()), folder.stat().st_mode & 0o777) == ([], 0o700)
    folder.rmdir()
