"""What the way of a question to its answer tells: events for whoever listens, and errors for the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.clock import NS_PER_SECOND
from holdfast.errors import DeadlineExceededError, TargetsExhaustedError
from holdfast.llm.routing.link import FOREVER_NS
from holdfast.telemetry.model_events import (
    KeyParked,
    ModelAnswered,
    ModelFailedOver,
    StreamBroken,
    StreamContinued,
    TargetHeld,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.core.faults import FaultKind
    from holdfast.llm.outcomes import Failed, Opened
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.network import Network
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute

__all__ = ["Telling"]

_MOST_TOLD = 4
"""Failures that the text of an error tells of; all are in its ``failures``."""


class Telling:
    """The events and errors of one route's questions.

    Args:
        network: whose clock and listeners to use.
        route: what the callers ask for.
    """

    __slots__ = ("_clock", "_events", "_route")

    def __init__(self, network: Network, route: ModelRoute | EmbeddingRoute) -> None:
        self._clock = network.clock
        self._events = network.events
        self._route = route

    def answered(self, opened: Opened, last: Failed | None, *, calls: int) -> None:
        """An answer was given, after ``last`` was the last failure."""
        if not self._events.active:
            return
        link = opened.link
        stamp = self._stamp(link, calls)
        if last is not None and last.link.target is not link.target:
            self._events.emit(
                ModelFailedOver(
                    **stamp,
                    route=self._route.name,
                    from_target=last.link.target.name,
                    to_target=link.target.name,
                    kind=last.fault.kind,
                )
            )
        self._events.emit(
            ModelAnswered(
                **stamp,
                route=self._route.name,
                target=link.target.name,
                calls=calls,
                first_token_seconds=opened.attempt.first_token_ns / NS_PER_SECOND,
                streamed=opened.attempt.question.streamed,
            )
        )

    def parked(self, link: Link, kind: FaultKind, seconds: float, *, calls: int) -> None:
        """A key is not used for a while."""
        if self._events.active:
            provider, key = link.target.provider.name, link.key.key.name
            stamp = self._stamp(link, calls)
            self._events.emit(KeyParked(**stamp, provider=provider, key=key, kind=kind, seconds=seconds))

    def held(self, link: Link, seconds: float, *, calls: int) -> None:
        """A target is not asked for a while."""
        if self._events.active:
            self._events.emit(TargetHeld(**self._stamp(link, calls), target=link.name, seconds=seconds))

    def went_on(self, broken: Failed, opened: Opened, *, characters: int, calls: int) -> None:
        """A stream that broke is continued."""
        if self._events.active:
            self._events.emit(
                StreamContinued(
                    **self._stamp(opened.link, calls),
                    route=self._route.name,
                    from_target=broken.link.target.name,
                    to_target=opened.link.target.name,
                    characters=characters,
                )
            )

    def broke(self, broken: Failed, *, characters: int, calls: int) -> None:
        """A stream that broke is at its end."""
        if self._events.active:
            self._events.emit(
                StreamBroken(
                    **self._stamp(broken.link, calls),
                    route=self._route.name,
                    target=broken.link.target.name,
                    kind=broken.fault.kind,
                    characters=characters,
                )
            )

    def late(self, calls: int) -> DeadlineExceededError:
        """The error for a question whose time is up."""
        seconds = self._route.options.deadline_seconds
        return DeadlineExceededError(
            f"{self._route.name} gave no answer in the time allowed ({seconds:g} s at most; calls: {calls})."
        )

    def exhausted(
        self,
        links: Iterable[Link],
        last: Failed | None,
        *,
        tokens: float,
        calls: int,
        delays: Sequence[float],
        failures: Sequence[tuple[str, str]],
    ) -> TargetsExhaustedError:
        """The error for a question that nobody answered; its cause is the last failure of a target that was asked."""
        now = self._clock.now_ns()
        links = tuple(links)
        ready = min((link.ready_at_ns(now, tokens) for link in links), default=FOREVER_NS)
        failures = failures or [(link.name, link.why_not(now, tokens)) for link in links]
        told = "; ".join(f"{name}: {what}" for name, what in failures[-_MOST_TOLD:])
        error = TargetsExhaustedError(
            f"No target of {self._route.name} gave an answer (calls: {calls}). {told}",
            attempts=calls,
            delays=delays,
            failures=failures,
            retry_after=None if ready >= FOREVER_NS else (ready - now) / NS_PER_SECOND,
        )
        error.__cause__ = None if last is None else last.error
        return error

    def _stamp(self, link: Link, calls: int) -> dict[str, Any]:
        return {"time_ns": self._clock.wall_ns(), "dependency": link.state.name, "attempt": calls}
