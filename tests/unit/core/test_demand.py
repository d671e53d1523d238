"""What a call asks for, and what it says that it used."""

import contextvars

import pytest

from holdfast.core.demand import CURRENT, Demand, check_priority, current_demand, demand_scope, restore
from holdfast.errors import ConfigError


def test_a_demand_of_which_nothing_was_said() -> None:
    """Where nobody says what was used it is None, and not 0."""
    demand = Demand()
    assert (demand.cost, demand.priority, demand.outer, demand.asker) == (None, 5, None, None)
    assert (demand.actual, demand.reports, demand.own_reports) == (None, 0, 0)
    assert demand.since(demand.begin()) is None
    assert Demand().since(demand.begin()) is None


@pytest.mark.parametrize("actual", [0, 1, 2.5])
def test_what_an_attempt_used(actual: float) -> None:
    """An attempt used what was said since it began, and 0 is something that was said."""
    demand = Demand(10)
    mark = demand.begin()
    demand.used(7)
    demand.used(actual)
    assert demand.since(mark) == demand.actual == actual
    assert (demand.reports, demand.own_reports) == (2, 2)


def test_attempts_add_up() -> None:
    """What a second attempt says is added to what the first said, and is all that the second used."""
    demand = Demand()
    first = demand.begin()
    demand.used(30)
    second = demand.begin()
    assert demand.since(second) is None
    demand.used(5)
    assert (demand.since(first), demand.since(second), demand.actual) == (35, 5, 35)


def test_what_is_used_inside_counts_in_all_around_it() -> None:
    """A call under a demand asks for the same, and what it used counts in each demand around it, as said inside."""
    outer = Demand(cost=12, priority=7)
    between = outer.inner()
    inner = between.inner()
    assert [(each.cost, each.priority, each.asker) for each in (between, inner)] == [(12, 7, None)] * 2
    inner.used(4)
    inner.used(3)
    assert [each.actual for each in (outer, between, inner)] == [3, 3, 3]
    assert [(each.reports, each.own_reports) for each in (outer, between, inner)] == [(2, 0), (2, 0), (2, 2)]


def test_a_correction_of_what_was_said_before_an_attempt() -> None:
    """Less than was said before an attempt began makes its use nothing, never less than that."""
    outer = Demand()
    inner = outer.inner()
    inner.used(50)
    mark = outer.begin()
    inner.used(20)
    assert outer.since(mark) == 0
    assert outer.actual == 20


def test_the_consumer_of_a_stream_may_say_what_was_used() -> None:
    """Where the stream says nothing, what its consumer said since the attempt began counts, by its own words only."""
    consumer = Demand()
    stream = consumer.inner(stream=True)
    assert stream.asker is stream.outer is consumer
    consumer.used(9)
    mark = stream.begin()
    assert stream.since(mark) is None
    consumer.inner().used(4000)
    assert stream.since(mark) is None
    consumer.used(15)
    assert stream.since(mark) == 15
    assert consumer.actual == 9 + 4000 + 15
    stream.used(2)
    assert stream.since(mark) == 2


def test_scopes_and_what_is_around_them() -> None:
    """What is used in a scope counts in the one around it; the outermost has none, and one may be entered in itself."""
    scope = demand_scope(cost=3)
    with scope as outer:
        assert outer.outer is None
        with scope as inner:
            assert inner.outer is outer
            current_demand().used(2)
        assert current_demand() is outer
    assert CURRENT.get() is None
    assert outer.actual == 2
    assert current_demand().outer is None
    assert current_demand() is not current_demand()


def test_only_the_demand_that_holds_is_ended() -> None:
    """Ending a call in a context that is not its own, as for a forgotten coroutine, changes nothing there."""

    def other() -> None:
        with demand_scope() as around:
            inner = around.inner()
            restore(inner)
            assert current_demand() is around
            CURRENT.set(inner)
            restore(inner)
            assert current_demand() is around

    contextvars.copy_context().run(other)


def test_less_than_nothing_is_not_used() -> None:
    """A use below 0 is refused, and leaves what was said before."""
    demand = Demand()
    demand.used(3)
    with pytest.raises(ConfigError, match="actual"):
        demand.used(-1)
    assert demand.actual == 3


def test_the_bounds_of_a_priority() -> None:
    """The lowest and the highest priority are priorities."""
    assert [check_priority(each) for each in (0, 9)] == [0, 9]
