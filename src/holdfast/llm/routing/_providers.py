"""Makes providers out of what is known of them, what a file says, and the keys that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.core._options import flag
from holdfast.core.breaker_options import MODEL, BreakerOptions
from holdfast.errors import ConfigError
from holdfast.llm._checks import HIDDEN, check_of, header_fields, short_name
from holdfast.llm.routing.keys import Key, KeyMissingError, is_reference, read_secret
from holdfast.llm.routing.known import KNOWN_PROVIDERS, KnownProvider
from holdfast.llm.routing.targets import NO_KEY, Provider
from holdfast.llm.tables import Table, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BREAKER_KEYS", "PROVIDER_KEYS", "Providers"]

BREAKER_KEYS = ("failure_threshold", "recovery_timeout")

_PLAIN_KEYS = (
    "kind",
    "base_url",
    "error_table",
    "finish_required",
    "limit_field",
    "prices_as",
    "allow_http",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrent",
)
PROVIDER_KEYS = ("like", "keys", "needs_key", "headers", "breaker", *_PLAIN_KEYS)

_FROM_KNOWN = ("kind", "base_url", "error_table", "finish_required", "limit_field")

_SECRET_WORDS = ("auth", "cookie", "key", "password", "secret", "token")


class _Keys(NamedTuple):
    usable: list[Key]
    missing: list[str]  # a sentence for each
    wrong: bool


class Providers:
    """The providers of one file, made when a route first names them.

    Args:
        described: what the file says, by name.
        known: the providers that need no description.
        environ: the environment's variables.
        folder: where a relative path of a key's file counts from.
    """

    def __init__(
        self,
        described: Mapping[str, Table],
        *,
        environ: Mapping[str, str],
        folder: Path,
        known: Mapping[str, KnownProvider] = KNOWN_PROVIDERS,
    ) -> None:
        self._described = described
        self._known = known
        self._environ = environ
        self._folder = folder
        self._made: dict[str, Provider | None] = {}
        self.warnings: list[str] = []

    @property
    def made(self) -> dict[str, Provider]:
        """Those that are there and in order, by name."""
        return {name: provider for name, provider in self._made.items() if provider is not None}

    def get(self, name: str, user: Table, key: str) -> Provider | None:
        """The provider that ``key`` of ``user`` names; None when there is none, or something is wrong with it."""
        if name not in self._described and name not in self._known:
            there = {*self._known, *self._described}
            user.add(key, name, f"is not a provider that is known; {suggestion(name, there)}")
            return None
        if name not in self._made:
            table = self._described.get(name) or Table(f"providers.{name}", {}, user.problems)
            self._made[name] = self._make(name, table, place=user.at(key))
        return self._made[name]

    def make_rest(self) -> None:
        """Look at what is described and not used, too; a key that is not there is no more than a warning for those."""
        for name, table in self._described.items():
            if name not in self._made:
                self._made[name] = self._make(name, table)

    def _make(self, name: str, table: Table, *, place: str = "") -> Provider | None:
        """Make one; ``place`` is where a route names it, empty when none does."""
        before = len(table.problems.found)
        table.only(PROVIDER_KEYS)
        _check_name(name, table)
        base = self._base(name, table)
        values: dict[str, Any] = {"name": name, "breaker": _breaker(table.table("breaker"))}
        if base is not None:
            values |= {one: getattr(base, one) for one in _FROM_KNOWN}
        for key in _PLAIN_KEYS:
            given = table.take(key, check_of(Provider, key))
            if given is not None:
                values[key] = given
        if "like" in table and "prices_as" not in values:
            values["prices_as"] = table.content["like"]
        values["headers"] = self._headers(table)
        if not values.get("base_url") and "base_url" not in table:
            example = "https://RESOURCE.openai.azure.com/openai/v1" if name == "azure" else "https://llm.example.com/v1"
            table.add("base_url", None, f"must be given, e.g. {example}")
        keys, lacking = self._keys(table, base)
        if len(table.problems.found) > before:
            return None
        if not keys:
            self._tell_lacking(name, table, place, "; ".join(lacking))
            return None
        self.warnings += [f"provider {name}: {one}" for one in lacking]
        values["keys"] = tuple(keys)
        made: Provider | None = table.build(Provider, values)
        return made

    def _base(self, name: str, table: Table) -> KnownProvider | None:
        if "like" not in table:
            return self._known.get(name)
        like = table.content["like"]
        if not isinstance(like, str) or like not in self._known:
            table.add("like", like, f"is not a provider that is known; {suggestion(str(like), self._known)}")
            return None
        return self._known[like]

    def _keys(self, table: Table, base: KnownProvider | None) -> tuple[list[Key], list[str]]:
        """The keys to use (none when one is needed and not there), and a sentence for each that is missing."""
        given = table.take("needs_key", flag)
        needed = given if given is not None else (base is None or base.needs_key)
        if "keys" in table:
            found = self._named_keys(table)
        else:
            variables = base.variables if base is not None else ()
            value = next((one for one in variables if self._environ.get(one, "").strip()), None)
            found = self._read(table, "keys", [f"env:{value}"] if value else [])
            if not found.usable and variables and needed:
                plain = [one for one in variables if not one.startswith("HOLDFAST_")]
                found.missing.append(f"set the variable {' or '.join(plain)}")
        if not found.usable and not found.wrong and not needed:
            return [NO_KEY], found.missing
        if not found.usable and not found.wrong and not found.missing:
            found.missing.append('give keys = ["env:NAME"], or needs_key = false for a provider that needs none')
        return found.usable, found.missing

    def _named_keys(self, table: Table) -> _Keys:
        references = table.content["keys"]
        if not isinstance(references, list):
            table.add("keys", HIDDEN, 'must be a list, e.g. ["env:OPENAI_API_KEY"]')
            return _Keys([], [], wrong=True)
        return self._read(table, "keys", references)

    def _read(self, table: Table, key: str, references: list[object]) -> _Keys:
        found = _Keys([], [], wrong=False)
        for index, reference in enumerate(references):
            try:
                found.usable.append(read_secret(f"{key}[{index}]", reference, self._environ, self._folder))
            except KeyMissingError as error:
                found.missing.append(f"{error.value} {error.rule}")
            except ConfigError as error:
                where = error.field if error.field.startswith(key) else f"{key}[{index}]"
                table.problems.add(f"{table.path}.{where}", error.value, error.rule)
                found = found._replace(wrong=True)
        return found

    def _tell_lacking(self, name: str, table: Table, place: str, sentence: str) -> None:
        if not place:
            self.warnings.append(f"provider {name} has no key, and no route uses it: {sentence}")
        elif name in self._described:
            table.add("keys", None, f"there is no key: {sentence}")
        else:
            rule = f"has no key: {sentence}, or name others with providers.{name}.keys in models.toml"
            table.problems.add(place, name, rule)

    def _headers(self, table: Table) -> dict[str, str]:
        given = table.take("headers", header_fields) or {}
        values: dict[str, str] = {}
        for header, content in given.items():
            field = f"headers.{header}"
            try:
                if is_reference(content):
                    values[header] = read_secret(field, content, self._environ, self._folder).value
                elif any(word in header.lower() for word in _SECRET_WORDS):
                    rule = 'seems to hold a secret, so it must be "env:NAME" or "file:PATH", which say where that is'
                    table.problems.add(f"{table.path}.{field}", HIDDEN, rule)
                else:
                    values[header] = content
            except ConfigError as error:
                table.problems.add(f"{table.path}.{field}", error.value, error.rule)
        return values


def _check_name(name: str, table: Table) -> None:
    try:
        short_name("name", name)
    except ConfigError as error:
        table.problems.add(table.path, name, error.rule)


def _breaker(table: Table) -> BreakerOptions:
    table.only(BREAKER_KEYS)
    values = {}
    for key in BREAKER_KEYS:
        if table.take(key, _check_breaker) is not None:
            values[key] = table.content[key]
    return replace(MODEL, **values)


def _check_breaker(field: str, value: object) -> object:
    replace(MODEL, **{field: value})  # type: ignore[arg-type]
    return value
