"""The breaker against a plain model: any order of calls, outcomes, times and commands, in every mode."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from holdfast.core.breaker import BreakerOptions, CircuitBreaker, Permit
from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.errors import CircuitOpenError
from holdfast.testing.clock import FakeClock

S = 10**9
EXTENT = ("window", "window_calls", "window_seconds", "slow_call_duration")  # what is counted, and over how much
MODES = (*EXTENT, "failure_threshold", "minimum_calls", "failure_rate", "slow_call_rate")


@dataclass
class Ticket:
    """A call as the model sees it."""

    life: int
    begun: int
    probe: bool
    timed: bool  # whether durations mattered when it began


@dataclass
class Model:
    """What a breaker is, said as plainly as possible: whole logs of what happened, and no rings, sums or shortcuts."""

    options: dict[str, Any]
    now: int = 0
    state: str = "closed"
    held: str = ""
    life: int = 0  # which visit to a state this is
    log: list[tuple[int, float, bool]] = field(default_factory=list)  # when, weight, slow; of this life
    successes: int = 0
    until: int = 0
    since: int = 0
    in_a_row: int = 0  # openings since the last healthy period
    openings: int = 0
    outage: int | None = None
    outages: int = 0
    ended: int = 0
    ramp_from: int | None = None
    credit: float = 0
    would_reject: int = 0
    probes: list[tuple[Ticket, int]] = field(default_factory=list)

    def go(self, state: str, held: str = "") -> None:
        self.state, self.held = state, held
        self.life += 1
        self.log, self.successes, self.probes, self.ramp_from = [], 0, [], None
        self.since = self.now

    def open(self) -> None:
        if self.state == "closed" and self.now - self.since >= self.options["healthy_period"] * S:
            self.in_a_row = 0
        grown = self.options["recovery_timeout"] * self.options["recovery_multiplier"] ** self.in_a_row
        self.until = self.now + min(grown, self.options["max_recovery_timeout"]) * S
        self.in_a_row += 1
        self.begin_outage()
        self.go("open")

    def begin_outage(self) -> None:
        self.openings += 1
        if self.outage is None:
            self.outage = self.now
            self.outages += 1

    def end_outage(self) -> None:
        self.ended += 0 if self.outage is None else self.now - self.outage
        self.outage = None

    def close(self, *, ramp: bool) -> None:
        self.end_outage()
        self.go("closed")
        if not ramp:
            self.in_a_row = 0
        elif self.options["ramp_seconds"]:
            self.ramp_from, self.credit = self.now, 1 - self.options["ramp_start"]

    def share(self) -> float:
        if self.state != "closed":
            return 0
        if self.ramp_from is None:
            return 1
        start = float(self.options["ramp_start"])
        length = float(self.options["ramp_seconds"]) * S
        return min(1.0, start + (1 - start) * (self.now - self.ramp_from) / length)

    def enter(self) -> Ticket | None:
        if self.state == "open" and not self.held and self.now >= self.until:
            self.go("half_open")
        probe = self.state == "half_open"
        timed = probe or self.ramp_from is not None or self.options["slow_call_duration"] is not None
        ticket = Ticket(self.life, self.now, probe, timed)
        if self.state == "half_open":
            self.probes = [each for each in self.probes if each[1] > self.now]
            if len(self.probes) < self.options["half_open_max_calls"]:
                self.probes.append((ticket, self.now + self.options["probe_lease"] * S))
                return ticket
        elif self.state == "closed":
            if self.ramp_from is None or self.share() == 1:
                self.ramp_from = None
                return ticket
            self.credit += self.share()
            if self.credit > 1 - 1e-6:
                self.credit -= 1
                return ticket
        self.would_reject += self.options["shadow"]
        return None

    def leave(self, ticket: Ticket, kind: FaultKind | None) -> None:
        if ticket.life != self.life:
            return
        weight = 0.0 if kind is None else WEIGHTS[kind]
        neutral = kind is not None and weight == 0
        slow_after = self.options["slow_call_duration"]
        slow = ticket.timed and slow_after is not None and self.now - ticket.begun >= slow_after * S
        if ticket.probe:
            if all(each is not ticket for each, _ in self.probes):
                return
            self.probes = [each for each in self.probes if each[0] is not ticket]
            if neutral:
                return
            if weight or slow:
                self.open()
                return
            self.successes += 1
            if self.successes >= self.options["success_threshold"]:
                self.close(ramp=True)
        elif not neutral:
            self.log.append((self.now, weight, slow))
            if self.too_bad():
                self.open()

    def seen(self) -> list[tuple[int, float, bool]]:
        """The part of the log that the window shows."""
        match self.options["window"]:
            case "consecutive":
                last = max((index for index, each in enumerate(self.log) if not each[1]), default=-1)
                return self.log[last + 1 :]
            case "count":
                return list(deque(self.log, self.options["window_calls"]))
            case _:
                width = self.options["window_seconds"] * S // 10
                return [each for each in self.log if each[0] // width > self.now // width - 10]

    def too_bad(self) -> bool:
        seen = self.seen()
        failures = sum(each[1] for each in seen)
        if self.options["window"] == "consecutive":
            return bool(failures >= self.options["failure_threshold"])
        if len(seen) < self.options["minimum_calls"]:
            return False
        slow = sum(each[2] for each in seen)
        return bool(
            failures >= self.options["failure_rate"] * len(seen) or slow >= self.options["slow_call_rate"] * len(seen)
        )


class BreakerMachine(RuleBasedStateMachine):
    permits = Bundle("permits")

    def mode(self, data: st.DataObject) -> dict[str, Any]:
        return {"window": "consecutive", "failure_threshold": data.draw(st.sampled_from([0.5, 1, 2, 3]))}

    @initialize(
        recovery=st.integers(1, 5),
        multiplier=st.integers(1, 3),
        successes=st.integers(1, 3),
        cap=st.integers(1, 3),
        lease=st.integers(1, 4),
        ramp=st.sampled_from([0, 0, 4]),
        healthy=st.integers(0, 4),
        shadow=st.sampled_from([False, False, True]),
        data=st.data(),
    )
    def build(
        self,
        recovery: int,
        multiplier: int,
        successes: int,
        cap: int,
        lease: int,
        ramp: int,
        healthy: int,
        shadow: bool,
        data: st.DataObject,
    ) -> None:
        self.clock = FakeClock()
        given: dict[str, Any] = {
            **self.mode(data),
            "recovery_timeout": recovery,
            "recovery_multiplier": multiplier,
            "max_recovery_timeout": 3 * recovery,
            "success_threshold": successes,
            "half_open_max_calls": cap,
            "probe_lease": lease,
            "ramp_seconds": ramp,
            "ramp_start": 0.25,
            "healthy_period": healthy,
            "shadow": shadow,
        }
        self.breaker = CircuitBreaker(clock=self.clock, **given)
        self.model = Model({"slow_call_duration": None, **given})
        self.shadow = shadow

    @rule(target=permits)
    def enter(self) -> tuple[Permit, Ticket | None] | None:
        expected = self.model.enter()
        if expected is None and not self.shadow:
            with pytest.raises(CircuitOpenError):
                self.breaker.enter()
            return None
        return self.breaker.enter(), expected

    @rule(permit=consumes(permits), kind=st.none() | st.sampled_from(FaultKind))
    def leave(self, permit: tuple[Permit, Ticket | None] | None, kind: FaultKind | None) -> None:
        if permit is not None:
            fault = None if kind is None else Fault(kind=kind, transient=True, weight=WEIGHTS[kind])
            self.breaker.leave(permit[0], fault)
            if permit[1] is not None:
                self.model.leave(permit[1], kind)

    @rule(kinds=st.lists(st.sampled_from([None, FaultKind.CONNECT, FaultKind.TIMEOUT]), max_size=5))
    def calls(self, kinds: list[FaultKind | None]) -> None:
        """Several whole calls, so that windows fill."""
        for kind in kinds:
            self.leave(self.enter(), kind)

    @rule(tenths=st.integers(1, 30))
    def wait(self, tenths: int) -> None:
        self.clock.advance_ns(tenths * S // 10)
        self.model.now += tenths * S // 10

    @rule()
    def force_open(self) -> None:
        self.breaker.force_open()
        if self.model.state != "open" or self.model.held == "isolated":
            self.model.begin_outage()
        self.model.go("open", "forced")

    @rule()
    def isolate(self) -> None:
        self.breaker.isolate()
        self.model.end_outage()
        self.model.go("open", "isolated")

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.model.close(ramp=False)

    @rule()
    def allow_probe(self) -> None:
        if self.model.state == "open" and not self.model.held:
            self.model.go("half_open")
        assert self.breaker.allow_probe() is (self.model.state == "half_open")

    @rule(data=st.data())
    def reconfigure(self, data: st.DataObject) -> None:
        """Other options, of which any may stay as they are."""
        model, old = self.model, dict(self.model.options)
        changes: dict[str, Any] = {
            **self.mode(data),
            **data.draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "recovery_multiplier": st.integers(1, 3),
                        "success_threshold": st.integers(1, 3),
                        "half_open_max_calls": st.integers(1, 3),
                        "probe_lease": st.integers(1, 4),
                        "ramp_seconds": st.sampled_from([0, 4, 8]),
                        "healthy_period": st.integers(0, 4),
                        "shadow": st.booleans(),
                    },
                )
            ),
        }
        kept = {name: value for name, value in old.items() if name not in MODES}
        self.breaker.reconfigure(BreakerOptions(**{**kept, **changes}))
        model.options = {"slow_call_duration": None, **kept, **changes}
        self.shadow = bool(model.options["shadow"])
        if any(old.get(name) != model.options.get(name) for name in EXTENT):
            model.log = []
        if old["recovery_multiplier"] != model.options["recovery_multiplier"]:
            model.in_a_row = 0
        if not model.options["ramp_seconds"]:
            model.ramp_from = None
        if model.state == "closed" and model.too_bad():
            model.open()

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "breaker"):
            return
        snapshot, model = self.breaker.snapshot(), self.model
        seen = model.seen()
        assert snapshot.state == model.state
        assert snapshot.failures == pytest.approx(sum(each[1] for each in seen))
        rates = model.options["window"] != "consecutive"
        assert snapshot.calls == (len(seen) if rates else 0)
        assert snapshot.slow_calls == (sum(each[2] for each in seen) if rates else 0)
        assert snapshot.successes == model.successes
        assert snapshot.probes == sum(end > model.now for _, end in model.probes)
        assert snapshot.probes <= 3  # fewer where fewer are allowed, and were when they began: the model counts them
        waits = model.state == "open" and not model.held
        assert snapshot.retry_after == (max(0, model.until - model.now) / S if waits else None)
        assert (snapshot.forced, snapshot.isolated) == (model.held == "forced", model.held == "isolated")
        assert snapshot.generation == model.life + 1
        assert snapshot.admitted_share == pytest.approx(model.share())
        assert snapshot.would_reject == model.would_reject
        assert (snapshot.openings, snapshot.outages_last_hour) == (model.openings, model.outages)
        running = 0 if model.outage is None else model.now - model.outage
        assert snapshot.open_seconds == pytest.approx((model.ended + running) / S)
        assert snapshot.time_in_state == pytest.approx((model.now - model.since) / S)


class RateMachine(BreakerMachine):
    def mode(self, data: st.DataObject) -> dict[str, Any]:
        return {
            **data.draw(
                st.sampled_from(
                    [
                        {"window": "count", "window_calls": 6, "minimum_calls": 4},
                        {"window": "count", "window_calls": 3, "minimum_calls": 1},
                        {"window": "time", "window_seconds": 5, "minimum_calls": 3},
                    ]
                )
            ),
            "failure_rate": data.draw(st.sampled_from([0.25, 0.5, 1.0])),
            "slow_call_duration": data.draw(st.sampled_from([None, 1, 2])),
            "slow_call_rate": data.draw(st.sampled_from([0.5, 1.0])),
        }


LONG = settings(max_examples=120, stateful_step_count=50, deadline=None)
BreakerMachine.TestCase.settings = LONG
RateMachine.TestCase.settings = LONG
TestBreakerAgainstItsModel = BreakerMachine.TestCase
TestBreakerAgainstItsModel.__doc__ = "A breaker that counts in a row and the model agree after every step."
TestRateBreakerAgainstItsModel = RateMachine.TestCase
TestRateBreakerAgainstItsModel.__doc__ = (
    "A breaker with a window of calls or of time and the model agree after every step."
)
