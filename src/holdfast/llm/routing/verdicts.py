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
_CALLERS = frozenset({FaultKind.CANCELLED, FaultKind.BUG})


def step_after(fault: Fault) -> Step:
    """The next step after ``fault``."""
    kind = fault.kind
    if kind in _CALLERS:
        return Step.RAISE
    if kind is FaultKind.CONTEXT_TOO_LONG:
        return Step.LARGER
    if kind is FaultKind.CONTENT_FILTERED:
        return Step.FILTERED
    if kind is FaultKind.BAD_REQUEST:
        # A model or an endpoint that is not there is this target's fault; every other 4xx is the question's.
        return Step.ANOTHER_ONLY if getattr(fault.cause, "status_code", None) == 404 else Step.RAISE
    if kind in _KEYS or not fault.transient:
        return Step.ANOTHER_ONLY
    return Step.ANOTHER


def parks_key(fault: Fault) -> bool:
    """Whether the failure is the key's: it is wrong, or its money is used up. Other keys of the provider may work."""
    return fault.kind in _KEYS
