"""A configuration: what it changes in the world of a scenario."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from holdfast.core._options import options_by_name, text
from holdfast.errors import ConfigError
from holdfast.rag.policies import ALL, Policies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.lab.world.options import WorldOptions
    from holdfast.lab.world.program import Program
    from holdfast.lab.world.world import World

__all__ = ["Configuration"]


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What is tested. The faults are not its affair: they are the same for all, drawn by request and attempt.

    Attributes:
        name: as commands and reports call it.
        about: what it is, in a sentence.
        settings: of the engine, over those of the scenario.
        policies: which of the engine's policies work, and by which numbers.
        program: makes what answers in the engine's place; a function of a module, so that another process finds it.
        check: raises where it cannot be played here, because a package is missing.

    Raises:
        ConfigError: it has no name.
    """

    name: str
    about: str
    settings: Mapping[str, object] = field(default_factory=dict)
    policies: Policies = ALL
    program: Callable[[World], Program] | None = None
    check: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if not text("name", self.name).strip():
            raise ConfigError("name", self.name, "must not be empty")

    def options(self, options: WorldOptions, /) -> WorldOptions:
        """The world of a scenario, changed to what is tested.

        Raises:
            PeerMissingError: a package is needed that is not installed.
        """
        if self.check is not None:
            self.check()
        return replace(
            options,
            settings={**options.settings, **self.settings},
            policies=self.policies,
            program=self.program,
        )
