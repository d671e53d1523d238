"""Scenarios: faults with a story, read from ``scenarios.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from holdfast.core._options import duration, flag, number, refuse_unknown, text, whole
from holdfast.errors import ConfigError
from holdfast.rag.injection.kinds import SUPPORTED, Dependency, Kind, checked_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVERYTHING", "Ask", "Heal", "Inject", "Recover", "Scenario", "Step", "parse_scenarios", "scenarios"]

EVERYTHING = "*"
"""Stands for all dependencies that are in use."""

DEFAULT_SECONDS = 300.0
"""How long a fault of a scenario is on at most; ``heal`` ends it before."""

_MOST_ASKED = 1_000
_ALLOWED: Mapping[str, frozenset[Kind]] = {role.value: kinds for role, kinds in SUPPORTED.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask so many questions.

    Attributes:
        again: those that were asked before; else new ones.
        conversing: in a conversation of the drill's own.
    """

    count: int
    again: bool = False
    conversing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inject:
    """Let a dependency fail; see :meth:`holdfast.rag.injection.switchboard.Injections.inject`.

    Attributes:
        kind: one that cannot fail so, is not there (``unavailable``).
        optional: whether it is left out where the dependency is not in use.
    """

    dependency: str
    kind: Kind
    seconds: float = DEFAULT_SECONDS
    rate: float = 1.0
    optional: bool = False
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heal:
    """End the faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover:
    """Ask on until all is as before, for so many seconds at most."""

    seconds: float


Step: TypeAlias = Ask | Inject | Heal | Recover


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story.

    Attributes:
        name: what to call it, ``"store-down"``.
        says: one sentence: what one should see.
        steps: what happens, in order.
    """

    name: str
    says: str
    steps: tuple[Step, ...]

    @property
    def needs(self) -> frozenset[str]:
        """The dependencies that it breaks by name."""
        named = {step.dependency for step in self.steps if isinstance(step, Inject) and not step.optional}
        return frozenset(named - {EVERYTHING})

    @property
    def questions(self) -> int:
        """How many questions it asks at least."""
        return sum(step.count for step in self.steps if isinstance(step, Ask))


@cache
def scenarios() -> Mapping[str, Scenario]:
    """Those that come with the package, by name."""
    return parse_scenarios(files("holdfast.rag.injection").joinpath("scenarios.toml").read_text("utf-8"))


def parse_scenarios(content: str) -> dict[str, Scenario]:
    """Scenarios from TOML, by name; the package's own file says how they are written.

    Raises:
        ConfigError: it is not TOML, or a part of it is not what it must be.
    """
    try:
        tables = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("scenarios", "the file", f"must be TOML: {error}") from error
    return {name: _scenario(name, table) for name, table in tables.items()}


def _scenario(name: str, table: object) -> Scenario:
    if not isinstance(table, dict) or not isinstance(table.get("steps"), list):
        raise ConfigError("scenario", name, "must be a table with `says` and a list of `steps`")
    refuse_unknown(f"the scenario {name}", table, ("says", "steps"))
    return Scenario(
        name=name, says=text("says", table.get("says")), steps=tuple(_step(name, step) for step in table["steps"])
    )


def _step(name: str, given: Any) -> Step:  # noqa: ANN401 - whatever TOML holds
    rest = dict(given) if isinstance(given, dict) else {}
    if "ask" in rest:
        refuse_unknown("the step ask", rest, ("ask", "again", "conversing"))
        if whole("ask", rest["ask"], least=1) > _MOST_ASKED:
            raise ConfigError("ask", rest["ask"], f"must be at most {_MOST_ASKED:,}")
        return Ask(
            count=rest["ask"],
            again=flag("again", rest.get("again", False)),
            conversing=flag("conversing", rest.get("conversing", False)),
        )
    if "inject" in rest and "kind" in rest:
        return _inject(rest.pop("inject"), rest.pop("kind"), rest)
    if rest == {"heal": True}:
        return Heal()
    if rest.keys() == {"recover"}:
        return Recover(seconds=duration("recover", rest["recover"]))
    raise ConfigError("steps", given, f"of {name} must be ask, inject with a kind, heal = true, or recover")


def _inject(dependency: str, kind: str, rest: dict[str, Any]) -> Inject:
    role = text("inject", dependency).partition(":")[0]
    allowed = frozenset(Kind) if role == EVERYTHING else _ALLOWED.get(role)
    if allowed is None:
        raise ConfigError("inject", dependency, f"must be one of {', '.join(Dependency)}, or {EVERYTHING}")
    if kind not in allowed:
        raise ConfigError("kind", kind, f"must be one of {', '.join(sorted(allowed))}")
    chosen = Kind(kind)
    seconds = duration("seconds", rest.pop("seconds", DEFAULT_SECONDS))
    rate = number("rate", rest.pop("rate", 1.0))
    optional = flag("optional", rest.pop("optional", False))
    checked_parameters(chosen, rest)
    return Inject(dependency=dependency, kind=chosen, seconds=seconds, rate=rate, optional=optional, parameters=rest)
