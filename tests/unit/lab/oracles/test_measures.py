"""What a run measures, where the truth is known: shares of failing calls, repetitions, and outages of known lengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.lab.oracles.bounds import amplification, deviation, near, of_share

from holdfast.lab.configurations.base import Configuration
from holdfast.lab.configurations.calls import Bare, Calls, Repeated
from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.runs.play import play, runs_of
from holdfast.lab.scenarios.failing import FaultLine, OutageLine, interruptions
from holdfast.lab.scenarios.questions import lab_questions
from holdfast.lab.scenarios.scenario import Scenario
from holdfast.lab.scenarios.traffic import Traffic
from holdfast.rag.types import Answer, Source, Tier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.world.world import World
    from holdfast.rag.query import Query

EMBEDDER = "embedder:local"
FACTS = {question.text: question.facts[0] for question in lab_questions()}


class OneCall:
    """A program that calls the embedder once, and then knows the answer: nothing else can fail, or takes time."""

    def __init__(self, world: World, calls: Calls) -> None:
        self._embedder = world.engine.embedder
        self._calls = calls

    async def ask(self, query: Query) -> Answer:
        """The known fact."""
        assert self._embedder is not None
        await self._calls.call(EMBEDDER, self._embedder.embed, [query.question], kind="query")
        return Answer(text=FACTS[query.question], source=Source.LIVE, tier=Tier.FULL, request_id=query.request_id)

    async def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """The same."""
        yield await self.ask(query)


BARE = Configuration(name="one-call", about="One call.", program=lambda world: OneCall(world, Bare()))
REPEATED = Configuration(
    name="one-call-repeated", about="One call, repeated.", program=lambda world: OneCall(world, Repeated(world))
)


def scenario(rate: float, seconds: float, **options: Any) -> Scenario:
    """Questions that the program knows."""
    traffic = Traffic(rate=rate, new_share=options.pop("new_share", 0.0))
    return Scenario(name="oracle", about="A truth that is known.", seconds=seconds, traffic=traffic, **options)


def played(scenario: Scenario, configuration: Configuration) -> Outcome:
    """One run."""
    return play(runs_of(scenario, [configuration])[0])


def failing(component: str, way: str, rate: float) -> tuple[FaultLine, ...]:
    """One component that fails loudly, all the time, at a rate."""
    return (FaultLine(components=(component,), kind="errors", way=way, rate=rate),)


def test_a_program_without_policies_fails_as_often_as_its_dependency() -> None:
    """One call and no policy: the error rate is p = 0.8 within 5%, and goodput is what is left."""
    p, rate, seconds = 0.8, 20.0, 100.0
    measures = played(scenario(rate, seconds, faults=failing("embedder", "reset", p)), BARE).measures
    assert measures.error_rate == near(p, of_share(p, measures.asked), bound=0.05)
    assert measures.error_causes == {"failed": measures.errors}
    assert measures.calls[EMBEDDER] - measures.asked == 1  # the service looks whether it works, once at its start
    assert measures.goodput * seconds == pytest.approx(measures.asked - measures.errors)
    assert measures.quality == pytest.approx(1 - measures.error_rate)
    assert measures.asked == near(rate * seconds, math.sqrt(rate * seconds), bound=0.1)


def test_a_program_that_repeats_fails_as_the_closed_form_says() -> None:
    """Three repetitions at p = 0.8: errors p^4 within 11%, and (1-p^4)/(1-p) calls a question within 4%."""
    p, retries = 0.8, 3
    outcome = played(scenario(20.0, 100.0, faults=failing("embedder", "reset", p)), REPEATED)
    measures, count = outcome.measures, outcome.measures.asked
    error = p ** (retries + 1)
    assert measures.error_rate == near(error, of_share(error, count), bound=0.11)
    calls = (measures.calls[EMBEDDER] - 1) / count
    assert calls == near(amplification(p, retries), deviation(p, retries) / math.sqrt(count), bound=0.05)
    within = sum(bucket.retries for bucket in outcome.timeline)
    assert within == pytest.approx((calls - 1) * count, rel=0.05)  # but those after the last question was asked


def test_nothing_has_the_error_rate_of_the_one_that_fails() -> None:
    """The plain program with an embedder that fails at p = 0.8: errors p within 13%; the rest calls the model once."""
    p = 0.8
    run = scenario(20.0, 13.0, new_share=1.0, faults=failing("embedder", "reset", p))
    measures = played(run, configuration_of("nothing")).measures
    assert measures.error_rate == near(p, of_share(p, measures.asked), bound=0.13)
    assert measures.attempts_per_request == pytest.approx(1 - measures.error_rate)
    assert measures.retry_share == 0


def test_nothing_calls_the_model_once() -> None:
    """The plain program with a model that fails at p = 0.8: errors p within 15%, amplification exactly 1."""
    p = 0.8
    run = scenario(20.0, 9.0, new_share=1.0, faults=failing("model:openai", "server_error", p))
    measures = played(run, configuration_of("nothing")).measures
    assert measures.error_rate == near(p, of_share(p, measures.asked), bound=0.15)
    assert (measures.attempts_per_request, measures.retry_share) == (1, 0)
    assert measures.attempts_per_request_max == 1


def test_retries_only_calls_the_model_as_often_as_the_closed_form_says() -> None:
    """The plain program that repeats, p = 0.8: (1-p^4)/(1-p) calls a question within 14%, errors p^4 within 38%."""
    p, retries = 0.8, 3
    run = scenario(20.0, 8.0, new_share=1.0, faults=failing("model:openai", "server_error", p))
    measures = played(run, configuration_of("retries-only")).measures
    calls, error = amplification(p, retries), p ** (retries + 1)
    found = measures.attempts_per_request
    assert found == near(calls, deviation(p, retries) / math.sqrt(measures.asked), bound=0.14)
    assert measures.retry_share == pytest.approx(1 - 1 / found)
    assert measures.error_rate == near(error, of_share(error, measures.asked), bound=0.38)


@pytest.mark.parametrize(("begin", "length"), [(30.0, 25.0), (31.0, 12.0), (34.5, 40.0)])
def test_an_outage_without_protection(begin: float, length: float) -> None:
    """MTTR is the outage's length, and recovery nothing, up to the bucket; its share of the questions are errors."""
    seconds = 120.0
    line = FaultLine(components=("embedder",), kind="down", begin=begin, end=begin + length)
    measures = played(scenario(10.0, seconds, faults=(line,)), BARE).measures
    (mttr,), (recovery,) = measures.mttr, measures.recovery
    assert 0 <= mttr - length < 5
    assert recovery == pytest.approx(mttr - length)
    assert measures.unrecovered == 0
    share = length / seconds
    assert measures.error_rate == near(share, of_share(share, measures.asked), bound=0.4)
    whole = 5 * (math.ceil((begin + length) / 5) - begin // 5)
    assert measures.availability == pytest.approx(1 - whole / seconds)


def test_outages_at_random_times() -> None:
    """Each MTTR is its outage's length up to a bucket, and errors are the share of the time that was down, within 12%.

    Good are the buckets that no outage touches.
    """
    seconds, seed = 900.0, 5
    line = OutageLine(components=("embedder",), every=60.0, shortest=8.0, longest=60.0)
    run = scenario(6.0, seconds, outages=(line,), seed=seed)
    spans = interruptions(run.plan(seed, None), seconds)
    measures = played(run, BARE).measures
    onsets = [*(begin for begin, _ in spans[1:]), seconds]
    # Three good buckets, which end a repair, fit into every pause of 20 seconds.
    repaired = [place for place, (_, end) in enumerate(spans) if onsets[place] - end >= 20]
    assert len(repaired) >= 8
    for place in repaired:
        begin, end = spans[place]
        assert 0 <= measures.mttr[place] - (end - begin) < 5
        assert 0 <= measures.recovery[place] < 5
    assert measures.unrecovered <= len(spans) - len(repaired)
    down = sum(end - begin for begin, end in spans)
    share = down / seconds
    assert measures.error_rate == near(share, of_share(share, measures.asked), bound=0.12)
    bad = (1 - measures.availability) * seconds
    assert down < bad < down + 10 * len(spans)
    touched = {place for begin, end in spans for place in range(int(begin / 5), math.ceil(end / 5))}
    assert bad == pytest.approx(5 * len(touched), abs=5)  # a question may be missing where one is just touched
