"""The conformance suite for policies, on ours; benchmarks/conformance runs it on other libraries."""

from __future__ import annotations

import pytest

from holdfast.testing.policies import CASES, Case, Library, Verdict
from holdfast.testing.policies.ours import Holdfast

NOT_YET = {
    "breaker.shared.no_lock": "it shares no state between processes yet",
    "breaker.shared.loop": "it shares no state between processes yet",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_ours_passes(case: Case) -> None:
    """Every case is true of Holdfast's policies."""
    library: Library = Holdfast()
    outcome = case.run(library)
    if case.id in NOT_YET:
        assert (outcome.verdict, outcome.reason) == (Verdict.UNSUPPORTED, NOT_YET[case.id])
    else:
        assert outcome.verdict is Verdict.PASSED, outcome.reason


def test_ids_are_unique() -> None:
    """A case can be named by its id, and says what is true in one sentence."""
    assert len({case.id for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.sentence.endswith(".")
        assert case.sentence.count(". ") == 0
