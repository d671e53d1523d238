"""The adaptive limit: its rules, and how it behaves in front of a simulated server."""

import heapq
import random
import threading
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core._gradient import AdaptiveLimitOptions, Gradient
from holdfast.core.adaptive_limit import AdaptiveLimit, AdaptiveLimitSnapshot, LimitPermit
from holdfast.core.clock import to_ns
from holdfast.core.events import Events, LimitChanged, LimitRejected
from holdfast.core.faults import Fault, FaultKind, hand_back
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import Gate
from holdfast.errors import CircuitOpenError, ConcurrencyLimitError, ConfigError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
THROTTLED = Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0)
FAILED = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)


def make(**options: Any) -> tuple[AdaptiveLimit, FakeClock, EventRecorder]:
    clock, events = FakeClock(auto=False), Events()
    return AdaptiveLimit(clock=clock, events=events, name="model:x", **options), clock, EventRecorder(events)


def serve(limit: AdaptiveLimit, clock: FakeClock, seconds: float, together: int, fault: Fault | None = None) -> None:
    """``together`` calls that begin at once and each take ``seconds``."""
    permits = [limit.enter() for _ in range(together)]
    clock.advance(seconds)
    for permit in permits:
        limit.leave(permit, fault)


# --- the simulation -------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """``workers`` workers and a queue without end behind a limit: M/M/c, in virtual time."""

    limit: AdaptiveLimit
    clock: FakeClock
    workers: int
    rng: random.Random
    service: float = 1.0
    estimates: list[float] = field(default_factory=list)
    refused: int = 0
    done: int = 0
    _ends: list[tuple[int, int, LimitPermit]] = field(default_factory=list)
    _queue: deque[LimitPermit] = field(default_factory=deque)
    _number: int = 0

    def run(self, arrivals: int, load: float) -> None:
        """Poisson arrivals, so many in all, at ``load`` times what the workers can do."""
        gap = self.service / (load * self.workers)
        self.estimates, self.refused, self.done = [], 0, 0
        for _ in range(arrivals):
            due = self.clock.now_ns() + to_ns(self.rng.expovariate(1 / gap))
            while self._ends and self._ends[0][0] <= due:
                self._end()
            self._go(due)
            self._arrive()
            self.estimates.append(self.limit.snapshot().estimate)

    def _arrive(self) -> None:
        try:
            permit = self.limit.enter()
        except ConcurrencyLimitError:
            self.refused += 1
            return
        if len(self._ends) < self.workers:
            self._begin(permit)
        else:
            self._queue.append(permit)

    def _begin(self, permit: LimitPermit) -> None:
        self._number += 1
        ends = self.clock.now_ns() + to_ns(self.rng.expovariate(1 / self.service))
        heapq.heappush(self._ends, (ends, self._number, permit))

    def _end(self) -> None:
        ends, _, permit = heapq.heappop(self._ends)
        self._go(ends)
        self.limit.leave(permit)
        self.done += 1
        if self._queue:
            self._begin(self._queue.popleft())

    def _go(self, ns: int) -> None:
        self.clock.advance_ns(ns - self.clock.now_ns())

    @property
    def late(self) -> list[float]:
        """The estimates of the second half."""
        return self.estimates[len(self.estimates) // 2 :]


def simulated(workers: int, seed: int = 1, **options: Any) -> Server:
    clock = FakeClock(auto=False)
    return Server(AdaptiveLimit(clock=clock, **options), clock, workers, seeded_rng(seed))


class DriftingGradient(Gradient):
    """Gradient2 as it is known: the baseline learns from every round."""

    def _end_round(self) -> None:
        if self._count and self.baseline_ns:
            self.baseline_ns += (self._total_ns / self._count - self.baseline_ns) * min(1.0, 2 * self._count / 601)
        self._rounds = -1  # and nothing is probed
        super()._end_round()


@pytest.mark.parametrize(("workers", "seed"), [(10, 1), (10, 2), (30, 3)])
def test_it_stays_bounded_under_an_overload_that_lasts(workers: int, seed: int) -> None:
    """At 1.2 times capacity, for 40,000 requests, the limit stays near the knee and the workers stay busy."""
    server = simulated(workers, seed)
    server.run(40_000, load=1.2)
    goal = 1.5 * workers + 4
    assert max(server.late) < 3 * goal
    assert min(server.late) > workers
    assert sum(server.late) / len(server.late) == pytest.approx(goal, rel=0.6)
    third = len(server.estimates) // 3
    first, last = server.estimates[third : 2 * third], server.estimates[2 * third :]
    assert sum(last) / third < 1.4 * sum(first) / third  # it does not climb
    assert server.refused / 40_000 == pytest.approx(1 - 1 / 1.2, abs=0.05)  # nearly as few as can be


def test_the_known_algorithm_drifts() -> None:
    """The same overload drives the limit of Gradient2, whose baseline learns the queue, up to its maximum."""
    server = simulated(10)
    server.limit._gradient = DriftingGradient(server.limit.options)
    server.run(40_000, load=1.2)
    assert max(server.late) > 150


@pytest.mark.parametrize("initial", [1, 20, 200])
def test_it_converges_from_any_start(initial: int) -> None:
    """Twice the capacity arrives: whatever the limit was, it ends near the knee of a server of ten."""
    server = simulated(10, initial_limit=initial)
    server.run(60_000, load=2)
    assert 10 < sum(server.late) / len(server.late) < 40


def test_a_server_of_one_that_is_overloaded() -> None:
    """Where the allowance for a queue is larger than the knee, the limit stays below queue_size/(1 - tolerance/2)."""
    server = simulated(1)
    server.run(30_000, load=1.5)
    assert sum(server.late) / len(server.late) < 1.3 * 4 / (1 - 1.5 / 2)


def test_it_recovers() -> None:
    """A server that is five times slower for a while gets fewer calls, and all of them again when it is well."""
    server = simulated(20)
    server.run(20_000, load=0.9)
    before = server.limit.snapshot().estimate
    server.service = 5.0
    server.run(20_000, load=4.5)
    assert max(server.late) < 150
    server.service = 1.0
    server.run(40_000, load=0.9)
    assert server.limit.snapshot().baseline == pytest.approx(1, rel=0.4)
    assert server.limit.snapshot().estimate > before / 2
    assert server.refused / 40_000 < 0.05


# --- the rules ------------------------------------------------------------------------------------------------------


def test_it_grows_while_latency_is_low() -> None:
    """A round at the baseline moves the limit up by a share of the queue; the change is told."""
    limit, clock, recorder = make(initial_limit=10)
    serve(limit, clock, 1, 10)
    assert limit.snapshot().baseline == 1
    assert limit.snapshot().estimate == 10
    serve(limit, clock, 1, 10)
    serve(limit, clock, 1, 10)
    assert limit.snapshot().estimate == pytest.approx(11.6)
    assert [(each.previous, each.limit, each.baseline_ns) for each in recorder.of(LimitChanged)] == [(10, 11, S)]


def test_it_shrinks_when_calls_queue() -> None:
    """A latency of three times the baseline halves the target; one within the tolerance does not lower it."""
    limit, clock, _ = make(initial_limit=100)
    serve(limit, clock, 1, 100)
    serve(limit, clock, 3, 100)
    assert limit.snapshot().estimate == pytest.approx(100 + 0.2 * (54 - 100))
    again, clock, _ = make(initial_limit=100)
    serve(again, clock, 1, 100)
    serve(again, clock, 1.5, 100)
    assert again.snapshot().estimate == pytest.approx(100.8)


def test_frozen_while_less_than_half_is_used() -> None:
    """A limit that is not needed neither grows nor shrinks; the baseline learns, up and down."""
    limit, clock, _ = make(initial_limit=100, min_samples=1)
    serve(limit, clock, 1, 100)
    for _ in range(20):
        serve(limit, clock, 2, 49)
    raised = limit.snapshot()
    assert raised.estimate == 100
    assert raised.baseline == pytest.approx(1.96, abs=0.04)
    for _ in range(40):
        serve(limit, clock, 1, 49)
    assert limit.snapshot().baseline == pytest.approx(1.0, abs=0.04)


def test_the_baseline_does_not_learn_the_queue() -> None:
    """Near the limit the baseline never rises between probes, however long calls take."""
    limit, clock, _ = make(initial_limit=50, probe_every=10**6)
    serve(limit, clock, 1, 50)
    for _ in range(200):
        serve(limit, clock, 4, limit.snapshot().limit)
    assert limit.snapshot().baseline == 1
    assert limit.snapshot().estimate < 20


def test_half_used_is_used() -> None:
    """The limit moves when as many as half of it were under way at once."""
    limit, clock, _ = make(initial_limit=100)
    for _ in range(4):
        serve(limit, clock, 1, 50)
    assert limit.snapshot().estimate == pytest.approx(100.8)


@pytest.mark.parametrize(("limit", "share"), [(100, 2 * 100 / 601), (1000, 1.0)])
def test_how_quickly_the_baseline_learns(limit: int, share: float) -> None:
    """As the exponential mean of the latest 600 calls does; a round of more than half of them tells it all."""
    gate, clock, _ = make(initial_limit=limit, max_limit=limit)
    serve(gate, clock, 1, limit)
    for _ in range(3):
        serve(gate, clock, 2, 49 * limit // 100)
    assert gate.snapshot().baseline == pytest.approx(1 + share, rel=1e-9)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (3, 2.85)])
def test_when_a_baseline_is_too_high(before: float, after: float) -> None:
    """It is when it is more than twice what is measured."""
    limit, clock, _ = make(initial_limit=10)
    serve(limit, clock, before, 10)
    serve(limit, clock, 1, 10)
    assert limit.snapshot().baseline == pytest.approx(after)


def test_calls_that_take_no_time_show_no_queue() -> None:
    """The limit goes up by its allowance."""
    limit, clock, _ = make(initial_limit=10)
    serve(limit, clock, 1, 10)
    serve(limit, clock, 0, 10)
    assert limit.snapshot().estimate == pytest.approx(10.8)


def test_the_very_first_call_may_be_too_much() -> None:
    """Its throttling lowers the limit."""
    limit, clock, _ = make(initial_limit=20)
    serve(limit, clock, 1, 1, THROTTLED)
    assert limit.snapshot().estimate == pytest.approx(18)


def test_the_ends_of_the_ranges() -> None:
    """They belong to the ranges."""
    options = AdaptiveLimitOptions(tolerance=1, queue_size=1, smoothing=1, min_samples=1, probe_every=1)
    assert AdaptiveLimit(**vars_of(options)).options == options


def vars_of(options: AdaptiveLimitOptions) -> dict[str, Any]:
    return {each.name: getattr(options, each.name) for each in fields(options)}


def test_a_baseline_that_is_far_too_high_decays() -> None:
    """More than twice what is measured loses a twentieth a round, even near the limit."""
    limit, clock, _ = make(initial_limit=10, min_samples=10)
    serve(limit, clock, 10, 10)
    serve(limit, clock, 1, 10)
    assert limit.snapshot().baseline == pytest.approx(9.5)


def test_a_probe_halves_the_limit_and_learns_the_true_latency() -> None:
    """After so many rounds near the limit it lets half as many in, times them, and moves the baseline halfway."""
    limit, clock, _ = make(initial_limit=20, probe_every=2)
    serve(limit, clock, 1, 20)
    serve(limit, clock, 2, 20)
    before = [limit.enter() for _ in range(10)]  # under way when the probe begins
    serve(limit, clock, 2, int(limit.snapshot().estimate) - 10)
    for permit in before:
        limit.leave(permit)
    state = limit.snapshot()
    assert state.probing
    assert state.limit == -(-state.estimate // 2)
    assert state.inflight == 0
    serve(limit, clock, 3, state.limit - 1)
    assert limit.snapshot().probing  # one call is missing
    serve(limit, clock, 3, 1)
    after = limit.snapshot()
    assert not after.probing
    assert after.limit == int(state.estimate)
    assert after.baseline == pytest.approx((1 + 3) / 2)


def probing(**options: Any) -> tuple[AdaptiveLimit, FakeClock]:
    """A limit of 20 in a probe of ten calls, whose baseline is 1 s."""
    limit, clock, _ = make(initial_limit=20, max_limit=20, probe_every=1, **options)
    serve(limit, clock, 1, 20)
    serve(limit, clock, 1, 20)
    assert limit.snapshot().probing
    return limit, clock


def test_a_probe_waits_for_the_calls_before_it() -> None:
    """Calls that were under way when the probe began are not counted, and hold it up until there is room."""
    limit, clock, _ = make(initial_limit=20, max_limit=20, probe_every=1)
    old = [limit.enter() for _ in range(15)]
    clock.advance(1)
    for _ in range(10):
        serve(limit, clock, 1, 4)
    assert limit.snapshot().probing
    for _ in range(3):
        with pytest.raises(ConcurrencyLimitError):
            limit.enter()
    for permit in old[:6]:
        limit.leave(permit)
    serve(limit, clock, 1, 1)
    assert limit.snapshot().probing
    for permit in old[6:]:
        limit.leave(permit)
    serve(limit, clock, 1, 9)
    assert not limit.snapshot().probing
    assert limit.snapshot().baseline == pytest.approx(1, abs=0.01)


def test_a_probe_does_not_wait_for_ever() -> None:
    """A call of the probe that never ends does not keep the limit down; what the others showed counts."""
    limit, clock = probing()
    limit.enter()
    serve(limit, clock, 3, 9)
    for _ in range(9):
        serve(limit, clock, 3, 9)
    assert not limit.snapshot().probing
    assert limit.snapshot().baseline == 2


def test_how_long_a_probe_waits() -> None:
    """It ends with the last of its calls, or when eight times as many others have ended."""
    limit, clock = probing()
    limit.enter()
    serve(limit, clock, 3, 9)
    for _ in range(79):
        serve(limit, clock, 3, 1)
    assert limit.snapshot().probing
    serve(limit, clock, 3, 1)
    assert not limit.snapshot().probing


@pytest.mark.parametrize(("measured", "baseline"), [(4, 1), (5, 2), (6, 2)])
def test_half_of_a_probe_is_enough(measured: int, baseline: float) -> None:
    """The baseline moves when at least half of the probe's calls showed how long they take."""
    limit, clock = probing()
    serve(limit, clock, 3, measured)
    serve(limit, clock, 3, 10 - measured, hand_back(KeyboardInterrupt()))
    assert not limit.snapshot().probing
    assert limit.snapshot().baseline == baseline


def test_a_probe_that_showed_nothing() -> None:
    """A probe whose calls were cancelled leaves the baseline as it is."""
    limit, clock = probing()
    serve(limit, clock, 9, 10, hand_back(KeyboardInterrupt()))
    assert not limit.snapshot().probing
    assert limit.snapshot().baseline == 1


def test_throttled_during_a_probe() -> None:
    """Throttling that a probe meets lowers the limit when the probe is over."""
    limit, clock = probing()
    serve(limit, clock, 1, 1, THROTTLED)
    assert limit.snapshot().probing
    assert limit.snapshot().estimate == 20
    serve(limit, clock, 1, 9)
    assert limit.snapshot().estimate == pytest.approx(18)


@pytest.mark.parametrize("kind", [FaultKind.THROTTLED, FaultKind.OVERLOADED, FaultKind.TIMEOUT])
def test_too_much_steps_back_once(kind: FaultKind) -> None:
    """Twenty calls that were throttled together lower the limit by a tenth once; later ones do again."""
    limit, clock, recorder = make(initial_limit=20)
    fault = Fault(kind=kind, transient=True, weight=1.0)
    serve(limit, clock, 1, 20, fault)
    assert limit.snapshot().estimate == pytest.approx(18)
    serve(limit, clock, 1, 1, fault)
    assert limit.snapshot().estimate == pytest.approx(16.2)
    assert [each.limit for each in recorder.of(LimitChanged)] == [18, 16]


def test_what_says_nothing_of_its_speed() -> None:
    """Quick failures, cancellations and the refusals of other policies move neither limit nor baseline."""
    limit, clock, _ = make(initial_limit=20)
    refused = Fault(kind=FaultKind.OVERLOADED, transient=False, weight=0.0, cause=CircuitOpenError("open"))
    for fault in (FAILED, hand_back(KeyboardInterrupt()), refused):
        serve(limit, clock, 0.001, 20, fault)
    assert limit.snapshot() == AdaptiveLimitSnapshot(
        limit=20, estimate=20, inflight=0, baseline=None, probing=False, rejected=0
    )


def test_calls_that_take_no_time() -> None:
    """A latency of zero (a fake clock) breaks nothing."""
    limit, clock, _ = make(initial_limit=10)
    serve(limit, clock, 1, 10)
    serve(limit, clock, 0, 10)
    assert limit.snapshot().estimate > 10
    first, clock, _ = make(initial_limit=10)
    serve(first, clock, 0, 10)
    serve(first, clock, 0, 10)
    assert first.snapshot().estimate == 10


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 10**10), st.sampled_from([None, THROTTLED, FAILED]))),
    st.integers(1, 20),
    st.integers(0, 30),
)
def test_always_between_its_bounds(rounds: list[tuple[int, int, Fault | None]], least: int, more: int) -> None:
    """Whatever happens, the limit is between its bounds, and no permit is lost."""
    clock = FakeClock(auto=False)
    limit = AdaptiveLimit(
        clock=clock, min_limit=least, max_limit=least + more, initial_limit=least, min_samples=1, probe_every=3
    )
    for together, ns, fault in rounds:
        permits = []
        for _ in range(together):
            try:
                permits.append(limit.enter())
            except ConcurrencyLimitError:
                break
        state = limit.snapshot()
        assert len(permits) == min(together, state.limit) == state.inflight
        clock.advance_ns(ns)
        for permit in permits:
            limit.leave(permit, fault)
        now = limit.snapshot()
        assert least <= now.limit <= least + more
        assert least <= now.estimate <= least + more
        assert now.inflight == 0


# --- the gate and the forms -----------------------------------------------------------------------------------------


def test_refuses_beyond_the_limit() -> None:
    """It refuses with a fresh error that says when to come back, once it knows how long calls take; it is told."""
    limit, clock, recorder = make(initial_limit=2, min_samples=1)
    permits = [limit.enter() for _ in range(2)]
    with pytest.raises(ConcurrencyLimitError, match="model:x has 2 calls under way and bears 2 at once") as refused:
        limit.enter()
    assert refused.value.retry_after is None
    clock.advance(3)
    for permit in permits:
        limit.leave(permit)
        limit.leave(permit)
    assert limit.snapshot().inflight == 0
    for _ in range(2):
        limit.enter()
    with pytest.raises(ConcurrencyLimitError) as again:
        limit.enter()
    assert again.value.retry_after == 1.5
    assert again.value.dependency == "model:x"
    assert [(each.limit, each.inflight, each.retry_after) for each in recorder.of(LimitRejected)] == [
        (2, 2, None),
        (2, 2, 1.5),
    ]
    assert limit.snapshot().rejected == 2


def test_is_a_gate_of_a_pipeline() -> None:
    """A pipeline brings clock, events and names; without one and without a name it works as well."""
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    limit = AdaptiveLimit(initial_limit=1, max_limit=1)
    assert isinstance(limit, Gate)
    guard = Pipeline(limit, name="model:x", clock=clock, events=events)
    limit.enter()
    with pytest.raises(ConcurrencyLimitError, match="model:x"):
        guard.call(clock.now_ns)
    assert recorder.of(LimitRejected)[0].pipeline == "model:x"
    alone = AdaptiveLimit(initial_limit=1)
    alone.enter()
    with pytest.raises(ConcurrencyLimitError, match="The dependency has"):
        alone.enter()


def test_the_caller_says_what_is_measured() -> None:
    """A mark, or a latency that the caller measured, takes the place of the whole call's."""
    limit, clock, _ = make(initial_limit=10, min_samples=2)
    with limit.admit() as permit:
        clock.advance(0.25)
        permit.mark()
        clock.advance(9)
        permit.mark()
    assert permit.latency_ns == S // 4
    with limit.admit() as permit:
        permit.took(0.75)
        clock.advance(9)
    assert permit.latency_ns == 3 * S // 4
    with pytest.raises(ConfigError, match="seconds"):
        permit.took(-1)


async def test_a_stream_counts_to_its_first_item() -> None:
    """Of a decorated async generator the time to the first item is measured, not its length."""
    limit, clock, _ = make(initial_limit=1, min_samples=1)

    @limit
    async def stream() -> AsyncGenerator[int, None]:
        clock.advance(0.5)
        yield 1
        clock.advance(60)
        yield 2

    assert [item async for item in stream()] == [1, 2]
    assert limit.snapshot().baseline == 0.5
    async with limit.admit():
        assert limit.snapshot().inflight == 1

    def plain() -> int:
        return limit.snapshot().inflight

    assert limit.call(plain) == 1
    assert limit.snapshot().inflight == 0


@pytest.mark.parametrize(
    ("options", "field_"),
    [
        ({"min_limit": 0}, "min_limit"),
        ({"min_limit": 5, "max_limit": 4}, "max_limit"),
        ({"initial_limit": 0}, "initial_limit"),
        ({"initial_limit": 201}, "initial_limit"),
        ({"initial_limit": 4, "min_limit": 5}, "initial_limit"),
        ({"tolerance": 0.9}, "tolerance"),
        ({"tolerance": 2}, "tolerance"),
        ({"queue_size": 0}, "queue_size"),
        ({"smoothing": 0}, "smoothing"),
        ({"smoothing": 1.1}, "smoothing"),
        ({"min_samples": 0}, "min_samples"),
        ({"probe_every": 0}, "probe_every"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field_: str) -> None:
    """An option out of its range is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        AdaptiveLimit(**options)
    assert refused.value.field == field_


def test_options_are_readable() -> None:
    """What it was built with can be read."""
    assert AdaptiveLimit().options == AdaptiveLimitOptions()


def test_many_threads() -> None:
    """Eight threads never hold more permits than the limit allows, and none is lost."""
    limit = AdaptiveLimit(initial_limit=3, max_limit=3)
    lock = threading.Lock()
    now = peak = refused = 0

    def work() -> None:
        nonlocal now, peak, refused
        for _ in range(200):
            try:
                with limit.admit():
                    with lock:
                        now += 1
                        peak = max(peak, now)
                    with lock:
                        now -= 1
            except ConcurrencyLimitError:
                with lock:
                    refused += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    state = limit.snapshot()
    assert peak <= 3
    assert state.inflight == 0
    assert state.rejected == refused


def test_a_latency_of_nothing_is_a_latency() -> None:
    """What the caller measured may be 0, and nothing below."""
    limit, clock, _ = make()
    permit = limit.enter()
    clock.advance(5)
    permit.took(0)
    assert permit.latency_ns == 0
    with pytest.raises(ConfigError, match="seconds"):
        permit.took(-1)


def test_its_options_are_those_that_it_was_given_last() -> None:
    """Who asks it after a change sees the new ones, and its events carry its label."""
    limit, _, heard = make(initial_limit=1)
    options = AdaptiveLimitOptions(initial_limit=1, max_limit=1)
    limit.reconfigure(options)
    assert limit.options is options
    limit.enter()
    with pytest.raises(ConcurrencyLimitError):
        limit.enter()
    assert heard.of(LimitRejected)[0].policy == limit.label == "adaptive_limit"
