"""What a failure of one target means for the question: ask another target, another list of targets, or nobody.

Pure decisions. Who is asked next is the picker's business, and how long to wait that of the retry policy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast.core.faults import FaultKind

if TYPE_CHECKING:
    from holdfast.core.faults import Fault

__all__ = ["Step", "parks_key", "step_after"]


class Step(StrEnum):
    """What to do next."""

    ANOTHER = "another"
    """Ask another target; this one may be asked again when all others failed too."""
    ANOTHER_ONLY = "another_only"
    """Ask another target; this one would say the same again."""
    LARGER = "larger"
    """Ask the targets with a larger context window."""
    FILTERED = "filtered"
    """Ask the targets that are there for what others withhold."""
    RAISE = "raise"
    """The caller has to hear it: nobody else would answer otherwise."""


_KEYS = frozenset({FaultKind.AUTH, FaultKind.QUOTA})
_ENDPOINTS = frozenset({404, 405, 407, 409, 410, 425, 426, 451})
"""Statuses that speak of a model, an address or a moment of one target; every other 4xx speaks of the question."""


def step_after(fault: Fault) -> Step:
    """The next step after ``fault``."""
    kind = fault.kind
    status = getattr(fault.cause, "status_code", None)
    match kind:
        case FaultKind.CONTEXT_TOO_LONG:
            return Step.LARGER
        case FaultKind.CONTENT_FILTERED:
            return Step.FILTERED
        case FaultKind.CANCELLED if status is not None:
            return Step.ANOTHER  # 499: it was not we who cancelled
        case FaultKind.CANCELLED | FaultKind.BUG:
            return Step.RAISE
        case FaultKind.BAD_REQUEST if not fault.transient and not _is_the_targets(status):
            return Step.RAISE
    return Step.ANOTHER if fault.transient and kind not in _KEYS else Step.ANOTHER_ONLY


def _is_the_targets(status: int | None) -> bool:
    """Whether a refusal lies in the target: a redirect does, and what speaks of an endpoint."""
    return status is not None and (status < 400 or status in _ENDPOINTS)


def parks_key(fault: Fault) -> bool:
    """Whether the failure is the key's: it is wrong, or its money is used up. Other keys of the provider may work.

    A 403 is not: a key that may not use one model may use the others.
    """
    return fault.kind in _KEYS and getattr(fault.cause, "status_code", None) != 403
