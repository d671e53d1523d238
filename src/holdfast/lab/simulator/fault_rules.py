"""When a fault is played: a rule, written ``NAME[:RATE][@FROM-TO][,option=value]...`` or as a JSON object."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.lab.simulator.calls import fingerprint_of
from holdfast.lab.simulator.fault_table import FAULTS, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.lab.simulator.fault_table import FaultKind, Parameter, Value

__all__ = ["ENDPOINTS", "FaultRule", "parse_rule", "rule_of"]

ENDPOINTS = ("chat", "responses", "messages", "embeddings", "models")
"""What a rule's ``endpoint`` may be."""

_FORM = re.compile(
    r"(?P<name>[a-z0-9_]+)(?::(?P<rate>[^@,]+))?(?:@(?P<begin>[^-,]*)-(?P<end>[^,]*))?(?P<more>(?:,.*)?)"
)
_KEY = re.compile(r"key\s*=[^,]*")
_HOW = "must be NAME[:RATE][@FROM-TO][,option=value]..., e.g. stall:0.1@10-40,after=5"
_OPTIONS = ("rate", "from", "to", "first", "every", "endpoint", "model", "key", "group", "slot")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault, and the calls that it is played on.

    Attributes:
        fault: the name, see :data:`~holdfast.lab.simulator.fault_table.FAULTS`.
        rate: the share of the calls, 0 to 1, drawn from the simulator's seed.
        begin: seconds after the simulator's start at which it begins.
        end: seconds after the simulator's start at which it ends.
        first: only the first so many calls that it applies to; None is all.
        every: 10 plays it on each tenth of them; None on each.
        endpoint: only calls of this endpoint, see :data:`ENDPOINTS`.
        model: only calls of this model.
        key: only calls with the API key of this fingerprint.
        group: a name. Time is cut into slots, and ``rate`` is the share of slots in which every call is hit. All
            simulators with the same seed that were started together have the same slots for the same name.
        slot: seconds in a slot; only with ``group``.
        parameters: the fault's own, where they differ from its defaults.
    """

    fault: str
    rate: float = 1.0
    begin: float = 0.0
    end: float = inf
    first: int | None = None
    every: int | None = None
    endpoint: str | None = None
    model: str | None = None
    key: str | None = None
    group: str | None = None
    slot: float = 10.0
    parameters: Mapping[str, Value] = field(default_factory=dict)

    @property
    def kind(self) -> FaultKind:
        """What it plays."""
        return FAULTS[self.fault]

    @property
    def settings(self) -> dict[str, Value]:
        """The fault's parameters, defaults included."""
        return {**self.kind.defaults, **self.parameters}

    def as_json(self) -> dict[str, object]:
        """The rule as the admin endpoint shows it."""
        options: dict[str, object] = {
            "fault": self.fault,
            "rate": self.rate,
            "from": self.begin,
            "to": None if self.end == inf else self.end,
            "first": self.first,
            "every": self.every,
            "endpoint": self.endpoint,
            "model": self.model,
            "key": self.key,
            "group": self.group,
            "slot": self.slot if self.group is not None else None,
        }
        shown = {name: value for name, value in options.items() if value is not None}
        return shown | {name: "inf" if value == inf else value for name, value in self.settings.items()}


def parse_rule(text: str, *, field: str = "fault") -> FaultRule:
    """The rule in ``text``.

    Args:
        text: e.g. ``rate_limited:0.02``, ``outage@10-40``, ``stall:0.1,after=5,seconds=inf``.
        field: the option's name, for the error.

    Raises:
        ConfigError: the text is not a rule; it says what would be.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise _no_rule(field, text)
    options: dict[str, object] = {"fault": match["name"]}
    options |= {
        name: value
        for name, value in (("rate", match["rate"]), ("from", match["begin"]), ("to", match["end"]))
        if value
    }
    for part in filter(None, match["more"].split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise _no_rule(field, text)
        options[name.strip()] = value.strip()
    return rule_of(options, field=field)


def rule_of(options: Mapping[str, object], *, field: str = "fault") -> FaultRule:
    """The rule in a JSON object: ``fault``, the options of a rule, and the fault's parameters beside them.

    Raises:
        ConfigError: something in it is wrong; it names what, and what is allowed.
    """
    given = dict(options)
    kind = _kind(given.pop("fault", None), field)
    begin = _number(given, "from", field, 0.0, least=0, most=inf)
    end = _number(given, "to", field, inf, least=0, most=inf)
    if end <= begin:
        raise ConfigError(field, f"{begin:g}-{end:g}", "must end after it begins")
    rate = _number(given, "rate", field, 1.0, least=0, most=1)
    slot = _number(given, "slot", field, 10.0, least=0.001, most=inf)
    first, every = _count(given, "first", field), _count(given, "every", field)
    endpoint, model, key, group = (_name(given, name, field) for name in ("endpoint", "model", "key", "group"))
    if endpoint not in (None, *ENDPOINTS):
        raise ConfigError(f"{field}: endpoint", endpoint, f"must be one of {', '.join(ENDPOINTS)}")
    known = {parameter.name: parameter for parameter in kind.parameters}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join([*_OPTIONS, *known])
            raise ConfigError(f"{field}: {name}", value, f"is no option of {kind.name}; it has {allowed}")
    return FaultRule(
        fault=kind.name,
        rate=rate,
        begin=begin,
        end=end,
        first=first,
        every=every,
        endpoint=endpoint,
        model=model,
        key=None if key is None else fingerprint_of(key),
        group=group,
        slot=slot,
        parameters={name: _parameter(known[name], given, field) for name in given},
    )


def _no_rule(field: str, text: str) -> ConfigError:
    return ConfigError(field, _KEY.sub("key=***", text), _HOW)  # a key is a secret, wherever it stands


def _kind(name: object, field: str) -> FaultKind:
    if isinstance(name, str) and name in FAULTS:
        return FAULTS[name]
    close = difflib.get_close_matches(str(name), FAULTS, 1)
    hint = f"did you mean {close[0]}? The" if close else "the"
    raise ConfigError(field, name, f"is no fault; {hint} faults are {', '.join(FAULTS)}")


def _number(given: dict[str, object], name: str, field: str, default: float, *, least: float, most: float) -> float:
    value = given.pop(name, None)
    if value is None:
        return default
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not least <= number <= most:
        rule = f"at least {least:g}" if most == inf else f"from {least:g} to {most:g}"
        raise ConfigError(f"{field}: {name}", value, f"must be a number {rule}")
    return number


def _count(given: dict[str, object], name: str, field: str) -> int | None:
    value = given.pop(name, None)
    if value is None:
        return None
    text = str(value)
    if (
        isinstance(value, bool | float)
        or not text.isascii()
        or not text.isdigit()
        or not 1 <= len(text) <= 12
        or text == "0"
    ):
        raise ConfigError(f"{field}: {name}", value, "must be a whole number of at least 1")
    return int(text)


def _name(given: dict[str, object], name: str, field: str) -> str | None:
    value = given.pop(name, None)
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigError(f"{field}: {name}", value, "must be a text that is not empty")
    return value


def _parameter(parameter: Parameter, given: Mapping[str, object], field: str) -> Value:
    value = given[parameter.name]
    if isinstance(parameter.default, str):
        every = [row.name for row in FAULTS.values() if row.scope is Scope.CALLS and row.name != "outage"]
        if value not in every:
            raise ConfigError(f"{field}: {parameter.name}", value, f"must be one of {', '.join(every)}")
        return str(value)
    return _number(dict(given), parameter.name, field, parameter.default, least=parameter.least, most=inf)
