"""Deadlines in the context."""

import asyncio
import contextvars

import pytest

from holdfast.core.deadline import Deadline, deadline_at, deadline_ns, deadline_scope, remaining_ns
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError
from holdfast.testing.clock import FakeClock


def test_nested_scopes_only_shrink() -> None:
    """An inner scope may end earlier, never later; leaving it restores what was."""
    clock = FakeClock(start_ns=100)
    assert deadline_ns() is None
    assert remaining_ns(clock) is None
    with deadline_scope(10, clock=clock) as outer:
        assert outer == 100 + 10 * 10**9
        with deadline_scope(20, clock=clock) as inner:
            assert inner == outer
        with deadline_scope(3, clock=clock):
            assert remaining_ns(clock) == 3 * 10**9
            clock.advance(5)
            assert remaining_ns(clock) == 0
        assert remaining_ns(clock) == 5 * 10**9
    assert deadline_ns() is None


def test_a_scope_can_be_entered_again() -> None:
    """The same scope object counts anew at each entry, nested in itself too."""
    clock = FakeClock()
    scope = deadline_scope(1, clock=clock)
    with scope:
        clock.advance(0.5)
        with scope:
            assert remaining_ns(clock) == 500_000_000
    with scope:
        assert remaining_ns(clock) == 10**9


def test_a_scope_that_ends_at_a_time() -> None:
    """It ends at the same time at each entry, but for an enclosing deadline that comes first; that time may be past."""
    clock = FakeClock(start_ns=100)
    scope = deadline_at(100 + 2 * 10**9)
    with scope as until:
        assert until == 100 + 2 * 10**9
        clock.advance(1.5)
        with scope as again:
            assert again == until
        assert remaining_ns(clock) == 500_000_000
        with deadline_at(until + 1) as later, deadline_at(until - 1) as sooner:
            assert (later, sooner) == (until, until - 1)
    clock.advance(1)
    with scope:
        assert remaining_ns(clock) == 0
    assert deadline_ns() is None


@pytest.mark.parametrize("due_ns", [1.5, None, "3"])
def test_a_time_that_is_none(due_ns: int) -> None:
    """A time that is no whole number is refused by name."""
    with pytest.raises(ConfigError, match="whole nanoseconds") as refused:
        deadline_at(due_ns)
    assert refused.value.field == "due_ns"


async def test_tasks_inherit_the_deadline() -> None:
    """A task that is started inside a scope keeps its deadline; its own scopes do not leak out."""
    clock = FakeClock()

    async def child() -> int | None:
        with deadline_scope(1, clock=clock):
            return remaining_ns(clock)

    with deadline_scope(2, clock=clock):
        assert await asyncio.create_task(child()) == 10**9
        assert remaining_ns(clock) == 2 * 10**9


@pytest.mark.parametrize("policy", [Deadline, Timeout])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "3", None])
def test_seconds_out_of_range(policy: type[Deadline] | type[Timeout], seconds: float) -> None:
    """A limit that is not a finite number above 0 is refused by name."""
    with pytest.raises(ConfigError) as refused:
        policy(seconds=seconds)
    assert refused.value.field == "seconds"


def test_limits_in_nanoseconds() -> None:
    """Both limits are whole nanoseconds."""
    assert Deadline(seconds=0.25).ns == Timeout(seconds=0.25).ns == 250_000_000


def test_a_scope_of_no_time_has_passed() -> None:
    """A scope of 0 seconds is over when it begins, and so is every scope inside."""
    clock = FakeClock(start_ns=7)
    with deadline_scope(0, clock=clock) as until:
        assert (until, remaining_ns(clock)) == (7, 0)
        with deadline_scope(1, clock=clock) as inner:
            assert inner == 7


def test_leaving_a_scope_that_was_entered_elsewhere() -> None:
    """A scope that ends in a context that did not enter it, as a forgotten generator does, changes nothing there."""
    clock = FakeClock()
    scope = deadline_scope(1, clock=clock)
    contextvars.copy_context().run(scope.__enter__)
    scope.__exit__(None, None, None)
    assert deadline_ns() is None
    with deadline_scope(2, clock=clock):
        scope.__exit__(None, None, None)
        assert remaining_ns(clock) == 2 * 10**9
    assert deadline_ns() is None


def test_what_it_is_called() -> None:
    """Events and errors name the policy by its label."""
    assert Deadline.label == "deadline"
