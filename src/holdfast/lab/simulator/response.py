"""A response on its way: plays its script on the clock, and knows whether the client stayed to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND
from holdfast.lab.simulator.calls import Outcome
from holdfast.lab.simulator.script import Connection, Ending, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from holdfast.core.clock import Clock
    from holdfast.lab.simulator.calls import Call
    from holdfast.lab.simulator.script import Script

__all__ = ["SimulatedBreak", "SimulatedCut", "SimulatedRefusal", "SimulatedReset", "SimulatedResponse"]

_HOUR_NS = 3_600 * NS_PER_SECOND
_HOURS_OF_SILENCE = 24


class SimulatedBreak(Exception):  # noqa: N818 - not an error of ours: what the connection is to do
    """The connection is to break now."""


class SimulatedRefusal(SimulatedBreak):
    """There is to be no connection."""


class SimulatedReset(SimulatedBreak):
    """The connection is to be reset before any byte of a response."""


class SimulatedCut(SimulatedBreak):
    """The connection is to be reset in the middle of the body."""


class SimulatedResponse:
    """One response.

    Args:
        script: what to send.
        call: the record that it completes.
        ended: told once, when the outcome is known.
    """

    def __init__(self, script: Script, call: Call, clock: Clock, ended: Callable[[Call], None]) -> None:
        self._script = script
        self._call = call
        self._clock = clock
        self._ended = ended
        self._begun_ns = clock.now_ns()
        self._sent = 0

    @property
    def status(self) -> int:
        """The status code."""
        return self._script.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, names in lower case."""
        return self._script.headers

    @property
    def head_wait_ns(self) -> int:
        """How long the head takes, in nanoseconds."""
        return self._script.head_wait_ns

    async def head(self) -> None:
        """Wait until the head is to be sent.

        Raises:
            SimulatedRefusal: there is to be no connection.
            SimulatedReset: the connection is to be reset.
        """
        try:
            if self._script.head_wait_ns:
                await self._clock.asleep_ns(self._script.head_wait_ns)
        except BaseException:
            self.close()
            raise
        if self._script.connection is not None:
            self._end(Outcome.BROKEN)
            raise SimulatedRefusal if self._script.connection is Connection.REFUSED else SimulatedReset

    async def piece(self) -> bytes | None:
        """The next piece of the body, at its time; None at its end. Whoever stops asking has to :meth:`close` it.

        Raises:
            SimulatedCut: the connection is to be reset.
        """
        script = self._script
        if self._sent < len(script.pieces):
            piece = script.pieces[self._sent]
            self._sent += 1
            if piece.wait_ns:
                await self._clock.asleep_ns(piece.wait_ns)
            if piece.kind is Kind.TOKEN:
                self._call.sent_tokens += 1
            if self._sent == len(script.pieces) and script.ending is Ending.CLEAN:
                self._end(Outcome.COMPLETED)  # before it is read: whoever has the last piece need not ask for more
            return piece.data
        if script.ending is Ending.SILENCE:
            for _ in range(_HOURS_OF_SILENCE):
                await self._clock.asleep_ns(_HOUR_NS)
        if script.ending is not Ending.CLEAN:
            self._end(Outcome.BROKEN)
            raise SimulatedCut
        self._end(Outcome.COMPLETED)
        return None

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece, each at its time.

        Raises:
            SimulatedCut: the connection is to be reset.
        """
        try:
            while (piece := await self.piece()) is not None:
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Nobody reads on: a response that was not at its end is cancelled."""
        self._end(Outcome.CANCELLED)

    def _end(self, outcome: Outcome) -> None:
        call = self._call
        if call.outcome is not Outcome.RUNNING:
            return
        call.outcome = outcome
        if outcome is Outcome.COMPLETED:
            call.sent_tokens += self._script.tokens
        call.took = (self._clock.now_ns() - self._begun_ns) / NS_PER_SECOND
        self._ended(call)
