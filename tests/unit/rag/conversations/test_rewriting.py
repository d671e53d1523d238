"""A follow-up is rewritten by a model in time, or else by rules; nothing else costs anything."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.unit.rag.conversations.conftest import Desk, FakeModel, settle, turn

from holdfast.core.deadline import deadline_scope
from holdfast.errors import ConfigError, ProviderError
from holdfast.rag.conversations.context import Context
from holdfast.rag.conversations.rewriting import How, RewriteOptions, Rewriter, Rewritten
from holdfast.rag.types import Tier
from holdfast.telemetry.conversation_events import QuestionRewritten

SAID = Context(turns=(turn(1, question="How do I return a damaged parcel?", answer="Print a label."),))
FOLLOW = "How long does that take?"
BY_RULES = "How long does that take? (return damaged parcel)"
BY_MODEL = "How long does the return of a damaged parcel take?"


def rewriter(desk: Desk, model: FakeModel | None, **options: float) -> Rewriter:
    return Rewriter(
        model,
        clock=desk.clock,
        rng=random.Random(1),
        voice=desk.voice,
        options=RewriteOptions(**options),  # type: ignore[arg-type]
    )


def told(desk: Desk) -> list[tuple[str, str]]:
    return [(event.how, event.error) for event in desk.recorder.of(QuestionRewritten)]


async def test_an_ordinary_question_costs_nothing() -> None:
    """It is not put to the model, and nothing is told."""
    desk, model = Desk(), FakeModel(BY_MODEL)
    question = "How do I cancel my subscription?"
    assert await rewriter(desk, model).rewrite(question, SAID) == Rewritten(standalone=question, how=How.AS_ASKED)
    assert (model.prompts, told(desk)) == ([], [])


async def test_the_first_question_of_a_conversation_stays_as_it_is() -> None:
    """There is nothing that it could follow."""
    desk, model = Desk(), FakeModel(BY_MODEL)
    assert (await rewriter(desk, model).rewrite(FOLLOW, Context())).standalone == FOLLOW
    assert model.prompts == []


async def test_a_follow_up_is_rewritten_by_the_model() -> None:
    """The model reads the conversation and the question; what it cost comes with what it wrote."""
    desk, model = Desk(), FakeModel(BY_MODEL)
    rewritten = await rewriter(desk, model).rewrite(FOLLOW, SAID)
    assert (rewritten.standalone, rewritten.how, rewritten.cost_usd) == (BY_MODEL, How.MODEL, 0.001)
    assert "User: How do I return a damaged parcel?" in model.prompts[0]
    assert FOLLOW in model.prompts[0]
    assert told(desk) == [("model", "")]


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (ProviderError("The provider is down."), "The provider is down."),
        ("Our refunds arrive after five working days.", "no question that can be used"),
        ("", "no question that can be used"),
    ],
)
async def test_rules_stand_in_for_a_model_that_fails(says: str | Exception, error: str) -> None:
    """An error, nonsense or nothing: the words of the topic are carried over, and the event says why."""
    desk = Desk()
    rewritten = await rewriter(desk, FakeModel(says)).rewrite(FOLLOW, SAID)
    assert (rewritten.standalone, rewritten.how) == (BY_RULES, How.RULES)
    assert told(desk)[0][0] == "rules"
    assert error in told(desk)[0][1]


async def test_what_a_useless_answer_cost_is_not_forgotten() -> None:
    """The model's price is paid for nonsense as well."""
    assert (await rewriter(Desk(), FakeModel("Fine!")).rewrite(FOLLOW, SAID)).cost_usd == 0.001


async def test_a_model_that_hangs_is_left_after_its_time() -> None:
    """After ``seconds`` the rules do it; the question does not wait longer."""
    desk = Desk()
    rewriting = asyncio.ensure_future(rewriter(desk, FakeModel(None), seconds=1.5).rewrite(FOLLOW, SAID))
    await settle()
    desk.clock.advance(1.49)
    await settle()
    assert not rewriting.done()
    desk.clock.advance(0.02)
    await settle()
    assert (rewriting.result().standalone, round(rewriting.result().ms)) == (BY_RULES, 1510)


async def test_the_model_has_a_share_of_the_time_that_is_left() -> None:
    """Near the deadline it has less time, and very near it is not asked."""
    desk, model = Desk(), FakeModel(None)
    with deadline_scope(4.0, clock=desk.clock):
        rewriting = asyncio.ensure_future(rewriter(desk, model).rewrite(FOLLOW, SAID))
        await settle()
        desk.clock.advance(0.61)  # 15% of 4 s are 0.6 s
        await settle()
        assert rewriting.result().how is How.RULES
    with deadline_scope(1.0, clock=desk.clock):
        assert (await rewriter(desk, model).rewrite(FOLLOW, SAID)).how is How.RULES
    assert len(model.prompts) == 1
    assert "no time left" in told(desk)[-1][1]


@pytest.mark.parametrize(("tier", "asked"), [(Tier.FULL, 1), (Tier.DEGRADED, 1), (Tier.MINIMAL, 0), (Tier.OFFLINE, 0)])
async def test_a_low_tier_asks_no_model(tier: Tier, asked: int) -> None:
    """Where models do not answer questions, they do not rewrite them."""
    desk, model = Desk(), FakeModel(BY_MODEL)
    await rewriter(desk, model).rewrite(FOLLOW, SAID, tier=tier)
    assert len(model.prompts) == asked


async def test_rules_follow_what_an_earlier_question_meant() -> None:
    """A follow-up to a follow-up gets the words that the first one had."""
    said = Context(turns=(turn(1, question=FOLLOW, standalone=BY_MODEL),))
    rewritten = await rewriter(Desk(), None).rewrite("And why?", said)
    assert rewritten.standalone == "And why? (return damaged parcel)"


async def test_where_nothing_can_be_added_the_question_is_as_asked() -> None:
    """A follow-up to small talk is searched as it is."""
    said = Context(turns=(turn(1, question="Hello!"),))
    desk = Desk()
    assert await rewriter(desk, None).rewrite(FOLLOW, said) == Rewritten(standalone=FOLLOW, how=How.AS_ASKED)
    assert told(desk) == [("as_asked", "")]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seconds", 0.0),
        ("share", 0.0),
        ("share", 1.1),
        ("least_seconds", 0.0),
        ("context_tokens", 0),
        ("max_tokens", 0),
    ],
)
def test_options_out_of_range_are_named(option: str, value: float) -> None:
    """Each option is checked when it is given."""
    with pytest.raises(ConfigError, match=f"^{option}="):
        RewriteOptions(**{option: value})  # type: ignore[arg-type]
