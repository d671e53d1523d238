"""What can be injected, where, and with which parameters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast.core._options import at_least, refuse_unknown
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "SUPPORTED", "Dependency", "Kind", "Parameter", "Traits", "checked_parameters"]


class Dependency(StrEnum):
    """What a fault is injected into, by its role."""

    CACHE = "cache"
    EMBEDDER = "embedder"
    STORE = "store"
    MODEL = "model"
    """All providers of the model that writes answers, or one of them: ``"model:openai"``."""
    ANSWERER = "answerer"
    """The answerer that quotes the documents."""
    RECORDS = "records"
    """Where conversations are kept."""


class Kind(StrEnum):
    """How the dependency fails."""

    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    CONNECTION = "connection"
    SLOW = "slow"
    MALFORMED = "malformed"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    AUTH = "auth"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An option of a kind: its default, and what is allowed, both ends included."""

    name: str
    default: float
    least: float
    most: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """A kind: what happens, and its options."""

    says: str
    parameters: tuple[Parameter, ...] = ()


KINDS: Mapping[Kind, Traits] = {
    Kind.TIMEOUT: Traits(says="It hangs until the caller gives up or the fault ends; then the connection is lost."),
    Kind.THROTTLED: Traits(
        says="It asks to be left alone: 429 with `Retry-After`.",
        parameters=(
            Parameter(name="retry_after", default=2.0, least=0.0, most=3_600.0, says="seconds that it asks for"),
        ),
    ),
    Kind.UNAVAILABLE: Traits(says="It is not there; a provider answers 503 (Anthropic: 529)."),
    Kind.CONNECTION: Traits(says="The connection is lost, or is not made."),
    Kind.SLOW: Traits(
        says="It answers late.",
        parameters=(Parameter(name="delay", default=2.0, least=0.0, most=600.0, says="seconds later than usual"),),
    ),
    Kind.MALFORMED: Traits(says="What it gives cannot be used."),
    Kind.EMPTY: Traits(says="It answers, and finds or says nothing."),
    Kind.TRUNCATED: Traits(
        says="Its answer breaks off.",
        parameters=(
            Parameter(
                name="after_bytes", default=400.0, least=0.0, most=10_000_000.0, says="bytes of it that come before"
            ),
        ),
    ),
    Kind.AUTH: Traits(says="It refuses the key or the password."),
    Kind.QUOTA: Traits(says="The money or the allowance is used up."),
}

_LOCAL = frozenset({Kind.TIMEOUT, Kind.UNAVAILABLE, Kind.SLOW})
_SERVER = _LOCAL | {Kind.CONNECTION, Kind.AUTH, Kind.MALFORMED}

SUPPORTED: Mapping[Dependency, frozenset[Kind]] = {
    Dependency.CACHE: _SERVER | {Kind.EMPTY},
    Dependency.EMBEDDER: frozenset(Kind),
    Dependency.STORE: _SERVER | {Kind.EMPTY},
    Dependency.MODEL: frozenset(Kind),
    Dependency.ANSWERER: _LOCAL,
    Dependency.RECORDS: _SERVER,
}
"""The kinds that a dependency can have at most; a local embedder has fewer than a provider's."""


def checked_parameters(kind: Kind, given: Mapping[str, object]) -> dict[str, float]:
    """The parameters of a fault, defaults filled in.

    Raises:
        ConfigError: the kind has no such parameter, or the value is out of its range.
    """
    known = {each.name: each for each in KINDS[kind].parameters}
    if given and not known:
        name, value = next(iter(given.items()))
        raise ConfigError(name, value, f"is no option of the fault {kind}, which has none")
    refuse_unknown(f"the fault {kind}", given, known)
    chosen = {}
    for name, parameter in known.items():
        value = at_least(name, given.get(name, parameter.default), parameter.least)
        if value > parameter.most:
            raise ConfigError(name, value, f"must be at most {parameter.most:,g}")
        chosen[name] = value
    return chosen
