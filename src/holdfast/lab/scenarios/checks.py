"""Checks of what scenarios say, beside those of all options."""

from __future__ import annotations

from holdfast.core._options import not_negative
from holdfast.errors import ConfigError

__all__ = ["share"]


def share(field: str, value: object) -> float:
    """``value``, when it is a number from 0 to 1."""
    checked = not_negative(field, value)
    if checked > 1:
        raise ConfigError(field, value, "must be from 0 to 1")
    return checked
