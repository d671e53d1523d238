"""Hears every event and keeps it."""

from __future__ import annotations

from typing import TypeVar

from holdfast.core.events import Event, Events

__all__ = ["EventRecorder"]

EventT = TypeVar("EventT", bound=Event)


class EventRecorder:
    """Records what a hub emits, from its construction until :meth:`stop`.

    Attributes:
        events: what was heard, in order.
    """

    def __init__(self, events: Events, *types: type[Event]) -> None:
        self.events: list[Event] = []
        self._stop = events.listen(self.events.append, *types)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """The events of one type, subclasses included."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def names(self) -> list[str]:
        """The names of the events' types, in order."""
        return [type(event).__name__ for event in self.events]

    def clear(self) -> None:
        """Forget what was heard."""
        self.events.clear()

    def stop(self) -> None:
        """Stop listening."""
        self._stop()
