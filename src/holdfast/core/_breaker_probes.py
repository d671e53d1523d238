"""Permits, and the probes of a half-open breaker: so many at once, each on a lease."""

from __future__ import annotations

__all__ = ["Permit", "Probes"]


class Permit:
    """What a breaker gives to a call that it lets in.

    Attributes:
        generation: of the breaker when it was given; it grows with every transition, so that an outcome from before
            the last one is known by it. 0: a call that a shadow breaker would have refused.
        begun_ns: when, where the breaker looks at durations at that time; else 0.
    """

    __slots__ = ("begun_ns", "generation")

    def __init__(self, generation: int, begun_ns: int = 0) -> None:
        self.generation = generation
        self.begun_ns = begun_ns


class Probes:
    """The probes under way. Touched under the breaker's lock only."""

    __slots__ = ("_cap", "_ends", "_lease_ns")

    def __init__(self, cap: int, lease_ns: int) -> None:
        self._cap = cap
        self._lease_ns = lease_ns
        self._ends: dict[Permit, int] = {}  # by identity

    def retune(self, cap: int, lease_ns: int) -> None:
        """Other limits for the probes to come; those under way keep their places and their leases."""
        self._cap = cap
        self._lease_ns = lease_ns

    def begin(self, generation: int, now_ns: int) -> Permit | None:
        """A permit for a probe, or None: all places are taken."""
        for lost in [each for each, end in self._ends.items() if end <= now_ns]:
            del self._ends[lost]
        if len(self._ends) >= self._cap:
            return None
        permit = Permit(generation, now_ns)
        self._ends[permit] = now_ns + self._lease_ns
        return permit

    def end(self, permit: Permit) -> bool:
        """Give the place back; False when the lease ran out and the place was given away, or it was settled before."""
        return self._ends.pop(permit, None) is not None

    def under_way(self, now_ns: int) -> int:
        """How many places are taken."""
        return sum(end > now_ns for end in self._ends.values())

    def clear(self) -> None:
        """Take every place back."""
        self._ends.clear()
