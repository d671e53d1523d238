"""A chat route as the model that rewrites and sums up, and as the one that answers with the conversation at hand."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.rag.answering.conftest import make_hit
from tests.unit.rag.conversations.conftest import turn
from tests.unit.rag.scripted import Provider

from holdfast.errors import NotFoundError, TargetsExhaustedError
from holdfast.llm.client import ModelClient
from holdfast.llm.messages import Message
from holdfast.llm.routing.short import routes_from_names
from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.answering.generated import GenerationOptions, ModelAnswerer
from holdfast.rag.conversations.asking import RouteCompleter
from holdfast.rag.conversations.context import Context
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from holdfast.core.ports import Http


def client(http: Http) -> ModelClient:
    routes = routes_from_names("openai/gpt-4o-mini", name="answers", environ={"OPENAI_API_KEY": "sk-test"})
    return ModelClient(routes, http=http, clock=FakeClock(), rng=random.Random(1))


async def test_a_route_writes_and_says_what_it_cost() -> None:
    """The text, its price, and no more tokens asked for than are allowed."""
    provider = Provider(pieces=["How long?"])
    completer = RouteCompleter(client(provider), "answers")
    completed = await completer.complete([Message(role="user", content="Rewrite")], max_tokens=50)
    assert completed.text == "How long?"
    assert completed.cost_usd == pytest.approx(100 * 0.15e-6 + 20 * 0.6e-6)
    sent = provider.requests[0]
    assert 50 in {sent.get("max_tokens"), sent.get("max_completion_tokens")}


async def test_what_a_route_cannot_do_is_raised() -> None:
    """A provider that is down, or a route that is not there, is for the caller to deal with."""
    gone = Provider(pieces=[ConnectionRefusedError("no connection")])
    with pytest.raises(TargetsExhaustedError):
        await RouteCompleter(client(gone), "answers").complete([Message(role="user", content="Hi")], max_tokens=50)
    with pytest.raises(NotFoundError):
        RouteCompleter(client(Provider()), "nobody")


async def test_a_model_answers_with_the_conversation_at_hand() -> None:
    """What was said before is in its prompt, between tags, and nowhere when there is none."""
    provider = Provider()
    answerer = ModelAnswerer(
        client(provider),
        "answers",
        blocking=InlineBlocking(),
        rng=random.Random(1),
        options=GenerationOptions(min_confidence=0.0),
    )
    said = Context(turns=(turn(1, question="Can I return a lamp?", answer="Yes [1]."),))
    request = AnswerRequest(
        question="How long does that take? (return lamp)",
        hits=[make_hit("A return takes 30 days.")],
        conversation=said,
    )
    await answerer.answer(request)
    assert "User: Can I return a lamp?\nAssistant: Yes.\n</conversation_" in provider.prompt
    await answerer.answer(AnswerRequest(question="How long?", hits=[make_hit("A return takes 30 days.")]))
    assert "conversation_" not in provider.prompt
