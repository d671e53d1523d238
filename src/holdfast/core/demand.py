"""What a call asks of the limits it passes: its cost and its priority, carried by the context.

    with demand_scope(cost=1200, priority=7) as demand:
        answer = guard.call(complete, prompt)      # a limiter in the pipeline charges 1200
                                                   # complete() may say: current_demand().used(answer.total_tokens)

Scopes nest; an inner one takes what it does not name from the one around it. Tasks started inside inherit it.

What was used travels the other way. Whoever drives calls through limiters gives each call a demand of its own, so that
calls side by side under one scope do not take each other's usage for their own; and what is used in a demand counts in
all around it, so that the limiters of an outer pipeline learn of it, too. A limiter settles by what was said since it
let the attempt in: each attempt by its own usage, and every limiter that it passed by the same.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, NamedTuple

from holdfast.core._options import not_negative, positive
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "CURRENT",
    "DEFAULT_PRIORITY",
    "Demand",
    "Mark",
    "check_priority",
    "current_demand",
    "demand_scope",
    "restore",
]

DEFAULT_PRIORITY = 5
"""The priority of a call that names none; 0 is the lowest, 9 the highest."""


_LOCK = threading.Lock()  # of all demands: a report takes it once, and goes up through several


class Mark(NamedTuple):
    """What had been said when an attempt began; see :meth:`Demand.begin`."""

    reports: int
    used: float
    asker_reports: int


class Demand:
    """What a call asks for.

    Attributes:
        cost: in the limiter's unit (tokens where it limits tokens, requests otherwise); None when none was named.
        priority: 0 to 9.
        actual: what was used under it so far, by all attempts that said it; None when nobody did.
        outer: the demand around it, in which that counts, too.
        asker: for the demand of a stream, that of its consumer.
        attempt: what the attempt under way said last.
        reports: how often something was said; ``own_reports`` leaves out what was said further inside.
    """

    __slots__ = ("actual", "asker", "attempt", "cost", "outer", "own_reports", "priority", "reports")

    def __init__(
        self, cost: float | None = None, priority: int = DEFAULT_PRIORITY, *, outer: Demand | None = None
    ) -> None:
        self.cost = cost
        self.priority = priority
        self.actual: float | None = None
        self.outer = outer
        self.asker: Demand | None = None
        self.attempt: float = 0
        self.reports = 0
        self.own_reports = 0

    def used(self, actual: float) -> None:
        """Say what the attempt under way really cost, 0 or more; its limiters settle by it when the attempt ends.

        Said again it replaces what the attempt said before, as a stream's running count does. The attempts of a retry,
        the copies of a hedge and inner pipelines each have a count of their own, and add up.
        """
        not_negative("actual", actual)
        with _LOCK:
            difference = actual - self.attempt
            self.attempt = actual
            self.own_reports += 1
            each: Demand | None = self
            while each is not None:
                each.actual = difference if each.actual is None else each.actual + difference
                each.reports += 1
                each = each.outer

    # --- for the drivers and the limiters ---

    def inner(self, *, stream: bool = False) -> Demand:
        """A demand for one call under this one, which asks for the same; what is used there counts here, too.

        Args:
            stream: the call outlives its steps, and between them it is the consumer who may say what was used, here.
        """
        demand = Demand(self.cost, self.priority, outer=self)
        if stream:
            demand.asker = self
        return demand

    def begin(self) -> Mark:
        """An attempt begins: what it says adds to what was said before. For :meth:`since`."""
        self.attempt = 0
        asker = self.asker
        if asker is not None:
            asker.attempt = 0
        return Mark(self.reports, self.actual or 0, 0 if asker is None else asker.own_reports)

    def since(self, mark: Mark) -> float | None:
        """What was used since ``mark``; None when nobody said it."""
        if self.reports != mark.reports:
            return max(0, (self.actual or 0) - mark.used)
        asker = self.asker
        return None if asker is None or asker.own_reports == mark.asker_reports else asker.attempt


CURRENT: ContextVar[Demand | None] = ContextVar("holdfast_demand", default=None)

_NOTHING = Demand()


class _Entry(Demand):
    """The demand of one entry of a scope, which several contexts may have entered."""

    __slots__ = ("scope", "token")

    scope: demand_scope
    token: Token[Demand | None]


class demand_scope:  # noqa: N801  a context manager, used like a function
    """``with demand_scope(cost=1200, priority=7):`` calls inside ask their limiters for this.

    One object may be entered any number of times, also in itself and by several tasks or threads at once; each entry
    has a demand of its own. Leaving an entry leaves those that were made inside it, too.

    Args:
        cost: above 0; by default that of the scope around it.
        priority: 0 (lowest) to 9; by default that of the scope around it, else 5.

    Raises:
        ConfigError: a value is out of its range.
    """

    __slots__ = ("_cost", "_priority")

    def __init__(self, *, cost: float | None = None, priority: int | None = None) -> None:
        self._cost = None if cost is None else positive("cost", cost)
        self._priority = None if priority is None else check_priority(priority)

    def __enter__(self) -> Demand:
        outer = CURRENT.get()
        asked = outer or _NOTHING
        demand = _Entry(
            asked.cost if self._cost is None else self._cost,
            asked.priority if self._priority is None else self._priority,
            outer=outer,
        )
        demand.scope = self
        demand.token = CURRENT.set(demand)
        return demand

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        demand = CURRENT.get()
        while demand is not None and not (isinstance(demand, _Entry) and demand.scope is self):
            demand = demand.outer  # a generator may have left its own scope open
        if demand is not None:
            try:  # noqa: SIM105  suppress() would cost every call
                CURRENT.reset(demand.token)
            except ValueError:  # it is left in another context than it was entered in
                pass


def current_demand() -> Demand:
    """The demand that holds here; one that asks for nothing special when no scope is open."""
    return CURRENT.get() or Demand()


def restore(demand: Demand) -> None:
    """End a call under ``demand``, which :meth:`Demand.inner` gave: what is around it holds again, if ``demand`` does.

    Else nothing is done: a coroutine that the garbage collector closes ends in the context of somebody else.
    """
    if CURRENT.get() is demand:
        CURRENT.set(demand.outer)


def check_priority(priority: object) -> int:
    """``priority``, when it is a whole number from 0 to 9."""
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= 9:
        raise ConfigError("priority", priority, "must be a whole number from 0 (lowest) to 9")
    return priority
