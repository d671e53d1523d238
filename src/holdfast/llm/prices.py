"""What tokens cost: a dated table that comes with the package, and the user's own beside it.

Money is a float in US dollars. Prices are small decimal fractions multiplied by whole numbers of tokens, and a float
keeps 15 digits: a bill of a million dollars is right to a millionth of a cent, far below what providers round to. Where
sums have to fit to the last digit, ``holdfast.llm.costs`` counts in whole units.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core._options import not_negative, options_by_name, text, whole
from holdfast.errors import ConfigError
from holdfast.llm._checks import Checked, by, check_of, instance, optional
from holdfast.llm.tables import Problems, Table, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.messages import Usage

__all__ = ["PRICE_KEYS", "Cost", "LongPrice", "Price", "Prices", "load_prices"]

_PER = 1_000_000  # prices are per million tokens
_VERSION = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4}|latest)")
_DEAREST = 100_000  # USD per million tokens; beyond it somebody forgot the million


def _dollars(field_name: str, value: object) -> float:
    price = not_negative(field_name, value)
    if price > _DEAREST:
        raise ConfigError(field_name, value, f"must be US dollars per million tokens, at most {_DEAREST:,}")
    return price


def _day(field_name: str, value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ConfigError(field_name, value, "must be a date, e.g. 2026-07-24")
    return value


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class LongPrice(Checked):
    """What a long question costs, in US dollars per million tokens; it counts for the whole call.

    Attributes:
        above_tokens: from one token more than this many in the prompt, 1 or more.
        input, cached_input, output: as in :class:`Price`.
    """

    above_tokens: int = field(metadata=by(lambda f, v: whole(f, v, least=1)))
    input: float = field(metadata=by(_dollars))
    cached_input: float | None = field(default=None, metadata=by(optional(_dollars)))
    output: float = field(default=0.0, metadata=by(_dollars))


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Checked):
    """What a model costs, in US dollars per million tokens, each 0 to 100,000.

    Attributes:
        input: tokens read.
        cached_input: tokens read that came from the provider's cache; None: as much as others.
        output: tokens written; embeddings have none.
        long: another price for long questions.
        as_of: the day on which somebody looked it up.
        source: where.
    """

    input: float = field(metadata=by(_dollars))
    cached_input: float | None = field(default=None, metadata=by(optional(_dollars)))
    output: float = field(default=0.0, metadata=by(_dollars))
    long: LongPrice | None = field(default=None, metadata=by(optional(instance(LongPrice))))
    as_of: date | None = field(default=None, metadata=by(optional(_day)))
    source: str = field(default="", metadata=by(text))

    def of(self, usage: Usage) -> float:
        """What ``usage`` costs, in US dollars."""
        price = self.long if self.long is not None and usage.prompt_tokens > self.long.above_tokens else self
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        cached_price = price.input if price.cached_input is None else price.cached_input
        total = (usage.prompt_tokens - cached) * price.input + cached * cached_price
        return (total + usage.completion_tokens * price.output) / _PER


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call cost. ``known`` is False, and ``usd`` 0, where nobody here knows the model's price."""

    usd: float
    known: bool


class Prices:
    """Prices by provider and model.

    A model is looked up by its name, then without the version at its end (``gpt-4o-2024-08-06``, ``...-20250929``,
    ``...-latest``), then by the longest entry ending in ``*`` that it begins with. A mere prefix does not count: a
    model whose name only begins like a known one (``gpt-4o-realtime``) is another model with another price.

    Args:
        table: prices by ``"provider/model"``.

    Raises:
        ConfigError: a name is not of that form.
    """

    def __init__(self, table: Mapping[str, Price]) -> None:
        for name in table:
            _check_model("models", name)
        self._exact = {name: price for name, price in table.items() if not name.endswith("*")}
        patterns = ((name[:-1], price) for name, price in table.items() if name.endswith("*"))
        self._patterns = sorted(patterns, key=lambda each: len(each[0]), reverse=True)

    def price(self, provider: str, model: str) -> Price | None:
        """The model's price, or None."""
        name = f"{provider}/{model}"
        known = self._exact.get(name)
        if known is None:
            version = next((one for one in _VERSION.finditer(name) if one.end() == len(name)), None)
            known = self._exact.get(name[: version.start()]) if version else None
        if known is None:
            known = next((price for prefix, price in self._patterns if name.startswith(prefix)), None)
        return known

    def cost(self, provider: str, model: str, usage: Usage) -> Cost:
        """What ``usage`` of a model costs.

        Args:
            provider: whose price counts, ``Provider.priced_as``.
            model: its name there, with or without a version.
            usage: tokens.
        """
        price = self.price(provider, model)
        return Cost(usd=0.0, known=False) if price is None else Cost(usd=price.of(usage), known=True)

    @property
    def table(self) -> dict[str, Price]:
        """All of them, by name."""
        return {**self._exact, **{f"{prefix}*": price for prefix, price in self._patterns}}


_LONG_KEYS = ("above_tokens", "input", "cached_input", "output")
_MODEL_KEYS = ("input", "cached_input", "output", "long", "as_of", "source")
PRICE_KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("as_of", "source", "models"),
    "models.NAME": _MODEL_KEYS,
    "models.NAME.long": _LONG_KEYS,
}
"""Every key of a file of prices, by table."""


def load_prices(path: str | Path | None = None) -> Prices:
    """The prices that come with the package, and those of a file in their place, model by model.

    Args:
        path: of the TOML file, see ``docs/reference/prices.md``; None for the package's prices alone.

    Raises:
        TableError: the file cannot be read, or something in it is wrong; it lists all that is.
    """
    packaged = files("holdfast.llm").joinpath("prices.toml").read_text(encoding="utf-8")
    table = _read(tomllib.loads(packaged), "prices.toml")
    if path is not None:
        table |= _read(read_toml(Path(path).expanduser()), str(path))
    return Prices(table)


def _read(content: Mapping[str, Any], file: str) -> dict[str, Price]:
    problems = Problems(file)
    top = Table("", content, problems)
    top.only(PRICE_KEYS[""])
    shared = {key: top.take(key, check_of(Price, key)) for key in ("as_of", "source") if key in top}
    prices = {name: _price(name, table, shared) for name, table in top.tables("models").items()}
    problems.refuse()
    return {name: price for name, price in prices.items() if price is not None}


def _price(name: str, table: Table, shared: Mapping[str, Any]) -> Price | None:
    before = len(table.problems.found)
    try:
        _check_model("models", name)
    except ConfigError as error:
        table.problems.add(table.path, None, error.rule)
    table.only(_MODEL_KEYS)
    values = {**shared, **_values(table, Price, _MODEL_KEYS)}
    if "long" in table:
        inside = table.table("long")
        inside.only(_LONG_KEYS)
        long = _values(inside, LongPrice, _LONG_KEYS)
        if len(table.problems.found) == before:
            values["long"] = LongPrice(**long)
    return Price(**values) if len(table.problems.found) == before else None


def _values(table: Table, cls: type[Price] | type[LongPrice], keys: tuple[str, ...]) -> dict[str, Any]:
    for needed in ("above_tokens", "input"):
        if needed in keys and needed not in table:
            table.add(needed, None, "must be given")
    return {key: table.take(key, check_of(cls, key)) for key in keys if key in table and key != "long"}


def _check_model(field_name: str, name: str) -> None:
    provider, slash, model = name.partition("/")
    if not (provider and slash and model) or "*" in name[:-1]:
        rule = 'must name a provider and its model, e.g. "openai/gpt-4o", with * nowhere but at the end'
        raise ConfigError(field_name, name, rule)
