"""What calls to models cost, as metrics."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.core.events import CallFailed, CallSucceeded, Events
from holdfast.core.faults import FaultKind
from holdfast.telemetry.event_log import line_of
from holdfast.telemetry.events import ModelCallPriced
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.model_events import (
    KeyParked,
    ModelAnswered,
    ModelFailedOver,
    StreamBroken,
    StreamContinued,
)
from holdfast.telemetry.model_metrics import CAUSES, MAX_MODELS
from holdfast.testing.clock import FakeClock


def priced(**changes: Any) -> ModelCallPriced:
    fields: dict[str, Any] = {
        "time_ns": 1,
        "provider": "openai",
        "model": "gpt-4o",
        "cause": "first",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 30,
        "estimated": False,
        "usd": 0.5,
        "known": True,
    }
    return ModelCallPriced(**{**fields, **changes})


class Bench:
    """Metrics that listen, and a way to read them."""

    def __init__(self) -> None:
        self.metrics = Metrics(clock=FakeClock())
        self.events = Events()
        self.metrics.listen(self.events)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            f"holdfast_model_{name}_total", {"provider": "openai", "model": "gpt-4o", **labels}
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_call_is_counted_by_cause(bench: Bench) -> None:
    """Dollars and tokens are added under the model and the cause; fresh and cached tokens are told apart."""
    for cause in ("first", "first", "wasted"):
        bench.events.emit(priced(cause=cause))
    assert bench.value("cost_usd", cause="first") == pytest.approx(1.0)
    assert bench.value("cost_usd", cause="wasted") == pytest.approx(0.5)
    directions = ("input", "cached_input", "output")
    assert [bench.value("tokens", cause="first", direction=one) for one in directions] == [140, 60, 40]


def test_every_cause_is_there_from_a_models_first_call(bench: Bench) -> None:
    """A model that was called has a series for each cause, so that a rate sees the first repetition."""
    assert bench.value("cost_usd", cause="retry") is None
    bench.events.emit(priced())
    assert {bench.value("cost_usd", cause=cause) for cause in CAUSES if cause != "first"} == {0}
    assert bench.value("unpriced_calls") == 0


def test_call_without_a_price_is_counted_apart(bench: Bench) -> None:
    """A call whose price is not known adds tokens and no dollars, and is counted."""
    bench.events.emit(priced(usd=0.0, known=False))
    assert bench.value("cost_usd", cause="first") == 0
    assert bench.value("unpriced_calls") == 1


def test_labels_are_bounded(bench: Bench) -> None:
    """Models beyond the bound, and causes that nobody knows, share the series of ``other``."""
    for index in range(MAX_MODELS + 5):
        bench.events.emit(priced(model=f"m{index}"))
    bench.events.emit(priced(model="m0", cause="new"))
    assert bench.value("cost_usd", provider="other", model="other", cause="first") == pytest.approx(2.5)
    assert bench.value("cost_usd", model="m0", cause="other") == pytest.approx(0.5)
    families = {one.name: one for one in text_string_to_metric_families(bench.metrics.render()[0].decode())}
    assert len(families["holdfast_model_cost_usd"].samples) == (MAX_MODELS + 1) * (len(CAUSES) + 1)


def test_more_cached_tokens_than_tokens_count_as_all(bench: Bench) -> None:
    """A provider that reports more cached tokens than tokens makes no count go down."""
    bench.events.emit(priced(prompt_tokens=5, cached_tokens=9))
    assert bench.value("tokens", cause="first", direction="input") == 0
    assert bench.value("tokens", cause="first", direction="cached_input") == 5


def test_line_of_a_call() -> None:
    """The log line has the figures under the names that other lines use."""
    level, message, fields = line_of(priced())
    assert (level, message, fields["cost_usd"], fields["cause"]) == ("debug", "model call priced", 0.5, "first")


# -- calls -----------------------------------------------------------------------------------------------------------


def sample(bench: Bench, name: str, **labels: str) -> float | None:
    return bench.metrics.registry.get_sample_value(f"holdfast_model_{name}", labels)


def ended(dependency: str, kind: str | None = None, error_type: str = "ConnectionError") -> CallSucceeded | CallFailed:
    base: dict[str, Any] = {
        "time_ns": 1,
        "correlation_id": "",
        "call_id": "",
        "pipeline": dependency,
        "policy": "pipeline",
        "dependency": dependency,
        "attempt": 1,
        "attempts": 1,
        "duration_ns": 1,
    }
    return CallSucceeded(**base) if kind is None else CallFailed(**base, kind=kind, error_type=error_type)


def test_calls_are_counted_by_how_they_end(bench: Bench) -> None:
    """A call to a model is ok, failed, cancelled or refused; calls to anything else are not counted."""
    for event in (
        ended("model:a/m"),
        ended("model:a/m", "connect"),
        ended("model:a/m", "cancelled", "GeneratorExit"),
        ended("model:a/m", "overloaded", "holdfast.errors.CircuitOpenError"),
        ended("store:sqlite"),
    ):
        bench.events.emit(event)
    outcomes = ("ok", "failed", "cancelled", "refused")
    assert [sample(bench, "calls_total", target="a/m", outcome=one) for one in outcomes] == [1, 1, 1, 1]
    assert sample(bench, "calls_total", target="store:sqlite", outcome="ok") is None


def test_first_tokens_fail_overs_breaks_and_keys_are_counted(bench: Bench) -> None:
    """What happens on the way to an answer has its series, by target and not by key."""
    over: dict[str, Any] = {"time_ns": 1, "route": "answers", "from_target": "a/m#K1", "to_target": "b/m"}
    answered = ModelAnswered(
        time_ns=1, route="answers", target="b/m#K2", calls=2, first_token_seconds=0.6, streamed=True
    )
    for event in (
        answered,
        ModelFailedOver(**over, kind=FaultKind.TIMEOUT),
        StreamContinued(**over, characters=3),
        StreamBroken(time_ns=1, route="answers", target="b/m", kind=FaultKind.CONNECT, characters=3),
        KeyParked(time_ns=1, provider="a", key="K1", kind=FaultKind.QUOTA, seconds=300.0),
    ):
        bench.events.emit(event)
    assert sample(bench, "first_token_seconds_sum", target="b/m") == pytest.approx(0.6)
    assert sample(bench, "first_token_seconds_bucket", target="b/m", le="0.5") == 0
    assert sample(bench, "failovers_total", route="answers", from_target="a/m", to_target="b/m") == 1
    assert sample(bench, "streams_broken_total", route="answers", outcome="continued") == 1
    assert sample(bench, "streams_broken_total", route="answers", outcome="told") == 1
    assert sample(bench, "keys_parked_total", provider="a", kind="quota") == 1


def test_names_that_are_made_up_cannot_fill_the_memory(bench: Bench) -> None:
    """After the first 100 targets and pairs, further ones are counted together."""
    for number in range(MAX_MODELS + 5):
        bench.events.emit(ended(f"model:a/{number}"))
        bench.events.emit(
            ModelFailedOver(time_ns=1, route="r", from_target=f"a/{number}", to_target="b/m", kind=FaultKind.TIMEOUT)
        )
    assert sample(bench, "calls_total", target="other", outcome="ok") == 5
    assert sample(bench, "failovers_total", route="other", from_target="other", to_target="other") == 5
