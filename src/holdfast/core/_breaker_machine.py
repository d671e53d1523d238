"""The states of a circuit breaker and the ways between them; no lock, no clock, no events.

Everything here is called under the breaker's lock, with the time given. What may be read without the lock is published
on the :class:`~holdfast.core.policy.Shortcut`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from holdfast.core._breaker_history import History
from holdfast.core._breaker_probes import Permit, Probes
from holdfast.core._breaker_recovery import OpenTimes, Ramp
from holdfast.core._breaker_windows import ONE, window_for
from holdfast.core.breaker_snapshot import BreakerSnapshot, BreakerState
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.errors import CircuitOpenError

if TYPE_CHECKING:
    import random

    from holdfast.core.breaker_options import BreakerOptions
    from holdfast.core.policy import Shortcut

__all__ = ["Machine", "News", "refusal"]

_NEVER_NS = 1 << 63  # longer than any clock will run
_CLOSED, _OPEN, _HALF_OPEN = BreakerState  # to look a member up in its class takes longer than all else here
_error = CircuitOpenError.__new__  # not its __init__: the message is made when somebody reads it


class News(NamedTuple):
    """A transition that is still to be told."""

    before: BreakerState
    after: BreakerState
    reason: str
    generation: int


def refusal(name: str, why: str, retry_after_ns: int | None) -> CircuitOpenError:
    """The error for a call that is not let in."""
    return _error(CircuitOpenError, name, why, retry_after_ns, 0)


class Machine:
    """One breaker's state.

    Attributes:
        name: the dependency's, for errors.
        held: ``"forced"`` or ``"isolated"`` while it is held open, else empty.
        permit: carries the present generation; what every call gets while the breaker is closed and durations do not
            matter. Where they begin to matter (:meth:`reconfigure`), nobody knows when it was given.
        timed: whether it is closed, and to enter means no more than to note the time.
        open_until_ns: when an open breaker lets a probe through.
        would_reject: the calls that were let in only because the breaker is a shadow.
    """

    def __init__(self, options: BreakerOptions, shortcut: Shortcut, now_ns: int, name: str) -> None:
        self.name = name
        self._options = options
        self._shortcut = shortcut
        self._slow_ns = None if options.slow_call_duration is None else to_ns(options.slow_call_duration)
        self.state = _CLOSED
        self.held = ""
        self.permit = Permit(1)
        self.timed = False
        self.open_until_ns = 0
        self.since_ns = now_ns
        self.would_reject = 0
        self.ramp = Ramp(options)
        self._window = window_for(options)
        self._successes = 0
        self._probes = Probes(options.half_open_max_calls, to_ns(options.probe_lease))
        self._open_times = OpenTimes(options)
        self._history = History()
        self._last_failure_ns: int | None = None
        self.publish()

    def ask(self, now_ns: int) -> tuple[Permit | None, News | None]:
        """A permit for one call, or None; and the transition that the time made due."""
        news = None
        if self.state is _OPEN and now_ns >= self.open_until_ns:  # never, while it is held
            news = self._move(_HALF_OPEN, "recovery_timeout", now_ns)
        permit = self._grant(now_ns)
        self.would_reject += permit is None and self._options.shadow
        return permit, news

    def retry_after_ns(self, now_ns: int) -> int | None:
        """When a call that is refused now makes sense again, where that is known."""
        if self.state is _CLOSED:
            return self.ramp.left_ns(now_ns)
        return None if self.held or self.state is _HALF_OPEN else max(0, self.open_until_ns - now_ns)

    def settle(self, permit: Permit, failure: int | None, now_ns: int, rng: random.Random) -> News | None:
        """The end of a call; ``failure`` is its weight in millionths, 0 for a success, None where it says nothing."""
        if permit.generation != self.permit.generation:
            return None  # it comes from before the last transition
        slow = self._slow_ns is not None and permit is not self.permit and now_ns - permit.begun_ns >= self._slow_ns
        if self.state is _HALF_OPEN:
            return self._settle_probe(permit, failure, now_ns, rng, slow=slow)
        if failure is None:
            return None
        if failure:
            self._last_failure_ns = now_ns
        window = self._window
        reason = window.note(now_ns, failure, slow=slow)
        self._shortcut.heeds_success = window.heeds_success
        return None if reason is None else self.open(reason, now_ns, rng)

    def open(self, reason: str, now_ns: int, rng: random.Random) -> News:
        """Open it, because calls failed."""
        if self.state is _CLOSED and now_ns - self.since_ns >= to_ns(self._options.healthy_period):
            self._open_times.forget()
        self.open_until_ns = now_ns + self._open_times.take(rng)
        self._history.opened(now_ns)
        return self._move(_OPEN, reason, now_ns)

    def hold(self, reason: str, now_ns: int) -> News:
        """Open it until it is reset."""
        self.open_until_ns = _NEVER_NS
        if reason == "isolated":
            self._history.over(now_ns)
        elif self.state is not _OPEN or self.held == "isolated":
            self._history.opened(now_ns)
        return self._move(_OPEN, reason, now_ns, held=reason)

    def close(self, reason: str, now_ns: int, *, ramp: bool) -> News:
        """Close it, and let calls back in step by step where ``ramp`` says so."""
        self._history.over(now_ns)
        if not ramp:
            self._open_times.forget()
        return self._move(_CLOSED, reason, now_ns, ramp=ramp)

    def allow_probe(self, now_ns: int) -> News | None:
        """Half-open before its time, where it is open and nobody holds it."""
        if self.state is not _OPEN or self.held:
            return None
        return self._move(_HALF_OPEN, "probe_allowed", now_ns)

    def restart(self, now_ns: int) -> None:
        """Begin anew by another clock, and stay held where it is; outcomes of calls under way are dropped."""
        held = self.held
        self._history = History()
        self._last_failure_ns = None
        self._open_times.forget()
        self._window = window_for(self._options)
        if held:
            self.state, self.held = _CLOSED, ""
            self.hold(held, now_ns)
        else:
            self._move(_CLOSED, "restarted", now_ns)

    def reconfigure(self, options: BreakerOptions, now_ns: int, rng: random.Random) -> News | None:
        """Take other options: the state, the permits and, where they mean the same, the counts stay.

        A closed breaker whose counts are too bad by the new options opens, as it would have with the last of them.
        """
        self._options = options
        self._slow_ns = None if options.slow_call_duration is None else to_ns(options.slow_call_duration)
        if not self._window.retune(options):
            self._window = window_for(options)
        self._probes.retune(options.half_open_max_calls, to_ns(options.probe_lease))
        self._open_times.retune(options)
        self.ramp.retune(options)
        self.publish()
        reason = self._window.verdict(now_ns) if self.state is _CLOSED else None
        return None if reason is None else self.open(reason, now_ns, rng)

    def snapshot(self, now_ns: int, wall_ns: int) -> BreakerSnapshot:
        """Everything about it."""
        counts, history, closed = self._window.counts(now_ns), self._history, self.state is _CLOSED
        left = None if closed else self.retry_after_ns(now_ns)
        failed = self._last_failure_ns
        return BreakerSnapshot(
            state=self.state,
            failures=counts.failures / ONE,
            calls=counts.calls,
            slow_calls=counts.slow,
            successes=self._successes,
            probes=self._probes.under_way(now_ns),
            time_in_state=(now_ns - self.since_ns) / NS_PER_SECOND,
            retry_after=None if left is None else left / NS_PER_SECOND,
            admitted_share=self.ramp.share(now_ns) / ONE if closed else 0.0,
            forced=self.held == "forced",
            isolated=self.held == "isolated",
            shadow=self._options.shadow,
            would_reject=self.would_reject,
            last_failure_at=None if failed is None else (wall_ns - now_ns + failed) / NS_PER_SECOND,
            openings=history.openings,
            openings_last_hour=history.openings_last_hour(now_ns),
            outages_last_hour=history.outages_last_hour(now_ns),
            open_seconds=history.open_ns(now_ns) / NS_PER_SECOND,
            mean_open_seconds=history.mean_open_ns(now_ns) / NS_PER_SECOND,
            generation=self.permit.generation,
        )

    def publish(self) -> None:
        """Show what can be known without the lock."""
        shown, state = self._shortcut, self.state
        plain = state is _CLOSED and not self.ramp.running
        shown.heeds_success = state is _HALF_OPEN or self._window.heeds_success
        if state is _OPEN:  # whoever reads in this moment that it is shut shall not hear that it is closed
            until = None if self.held else self.open_until_ns
            shown.refusal = partial(_error, CircuitOpenError, self.name, self.held or state.value, until)
        shown.shut_until_ns = self.open_until_ns if state is _OPEN and not self._options.shadow else 0
        self.timed = plain
        shown.permit = self.permit if plain and self._slow_ns is None else None

    def _grant(self, now_ns: int) -> Permit | None:
        if self.state is _HALF_OPEN:
            return self._probes.begin(self.permit.generation, now_ns)
        if self.state is _OPEN:
            return None
        if self.ramp.running:
            if not self.ramp.admits(now_ns):
                return None
            self.publish()  # the ramp may have ended
        return Permit(self.permit.generation, now_ns)

    def _settle_probe(
        self, probe: Permit, failure: int | None, now_ns: int, rng: random.Random, *, slow: bool
    ) -> News | None:
        if not self._probes.end(probe) or failure is None:
            return None  # its lease ran out, or it says nothing
        if failure:
            self._last_failure_ns = now_ns
            return self.open("probe_failed", now_ns, rng)
        if slow:
            return self.open("probe_slow", now_ns, rng)
        self._successes += 1
        if self._successes < self._options.success_threshold:
            return None
        return self.close("probes_succeeded", now_ns, ramp=True)

    def _move(self, to: BreakerState, reason: str, now_ns: int, *, held: str = "", ramp: bool = False) -> News:
        """Change the state, and begin a new generation."""
        before = self.state
        self._shortcut.permit = None
        self.timed = False
        self.state = to
        self.held = held
        self.permit = Permit(self.permit.generation + 1)
        self.since_ns = now_ns
        self._window.clear()
        self._successes = 0
        self._probes.clear()
        self.ramp.end()
        if ramp:
            self.ramp.begin(now_ns)
        self.publish()
        return News(before, to, reason, self.permit.generation)
