"""Reads scenarios from TOML. What is wrong is named with the file, the field, the value and the rule."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, fields
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import ConfigError, NotFoundError
from holdfast.lab.latency import Latency
from holdfast.lab.scenarios.failing import FaultLine, OutageLine
from holdfast.lab.scenarios.scenario import Scenario
from holdfast.lab.scenarios.traffic import Burst, Diurnal, Ramp, Spike, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["load_scenario", "parse_scenario", "shipped", "shipped_names"]

T = TypeVar("T")

_MOST_BYTES = 1 << 20
_SUFFIX = ".toml"


def shipped_names() -> tuple[str, ...]:
    """The scenarios that come with the package, by name."""
    folder = files("holdfast.lab.scenarios").joinpath("shipped")
    return tuple(sorted(each.name.removesuffix(_SUFFIX) for each in folder.iterdir() if each.name.endswith(_SUFFIX)))


def shipped(name: str) -> Scenario:
    """A scenario that comes with the package.

    Raises:
        NotFoundError: none has this name.
    """
    names = shipped_names()
    if name not in names:
        raise NotFoundError("scenario", f"There is no scenario {name!r}. There are {', '.join(names)}; or name a file.")
    path = files("holdfast.lab.scenarios").joinpath("shipped", name + _SUFFIX)
    return parse_scenario(path.read_text(encoding="utf-8"), source=name + _SUFFIX, name=name)


def load_scenario(path: Path) -> Scenario:
    """A scenario from a file; its name is the file's where it gives none.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it is too long, no TOML, or something in it is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise NotFoundError("scenario", f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(str(path), f"{len(content):,} bytes or more", f"must be at most {_MOST_BYTES:,} bytes long")
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), error.reason, "must be UTF-8") from error
    return parse_scenario(decoded, source=str(path), name=path.stem)


def parse_scenario(content: str, *, source: str, name: str = "scenario") -> Scenario:
    """A scenario from TOML.

    Args:
        content: the text.
        source: where it is from, for errors.
        name: its name, where it gives none.

    Raises:
        ConfigError: it is no TOML, or something in it is wrong; the field says where.
    """
    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, "TOML", f"cannot be read: {error}") from error
    try:
        return _scenario("", {"name": name, "about": "", **data})
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.field}", error.value, error.rule) from error


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(cls: type[T], readers: Mapping[str, Callable[[str, Any], Any]], field: str, value: object) -> T:
    """A dataclass from a table; ``readers`` are for what is not taken as it stands."""
    if not isinstance(value, dict):
        raise ConfigError(field or "file", value, "must be a table")
    inner = f"{field}." if field else ""
    for each in fields(cls):  # type: ignore[arg-type]
        if each.name not in value and each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError(f"{inner}{each.name}", None, "is missing")
    made = {key: readers[key](f"{inner}{key}", given) if key in readers else given for key, given in value.items()}
    try:
        return cls(**made)
    except ConfigError as error:
        raise ConfigError(f"{inner}{error.field}", error.value, error.rule) from error
    except TypeError as error:  # a text where a number is to be compared
        raise ConfigError(field or "file", value, f"cannot be used: {error}") from error


def _each(read: Callable[[str, Any], Any], field: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(field, value, "must be a list")
    return tuple(read(f"{field}[{place}]", each) for place, each in enumerate(value, 1))


def _as_it_is(_field: str, value: object) -> object:
    return value


def _mapping(read: Callable[[str, Any], Any], field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(field, value, "must be a table")
    return {key: read(f"{field}.{key}", each) for key, each in value.items()}


def _latency(field: str, value: object) -> Latency:
    if isinstance(value, dict):
        return _table(Latency, {}, field, value)
    return _table(Latency, {}, field, {"median": value})


_values = partial(_each, _as_it_is)
_traffic = partial(
    _table,
    Traffic,
    {
        "spikes": partial(_each, partial(_table, Spike, {})),
        "ramps": partial(_each, partial(_table, Ramp, {})),
        "bursts": partial(_each, partial(_table, Burst, {})),
        "diurnal": partial(_table, Diurnal, {}),
    },
)
_lines = {"components": _values, "ways": _values}
_scenario: Callable[[str, Any], Scenario] = partial(
    _table,
    Scenario,
    {
        "traffic": _traffic,
        "rates": _values,
        "faults": partial(_each, partial(_table, FaultLine, _lines)),
        "outages": partial(_each, partial(_table, OutageLine, _lines)),
        "flushes": _values,
        "settings": partial(_mapping, _as_it_is),
        "provider": partial(_mapping, _as_it_is),
        "providers": partial(_mapping, partial(_mapping, _as_it_is)),
        "parts": partial(_mapping, _latency),
        "round_trip": _latency,
    },
)
