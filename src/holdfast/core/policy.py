"""The shapes that policies have, apart from what any of them does.

- A **gate** lets a call in or refuses it at once, and hears how it ended. It never waits and does no I/O.
- A **waiter** is a gate that may also answer with a place in line; the driver waits for it.
- A **loop** takes one pure decision after a failure: again, or not (:mod:`~holdfast.core.retry`,
  :mod:`~holdfast.core.fallback`).
- A **scope** bounds the time of what it encloses (:mod:`~holdfast.core.deadline`, :mod:`~holdfast.core.timeout`).

Only ``_drive`` calls functions, waits and sleeps; a policy never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from holdfast.core.events import Events, correlation_id
from holdfast.core.faults import Fault, hand_back
from holdfast.errors import RejectedError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from holdfast.core.clock import Clock

__all__ = [
    "CallRef",
    "Gate",
    "GateStack",
    "HasShortcut",
    "Reconfigurable",
    "Shortcut",
    "Site",
    "Stamp",
    "Wait",
    "Waiter",
    "leave_despite",
    "shortcut_of",
    "stamp",
]


class CallRef(Protocol):
    """The call on whose behalf a policy acts."""

    @property
    def call_id(self) -> str:
        """The call's id."""
        ...

    @property
    def attempt(self) -> int:
        """The attempt under way, from 1."""
        ...


Stamp = dict[str, Any]
"""The fields that every event has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a policy works: what it guards, and the doors through which time, chance and news pass.

    Attributes:
        pipeline: the pipeline's name.
        dependency: what is called.
    """

    pipeline: str
    dependency: str
    clock: Clock
    rng: random.Random
    events: Events


def stamp(clock: Clock, call: CallRef | None, *, pipeline: str, policy: str, dependency: str) -> Stamp:
    """The fields of an event of ``policy`` about ``call``."""
    return {
        "time_ns": clock.wall_ns(),
        "correlation_id": correlation_id(),
        "call_id": "" if call is None else call.call_id,
        "pipeline": pipeline,
        "policy": policy,
        "dependency": dependency,
        "attempt": 0 if call is None else call.attempt,
    }


@runtime_checkable
class Gate(Protocol):
    """Lets a call in, or refuses it at once."""

    @property
    def label(self) -> str:
        """The policy's name in events, e.g. ``"circuit_breaker"``."""
        ...

    def attach(self, site: Site) -> None:
        """Become part of a pipeline; what was given at construction stays."""
        ...

    def enter(self, call: CallRef | None = None) -> Any:  # noqa: ANN401  each gate has its own kind of permit
        """A permit, never None; or raise a ``RejectedError``. Never waits."""
        ...

    def leave(self, permit: Any, fault: Fault | None = None, call: CallRef | None = None) -> None:  # noqa: ANN401
        """Settle the permit: None is a success; a fault of kind ``cancelled`` gives it back and counts neither way.

        With a fault whose ``made`` is False the call was never made: what was charged for it is given back, too.
        """
        ...

    def snapshot(self) -> object:
        """Its state now, as a frozen dataclass."""
        ...


@runtime_checkable
class Reconfigurable(Gate, Protocol):
    """A gate whose options may change while it is in use."""

    @property
    def options(self) -> Any:  # noqa: ANN401  each gate has its own class of options
        """What holds now."""
        ...

    def reconfigure(self, options: Any) -> None:  # noqa: ANN401
        """Take these options from now on; permits that are out keep counting."""
        ...


@runtime_checkable
class Wait(Protocol):
    """A place in line: what a waiter gives when it has no permit yet. The driver waits on it, once."""

    def wait(self) -> Any:  # noqa: ANN401
        """Block the thread until the permit is there, and give it; or raise what refuses it.

        It ends by the deadline that the context names, at the latest.
        """
        ...

    async def wait_async(self) -> Any:  # noqa: ANN401
        """Let the task wait for the permit. A task that is cancelled leaves the line, and holds nothing."""
        ...


@runtime_checkable
class Waiter(Gate, Protocol):
    """A gate that a pipeline may wait at.

    ``enter`` never waits, here as everywhere: it is for those who have somewhere else to go.
    """

    def ask(self, call: CallRef | None = None) -> Any:  # noqa: ANN401
        """A permit, or a :class:`Wait` for one; or raise a ``RejectedError``. Never waits by itself."""
        ...


def _refusal(now_ns: int) -> RejectedError:  # noqa: ARG001
    return RejectedError("The call was refused.")


class Shortcut:
    """What a gate shows to the drivers, so that a call to which it has nothing to say need not ask it.

    Everything here may change at any moment, in another thread; each field alone is always true.

    Attributes:
        permit: what anybody who comes now gets, or None: ask ``enter``.
        heeds_success: whether ``leave`` must hear of a success.
        shut_until_ns: until when on the site's clock every call is refused, or 0: ask ``enter``.
        refusal: makes the error for a call that is refused at the given time; for one that nobody listens to.
    """

    __slots__ = ("heeds_success", "permit", "refusal", "shut_until_ns")

    def __init__(self, *, permit: object = None, heeds_success: bool = True) -> None:
        self.permit: Any = permit
        self.heeds_success = heeds_success
        self.shut_until_ns = 0
        self.refusal: Callable[[int], RejectedError] = _refusal


@runtime_checkable
class HasShortcut(Gate, Protocol):
    """A gate that shows a shortcut."""

    def shortcut(self, site: Site) -> Shortcut | None:
        """The shortcut, or None where the drivers of ``site`` must ask the gate."""
        ...


def shortcut_of(gate: Gate | None, site: Site) -> Shortcut:
    """What the drivers look at: the gate's shortcut, one that always asks, or one for no gate that never does."""
    if gate is None:
        return Shortcut(permit=_ANYBODY, heeds_success=False)
    shortcut = gate.shortcut(site) if isinstance(gate, HasShortcut) else None
    return Shortcut() if shortcut is None else shortcut


_ANYBODY = object()


class GateStack:
    """Several gates as one: entered from the outside in, and left from the inside out."""

    label: ClassVar[str] = "gates"

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = tuple(gates)

    def attach(self, site: Site) -> None:
        """Attach every gate."""
        for gate in self._gates:
            gate.attach(site)

    def snapshot(self) -> tuple[object, ...]:
        """The states, from the outside in."""
        return tuple(gate.snapshot() for gate in self._gates)

    def enter(self, call: CallRef | None = None) -> list[tuple[Gate, Any]]:
        """All permits, or none."""
        permits: list[tuple[Gate, Any]] = []
        try:
            for gate in self._gates:
                permits.append((gate, gate.enter(call)))  # noqa: PERF401  what was entered must be known when one refuses
        except BaseException as error:
            leave_despite(error, self.leave, permits, hand_back(error), call)
            raise
        return permits

    def leave(self, permit: list[tuple[Gate, Any]], fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Settle every permit, also where a gate fails over it; the first such error is raised at the end."""
        for index in range(len(permit) - 1, -1, -1):
            gate, each = permit[index]
            try:
                gate.leave(each, fault, call)
            except BaseException as error:
                for outer, permit_of_it in reversed(permit[:index]):
                    leave_despite(error, outer.leave, permit_of_it, fault, call)
                raise


def leave_despite(error: BaseException, leave: Callable[..., None], *permit: object) -> None:
    """``leave(*permit)``, while ``error`` is on its way to the caller: what goes wrong here is a note on it."""
    try:
        leave(*permit)
    except BaseException as other:  # noqa: BLE001  the first error is the one that the caller gets
        error.add_note(f"Giving a permit back failed, too: {type(other).__name__}: {other}")
