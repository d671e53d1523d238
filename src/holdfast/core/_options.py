"""Checks of options: each names the field, the value and the rule.

Two bounds hold for all of them, and are set here only. A time is at most :data:`LONGEST` seconds, so that its
nanoseconds, and sums of some of them, stay far from where 64 bits end (the waits of the operating system count in
those). A number is at most :data:`MOST`, up to which floats tell one whole number from the next.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core.faults import FaultKind
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = [
    "LONGEST",
    "MOST",
    "at_least",
    "duration",
    "fault_kinds",
    "flag",
    "function",
    "not_negative",
    "number",
    "options_by_name",
    "per_minute",
    "positive",
    "refuse_unknown",
    "retry_budget",
    "text",
    "whole",
]

LONGEST = 1_000_000_000
"""The longest time that an option may name, in seconds: about 31 years."""

MOST = 1e15
"""The largest number that an option may be."""

_NUMBERS = (int, float)
_SHORTEST = 1e-9
_FASTEST = 600_000_000  # a minute: 100 ns each; whole nanoseconds are too coarse for more
_SLOWEST = 1e-6  # a minute: one in two years
_ALIKE = 0.6
_KINDS = frozenset(FaultKind)

ClassT = TypeVar("ClassT", bound=type)


# --- numbers ----------------------------------------------------------------------------------------------------------


def number(field: str, value: object) -> float:
    """``value``, when it is a finite number, and neither above :data:`MOST` nor below its negative."""
    if isinstance(value, _NUMBERS) and not isinstance(value, bool) and -MOST <= value <= MOST:
        return value
    raise ConfigError(field, value, f"must be a finite number, from {-MOST:g} to {MOST:g}")


def positive(field: str, value: object) -> float:
    """``value``, when it is above 0."""
    checked = number(field, value)
    if checked <= 0:
        raise ConfigError(field, value, "must be above 0")
    return checked


def not_negative(field: str, value: object) -> float:
    """``value``, when it is 0 or above."""
    return at_least(field, value, 0)


def at_least(field: str, value: object, least: float) -> float:
    """``value``, when it is ``least`` or above."""
    checked = number(field, value)
    if checked < least:
        raise ConfigError(field, value, f"must be at least {least:g}")
    return checked


def whole(field: str, value: object, *, least: int) -> int:
    """``value``, when it is a whole number of at least ``least`` that fits into 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(field, value, f"must be a whole number of at least {least}")
    if value >= 1 << 63:
        raise ConfigError(field, value, f"must be a whole number from {least} to 2**63 - 1")
    return value


def duration(field: str, value: object, *, or_zero: bool = False) -> float:
    """``value``, when it is a time in seconds from a nanosecond, or from 0 where that is allowed, to ``LONGEST``."""
    if isinstance(value, float) and _SHORTEST <= value <= LONGEST:
        return value  # the quick way, for what is made for each request
    checked = not_negative(field, value) if or_zero else positive(field, value)
    if checked > LONGEST:
        raise ConfigError(field, value, f"must be at most {LONGEST:,} seconds (about 31 years)")
    if checked < _SHORTEST and not or_zero:
        raise ConfigError(field, value, "must be at least a nanosecond (1e-9 seconds)")
    return checked


def per_minute(field: str, value: object) -> float:
    """``value``, when it is a rate that whole nanoseconds can tell: from one in two years to 10 million a second."""
    checked = positive(field, value)
    if not _SLOWEST <= checked <= _FASTEST:
        raise ConfigError(field, value, f"must be from {_SLOWEST:f} to {_FASTEST:,}")
    return checked


# --- others -----------------------------------------------------------------------------------------------------------


def flag(field: str, value: object) -> bool:
    """``value``, when it is True or False, and not only taken for it."""
    if not isinstance(value, bool):
        raise ConfigError(field, value, "must be True or False")
    return value


def text(field: str, value: object) -> str:
    """``value``, when it is a string."""
    if not isinstance(value, str):
        raise ConfigError(field, value, "must be text")
    return value


def function(field: str, value: object) -> None:
    """Refuse what is neither a function, or something else to call, nor None."""
    if value is not None and not callable(value):
        raise ConfigError(field, value, "must be a function")


def retry_budget(field: str, value: object) -> None:
    """Refuse what is neither a ``RetryBudget`` nor None."""
    if value is None:
        return
    from holdfast.core.retry_budget import RetryBudget  # noqa: PLC0415  few have one, and it stands on this module

    if not isinstance(value, RetryBudget):
        raise ConfigError(field, value, "must be a RetryBudget, or None")


def fault_kinds(field: str, given: object) -> frozenset[FaultKind]:
    """The kinds that ``given`` names: members of ``FaultKind``, or their values."""
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise ConfigError(field, given, f"must be a collection of kinds of fault: {', '.join(FaultKind)}")
    kinds = list(given)
    for each in kinds:
        if not isinstance(each, str) or each not in _KINDS:
            raise ConfigError(field, each, f"must be kinds of fault: {', '.join(FaultKind)}")
    return frozenset(FaultKind(each) for each in kinds)


# --- names ------------------------------------------------------------------------------------------------------------


def refuse_unknown(owner: str, options: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse ``options`` that are not among the ``known`` ones of ``owner``, and name the one that may be meant.

    Raises:
        ConfigError: for the first of them.
    """
    for name, value in options.items():
        if name not in known:
            import difflib  # noqa: PLC0415  for nobody but those who err

            close = difflib.get_close_matches(name, known, 1, _ALIKE)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
            raise ConfigError(name, value, f"is no option of {owner}; {hint}")


def options_by_name(cls: ClassT) -> ClassT:
    """A decorator of classes: a keyword that the constructor does not know is a ``ConfigError`` with the closest name.

    Without it Python raises a TypeError, which names neither the value nor what is allowed.
    """
    init: Callable[..., None] = vars(cls)["__init__"]
    code = init.__code__
    known = code.co_varnames[max(1, code.co_posonlyargcount) : code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(init)
    def checked(self: object, /, *args: Any, **options: Any) -> None:  # noqa: ANN401
        refuse_unknown(cls.__name__, options, known)
        init(self, *args, **options)

    setattr(cls, "__init__", checked)  # noqa: B010  a type checker refuses the plain form
    return cls
