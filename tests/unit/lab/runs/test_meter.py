"""What is a user-facing error, and what a run's measures say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.runs.meter import error_cause
from holdfast.lab.runs.play import play, runs_of
from holdfast.lab.scenarios.failing import FaultLine
from holdfast.lab.scenarios.scenario import Scenario
from holdfast.lab.scenarios.traffic import Burst, Traffic
from holdfast.lab.world.record import Asked

if TYPE_CHECKING:
    from holdfast.lab.runs.outcome import Outcome

GOOD: dict[str, Any] = {
    "request": "r", "question": "q", "at": 0.0, "seconds": 1.0, "tier": "full", "source": "live", "text": "30 days",
    "answered": True, "fact": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, ""),
        ({"fact": None}, ""),
        ({"source": "stale_cache", "tier": "minimal"}, ""),
        ({"source": "faq", "tier": "minimal"}, ""),
        ({"seconds": 30.1}, "late"),
        ({"seconds": 30.0}, ""),
        ({"fact": False}, "wrong"),
        ({"fact": False, "answered": False}, "unanswered"),
        ({"source": "static", "fact": False, "answered": False}, "static"),
        ({"source": "rejected"}, "rejected"),
        ({"text": ""}, "static"),
        ({"error": "QueueFullError"}, "rejected"),
        ({"error": "ShedError"}, "rejected"),
        ({"error": "StoreUnavailableError"}, "failed"),
        ({"error": "ZeroDivisionError"}, "failed"),
    ],
)
def test_the_cause_of_an_error(changes: dict[str, Any], cause: str) -> None:
    """No useful answer within the deadline, or one without the known fact; what is only degraded is none."""
    assert error_cause(Asked(**{**GOOD, **changes}), 30.0) == cause


def played(seconds: float = 20, *faults: FaultLine, config: str = "holdfast", **options: Any) -> Outcome:
    traffic = Traffic(**{"rate": 5.0, "new_share": 1.0, **options.pop("traffic", {})})
    scenario = Scenario(name="test", about="A test.", seconds=seconds, traffic=traffic, faults=faults, **options)
    return play(runs_of(scenario, [configuration_of(config)])[0])


def test_a_run_without_faults() -> None:
    """Every answer is live and useful; calls, money, time and the timeline add up."""
    outcome = played(traffic={"streamed": 0.5})
    measures = outcome.measures
    assert measures.errors == measures.openings == measures.wasted_calls == measures.crashes == 0
    assert measures.sources == {"live": measures.asked}
    assert (measures.availability, measures.quality, measures.mttr) == (1, 1, ())
    assert measures.goodput == measures.asked / 20
    assert measures.attempts_per_request == 1
    assert measures.cost_usd == pytest.approx(sum(measures.cost_by_cause.values()))
    assert measures.cost_by_cause == {"first": measures.cost_usd}
    assert set(measures.cost_by_model) == {"gpt-4o-mini"}
    assert 0 < measures.p50 < measures.p95 <= measures.p99 < 10
    assert 0 < measures.first_text_p95 < measures.p99
    assert measures.seconds_in_tier == {"full": 20}
    assert [each.at for each in outcome.timeline] == [0, 5, 10, 15]
    assert sum(each.offered for each in outcome.timeline) == measures.asked
    assert sum(each.attempts for each in outcome.timeline) == measures.calls["model:openai"]


def test_an_outage_of_both_providers() -> None:
    """It shows in the tier, in the breakers and in the sources; the service comes back, and the times say when."""
    line = FaultLine(components=("model",), kind="down", begin=10, end=30)
    outcome = played(60, line, traffic={"rate": 3.0})
    measures = outcome.measures
    assert measures.sources["extract"] > 20
    assert 0 < measures.useful_degraded < 0.8
    assert 0.7 < measures.quality < 1
    assert len(measures.mttr) == len(measures.recovery) == len(measures.full_again) == 1
    assert 0 < measures.full_again[0] < 30
    assert sum(measures.seconds_in_tier.values()) == pytest.approx(60, abs=0.002)  # each is rounded to milliseconds
    assert measures.openings >= 1
    assert any("model:openai/gpt-4o-mini" in each.open_breakers for each in outcome.timeline)
    assert outcome.timeline[4].tier != "full"
    assert outcome.timeline[-1].tier == "full"


def test_a_program_without_policies_gives_every_failure_to_its_users() -> None:
    """An error is an outcome: it is counted, and its outage is over when its cause is gone."""
    line = FaultLine(components=("store",), kind="down", begin=10, end=20)
    measures = played(40, line, config="nothing").measures
    assert measures.error_causes == {"failed": measures.errors}
    assert measures.error_rate == pytest.approx(0.25, abs=0.1)
    assert measures.mttr == (10.0,)
    assert measures.recovery == (0.0,)
    assert measures.availability == 0.75


def test_repeated_calls_are_counted_at_the_provider() -> None:
    """A question's second call to the same provider is a retry."""
    line = FaultLine(components=("model",), kind="errors", way="server_error", rate=0.2)
    outcome = played(10, line, settings={"model": "openai/gpt-4o-mini"})
    repeated = sum(each.retries for each in outcome.timeline)
    assert repeated > 0
    assert outcome.measures.retry_share == pytest.approx(repeated / sum(each.attempts for each in outcome.timeline))


def test_a_burst_is_refused_beyond_the_line() -> None:
    """Those who find no place are errors with their cause."""
    measures = played(
        5,
        traffic={"bursts": (Burst(at=1, count=100),), "low_share": 0.5},
        settings={"queue_size": 10, "max_workers": 1},
    ).measures
    assert measures.error_causes == {"rejected": measures.errors}
    assert measures.errors > 20


def test_a_cache_that_was_emptied_knows_nothing() -> None:
    """After a flush the questions that were answered from the cache are asked of the model again."""
    few = {"new_share": 0.0, "rate": 3.0, "skew": 3.0}
    for config in ("holdfast", "nothing"):
        cached = played(12, traffic=few, config=config).measures
        flushed = played(12, traffic=few, flushes=(6.0,), config=config).measures
        assert flushed.sources["live"] > cached.sources["live"]
