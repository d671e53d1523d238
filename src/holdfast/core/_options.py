"""Checks of options: each names the field, the value and the rule."""

from __future__ import annotations

import math

from holdfast.errors import ConfigError

__all__ = ["at_least", "not_negative", "number", "positive", "whole"]


def number(field: str, value: object) -> float:
    """``value``, when it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(field, value, "must be a finite number")
    return value


def positive(field: str, value: object) -> float:
    """``value``, when it is above 0."""
    checked = number(field, value)
    if checked <= 0:
        raise ConfigError(field, value, "must be above 0")
    return checked


def not_negative(field: str, value: object) -> float:
    """``value``, when it is 0 or above."""
    return at_least(field, value, 0)


def at_least(field: str, value: object, least: float) -> float:
    """``value``, when it is ``least`` or above."""
    checked = number(field, value)
    if checked < least:
        raise ConfigError(field, value, f"must be at least {least:g}")
    return checked


def whole(field: str, value: object, *, least: int) -> int:
    """``value``, when it is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(field, value, f"must be a whole number of at least {least}")
    return value
