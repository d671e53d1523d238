"""Where settings come from, and how everything that is wrong with them is told at once.

A source is a set of values with the place where each stands ("variable HOLDFAST_PORT", "holdfast.toml, line 3").
pydantic-settings merges the sources by precedence; this module reads them strictly: a name that no setting has is a
problem, not something to skip over, because a misspelled setting that is silently ignored is found in production.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic_settings import PydanticBaseSettingsSource

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

__all__ = [
    "CONFIG_VARIABLE",
    "ENV_PREFIX",
    "PLAIN_VARIABLES",
    "Found",
    "Problem",
    "SettingsError",
    "SettingsSource",
    "closest",
    "environment_source",
    "override_source",
    "toml_source",
    "variables_of",
]

ENV_PREFIX = "HOLDFAST_"

CONFIG_VARIABLE = "HOLDFAST_CONFIG"
"""The one variable with the prefix that is not a setting: the path of the settings file."""

PLAIN_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "openai_api_key": ("OPENAI_API_KEY",),
    "anthropic_api_key": ("ANTHROPIC_API_KEY",),
    "voyage_api_key": ("VOYAGE_AI_API_KEY", "VOYAGE_API_KEY"),
    "mongodb_uri": ("MONGODB_URI",),
    "redis_url": ("REDIS_URL",),
    "log_level": ("LOG_LEVEL",),
    "max_workers": ("MAX_WORKERS",),
    "request_timeout": ("REQUEST_TIMEOUT",),
}
"""Settings that are also read from variables without the prefix: the names by which the field knows them."""


def variables_of(setting: str) -> tuple[str, ...]:
    """The environment variables that give ``setting``; the first that is set and not empty counts."""
    return (ENV_PREFIX + setting.upper(), *PLAIN_VARIABLES.get(setting, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value as a source gave it, and where it stands: ``"variable HOLDFAST_PORT"``, ``"holdfast.toml, line 3"``."""

    value: object
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: the setting as the user wrote it, its value (never a secret), the rule, the place."""

    field: str
    value: object
    rule: str
    where: str

    def __str__(self) -> str:
        shown = f"{self.field}={self.value!r}" if self.value is not None else self.field
        return f"{shown}: {self.rule} ({self.where})"


class SettingsError(ConfigError):
    """One or more settings are wrong; ``problems`` lists all of them, the first is also this error's own field.

    Args:
        problems: at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.field, first.value, first.rule)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        return f"{len(self.problems)} settings are wrong:" + "".join(f"\n  - {problem}" for problem in self.problems)


class SettingsSource(PydanticBaseSettingsSource):
    """The values that one source gives, by setting, and the problems met while reading it."""

    def __init__(
        self, settings_cls: type[BaseSettings], found: Mapping[str, Found], problems: Iterable[Problem] = ()
    ) -> None:
        super().__init__(settings_cls)
        self.found = dict(found)
        self.problems = tuple(problems)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base class's signature
        """The value of one setting, or None; never JSON to be decoded."""
        found = self.found.get(field_name)
        return (found.value if found else None, field_name, False)

    def __call__(self) -> dict[str, Any]:
        """The values by setting, as pydantic-settings merges them."""
        return {name: found.value for name, found in self.found.items()}


def closest(name: str, known: Iterable[str]) -> str:
    """The known name most like ``name``; case, and ``-`` for ``_``, do not count.

    Args:
        name: what was written.
        known: the names there are, at least one.
    """
    by_shape = {_shape(candidate): candidate for candidate in known}
    return by_shape[get_close_matches(_shape(name), by_shape, n=1, cutoff=0.0)[0]]


def _shape(name: str) -> str:
    return name.casefold().replace("-", "_")


def override_source(settings_cls: type[BaseSettings], overrides: Mapping[str, object]) -> SettingsSource:
    """What the caller gave by name; None means "not given"."""
    found, problems = {}, []
    for name, value in overrides.items():
        if name not in settings_cls.model_fields:
            rule = f"is not a setting; the closest one is {closest(name, settings_cls.model_fields)!r}"
            problems.append(Problem(field=name, value=None, rule=rule, where="given by the caller"))
        elif value is not None:
            found[name] = Found(value=value, where=f"option --{name.replace('_', '-')}")
    return SettingsSource(settings_cls, found, problems)


def environment_source(settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> SettingsSource:
    """The variables of :func:`variables_of`; an empty one counts as not set.

    Any other variable that begins with ``HOLDFAST_`` (in whatever case) is a problem.
    """
    found: dict[str, Found] = {}
    for setting in settings_cls.model_fields:
        for variable in variables_of(setting):
            if environ.get(variable):
                found[setting] = Found(value=environ[variable], where=f"variable {variable}")
                break
    # compared without the prefix that all of them share: with it, every name looks like every other
    known = {name.upper(): ENV_PREFIX + name.upper() for name in settings_cls.model_fields} | {
        "CONFIG": CONFIG_VARIABLE
    }
    problems = []
    for variable in sorted(environ):
        if variable.upper().startswith(ENV_PREFIX) and variable not in known.values():
            suggestion = known[closest(variable[len(ENV_PREFIX) :], known)]
            rule = f"is not a variable that Holdfast knows; the closest one is {suggestion}"
            problems.append(Problem(field=variable, value=None, rule=rule, where="environment"))
    return SettingsSource(settings_cls, found, problems)


def toml_source(settings_cls: type[BaseSettings], path: Path) -> SettingsSource:
    """The keys of a TOML file, which are the settings' names.

    Raises:
        SettingsError: the file cannot be read, or it is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        why = error.strerror or str(error)
        raise _unusable(path, f"the settings file cannot be read: {why}") from error
    except UnicodeDecodeError as error:
        raise _unusable(path, f"the settings file is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, f"the settings file is not valid TOML: {error}") from error
    found, problems = {}, []
    for key, value in table.items():
        where = _place(path, text, key)
        if key in settings_cls.model_fields:
            found[key] = Found(value=value, where=where)
        else:
            what = (
                "is a table, but settings stand at the top of the file"
                if isinstance(value, dict)
                else "is not a setting"
            )
            rule = f"{what}; the closest one is {closest(key, settings_cls.model_fields)!r}"
            problems.append(Problem(field=key, value=None, rule=rule, where=where))
    return SettingsSource(settings_cls, found, problems)


def _unusable(path: Path, rule: str) -> SettingsError:
    return SettingsError([Problem(field=str(path), value=None, rule=rule, where="settings file")])


def _place(path: Path, text: str, key: str) -> str:
    """The file and the line on which ``key`` stands; tomllib keeps no positions, so it is looked for."""
    written = re.compile(rf"""^\s*\[*\s*(["']?){re.escape(key)}\1\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if written.match(line):
            return f"{path}, line {number}"
    return str(path)
