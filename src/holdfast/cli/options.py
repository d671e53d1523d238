"""What stands before the command's name, and the settings that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.rag.settings import Settings

__all__ = ["Options"]


@dataclass(slots=True)
class Options:
    """The options of ``holdfast`` itself; every command finds them in its context.

    Attributes:
        config: the settings file that was named.
        debug: show a stack trace when something fails.
    """

    config: Path | None = None
    debug: bool = False

    def settings(self, **overrides: object) -> Settings:
        """The settings with a command's own options on top; one that is None was not given.

        Raises:
            ConfigError: a setting is wrong.
        """
        from holdfast.rag.settings import load_settings

        return load_settings(self.config, None, **overrides)
