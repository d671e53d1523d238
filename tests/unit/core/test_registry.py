"""The registry: found by name, seen, reset, forced open, and reconfigured while calls are under way."""

import asyncio
import threading

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline
from holdfast.core.fallback import Fallback
from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline, PipelineSnapshot
from holdfast.core.registry import Registry
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import AttemptTimeoutError, CircuitOpenError, ConfigError, NotFoundError, RetriesExhaustedError
from holdfast.testing.clock import FakeClock

S = 10**9


def test_names() -> None:
    """What is registered is found, listed and removed by its name."""
    registry = Registry()
    guard = registry.add(Pipeline(name="model:x"))
    breaker = registry.add(CircuitBreaker(), name="store")
    assert registry.get("model:x") is registry.pipeline("model:x") is guard
    assert registry.get("store") is breaker
    assert list(registry) == ["model:x", "store"]
    assert len(registry) == 2
    assert "store" in registry
    assert registry.add(guard) is guard
    registry.remove("store")
    assert "store" not in registry
    with pytest.raises(NotFoundError, match="known: model:x"):
        registry.get("store")
    with pytest.raises(NotFoundError):
        registry.remove("store")
    with pytest.raises(NotFoundError, match="known: none"):
        Registry().get("x")


def test_names_that_are_refused() -> None:
    """A name is one thing's; a gate needs one; a gate is no pipeline."""
    registry = Registry()
    registry.add(Pipeline(name="a"))
    with pytest.raises(ConfigError, match="is taken"):
        registry.add(Pipeline(name="a"))
    with pytest.raises(ConfigError, match="must be given"):
        registry.add(CircuitBreaker())
    registry.add(CircuitBreaker(), name="b")
    with pytest.raises(ConfigError, match="is no pipeline"):
        registry.pipeline("b")


def test_get_or_add_from_many_threads() -> None:
    """Whoever comes at once gets the same pipeline."""
    registry, barrier, got = Registry(), threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        got.append(registry.get_or_add("x", lambda: Pipeline(name="x")))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert registry.get_or_add("x", Pipeline) is got[0]


def test_whoever_is_first_is_kept() -> None:
    """A pipeline that another one registered while ours was made is the one to use."""
    registry, first = Registry(), Pipeline(name="x")

    def make() -> Pipeline:
        registry.add(first)
        return Pipeline(name="x")

    assert registry.get_or_add("x", make) is first


def test_force_open_and_reset() -> None:
    """A breaker is forced open by the pipeline's name, refuses, and works again after a reset."""
    registry, breaker = Registry(), CircuitBreaker()
    guard = registry.add(Pipeline(Bulkhead(), breaker, name="x"))
    registry.add(Pipeline(name="bare"))
    registry.force_open("x")
    with pytest.raises(CircuitOpenError):
        guard.call(max, 1, 2)
    snapshot = registry.snapshot()["x"]
    assert isinstance(snapshot, PipelineSnapshot)
    assert snapshot.breaker is not None
    assert snapshot.breaker.forced
    registry.reset("x")
    assert guard.call(max, 1, 2) == 2
    registry.force_open("x")
    registry.reset()
    assert breaker.state is BreakerState.CLOSED
    with pytest.raises(ConfigError, match="no circuit breaker"):
        registry.force_open("bare")


async def test_new_options_hold_for_the_next_call() -> None:
    """A function that was decorated before follows; the call under way keeps its time, the breaker its state."""
    clock, registry = FakeClock(auto=False), Registry()
    breaker = CircuitBreaker()
    guard = registry.add(Pipeline(Retry(max_retries=0), breaker, Timeout(seconds=10), name="x", clock=clock))

    @guard
    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    first = asyncio.create_task(hang())
    await asyncio.sleep(0)
    registry.reconfigure("x", Timeout(seconds=1))
    second = asyncio.create_task(hang())
    await asyncio.sleep(0)
    clock.advance(1)
    with pytest.raises(RetriesExhaustedError) as raised:
        await second
    assert isinstance(raised.value.__cause__, AttemptTimeoutError)
    assert not first.done()
    clock.advance(9)
    with pytest.raises(RetriesExhaustedError):
        await first
    assert breaker.snapshot().failures == 1
    assert guard.policies == (Retry(max_retries=0), breaker, Timeout(seconds=1))


def test_every_option_can_change() -> None:
    """Deadline, fallback, retry and timeout are exchanged in place, and ``describe`` follows."""
    guard = Pipeline(Deadline(seconds=9), Fallback(lambda: 1), Retry(), CircuitBreaker(), Timeout(seconds=3))

    @guard
    def down() -> int:
        raise ConnectionResetError

    guard.reconfigure(Retry(max_retries=0), Fallback(lambda: 2), Deadline(seconds=5), Timeout(seconds=2))
    assert down() == 2
    described = guard.describe()
    assert (described.max_calls, described.max_seconds) == (2, 5)


def test_changes_that_are_refused() -> None:
    """A policy that is not there, one that is there twice, and an alternative that does not fit: nothing changes."""
    guard = Pipeline(Fallback(lambda: 1), Retry(), CircuitBreaker())

    @guard
    def down() -> int:
        raise ConnectionResetError

    async def other() -> int:
        return 2

    with pytest.raises(ConfigError, match="must be one of the policies that this pipeline has once: fallback, retry"):
        guard.reconfigure(Timeout(seconds=1))
    with pytest.raises(ConfigError, match="has once"):
        guard.reconfigure(Hedge())  # type: ignore[arg-type]
    twice = Pipeline(Retry(), Deadline(seconds=1), Retry(), allow_order=True)
    with pytest.raises(ConfigError, match="has once: deadline"):
        twice.reconfigure(Retry(max_retries=9))
    with pytest.raises(ConfigError, match="must be a plain function"):
        guard.reconfigure(Retry(max_retries=0), Fallback(other))
    assert guard.policies[1] == Retry()


def test_a_change_that_a_budget_refuses_reaches_no_call() -> None:
    """A budget of another clock is refused before anything changed: calls are repeated as often as before."""
    foreign, calls = RetryBudget(), []
    Pipeline(Retry(budget=foreign), clock=FakeClock())
    guard = Pipeline(Retry(max_retries=2), clock=FakeClock())

    @guard
    def down() -> None:
        calls.append(1)
        raise ConnectionResetError

    with pytest.raises(ConfigError, match="same clock"):
        guard.reconfigure(Retry(max_retries=0, budget=foreign))
    with pytest.raises(RetriesExhaustedError):
        down()
    assert len(calls) == 3
