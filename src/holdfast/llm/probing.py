"""Finds out whether a target that is left alone works again: a question of a few tokens, past its breaker.

When it is answered, the breaker goes half-open, and is asked the same through its front door until it closes. So a
target is back within seconds of its recovery, whether anybody asks for it or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.breaker_snapshot import BreakerState
from holdfast.core.clock import NS_PER_SECOND
from holdfast.errors import RejectedError
from holdfast.llm.attempt import Attempt
from holdfast.llm.costs import Cause
from holdfast.llm.messages import ChatRequest, Message
from holdfast.llm.question import ChatQuestion, EmbeddingQuestion
from holdfast.llm.routing.options import StreamTimers
from holdfast.llm.routing.targets import EmbeddingRoute

if TYPE_CHECKING:
    from holdfast.llm.question import Question
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.network import Network
    from holdfast.llm.routing.targets import ModelRoute, Target

__all__ = ["PROBE_SECONDS", "probe"]

PROBE_SECONDS = 5.0
"""The time that a target has to answer a probe, at least: it has as long as its answers take before they are late."""

_ASKED = "Reply with the word OK."
_MAX_TOKENS = 32
"""Room for models that think before they say OK. One that thinks longer is not found by a probe, but by a question,
when its breaker's time is over."""


async def probe(network: Network, route: ModelRoute | EmbeddingRoute, target: Target) -> bool:
    """Ask ``target`` something small; closes its breaker when it works.

    A target whose key is parked or that asked to be left alone is not asked: it said itself when it is back.

    Returns:
        whether it can be asked again now.

    Raises:
        ProviderError, AttemptTimeoutError, ConnectionError: it does not work yet.
    """
    now = network.clock.now_ns()
    links = [link for link in network.links([target]) if link.key.parked_until_ns <= now >= link.not_before_ns]
    if not links:
        return False
    link, breaker = links[0], links[0].state.breaker
    question = _question(route)
    seconds = _seconds(link, route)
    await _ask(network, link, question, seconds, guarded=False)
    breaker.allow_probe()
    for _ in range(breaker.options.success_threshold):
        if breaker.state is BreakerState.CLOSED:
            break
        try:
            await _ask(network, link, question, seconds, guarded=True)
        except RejectedError:  # somebody's question is the probe just now: it finds out as well
            break
    return breaker.state is BreakerState.CLOSED


def _seconds(link: Link, route: ModelRoute | EmbeddingRoute) -> float:
    # One that has become slow may have been given up for that alone: if no question is led to it, only probes find out
    # how slow it is. Each that ends too early is learnt from, so that the time grows to what the target takes.
    late_ns = link.state.pace.late_ns(streamed=False) or 0
    return max(PROBE_SECONDS, min(route.options.attempt_seconds, late_ns / NS_PER_SECOND))


async def _ask(network: Network, link: Link, question: Question, seconds: float, *, guarded: bool) -> None:
    attempt = Attempt(
        link=link,
        question=question,
        timers=StreamTimers(),
        seconds=seconds,
        http=network.http(link.target.provider),
        clock=network.clock,
        patience=network.patience,
    )
    answer = link.guard.call(attempt.run) if guarded else attempt.run()
    try:
        async for _ in answer:
            pass
    finally:
        await answer.aclose()
        if attempt.usage.total_tokens:
            network.book(link.target, attempt.usage, Cause.PROBE)


def _question(route: ModelRoute | EmbeddingRoute) -> Question:
    if isinstance(route, EmbeddingRoute):
        dimensions = route.dimension if route.ask_dimension else None
        return EmbeddingQuestion(texts=("OK",), kind="query", dimensions=dimensions, dimension=route.dimension)
    return ChatQuestion(request=ChatRequest(messages=[Message(role="user", content=_ASKED)], max_tokens=_MAX_TOKENS))
