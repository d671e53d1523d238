"""The keys of providers: where they come from, and an object that does not tell them by accident."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from holdfast.errors import ConfigError
from holdfast.llm._checks import HIDDEN, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Key", "KeyMissingError", "is_reference", "read_secret"]

_ENV, _FILE = "env:", "file:"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_FILE = 16_384


class KeyMissingError(ConfigError):
    """A variable or a file that a key is to come from is not there, or is empty."""


class Key:
    """A provider's key. It cannot be changed, printed, pickled or found in ``vars()``; only ``value`` tells it.

    Args:
        name: what to call it in logs, errors and metrics: the variable or the file that it comes from.
        value: the key; empty for a provider that needs none.

    Raises:
        ConfigError: it is not printable ASCII without spaces; the error does not show it.
    """

    __slots__ = ("_name", "_value")

    _name: str
    _value: str

    def __init__(self, *, name: str, value: str) -> None:
        if value:
            printable(name, value)
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_value", value)

    @property
    def name(self) -> str:
        """What to call it."""
        return self._name

    @property
    def value(self) -> str:
        """The key itself: for the header field of a request, and for nothing else."""
        return self._value

    def __repr__(self) -> str:
        return f"Key(name={self._name!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return (self._name, self._value) == (other._name, other._value)

    def __hash__(self) -> int:
        return hash((self._name, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a key cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a key cannot be changed")

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, _memo: object) -> Key:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: it would be written down")


def is_reference(given: object) -> bool:
    """Whether it says where a secret is, and is none itself."""
    return isinstance(given, str) and given.startswith((_ENV, _FILE))


def read_secret(field: str, given: object, environ: Mapping[str, str], folder: Path) -> Key:
    """The secret that ``env:NAME`` or ``file:PATH`` names; white space at its ends does not belong to it.

    Args:
        field: what to call the option in an error.
        given: the reference.
        environ: the environment's variables.
        folder: where a relative path counts from.

    Raises:
        ConfigError: it is no reference (perhaps the key itself, so it is not shown), or the secret cannot be one.
        KeyMissingError: nothing is there.
    """
    if not isinstance(given, str) or not is_reference(given):
        rule = 'must be "env:NAME" or "file:PATH", which say where the key is; a key itself does not belong in a file'
        raise ConfigError(field, HIDDEN, rule)
    return _from_environment(field, given, environ) if given.startswith(_ENV) else _from_file(field, given, folder)


def _from_environment(field: str, given: str, environ: Mapping[str, str]) -> Key:
    variable = given.removeprefix(_ENV).strip()
    if not _VARIABLE.fullmatch(variable):  # perhaps the key itself, so it is not shown
        raise ConfigError(field, HIDDEN, 'must name a variable after env:, e.g. "env:OPENAI_API_KEY"')
    value = environ.get(variable, "").strip()
    if not value:
        raise KeyMissingError(field, given, f"is not there: set the variable {variable}")
    return Key(name=variable, value=value)


def _from_file(field: str, given: str, folder: Path) -> Key:
    path = given.removeprefix(_FILE).strip()
    if not path:
        raise ConfigError(field, given, 'must name a file, e.g. "file:/run/secrets/openai"')
    try:
        with (folder / Path(path).expanduser()).open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:  # no such file; no home for ~; a zero byte in the path
        why = getattr(error, "strerror", None) or str(error)
        raise KeyMissingError(field, given, f"is not there: the file cannot be read: {why}") from error
    value = content.decode("ascii", errors="replace").strip()
    if not value:
        raise KeyMissingError(field, given, "is not there: the file is empty")
    return Key(name=path, value=value)
