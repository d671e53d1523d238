"""What the closed forms found of the lab's faults."""

from __future__ import annotations

from collections import Counter

import pytest

from holdfast.lab.faults.models import rules_for
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind

KINDS = {
    "refused": "down", "slow_headers": "slow", "server_error": "errors", "overloaded": "errors", "reset": "errors",
    "rate_limited": "errors", "rate_limited_bare": "errors", "bad_gateway_html": "errors",
}  # fmt: skip


@pytest.mark.parametrize("rate", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("embeddings", [False, True])
def test_mixed_faults_of_models_are_of_every_kind_alike(rate: float, embeddings: bool) -> None:
    """Each kind has a fifth of the calls that are hit, however many faults it may play, as for the parts in process.

    Errors once had six thirteenths of a model's, and what is down, slow or hangs one thirteenth each; the ceiling of
    the resilience score reckons with a fifth.
    """
    plan = FaultPlan([Fault(component="x", kind=Kind.MIXED, rate=rate)])
    shares: Counter[str] = Counter()
    left = 1.0
    for rule in rules_for(plan, "x", embeddings=embeddings):
        kind = KINDS.get(rule.fault, "garbage")
        if rule.parameters.get("seconds") == float("inf"):
            kind = "hang"
        shares[kind] += left * rule.rate  # type: ignore[assignment]
        left *= 1 - rule.rate
    assert shares == pytest.approx(dict.fromkeys(("down", "slow", "errors", "garbage", "hang"), rate / 5))
    assert left == pytest.approx(1 - rate)
