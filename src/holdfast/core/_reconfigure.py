"""What the gates that can be given other options while they work have in common."""

from __future__ import annotations

from holdfast.errors import ConfigError

__all__ = ["options_of"]


def options_of(kind: type[object], options: object) -> None:
    """Take ``options`` only when they are of this kind: then they were checked when they were made.

    Raises:
        ConfigError: they are not.
    """
    if not isinstance(options, kind):
        raise ConfigError("options", options, f"must be {kind.__name__}")
