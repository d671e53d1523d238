"""The breaker's options: what is refused, and what the presets say."""

import dataclasses
from typing import Any, get_type_hints

import pytest

from holdfast.core.breaker import CACHE, MODEL, VECTOR_STORE, BreakerOptions, CircuitBreaker
from holdfast.core.breaker_options import BreakerChanges
from holdfast.core.faults import FaultKind
from holdfast.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value", "others"),
    [
        ("window", "sliding", {}),
        ("failure_threshold", 0, {}),
        ("failure_threshold", float("nan"), {}),
        ("failure_threshold", 6, {"window": "count"}),
        ("window_calls", 0, {"window": "count"}),
        ("window_calls", 50, {"window": "combined"}),
        ("slow_call_duration", 2.0, {"window": "combined"}),
        ("window_calls", 50, {}),
        ("window_calls", 50, {"window": "time"}),
        ("window_seconds", 0, {"window": "time"}),
        ("window_seconds", 5.0, {"window": "count"}),
        ("minimum_calls", 0, {"window": "time"}),
        ("minimum_calls", 101, {"window": "count"}),
        ("minimum_calls", 10, {}),
        ("failure_rate", 0, {"window": "count"}),
        ("failure_rate", 1.1, {"window": "count"}),
        ("failure_rate", 0.4, {}),
        ("slow_call_duration", 0, {"window": "count"}),
        ("slow_call_duration", 2.0, {}),
        ("slow_call_rate", 1.5, {"window": "time"}),
        ("slow_call_rate", 0.7, {}),
        ("recovery_timeout", 0, {}),
        ("recovery_timeout", "15", {}),
        ("recovery_multiplier", 0.9, {}),
        ("max_recovery_timeout", 14.9, {}),
        ("max_recovery_timeout", float("inf"), {}),
        ("recovery_jitter", -0.1, {}),
        ("recovery_jitter", 1, {}),
        ("healthy_period", -1, {}),
        ("success_threshold", 0, {}),
        ("success_threshold", 1.5, {}),
        ("half_open_max_calls", 0, {}),
        ("probe_lease", -1, {}),
        ("ramp_seconds", -1, {}),
        ("ramp_start", 0, {}),
        ("ramp_start", 1.01, {}),
        ("expected", ["nonsense"], {}),
        ("expected", 3, {}),
        ("shadow", 1, {}),
    ],
)
def test_options_out_of_range(field: str, value: Any, others: dict[str, Any]) -> None:
    """Each option out of its range, or without a meaning in its mode, is refused by name."""
    with pytest.raises(ConfigError) as refused:
        CircuitBreaker(**{field: value}, **others)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"window": "count", "window_calls": 1, "minimum_calls": 1, "failure_rate": 1, "slow_call_rate": 1},
        {"window": "count", "window_calls": 7, "minimum_calls": 7},
        {"window": "time", "window_seconds": 1e-9, "minimum_calls": 1, "slow_call_duration": 1e-9},
        {"window": "time", "minimum_calls": 101, "failure_rate": 0.1, "slow_call_rate": 0.1},
        {"failure_threshold": 0.1},
        {
            "window": "combined",
            "failure_threshold": 0.1,
            "window_seconds": 5.0,
            "minimum_calls": 101,
            "failure_rate": 0.6,
        },
        {"recovery_timeout": 5, "max_recovery_timeout": 5, "recovery_multiplier": 1},
        {"recovery_jitter": 0.999, "healthy_period": 0, "success_threshold": 1, "half_open_max_calls": 1},
        {"ramp_seconds": 0, "ramp_start": 1},
    ],
)
def test_options_at_their_bounds(options: dict[str, Any]) -> None:
    """What is just within its range, and has a meaning in its mode, is taken."""
    taken = CircuitBreaker(**options).options
    assert {name: getattr(taken, name) for name in options} == options


def test_an_unknown_option() -> None:
    """A keyword that is no option is refused by name, with the one that may be meant."""
    with pytest.raises(ConfigError, match="failure_treshold=3: is no option of CircuitBreaker; did you mean"):
        CircuitBreaker(failure_treshold=3)  # type: ignore[call-arg]


def test_the_keywords_are_the_options() -> None:
    """What a type checker knows of the keywords is what the options are, and that none has to be given."""
    fields = {field.name: field.type for field in dataclasses.fields(BreakerOptions)}
    assert list(get_type_hints(BreakerChanges)) == list(fields)
    assert get_type_hints(BreakerChanges) == get_type_hints(BreakerOptions)
    assert BreakerChanges.__required_keys__ == frozenset()


def test_presets_and_changes() -> None:
    """The presets are those of the requirements; keywords change one without touching it."""
    assert (MODEL.failure_threshold, MODEL.recovery_timeout) == (5, 30)
    assert (VECTOR_STORE.failure_threshold, VECTOR_STORE.recovery_timeout) == (5, 60)
    assert (CACHE.failure_threshold, CACHE.recovery_timeout) == (10, 10)
    breaker = CircuitBreaker(MODEL, success_threshold=1)
    assert breaker.options == dataclasses.replace(MODEL, success_threshold=1)
    assert MODEL.success_threshold == 2
    assert CircuitBreaker(CACHE).options == CACHE
    assert CircuitBreaker().options == BreakerOptions()


@pytest.mark.parametrize("window", ["consecutive", "count", "time"])
def test_a_preset_with_another_window(window: Any) -> None:
    """What the preset says of its own window is forgotten, where it means nothing in the new one."""
    options = CircuitBreaker(MODEL, window=window).options
    assert (options.window, options.recovery_timeout) == (window, 30.0)
    kept = {"consecutive": (5, 30.0, 0.5), "count": (5, 30.0, 0.7), "time": (5, 5.0, 0.7)}[window]
    assert (options.failure_threshold, options.window_seconds, options.failure_rate) == kept


def test_an_option_without_a_meaning_is_refused_where_it_is_given() -> None:
    """Whoever gives it by name learns that it means nothing there; and of a window that there is none such."""
    with pytest.raises(ConfigError, match="window_seconds"):
        CircuitBreaker(MODEL, window="count", window_seconds=3.0)
    with pytest.raises(ConfigError, match="sliding"):
        CircuitBreaker(MODEL, window="sliding")  # type: ignore[arg-type]


def test_another_window_while_it_works() -> None:
    """The same holds for a breaker that is given other options."""
    breaker = CircuitBreaker(MODEL)
    breaker.reconfigure(window="consecutive")
    assert breaker.options == dataclasses.replace(BreakerOptions(), recovery_timeout=30.0)


def test_expected_kinds_by_name() -> None:
    """Kinds may be given in any collection, by their names too."""
    assert BreakerOptions(expected=["timeout"]).expected == frozenset({FaultKind.TIMEOUT})  # type: ignore[list-item]


def test_the_longest_opening() -> None:
    """It is ten times the first one where nothing else is said."""
    assert BreakerOptions(recovery_timeout=2).longest_open_ns == 20 * 10**9
    assert BreakerOptions(recovery_timeout=2, max_recovery_timeout=3).longest_open_ns == 3 * 10**9
