"""Checks of what a route is made of. They add to those of the policies, and say what is wrong without any secret."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import urlsplit

from holdfast.core._options import text
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "HIDDEN",
    "Check",
    "Checked",
    "address",
    "by",
    "check_of",
    "header_fields",
    "instance",
    "model_name",
    "one_of",
    "optional",
    "plain_http",
    "printable",
    "short_name",
]

Check: TypeAlias = Callable[[str, Any], Any]
"""Takes a field's name and value; gives the value to use, or raises a ConfigError."""

HIDDEN = "[hidden]"
"""Stands in errors for a value that may be a secret."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")
_PRINTABLE = re.compile(r"[!-~]{1,4096}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[ -~]{0,4096}")
_OURS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal")


def by(check: Check) -> dict[str, Check]:
    """The metadata of a dataclass field that ``check`` is for."""
    return {"check": check}


def check_of(cls: type[DataclassInstance], field: str) -> Check:
    """The check of one field of a class."""
    check: Check = next(one for one in fields(cls) if one.name == field).metadata["check"]
    return check


class Checked:
    """A frozen dataclass whose fields are checked one by one, and then together."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for one in fields(cast("DataclassInstance", self)):
            check = one.metadata.get("check")
            if check is not None:
                object.__setattr__(self, one.name, check(one.name, getattr(self, one.name)))
        self._check_together()

    def _check_together(self) -> None:
        """What fields must hold with each other; nothing by default."""


def optional(check: Check) -> Check:
    """``check``, or None."""
    return lambda field, value: None if value is None else check(field, value)


def one_of(*allowed: str) -> Check:
    """One of some texts."""

    def check(field: str, value: object) -> object:
        if value not in allowed:
            raise ConfigError(field, value, f"must be one of {', '.join(allowed)}")
        return value

    return check


def instance(cls: type) -> Check:
    """An object of a class."""

    def check(field: str, value: object) -> object:
        if not isinstance(value, cls):
            raise ConfigError(field, value, f"must be {cls.__name__}")
        return value

    return check


def short_name(field: str, value: object) -> str:
    """A name of ours, for a provider or a route; it becomes a label of metrics, and a provider's ends at a slash."""
    if not _NAME.fullmatch(text(field, value)):
        rule = "must be 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or a digit"
        raise ConfigError(field, value, rule)
    return str(value)


def model_name(field: str, value: object) -> str:
    """A model's name as a provider knows it."""
    if not _MODEL.fullmatch(text(field, value)):
        raise ConfigError(field, value, "must be 1 to 200 printable ASCII characters, without spaces at its ends")
    return str(value)


def printable(field: str, value: object) -> str:
    """A secret that can stand in a header field. The error does not show it."""
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise ConfigError(field, HIDDEN, "must be 1 to 4,096 printable ASCII characters without spaces")
    return value


def header_fields(field: str, value: object) -> Mapping[str, str]:
    """Header fields to add to every request. Their values may be secrets, so no error shows one."""
    if not isinstance(value, Mapping):
        raise ConfigError(field, HIDDEN, "must be a table of header fields and their values")
    for header, content in value.items():
        if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
            raise ConfigError(field, header, "must have names of letters, digits and hyphens")
        if header.lower() in _OURS:
            raise ConfigError(f"{field}.{header}", HIDDEN, "is set by Holdfast")
        if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            raise ConfigError(f"{field}.{header}", HIDDEN, "must be up to 4,096 printable ASCII characters")
    return dict(value)


def address(field: str, value: object) -> str:
    """An http or https address to put paths behind: no user, no query, no slash at its end."""
    given = text(field, value)
    shown = _without_secrets(given)
    rule = "must be an http or https address, e.g. https://llm.example.com/v1"
    try:
        parts = urlsplit(given)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigError(field, shown, rule) from None
    if not whole or not _PRINTABLE.fullmatch(given) or "\\" in given:
        raise ConfigError(field, shown, rule)
    if "@" in parts.netloc:
        raise ConfigError(field, shown, "must hold no user and no password; a key belongs in keys")
    if "?" in given or "#" in given:
        raise ConfigError(field, shown, "must end with its path: no query and no fragment")
    return given.rstrip("/")


def plain_http(checked: str) -> bool:
    """Whether a checked address sends keys and texts in the clear over a network that is not one's own.

    One's own are loopback and private addresses, names without a dot, and those that end in ``.localhost``, ``.local``
    or ``.internal``.
    """
    parts = urlsplit(checked)
    host = parts.hostname or ""
    if parts.scheme == "https" or host.endswith(_PRIVATE_SUFFIXES):
        return False
    try:
        numeric = ipaddress.ip_address(host)
    except ValueError:
        return "." in host
    return not (numeric.is_loopback or numeric.is_private)


def _without_secrets(given: str) -> str:
    """An address to show: whatever stands before an @ or behind a ? is taken out."""
    before, at, after = re.split(r"[?#]", given, maxsplit=1)[0].rpartition("@")
    if not at:
        return after
    scheme, mark, _ = before.partition("://")
    return f"{scheme}{mark}{HIDDEN}@{after}" if mark else f"{HIDDEN}@{after}"
