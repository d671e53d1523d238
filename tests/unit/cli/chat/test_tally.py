"""What a session counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from holdfast.cli.chat.tally import Tally
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.events import BreakerTransition, Events, FallbackUsed, RetryScheduled
from holdfast.core.pipeline import Pipeline
from holdfast.rag.types import Tier
from holdfast.telemetry.events import AnswerReturned, CacheLookup, ModelCallPriced, StageFailed
from holdfast.telemetry.model_events import ModelFailedOver

CALL: dict[str, Any] = {
    "time_ns": 0,
    "correlation_id": "",
    "call_id": "1",
    "pipeline": "store",
    "policy": "retry",
    "dependency": "store",
    "attempt": 1,
}


def engine() -> Any:
    """One with a breaker that is open, and a pipeline without one."""
    breaker = CircuitBreaker()
    guards = {"store": Pipeline(breaker, name="store"), "plain": Pipeline(name="plain")}
    breaker.force_open()
    return SimpleNamespace(events=Events(), guards=lambda: guards, tiers=SimpleNamespace(tier=Tier.MINIMAL))


def returned(seconds: float, tier: str = "full", source: str = "live", status: str = "ok") -> AnswerReturned:
    return AnswerReturned(
        time_ns=0,
        status=status,
        source=source,
        tier=tier,
        degraded=tier != "full",
        reasons=(),
        cost_usd=0.5,
        seconds=seconds,
    )


def test_everything_that_happens_is_counted() -> None:
    """Answers by tier, source and outcome, look-ups, repetitions, fail-overs, openings and costs are added up."""
    one = engine()
    tally = Tally(one)
    assert tally.latency_ms(0.5) is None
    for event in (
        *(returned(number / 100) for number in range(1, 100)),
        returned(9.0, "minimal", "extract", "degraded"),
        CacheLookup(time_ns=0, hit=True),
        CacheLookup(time_ns=0, hit=False),
        RetryScheduled(**CALL, retry=1, max_retries=2, delay_ns=1, kind="connect", error_type="x"),
        FallbackUsed(**CALL, alternative="a", index=0, kind="connect"),
        BreakerTransition(**CALL, from_state="closed", to_state="open", reason="failures", generation=2),
        BreakerTransition(**CALL, from_state="open", to_state="half_open", reason="recovery_timeout", generation=3),
        StageFailed(time_ns=0, stage="search", reason_code="x", error="y"),
        ModelFailedOver(time_ns=0, route="r", from_target="a", to_target="b", kind="timeout"),  # type: ignore[arg-type]
        ModelCallPriced(
            time_ns=0,
            provider="p",
            model="m",
            cause="first",
            prompt_tokens=100,
            completion_tokens=20,
            cached_tokens=0,
            estimated=False,
            usd=0.0125,
            known=True,
        ),
    ):
        one.events.emit(event)
    assert tally.questions == 100
    assert (tally.tiers, tally.sources) == ({"full": 99, "minimal": 1}, {"live": 99, "extract": 1})
    assert tally.statuses == {"ok": 99, "degraded": 1}
    assert (tally.cache_hits, tally.cache_lookups) == (1, 2)
    assert (tally.retries, tally.fallbacks, tally.failovers, tally.stages_failed, tally.openings) == (1, 1, 1, 1, 1)
    assert (tally.cost_usd, tally.tokens) == (0.0125, 120)
    assert (tally.latency_ms(0.5), tally.latency_ms(0.95)) == (500.0, 950.0)
    tally.close()
    one.events.emit(returned(1.0))
    assert tally.questions == 100


def test_the_status_line_names_what_is_not_closed() -> None:
    """It has the tier of the service, the breakers that are not closed, and the cost."""
    assert Tally(engine()).line() == "tier minimal · breakers store open · $0.0000 so far"
