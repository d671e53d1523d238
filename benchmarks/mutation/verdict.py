"""Whether a result of an earlier run still holds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.mutation.coverage_map import CoverageMap, Reach
    from benchmarks.mutation.mutants import Program
    from benchmarks.mutation.results import Result

__all__ = ["holds", "stands_on"]


def holds(result: Result | None, program: Program, known: CoverageMap, reach: Reach) -> bool:
    """Whether ``result`` is of this code, and the tests it stands on are what they were."""
    return result is not None and result.digest == program.digest and result.tests == stands_on(known, reach, result.by)


def stands_on(known: CoverageMap, reach: Reach, by: str) -> str:
    """The digest of the test file that noticed the mutant, or without one of all that could have."""
    if by:
        return known.digest(by.partition("::")[0])
    files = sorted({test.partition("::")[0] for test in (*reach.tests, *reach.more)})
    return hashlib.sha256("".join(map(known.digest, files)).encode()).hexdigest()[:16]
