"""The simulated provider: one request in, one response out. It knows no sockets, and takes time from a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND, SYSTEM_CLOCK
from holdfast.lab.simulator.admin import Admin
from holdfast.lab.simulator.calls import Call, Calls, fingerprint_of
from holdfast.lab.simulator.desk import Desk
from holdfast.lab.simulator.draws import hex_of
from holdfast.lab.simulator.failures import Problem, error_script
from holdfast.lab.simulator.fault_effects import REPLACEMENTS
from holdfast.lab.simulator.fault_plan import FaultPlan
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.request import incoming
from holdfast.lab.simulator.response import SimulatedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core.clock import Clock
    from holdfast.lab.simulator.request import Incoming
    from holdfast.lab.simulator.script import Script

__all__ = ["Simulator"]

_LONGEST_NAME = 200


class Simulator:
    """A model provider that runs in this process.

    Args:
        options: everything that can be set.
        clock: what it takes its time from; its start is time 0 of the faults' schedules.

    Attributes:
        calls: what was asked, and what became of it.
        faults: the fault rules that are switched on.
        on_call: told of each call when it is over.
    """

    def __init__(self, options: SimulatorOptions | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.options = options or SimulatorOptions()
        self.calls = Calls(self.options.calls_kept)
        self.faults = FaultPlan(self.options.seed, self.options.faults)
        self.on_call: Callable[[Call], object] | None = None
        self._clock = clock
        self._started_ns = clock.now_ns()
        self._desk = Desk(self.options, clock)
        self._admin = Admin(self.options, self.faults, self.calls, lambda: self.seconds)
        self._number = 0

    @property
    def clock(self) -> Clock:
        """The clock that it goes by."""
        return self._clock

    @property
    def seconds(self) -> float:
        """Since its start."""
        return (self._clock.now_ns() - self._started_ns) / NS_PER_SECOND

    async def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> SimulatedResponse:
        """Answer a request; the head is due when this returns.

        Raises:
            SimulatedRefusal: there is to be no connection.
            SimulatedReset: the connection is to be reset.
        """
        response = self.begin(method, path, headers, body)
        await response.head()
        return response

    def begin(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, drawn: object = None
    ) -> SimulatedResponse:
        """Decide what a request gets; nothing has been waited for yet, see :meth:`SimulatedResponse.head`.

        Args:
            drawn: what its draws are keyed by, so that they do not depend on how many calls came before it; by default
                the call's number.
        """
        if self.options.admin and path.startswith("/admin/"):
            script = self._admin.answer(method, path, headers, body)
            unseen = Call(0, self.seconds, "admin", None, "", stream=False)
            return SimulatedResponse(script.measured(), unseen, self._clock, lambda _: None)
        request = incoming(method, path, headers, body)
        self._number += 1
        call = Call(
            self._number,
            self.seconds,
            "messages" if request.endpoint == "count_tokens" else request.endpoint,
            None if request.key is None else fingerprint_of(request.key),
            request.model[:_LONGEST_NAME],
            request.stream,
            drawn=self._number if drawn is None else drawn,
        )
        self.calls.begun(call)
        script = self._script(request, call)
        call.status = script.status or None
        return SimulatedResponse(script, call, self._clock, self._ended)

    def _script(self, request: Incoming, call: Call) -> Script:
        request_id = "req_" + hex_of(24, self.options.seed, "request", call.number)
        played = self.faults.choose(
            request.traits, drawn=call.drawn, seconds=call.seconds, model=request.model, key=call.key
        )
        call.fault = None if played is None else played.rule
        if played is not None and played.fault in REPLACEMENTS:
            script = REPLACEMENTS[played.fault](request.provider, request_id, played.parameters)
        else:
            try:
                script = self._desk.answer(request, call, played, request_id)
            except Problem as problem:
                call.fault = None  # the request was refused before the fault could do anything
                script = error_script(request.provider, problem, request_id)
        script.headers["request-id" if request.provider == "anthropic" else "x-request-id"] = request_id
        return script.measured()

    def _ended(self, call: Call) -> None:
        self.calls.ended(call)
        if self.on_call is not None:
            self.on_call(call)
