"""Policies can be switched off one by one, and take the numbers of a profile."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_options import MODEL, BreakerOptions
from holdfast.core.faults import FaultKind
from holdfast.core.profiles import AGGRESSIVE, CONSERVATIVE
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError
from holdfast.rag.models import Configured, configured_models
from holdfast.rag.policies import ALL, Policies
from holdfast.rag.settings import Settings

USUAL = (
    Retry(max_retries=2, initial_delay=0.05, max_delay=0.5, limits={FaultKind.TIMEOUT: 1}),
    CircuitBreaker(failure_threshold=5, recovery_timeout=15.0),
    Timeout(seconds=2.0),
)


def models() -> Configured:
    """Two models of two providers, and a cheap one."""
    settings = Settings(
        model="openai/gpt-4o-mini, anthropic/claude-haiku-4-5",
        cheap_model="openai/gpt-4.1-nano",
        openai_api_key=SecretStr("sk-a"),
        anthropic_api_key=SecretStr("sk-b"),
    )
    configured = configured_models(settings, {})
    assert configured is not None
    return configured


def test_all_of_them_work_by_default() -> None:
    """By default every policy and every number stays as it was."""
    configured = models()
    assert Policies() == ALL
    assert ALL.configured(configured) is configured
    kept = ALL.around(USUAL)
    assert kept[0] is USUAL[0]
    assert isinstance(kept[1], CircuitBreaker)
    assert kept[1].options == USUAL[1].options
    assert kept[2] is USUAL[2]


def test_each_is_left_out_by_itself() -> None:
    """Without retries a pipeline has none, without breakers it has none, and the time limit stays."""
    assert [type(each) for each in Policies(retries=False).around(USUAL)] == [CircuitBreaker, Timeout]
    assert [type(each) for each in Policies(breakers=False).around(USUAL)] == [Retry, Timeout]


def test_a_profile_brings_its_numbers() -> None:
    """A profile changes how often, after which time and for how long; local waits keep their proportion."""
    retry, breaker, timeout = Policies(profile=CONSERVATIVE).around(USUAL)
    assert isinstance(retry, Retry)
    assert (retry.max_retries, retry.initial_delay, retry.max_delay) == (5, 0.1, 1.0)
    assert retry.limits == {FaultKind.TIMEOUT: 1}
    assert isinstance(breaker, CircuitBreaker)
    assert (breaker.options.failure_threshold, breaker.options.recovery_timeout) == (3, 120.0)
    assert timeout is USUAL[2]
    rate = BreakerOptions(window="time")
    assert Policies(profile=CONSERVATIVE).breaker(rate) is rate


def test_routes_of_models_follow() -> None:
    """Repetitions, breakers and other targets of the models' routes are switched as everything else is."""
    route = Policies(profile=AGGRESSIVE).configured(models()).routes.models["answers"]
    assert (route.options.retry.max_retries, route.options.retry.initial_delay) == (2, 0.5)
    assert route.targets[0].provider.breaker.failure_threshold == 10
    assert len(route.targets) == 2
    bare = Policies(retries=False, breakers=False, failover=False).configured(models())
    route = bare.routes.models["answers"]
    assert bare.cheap is None
    assert [each.name for each in route.targets] == ["openai/gpt-4o-mini"]
    assert route.options.retry.max_retries == 0
    assert route.targets[0].provider.breaker.failure_threshold > 1e9 > MODEL.failure_threshold


@pytest.mark.parametrize(("field", "value"), [("retries", 1), ("words", None), ("profile", "balanced")])
def test_what_is_no_switch_is_refused(field: str, value: Any) -> None:
    """A switch that is neither true nor false, or a profile that is none, is refused with its name."""
    with pytest.raises(ConfigError, match=field):
        Policies(**{field: value})
