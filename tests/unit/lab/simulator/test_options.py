"""The options of a simulator: what is out of range is named."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.simulator.options import SimulatedModel, SimulatorOptions, parse_model


@pytest.mark.parametrize(
    "options",
    [
        {"speed": -1}, {"speed": 2_000}, {"speed": float("nan")}, {"first_token": -1}, {"first_token_sigma": 6},
        {"per_token": float("inf")}, {"per_token_sigma": -0.1}, {"per_embedding": "x"}, {"requests_per_minute": 0},
        {"tokens_per_minute": 1.5}, {"context_tokens": 0}, {"dimension": 0}, {"calls_kept": 0}, {"body_bytes": 0},
        {"seed": -1}, {"seed": "x"}, {"keys": [" "]}, {"admin_token": ""},
    ],
)  # fmt: skip
def test_values_out_of_range(options: dict[str, Any]) -> None:
    """An option out of its range is a ConfigError that names it."""
    with pytest.raises(ConfigError) as caught:
        SimulatorOptions(**options)
    assert caught.value.field == next(iter(options))


def test_models_as_text() -> None:
    """A model is a name, with the size of its context when it is given."""
    assert parse_model("llama3:8b") == SimulatedModel("llama3:8b")
    assert parse_model(" gpt-sim=8000 ") == SimulatedModel("gpt-sim", 8_000)
    for text in ("", "=5", "gpt=", "gpt=0", "gpt=x", "gpt=-5", "gpt=²"):
        with pytest.raises(ConfigError, match="must be NAME or NAME=CONTEXT_TOKENS"):
            parse_model(text)


def test_the_context_of_a_model() -> None:
    """A model has its own context, or the one that holds for all."""
    options = SimulatorOptions(models=[SimulatedModel("a", 5), SimulatedModel("b")], context_tokens=7)
    assert [options.context_of(name) for name in "abc"] == [5, 7, 7]
