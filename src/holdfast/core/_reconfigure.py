"""What the gates that can be given other options while they work have in common."""

from __future__ import annotations

from typing import TypeVar

from holdfast.errors import ConfigError

__all__ = ["options_of"]

OptionsT = TypeVar("OptionsT")


def options_of(kind: type[OptionsT], options: object) -> OptionsT:
    """``options``, when they are of this kind: then they were checked when they were made.

    Raises:
        ConfigError: they are not.
    """
    if not isinstance(options, kind):
        raise ConfigError("options", options, f"must be {kind.__name__}")
    return options
