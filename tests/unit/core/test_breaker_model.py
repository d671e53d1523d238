"""The breaker against a plain model: any order of calls, outcomes, times and manual commands."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.errors import CircuitOpenError
from holdfast.testing.clock import FakeClock

S = 10**9


@dataclass
class Model:
    """What a breaker is, said as plainly as possible: no generations, but every permit remembers its state's life."""

    threshold: float
    recovery: int
    successes_needed: int
    cap: int
    lease: int
    now: int = 0
    state: str = "closed"
    life: int = 0  # which visit to a state this is
    failures: float = 0
    successes: int = 0
    until: int | None = None
    probes: dict[int, int] = field(default_factory=dict)

    def go(self, state: str, until: int | None = None) -> None:
        self.state, self.until = state, until
        self.life += 1
        self.failures, self.successes = 0, 0
        self.probes = {}

    def enter(self, number: int) -> tuple[int, bool, int] | None:
        if self.state == "open" and self.until is not None and self.now >= self.until:
            self.go("half_open")
        if self.state == "closed":
            return self.life, False, number
        if self.state == "half_open":
            self.probes = {each: end for each, end in self.probes.items() if end > self.now}
            if len(self.probes) < self.cap:
                self.probes[number] = self.now + self.lease
                return self.life, True, number
        return None

    def leave(self, permit: tuple[int, bool, int], kind: FaultKind | None) -> None:
        life, probe, number = permit
        if life != self.life:
            return
        weight = 0.0 if kind is None else WEIGHTS[kind]
        if probe:
            if number not in self.probes:
                return
            del self.probes[number]
            if kind is None:
                self.successes += 1
                if self.successes >= self.successes_needed:
                    self.go("closed")
            elif weight > 0:
                self.go("open", self.now + self.recovery)
        elif kind is None:
            self.failures = 0
        else:
            self.failures += weight
            if weight and self.failures >= self.threshold:
                self.go("open", self.now + self.recovery)


class BreakerMachine(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(
        threshold=st.sampled_from([0.5, 1, 2, 3]),
        recovery=st.integers(1, 5),
        successes=st.integers(1, 3),
        cap=st.integers(1, 3),
        lease=st.integers(1, 4),
    )
    def build(self, threshold: float, recovery: int, successes: int, cap: int, lease: int) -> None:
        self.clock = FakeClock()
        self.breaker = CircuitBreaker(
            failure_threshold=threshold,
            recovery_timeout=recovery,
            success_threshold=successes,
            half_open_max_calls=cap,
            probe_lease=lease,
            clock=self.clock,
        )
        self.model = Model(threshold, recovery * S, successes, cap, lease * S)
        self.number = 0

    @rule(target=permits)
    def enter(self) -> tuple[int, tuple[int, bool, int]] | None:
        self.number += 1
        expected = self.model.enter(self.number)
        if expected is None:
            with pytest.raises(CircuitOpenError):
                self.breaker.enter()
            return None
        return self.breaker.enter(), expected

    @rule(permit=consumes(permits), kind=st.none() | st.sampled_from(FaultKind))
    def leave(self, permit: tuple[int, tuple[int, bool, int]] | None, kind: FaultKind | None) -> None:
        if permit is not None:
            fault = None if kind is None else Fault(kind=kind, transient=True, weight=WEIGHTS[kind])
            self.breaker.leave(permit[0], fault)
            self.model.leave(permit[1], kind)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds * S

    @rule()
    def force_open(self) -> None:
        self.breaker.force_open()
        self.model.go("open")

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.model.go("closed")

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "breaker"):
            snapshot, model = self.breaker.snapshot(), self.model
            assert snapshot.state == model.state
            assert snapshot.failures == pytest.approx(model.failures)
            assert snapshot.successes == model.successes
            assert snapshot.probes == sum(end > model.now for end in model.probes.values()) <= model.cap
            left = None if model.until is None or model.state != "open" else max(0, model.until - model.now) / S
            assert snapshot.retry_after == left
            assert snapshot.forced is (model.state == "open" and model.until is None)
            assert snapshot.generation == model.life + 1


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestBreakerAgainstItsModel = BreakerMachine.TestCase
TestBreakerAgainstItsModel.__doc__ = "The breaker and the model agree after every step."
