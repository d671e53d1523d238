"""Fallback: another way to an answer when the call has failed for good."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from holdfast.core._alone import Alone
from holdfast.core._options import fault_kinds, options_by_name
from holdfast.core.faults import Fault, FaultKind
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FALLBACK_KINDS", "Fallback"]

FALLBACK_KINDS = frozenset(FaultKind) - {FaultKind.BUG, FaultKind.CANCELLED, FaultKind.BAD_REQUEST}
"""What an alternative may help against: all but a bug, a cancellation, and a request that is wrong everywhere."""


@options_by_name
class Fallback(Alone):
    """A policy: when the call fails, the alternatives are asked in order, with the same arguments.

    The first that answers wins. When all fail the caller gets the error of the call itself, with a note for each
    alternative. An async function may have sync and async alternatives; a sync function needs sync ones; an async
    generator needs async generators, and falls back only while it has given nothing out.

    Args:
        alternatives: functions, or one function.
        kinds: the kinds of fault to fall back on; by default :data:`FALLBACK_KINDS`.
    """

    label: ClassVar[str] = "fallback"

    def __init__(
        self,
        alternatives: Callable[..., Any] | Sequence[Callable[..., Any]],
        *,
        kinds: Iterable[FaultKind] = FALLBACK_KINDS,
    ) -> None:
        given: object = alternatives
        if not callable(given) and (not isinstance(given, Iterable) or isinstance(given, str | bytes)):
            raise ConfigError("alternatives", given, "must be a function, or a sequence of functions")
        chain = (alternatives,) if callable(alternatives) else tuple(alternatives)
        if not chain:
            raise ConfigError("alternatives", alternatives, "must name at least one function")
        for each in chain:
            if not callable(each):
                raise ConfigError("alternatives", each, "must be a function: wrap a constant as `lambda *_: constant`")
        self.alternatives: tuple[Callable[..., Any], ...] = chain
        self.kinds = fault_kinds("kinds", kinds)

    def decide(self, fault: Fault, remaining_ns: int | None) -> bool:
        """Whether to ask the alternatives after ``fault``, with ``remaining_ns`` left until the deadline."""
        return fault.kind in self.kinds and (remaining_ns is None or remaining_ns > 0)
