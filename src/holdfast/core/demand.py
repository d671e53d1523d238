"""What a call asks of the limits it passes: its cost and its priority, carried by the context.

    with demand_scope(cost=1200, priority=7) as demand:
        answer = guard.call(complete, prompt)      # a limiter in the pipeline charges 1200
                                                   # complete() may say: current_demand().used(answer.total_tokens)

Scopes nest; an inner one takes what it does not name from the one around it. Tasks started inside inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from holdfast.core._options import not_negative, positive
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CURRENT", "DEFAULT_PRIORITY", "Demand", "check_priority", "current_demand", "demand_scope"]

DEFAULT_PRIORITY = 5
"""The priority of a call that names none; 0 is the lowest, 9 the highest."""


class Demand:
    """What a call asks for.

    Attributes:
        cost: in the limiter's unit (tokens where it limits tokens, requests otherwise); None when none was named.
        priority: 0 to 9.
        actual: what the last attempt said that it used, until a limiter has settled by it; None otherwise.
    """

    __slots__ = ("actual", "cost", "priority")

    def __init__(self, cost: float | None = None, priority: int = DEFAULT_PRIORITY) -> None:
        self.cost = cost
        self.priority = priority
        self.actual: float | None = None

    def used(self, actual: float) -> None:
        """Say what the attempt under way really cost, 0 or more; the limiter settles by it when the attempt ends."""
        self.actual = not_negative("actual", actual)

    def take_actual(self) -> float | None:
        """What was used, once: the next attempt starts without it."""
        actual, self.actual = self.actual, None
        return actual


CURRENT: ContextVar[Demand | None] = ContextVar("holdfast_demand", default=None)


class demand_scope:  # noqa: N801  a context manager, used like a function
    """``with demand_scope(cost=1200, priority=7):`` calls inside ask their limiters for this.

    Args:
        cost: above 0; by default that of the scope around it.
        priority: 0 (lowest) to 9; by default that of the scope around it, else 5.

    Raises:
        ConfigError: a value is out of its range.
    """

    __slots__ = ("_cost", "_priority", "_tokens")

    def __init__(self, *, cost: float | None = None, priority: int | None = None) -> None:
        self._cost = None if cost is None else positive("cost", cost)
        self._priority = None if priority is None else check_priority(priority)
        self._tokens: list[Token[Demand | None]] = []

    def __enter__(self) -> Demand:
        outer = CURRENT.get() or Demand()
        demand = Demand(
            outer.cost if self._cost is None else self._cost,
            outer.priority if self._priority is None else self._priority,
        )
        self._tokens.append(CURRENT.set(demand))
        return demand

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._tokens.pop())


def current_demand() -> Demand:
    """The demand that holds here; one that asks for nothing special when no scope is open."""
    return CURRENT.get() or Demand()


def check_priority(priority: object) -> int:
    """``priority``, when it is a whole number from 0 to 9."""
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= 9:
        raise ConfigError("priority", priority, "must be a whole number from 0 (lowest) to 9")
    return priority
