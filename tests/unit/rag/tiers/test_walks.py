"""Questions walk down the tiers as far as they have to, and the service climbs back: with models, on a fake clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.scripted import ARTICLES, NONSENSE, QUESTION, Provider, desk

from holdfast.core.clock import NS_PER_SECOND
from holdfast.errors import ConfigError, StoreUnavailableError
from holdfast.rag.query import Query
from holdfast.rag.settings import load_settings
from holdfast.rag.types import Reason, Source, Tier
from holdfast.telemetry.events import TierChanged
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.rag.scripted import Desk, Response

    from holdfast.core.ports import HttpRequest

GONE = ConnectionRefusedError("nobody is there")
KEYS = {"OPENAI_API_KEY": "sk-secret-secret", "ANTHROPIC_API_KEY": "sk-ant-secret-secret"}


class Providers:
    """Two models at one host, told apart by the model that a request names."""

    def __init__(self, **by_model: Provider) -> None:
        self.by_model = {name.replace("_", "-"): provider for name, provider in by_model.items()}

    async def send(self, request: HttpRequest) -> Response:
        import json

        return await self.by_model[json.loads(request.body)["model"]].send(request)

    async def close(self) -> None:
        pass


async def pass_time(service: Desk, seconds: float) -> None:
    """Let the clock run, half a second at a time, and whatever waits for it."""
    for _ in range(round(2 * seconds)):
        service.clock.advance(0.5)
        for _ in range(60):
            await asyncio.sleep(0)


async def outage(service: Desk, provider: Provider, *, questions: int = 6) -> None:
    """Have a provider fail until its breaker is open."""
    provider.pieces = [GONE]
    for _ in range(questions):
        await service.ask()


def asked_of(provider: Provider) -> int:
    """How many questions of users a provider got; probes are none."""
    return sum(len(request["messages"]) > 1 for request in provider.requests)


def tier_of(service: Desk) -> Tier:
    return service.engine.tiers.tier


def moves(service: Desk) -> list[tuple[str, str]]:
    return [(event.from_tier, event.to_tier) for event in service.recorder.of(TierChanged)]


async def test_a_failing_model_is_followed_by_the_cheap_one(tmp_path: Path) -> None:
    """With the model down the cheap one writes, from three passages, in 200 tokens, with the short prompt."""
    main, cheap = Provider(pieces=[GONE]), Provider(pieces=["Within 30 days [1]."])
    many = {f"{n}.md": f"# Return part {n}\n\nPart {n} can be sent back as most products can.\n" for n in range(6)}
    async with desk(
        tmp_path,
        Providers(gpt_4o=main, gpt_4o_mini=cheap),
        articles={**ARTICLES, **many},
        model="openai/gpt-4o",
        cheap_model="openai/gpt-4o-mini",
        cache_size=0,
    ) as service:
        answer = await service.ask()
        await outage(service, main)
        later = await service.ask()
        asked = asked_of(main)
        await service.ask()
        assert asked_of(main) == asked  # the service is degraded: the walk begins at the cheap one
    assert (answer.source, answer.tier, answer.model) == (Source.LIVE, Tier.DEGRADED, "openai/gpt-4o-mini")
    assert answer.degraded
    assert (later.tier, later.reasons) == (Tier.DEGRADED, (Reason.PRIMARY_MODEL_UNAVAILABLE,))
    request = cheap.requests[-1]
    assert request.get("max_tokens", request.get("max_completion_tokens")) == 200
    assert cheap.prompt.count('id="') == 3
    assert "one to three sentences" in cheap.prompt
    assert len(cheap.requests[-1]["messages"][0]["content"]) < len(main.requests[0]["messages"][0]["content"])


async def test_with_all_models_down_the_last_good_answer_comes_first(tmp_path: Path) -> None:
    """While no model writes, an earlier answer from the same documents is given with its age, then quoted sentences."""
    provider = Provider()
    async with desk(tmp_path, provider, cache_ttl=60.0) as service:
        good = await service.ask()
        service.clock.advance(120.0)
        provider.pieces = [GONE]
        again = await service.ask()
        other = await service.ask("What does a return label cost?")
    assert good.tier is Tier.FULL
    assert (again.text, again.source, again.tier) == (good.text, Source.STALE_CACHE, Tier.MINIMAL)
    assert again.age_seconds >= 120.0
    assert (again.reasons, again.cost_usd) == ((Reason.LLM_UNAVAILABLE,), 0.0)
    assert "this is an earlier answer, 2 minutes old" in again.notice
    assert (other.source, other.tier, other.answered) == (Source.EXTRACT, Tier.MINIMAL, True)


async def test_changed_documents_come_before_an_old_answer(tmp_path: Path) -> None:
    """When the documents have changed since, what they say now is quoted rather than what a model once said."""
    provider = Provider(pieces=["Within 14 days [1]."])
    async with desk(tmp_path, provider, cache_ttl=60.0) as service:
        await service.ask()
        (tmp_path / "new.md").write_text("# News\n\nThe shop has a new roof.\n")
        await service.engine.ingestor.ingest_paths([tmp_path / "new.md"])
        service.clock.advance(120.0)
        provider.pieces = [GONE]
        answer = await service.ask()
    assert (answer.source, answer.tier) == (Source.EXTRACT, Tier.MINIMAL)
    assert "30 days" in answer.text


async def test_a_frequent_question_is_answered_when_nothing_else_can(tmp_path: Path) -> None:
    """With the store down and nothing remembered, an entry of the FAQ answers; without one, a polite sentence."""
    faq = tmp_path / "faq.toml"
    faq.write_text(
        '[[faq]]\nid = "returns"\nquestions = ["How do I return something?", "Can I send it back?"]\n'
        'keywords = ["return", "send back"]\nanswer = "Send it back within 30 days."\n'
    )
    async with desk(tmp_path, Provider(), faq_file=str(faq)) as service:

        async def gone(*_args: object, **_options: object) -> Any:
            raise StoreUnavailableError("gone")

        service.engine.store.lexical = gone  # type: ignore[method-assign]
        answer = await service.ask("How can I return something?")
        other = await service.ask(NONSENSE)
    assert (answer.text, answer.source, answer.tier) == ("Send it back within 30 days.", Source.FAQ, Tier.MINIMAL)
    assert (answer.answered, answer.degraded) == (True, True)
    assert answer.reasons == (Reason.VECTOR_STORE_UNAVAILABLE,)
    assert "frequent question" in answer.notice
    assert (other.source, other.tier, other.quality) == (Source.STATIC, Tier.OFFLINE, 0.0)


async def test_the_model_is_back_within_thirty_seconds_of_its_recovery_without_a_question(tmp_path: Path) -> None:
    """After an outage of ten minutes the service is full again within 30 s, though nobody asked anything meanwhile."""
    provider = Provider()
    async with desk(tmp_path, provider, clock=FakeClock(auto=False), cache_size=0) as service:
        asking = asyncio.create_task(outage(service, provider))
        while not asking.done():
            await pass_time(service, 0.5)
        await asking
        assert tier_of(service) is Tier.MINIMAL
        calls = len(provider.requests)
        questions = asked_of(provider)
        answer = await service.ask()
        assert (answer.tier, asked_of(provider)) == (Tier.MINIMAL, questions)  # nobody waits for a model that is down
        await pass_time(service, 600.0)
        assert tier_of(service) is Tier.MINIMAL
        assert len(provider.requests) - calls <= 160  # a look every four to five seconds
        provider.pieces = ["Within 30 days [1]."]
        healed = service.clock.now_ns()
        while tier_of(service) is not Tier.FULL:
            await pass_time(service, 0.5)
            assert service.clock.now_ns() - healed < 30 * NS_PER_SECOND
        answer = await service.ask()
    assert (answer.source, answer.tier, answer.reasons) == (Source.LIVE, Tier.FULL, ())
    assert moves(service) == [("full", "minimal"), ("minimal", "degraded"), ("degraded", "full")]


async def test_a_degraded_answer_is_not_kept(tmp_path: Path) -> None:
    """An answer of a tier below full is not written to the cache."""
    main, cheap = Provider(pieces=[GONE]), Provider(pieces=["Within 30 days [1]."])
    both = Providers(gpt_4o=main, gpt_4o_mini=cheap)
    async with desk(tmp_path, both, model="openai/gpt-4o", cheap_model="openai/gpt-4o-mini") as service:
        await service.ask()
        assert (await service.ask()).source is Source.LIVE


@pytest.mark.parametrize(
    ("tier", "source"),
    [
        (Tier.FULL, Source.LIVE),
        (Tier.DEGRADED, Source.LIVE),
        (Tier.MINIMAL, Source.EXTRACT),
        (Tier.OFFLINE, Source.STATIC),
    ],
)
async def test_a_question_may_be_asked_at_any_tier(tmp_path: Path, tier: Tier, source: Source) -> None:
    """``Query.tier`` shows what each tier would say."""
    async with desk(tmp_path, Provider(), cache_size=0) as service:
        answer = await service.engine.ask(Query(question=QUESTION, tier=tier))
    assert (answer.tier, answer.source, answer.degraded) == (tier, source, tier is not Tier.FULL)


async def test_priority_decides_who_waits(tmp_path: Path) -> None:
    """A question of high priority overtakes those that wait with a lower one."""
    provider = Provider(pieces=["Within 30 days", None])
    async with desk(tmp_path, provider, max_workers=1, cache_size=0) as service:
        streams = [service.engine.stream(Query(question=f"{QUESTION} ({number})")) for number in range(64)]
        for stream in streams:
            await anext(stream)
        order: list[int] = []

        async def ask(priority: int) -> None:
            await service.engine.ask(Query(question=NONSENSE, priority=priority, top_k=priority))
            order.append(priority)

        waiting = [asyncio.create_task(ask(priority)) for priority in (2, 5, 9)]
        for _ in range(200):
            await asyncio.sleep(0)
        assert service.engine.line.snapshot().waiting == 3
        await streams[0].aclose()
        await asyncio.gather(*waiting)
        for stream in streams[1:]:
            await stream.aclose()
    assert order == [9, 5, 2]


def test_a_cheap_model_needs_a_model(tmp_path: Path) -> None:
    """``cheap_model`` without ``model`` is refused with what to do."""
    from holdfast.rag.models import configured_models

    settings = load_settings(environ={}, data_dir=tmp_path, cheap_model="openai/gpt-4o-mini")
    with pytest.raises(ConfigError, match=r"cheap_model.*set model, too"):
        configured_models(settings, KEYS)
