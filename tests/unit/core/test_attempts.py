"""What a layer does about a refusal."""

import pytest

from holdfast.core._plan import Policy
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.errors import CircuitOpenError
from holdfast.testing.clock import FakeClock

FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)
S = 10**9


@pytest.mark.parametrize(
    ("policies", "brief"),
    [
        ([], True),
        ([Retry()], True),
        ([Retry(retry_on=(CircuitOpenError,))], False),
        ([Fallback(lambda: 1)], False),
        ([Fallback(lambda: 1), Retry()], False),
    ],
)
def test_whose_refusals_go_straight_to_the_caller(policies: list[Policy], brief: bool) -> None:
    """Those of layers that neither repeat one nor ask somebody else; they take the shortest way there is."""
    [layer] = Pipeline(*policies, CircuitBreaker())._layers
    assert layer.brief is brief


async def one() -> int:
    return 1


async def test_a_refusal_that_is_not_retried_still_has_a_fallback() -> None:
    """Under a fallback and a retry, too, a refusal that nobody hears of goes to the alternatives."""
    breaker = CircuitBreaker()
    breaker.force_open()
    assert Pipeline(Fallback(lambda: 2), Retry(), breaker).call(lambda: 1) == 2
    assert await Pipeline(Fallback(lambda: 2), Retry(), breaker).call(one) == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_refusal_may_be_retried(kind: str) -> None:
    """A retry that names refusals waits for the breaker, though nobody listens."""
    clock = FakeClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=2)
    retry = Retry(max_retries=1, initial_delay=2, jitter="none", retry_on=(CircuitOpenError,))
    guard = Pipeline(retry, breaker, clock=clock)
    breaker.leave(breaker.enter(), FAILURE)
    assert (guard.call(lambda: 1) if kind == "sync" else await guard.call(one)) == 1
    assert clock.sleeps_ns == [2 * S]
