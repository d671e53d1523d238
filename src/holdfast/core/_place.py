"""Where a policy stands: its clock, its hub of events, and the names that it speaks under.

A policy that is used alone brings its own; one that is part of a pipeline takes the pipeline's for what it was not
given. One policy may be part of several pipelines: the first one's names stay, and the clocks must be the same.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from holdfast.core._options import text
from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.core.events import Events
from holdfast.core.policy import CallRef, Site, stamp
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.core.events import Event

__all__ = ["Place", "check_clock", "check_doors"]


def check_doors(*, clock: object, events: object, name: object, rng: object = None) -> None:
    """Refuse what is no clock, no hub, no name or no source of chance; None, but for the name, is none given.

    Raises:
        ConfigError: one is wrong.
    """
    if clock is not None:
        check_clock(clock)
    if events is not None and not isinstance(events, Events):
        raise ConfigError("events", events, "must be a hub of events: Events()")
    text("name", name)
    if rng is not None and (isinstance(rng, type) or not all(callable(getattr(rng, each, None)) for each in _DRAWS)):
        raise ConfigError("rng", rng, "must be a source of random numbers, such as random.Random()")


def check_clock(clock: object) -> None:
    """Refuse what is no clock, a class of clocks included.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(clock, type) or not isinstance(clock, Clock):
        raise ConfigError("clock", clock, "must be a Clock, such as SystemClock()")


_DRAWS = ("random", "uniform")


class Place:
    """The doors of one policy.

    Args:
        label: the policy's name in events.
        clock, events, name: what the policy was given at construction.

    Attributes:
        clock: the clock that holds now.
        name: the dependency's name.
    """

    __slots__ = ("_clock_given", "_events", "_lock", "_site", "clock", "label", "name")

    def __init__(self, label: str, *, clock: Clock | None, events: Events | None, name: str) -> None:
        check_doors(clock=clock, events=events, name=name)
        self.label = label
        self.name = name
        self.clock: Clock = clock or SYSTEM_CLOCK
        self._clock_given = clock is not None
        self._events = events
        self._site: Site | None = None
        self._lock = threading.Lock()

    def attach(self, site: Site) -> bool:
        """Take over what was not given; True when the clock is another one now.

        Raises:
            ConfigError: the policy is already part of a pipeline with another clock.
        """
        with self._lock:
            if self._site is not None:
                if not self._clock_given and self.clock is not site.clock:
                    rule = f"a {self.label} in several pipelines needs the same clock in each"
                    raise ConfigError("clock", site.clock, rule)
                return False
            changed = not self._clock_given and self.clock is not site.clock
            if changed:
                self.clock = site.clock
            self._events = self._events or site.events
            self.name = self.name or site.dependency
            self._site = site
            return changed

    @property
    def heard(self) -> bool:
        """Whether anybody listens; ask before :meth:`emit`."""
        return self._events is not None and self._events.active

    def emit(self, kind: type[Event], call: CallRef | None = None, /, **fields: Any) -> None:  # noqa: ANN401
        """Build an event and hand it on, if somebody wants it; never call it under a lock."""
        if self._events is not None and self._events.hears(kind):
            pipeline = "" if self._site is None else self._site.pipeline
            common = stamp(self.clock, call, pipeline=pipeline, policy=self.label, dependency=self.name)
            self._events.emit(kind(**common, **fields))
