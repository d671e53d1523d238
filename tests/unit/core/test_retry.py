"""The retry decision: closed forms as oracles."""

import math
import random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.core.retry import GiveUp, Jitter, Retry
from holdfast.errors import ConfigError
from holdfast.testing.rng import seeded_rng

S = 10**9
JITTERS = get_args(Jitter)


def fault(
    kind: FaultKind = FaultKind.TRANSIENT,
    *,
    transient: bool = True,
    retry_after: float | None = None,
    safe: bool = False,
    cause: BaseException | None = None,
) -> Fault:
    return Fault(
        kind=kind, transient=transient, weight=WEIGHTS[kind], retry_after=retry_after, safe_to_replay=safe, cause=cause
    )


class Fixed(random.Random):
    """A source that always draws the same share of the range."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share

    def random(self) -> float:
        return self.share


options = st.fixed_dictionaries(
    {
        "initial_delay": st.floats(0, 10),
        "base": st.floats(1, 10),
        "max_delay": st.floats(10, 100),
        "jitter": st.sampled_from(JITTERS),
    }
)


@given(options, st.integers(1, 5000), st.integers(0), st.floats(0, 100))
def test_every_delay_is_inside_its_bounds(given_: dict[str, Any], attempt: int, seed: int, previous: float) -> None:
    """Whatever the options, a delay lies between the mode's lower bound and the cap."""
    policy = Retry(**given_)
    previous = max(previous, policy.initial_delay)
    delay = policy.delay_ns(attempt, rng=random.Random(seed), previous_ns=round(previous * S)) / S
    exponent = (attempt - 1) * math.log(policy.base)
    growth = math.exp(exponent) if exponent < 700 else math.inf
    full = min(policy.max_delay, policy.initial_delay * growth) if policy.initial_delay else 0.0
    low, high = {
        "none": (full, full),
        "full": (0.0, full),
        "equal": (full / 2, full),
        "proportional": (min(full, policy.max_delay / 1.25) * 0.75, min(full * 1.25, policy.max_delay)),
        "decorrelated": (policy.initial_delay, min(policy.max_delay, 3 * previous)),
    }[policy.jitter]
    slack = 1e-6 * max(1.0, high)
    assert low - slack <= delay <= high + slack
    assert delay * S <= round(policy.max_delay * S) + 0.5


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (2000, 60)])
def test_backoff_doubles_to_the_cap(attempt: int, seconds: int) -> None:
    """Without jitter the delays are 1, 2, 4, ... 60 s; a power beyond all floats is the cap."""
    assert Retry(jitter="none").delay_ns(attempt, rng=Fixed(0)) == seconds * S


@pytest.mark.parametrize(
    ("jitter", "lowest", "highest"),
    [("equal", 2.0, 4.0), ("full", 0.0, 4.0), ("proportional", 3.0, 5.0), ("none", 4.0, 4.0)],
)
def test_jitter_spans_its_range(jitter: Jitter, lowest: float, highest: float) -> None:
    """The extreme draws give the ends of the mode's range around a backoff of 4 s."""
    policy = Retry(jitter=jitter)
    assert policy.delay_ns(3, rng=Fixed(0.0)) == lowest * S
    assert policy.delay_ns(3, rng=Fixed(1.0)) == highest * S


def test_decorrelated_grows_from_the_last_delay() -> None:
    """The range is from the initial delay to three times the last one, the cap at most."""
    policy = Retry(jitter="decorrelated", max_delay=10)
    assert policy.delay_ns(1, rng=Fixed(1.0)) == 3 * S
    assert policy.delay_ns(2, rng=Fixed(1.0), previous_ns=2 * S) == 6 * S
    assert policy.delay_ns(2, rng=Fixed(0.0), previous_ns=2 * S) == 1 * S
    assert policy.delay_ns(3, rng=Fixed(1.0), previous_ns=9 * S) == 10 * S


@pytest.mark.parametrize("jitter", [each for each in JITTERS if each != "none"])
def test_jitter_survives_the_cap(jitter: Jitter) -> None:
    """At the cap delays still differ: no draw is the cap for everybody (stamina and tenacity: one value in 2,000)."""
    policy, rng = Retry(jitter=jitter), seeded_rng(1, jitter)
    delays = [policy.delay_ns(50, rng=rng, previous_ns=60 * S) for _ in range(2000)]
    assert len(set(delays)) > 1990
    assert max(delays) <= 60 * S
    width = {"equal": 30, "full": 60, "proportional": 24, "decorrelated": 59}[jitter]
    mean = sum(delays) / len(delays) / S
    assert mean == pytest.approx(60 - width / 2, abs=4 * width / math.sqrt(12 * 2000))


def decide(policy: Retry, attempt: int, given_: Fault, remaining: float | None = None, **more: Any) -> int | GiveUp:
    left = None if remaining is None else round(remaining * S)
    return policy.decide(attempt, given_, left, rng=Fixed(0.5), **more)


@given(st.integers(0, 20), st.integers(1, 40))
def test_attempts_are_bounded(max_retries: int, attempt: int) -> None:
    """Attempt k is repeated exactly while k is at most ``max_retries``."""
    decision = decide(Retry(max_retries=max_retries), attempt, fault())
    assert isinstance(decision, GiveUp) is (attempt > max_retries)


@pytest.mark.parametrize("kind", list(FaultKind))
def test_only_transient_faults_are_retried(kind: FaultKind) -> None:
    """The fault says whether a retry may help; nothing that is not transient is retried."""
    assert decide(Retry(), 1, fault(kind, transient=False)) is GiveUp.NOT_RETRYABLE


def test_a_rate_limit_is_retried_once() -> None:
    """By default a throttled call is made again once, however many other retries are left; others do not count."""
    throttled = fault(FaultKind.THROTTLED)
    assert isinstance(decide(Retry(), 1, throttled), int)
    assert decide(Retry(), 2, throttled, retried={FaultKind.THROTTLED: 1}) is GiveUp.ATTEMPTS_USED
    assert isinstance(decide(Retry(), 2, throttled, retried={FaultKind.TIMEOUT: 1}), int)
    assert isinstance(decide(Retry(), 2, fault(), retried={FaultKind.TRANSIENT: 1}), int)
    assert isinstance(decide(Retry(limits={}), 2, throttled, retried={FaultKind.THROTTLED: 1}), int)


def test_retry_after_is_honoured() -> None:
    """The wait is at least what was asked for, and at most a tenth more; a shorter one does not shorten the backoff."""
    assert decide(Retry(jitter="none"), 1, fault(retry_after=7)) == 7 * S
    assert decide(Retry(), 1, fault(retry_after=7)) == pytest.approx(7.35 * S, abs=1)
    assert decide(Retry(jitter="none"), 1, fault(retry_after=0.2)) == 1 * S


def test_a_long_retry_after_ends_the_retrying() -> None:
    """Nobody waits an hour, or for a value in the wrong unit."""
    assert decide(Retry(jitter="none"), 1, fault(retry_after=60)) == 60 * S
    assert decide(Retry(), 1, fault(retry_after=60.001)) is GiveUp.RETRY_AFTER_TOO_LONG


def test_no_sleep_past_the_deadline() -> None:
    """A delay that does not end before the deadline is not begun."""
    policy = Retry(jitter="none")
    assert decide(policy, 1, fault(), 1.000000001) == S
    assert decide(policy, 1, fault(), 1.0) is GiveUp.NO_TIME
    assert decide(policy, 1, fault(), 0.0) is GiveUp.NO_TIME
    assert decide(policy, 1, fault(retry_after=5), 4.0) is GiveUp.NO_TIME


def test_listed_types() -> None:
    """``retry_on`` adds types, ``never_on`` takes them away and wins; a cancellation is never retried."""
    policy = Retry(retry_on=(KeyError,), never_on=(ConnectionError,))
    assert isinstance(decide(policy, 1, fault(FaultKind.BUG, transient=False, cause=KeyError())), int)
    assert decide(policy, 1, fault(cause=ConnectionResetError())) is GiveUp.NOT_RETRYABLE
    both = Retry(retry_on=(OSError,), never_on=(OSError,))
    assert decide(both, 1, fault(cause=OSError())) is GiveUp.NOT_RETRYABLE
    cancelled = fault(FaultKind.CANCELLED, transient=False, cause=KeyboardInterrupt())
    assert decide(Retry(retry_on=(BaseException,)), 1, cancelled) is GiveUp.NOT_RETRYABLE


def test_calls_that_must_not_run_twice() -> None:
    """A call that is not idempotent is repeated only when the first one certainly did nothing."""
    policy = Retry(idempotent=False)
    assert decide(policy, 1, fault()) is GiveUp.NOT_IDEMPOTENT
    assert isinstance(decide(policy, 1, fault(safe=True)), int)


def test_custom_backoff() -> None:
    """A function of the attempt gives the delay; the cap and the jitter hold for it, and a bad value is named."""
    policy = Retry(backoff=lambda attempt: 10.0 * attempt, jitter="none", max_delay=25)
    assert [policy.delay_ns(n, rng=Fixed(0)) // S for n in (1, 2, 3)] == [10, 20, 25]
    assert Retry(backoff=lambda _: 10.0).delay_ns(1, rng=Fixed(0)) == 5 * S
    with pytest.raises(ConfigError, match="backoff"):
        Retry(backoff=lambda _: -1.0).delay_ns(1, rng=Fixed(0))


def test_zero_delay() -> None:
    """No delay at all is a legal backoff."""
    assert Retry(initial_delay=0, max_delay=0).delay_ns(1, rng=Fixed(0.5)) == 0


@given(options, st.integers(1, 50), st.integers(0), st.floats(0, 60) | st.none())
def test_worst_delay_is_an_upper_bound(
    given_: dict[str, Any], attempt: int, seed: int, retry_after: float | None
) -> None:
    """No wait that is decided is longer than ``worst_delay`` says."""
    policy = Retry(max_retries=100, **given_)
    delay = policy.decide(attempt, fault(retry_after=retry_after), None, rng=random.Random(seed))
    assert not isinstance(delay, GiveUp)
    assert delay <= policy.worst_delay(attempt) * S + 1


@pytest.mark.parametrize(("p", "retries"), [(0.02, 2), (0.2, 3), (0.5, 5), (0.6, 3)])
def test_amplification_has_its_closed_form(p: float, retries: int) -> None:
    """With independent failures at rate p, calls fail at p^(n+1) and attempts a call are (1-p^(n+1))/(1-p)."""
    policy, rng, calls = Retry(max_retries=retries), seeded_rng(7, p, retries), 20_000
    attempts = failed = 0
    for _ in range(calls):
        attempt = 1
        while rng.random() < p:
            if isinstance(policy.decide(attempt, fault(), None, rng=rng), GiveUp):
                failed += 1
                break
            attempt += 1
        attempts += attempt
    error = p ** (retries + 1)
    assert failed / calls == pytest.approx(error, abs=4 * math.sqrt(error * (1 - error) / calls) + 1e-4)
    assert attempts / calls == pytest.approx((1 - error) / (1 - p), rel=0.03)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("max_retries", True),
        ("initial_delay", -0.1),
        ("initial_delay", math.nan),
        ("base", 0.9),
        ("max_delay", -1),
        ("max_delay", 0.5),
        ("jitter", "some"),
        ("limits", {FaultKind.THROTTLED: -1}),
        ("max_retry_after", -1),
        ("max_delay", 2e9),
        ("limits", {"slow": 1}),
        ("idempotent", 1),
        ("backoff", 1),
        ("on_result", 1),
        ("budget", 1),
        ("retry_on", KeyError),
        ("never_on", ("KeyError",)),
        ("never_on", (int,)),
    ],
)
def test_options_out_of_range(field: str, value: Any) -> None:
    """Each option out of its range is refused by name."""
    with pytest.raises(ConfigError) as refused:
        Retry(**{field: value})
    assert refused.value.field.startswith(field)


def test_decorrelated_has_its_own_backoff() -> None:
    """A custom backoff with decorrelated jitter is a contradiction, and refused."""
    with pytest.raises(ConfigError, match="jitter"):
        Retry(jitter="decorrelated", backoff=lambda _: 1.0)


def test_presets_of_operations() -> None:
    """Embeddings, completions and agents have numbers of their own, each of which can be overridden."""
    embeddings, completions, agents = Retry.for_embeddings(), Retry.for_completions(), Retry.for_agents()
    assert (embeddings.max_retries, embeddings.initial_delay, embeddings.max_delay) == (3, 0.5, 10)
    assert (completions.max_retries, completions.initial_delay, completions.max_delay) == (2, 1, 30)
    assert (agents.max_retries, agents.initial_delay, agents.base) == (2, 0.1, 2)
    assert Retry.for_embeddings(max_retries=1).max_retries == 1
    assert Retry.for_completions(max_delay=5).max_delay == 5
    assert Retry.for_agents(base=3).base == 3


def test_defaults() -> None:
    """Three repetitions from 1 s, doubling, to 60 s at most, of calls that may run twice."""
    policy = Retry()
    assert (policy.max_retries, policy.initial_delay, policy.base, policy.max_delay) == (3, 1, 2, 60)
    assert (policy.jitter, policy.max_retry_after, policy.idempotent) == ("equal", 60, True)
    assert policy.limits == {FaultKind.THROTTLED: 1}
    assert Retry.label == "retry"


def test_the_reasons_are_words() -> None:
    """Events name why a call is not made again by these words, which whoever reads logs relies on."""
    assert [each.value for each in GiveUp] == [
        "not_retryable",
        "not_idempotent",
        "attempts_used",
        "no_time",
        "retry_after_too_long",
        "no_budget",
        "refused",
    ]


def test_the_first_repetition_has_no_last_delay() -> None:
    """Who does not say what the last delay was decides as before the first repetition."""
    policy = Retry(jitter="decorrelated")
    assert policy.decide(1, fault(), None, rng=Fixed(1.0)) == 3 * S


def test_none_of_it_is_a_legal_limit() -> None:
    """A kind of fault may have no repetitions at all, and no ``Retry-After`` may be waited for."""
    policy = Retry(limits={FaultKind.TIMEOUT: 0}, max_retry_after=0)
    assert decide(policy, 1, fault(FaultKind.TIMEOUT)) is GiveUp.ATTEMPTS_USED
    assert decide(policy, 1, fault(retry_after=0.001)) is GiveUp.RETRY_AFTER_TOO_LONG
    assert isinstance(decide(policy, 1, fault(retry_after=0)), int)


def test_a_result_that_is_nothing_to_complain_of() -> None:
    """``on_result`` may say None or False of a result that is fine."""
    judge = Retry(on_result=lambda result: result).judge
    assert judge is not None
    judge(None)
    judge(False)


@pytest.mark.parametrize(
    ("jitter", "attempt", "worst"),
    [
        ("none", 3, 4),
        ("equal", 3, 4),
        ("full", 3, 4),
        ("proportional", 3, 5),
        ("proportional", 5, 16),
        ("decorrelated", 1, 16),
    ],
)
def test_the_worst_delay_is_one_that_may_come(jitter: Jitter, attempt: int, worst: float) -> None:
    """Where no ``Retry-After`` is waited for it is the longest that the jitter draws."""
    policy = Retry(jitter=jitter, max_delay=16, max_retry_after=0)
    assert policy.worst_delay(attempt) == worst
    assert policy.delay_ns(attempt, rng=Fixed(1.0), previous_ns=16 * S) == worst * S


@pytest.mark.parametrize(("jitter", "worst"), [("none", 100), ("equal", 110)])
def test_the_worst_delay_with_a_retry_after(jitter: Jitter, worst: float) -> None:
    """The longest ``Retry-After`` that is waited for counts with the tenth by which clients are spread, if they are."""
    assert Retry(jitter=jitter, max_retry_after=100).worst_delay(1) == pytest.approx(worst)


@pytest.mark.parametrize(("retries", "seconds"), [(0, 0), (3, 6), (1000, 500_500), (1001, 505_500)])
def test_the_longest_wait_of_all_repetitions(retries: int, seconds: float) -> None:
    """The delays of a thousand are added up; each after them counts as the longest that there may be."""
    retry = Retry(max_retries=retries, backoff=float, max_delay=5000, jitter="none", max_retry_after=0)
    assert retry.worst_wait() == seconds
