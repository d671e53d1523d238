"""A case, how it is run, and what comes of it."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from holdfast.testing.policies.adapters import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.testing.policies.adapters import Library

__all__ = ["Case", "CaseFailedError", "CaseList", "Outcome", "Verdict", "check"]


class Verdict(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """The library has no such thing; the reason says what it lacks."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case.

    Attributes:
        case_id: the case's id.
        verdict: see :class:`Verdict`.
        reason: what was seen, or what the library lacks; empty for a plain pass.
    """

    case_id: str
    verdict: Verdict
    reason: str = ""


class CaseFailedError(Exception):
    """What a case says is not true of the library; the message says what was seen instead."""


def check(condition: object, seen: str) -> None:
    """Fail the case with what was ``seen`` unless ``condition`` holds."""
    if not condition:
        raise CaseFailedError(seen)


@dataclass(frozen=True, slots=True)
class Case:
    """Something that must be true of every policy of one sort.

    Attributes:
        id: unique; begins with the sort of policy.
        sentence: what is true.
        subject: the attribute of :class:`~holdfast.testing.policies.adapters.Library` that is tried.
        trial: tries it on an adapter: a function, or an async function, that returns when it is true, and else raises.
    """

    id: str
    sentence: str
    subject: str
    trial: Callable[[Any], Any]

    def run(self, library: Library) -> Outcome:
        """Try the case; no event loop may be running in this thread.

        An error that nobody expected is a failure: no policy may raise what it was not asked for.
        """
        try:
            adapter = getattr(library, self.subject)
            if adapter is None:
                return Outcome(self.id, Verdict.UNSUPPORTED, f"it has no {self.subject}")
            if inspect.iscoroutinefunction(self.trial):
                remark = asyncio.run(self.trial(adapter))
            else:
                remark = self.trial(adapter)
        except UnsupportedError as lack:
            return Outcome(self.id, Verdict.UNSUPPORTED, str(lack))
        except CaseFailedError as seen:
            return Outcome(self.id, Verdict.FAILED, str(seen))
        except Exception as error:  # noqa: BLE001  whatever the library under test raises is its outcome
            return Outcome(self.id, Verdict.FAILED, f"it raised {type(error).__name__}: {error}")
        return Outcome(self.id, Verdict.PASSED, remark or "")


class CaseList:
    """Collects the cases of a module, in order."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._cases: list[Case] = []

    def add(self, case_id: str, sentence: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        """Decorate a trial; it may return a remark that goes with its pass."""

        def collect(trial: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self._cases.append(Case(case_id, sentence, self._subject, trial))
            return trial

        return collect

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases so far."""
        return tuple(self._cases)
