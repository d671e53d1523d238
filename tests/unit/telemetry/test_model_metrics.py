"""What calls to models cost, as metrics."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.core.events import Events
from holdfast.telemetry.event_log import line_of
from holdfast.telemetry.events import ModelCallPriced
from holdfast.telemetry.metrics import Metrics
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
