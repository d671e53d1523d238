"""What a limiter let in, until it is settled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from holdfast.core._afterwards import now_or_later
from holdfast.core._options import not_negative
from holdfast.core.classify import classify
from holdfast.errors import RejectedError

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.core.clock import Clock
    from holdfast.core.demand import Demand
    from holdfast.core.faults import Fault

__all__ = ["Reservation", "Settler"]


class Settler(Protocol):
    """What a reservation asks of its limiter."""

    @property
    def clock(self) -> Clock:
        """The clock that it takes its time from."""
        ...

    def settle(self, reservation: Reservation, actual: float | None) -> bool:
        """Settle by what was used, None meaning that the call was never made; False when it was settled before."""
        ...

    def leave(self, permit: Any, fault: Fault | None = None) -> None:  # noqa: ANN401
        """Settle by how the call ended."""
        ...


class Reservation:
    """What a limiter let in. It stands as reserved until it is reconciled, once; leaving its ``with`` block settles it.

    Attributes:
        cost: what was reserved, in the limiter's unit.
        waited_ns: how long it stood in line.
        settled: whether it is over: a later ``reconcile`` or ``cancel`` changes nothing.
    """

    __slots__ = ("_demand", "_limiter", "_mark", "booking", "cost", "settled", "waited_ns")

    def __init__(self, limiter: Settler, booking: object, cost: float, demand: Demand | None) -> None:
        self._limiter = limiter
        self.booking = booking
        self.cost = cost
        self._demand = demand
        self._mark = None if demand is None else demand.begin()
        self.settled = False
        self.waited_ns = 0

    def outcome(self, fault: Fault | None) -> float | None:
        """What a call that ended with ``fault`` is settled by; None when it was never made.

        That is what its demand says was used since it was let in, or what was reserved when nobody said it. A call that
        a policy further inside refused was not made either, unless it says what it used before.
        """
        if fault is not None and not fault.made:
            return None
        used = None if self._mark is None else cast("Demand", self._demand).since(self._mark)
        if used is None and fault is not None and isinstance(fault.cause, RejectedError):
            return None
        return self.cost if used is None else used

    def reconcile(self, actual: float) -> float:
        """Settle by what the call really cost: the difference goes back to the limit, or is taken from it.

        It does not matter how the call ended. What was used beyond the reservation is always taken, even where nothing
        is left; what was not used is given back as far as the limit would still feel it.

        Args:
            actual: what was used, 0 or more, in the limiter's unit.

        Returns:
            ``cost - actual``, or 0 when it was settled before.
        """
        not_negative("actual", actual)
        return self.cost - actual if self._limiter.settle(self, actual) else 0.0

    def cancel(self) -> None:
        """Give everything back: the call was never made."""
        self._limiter.settle(self, None)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._limiter.leave(self, None)
        else:  # the collector may end a generator inside the block
            now_or_later(partial(self._limiter.leave, self, classify(error, clock=self._limiter.clock)))

    async def __aenter__(self) -> Reservation:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
