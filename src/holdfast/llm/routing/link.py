"""A target as it is now: how well it is, how fast, and until when it is not to be asked.

What is known is kept where it belongs. A **target** (a model at a provider) has a breaker, a latency and a retry
budget. A **key** has the money, and may be parked. A **link** is a target with one of its provider's keys; rate limits
are its, for providers count by key and model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.classify import classify
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.pipeline import Pipeline
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.retry_budget import RetryBudget
from holdfast.llm.routing.latency import PeakEwma
from holdfast.llm.routing.pace import Pace
from holdfast.llm.wire.base import Quirks

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault
    from holdfast.llm.routing.targets import Key, Provider, Target
    from holdfast.llm.wire.limits import RateLimits

__all__ = ["FOREVER_NS", "LONGEST_HELD", "KeyState", "Link", "LinkSnapshot", "TargetState"]

FOREVER_NS = 1 << 62
LONGEST_HELD = 120.0
"""Seconds for which a wish to be left alone is believed: some send milliseconds, and asking again costs one call."""
_NO_LIMIT = 600_000_000.0  # requests a minute, the most that a limiter takes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSnapshot:
    """A link at one moment.

    Attributes:
        name: the target's name, and the key's where the provider has several.
        state: the breaker's state.
        ready_in: seconds until it makes sense to ask it; 0 is now, None is when an operator has changed something.
        why: what it waits for, in a word: ``"open"``, ``"asked_to_wait"``, ``"parked"``, or empty.
        latency_seconds: its time to first token, as the picker sees it; 0 before the first answer.
        in_flight: calls under way at the target, whatever the key.
        calls: calls made with this key; ``failures`` of them failed.
    """

    name: str
    provider: str
    model: str
    key: str
    state: str
    ready_in: float | None
    why: str
    latency_seconds: float
    in_flight: int
    calls: int
    failures: int


class KeyState:
    """A provider's key, which all its models share."""

    __slots__ = ("key", "parked_until_ns", "why")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.parked_until_ns = 0
        self.why = ""

    def park(self, until_ns: int, why: str) -> None:
        """Use the key for nothing until then."""
        self.parked_until_ns, self.why = until_ns, why

    def release(self) -> None:
        """The key works again."""
        self.parked_until_ns, self.why = 0, ""


class _Secrets(Sequence[str]):
    """A provider's secrets as they are when an error is written: whoever renews a token puts it into its headers."""

    __slots__ = ("_provider",)

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._provider.secrets[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._provider.secrets)

    def __len__(self) -> int:
        return len(self._provider.secrets)


class TargetState:
    """A model at a provider, whichever key it is asked with.

    Attributes:
        quirks: in what its provider differs from its protocol, and what its errors must not show.
    """

    def __init__(self, target: Target, *, clock: Clock, rng: random.Random, events: Events) -> None:
        provider = target.provider
        self.target = target
        self.name = f"model:{target.name}"
        self.clock = clock
        self.rng = rng
        self.events = events
        self.quirks = Quirks(
            provider=provider.error_table,
            name=provider.name,
            finish_required=provider.finish_required,
            secrets=_Secrets(provider),
        )
        self.breaker = CircuitBreaker(provider.breaker)
        self.budget = RetryBudget(clock=clock, events=events, name=self.name)
        self.latency = PeakEwma(clock)
        self.pace = Pace(clock)
        self.in_flight = 0

    def classify(self, error: BaseException) -> Fault:
        """What an error of this target means, by its provider's own codes."""
        return classify(error, clock=self.clock, provider=self.target.provider.error_table)


class Link:
    """A target with one key.

    Attributes:
        target: what it leads to.
        guard: the pipeline around every call: the target's breaker and its limits.
        limited: whether there is a limit of ours on the rate; ``counts_tokens`` when it goes by tokens.
        not_before_ns: until when the provider asked not to be asked with this key.
    """

    def __init__(self, state: TargetState, key: KeyState) -> None:
        target = state.target
        self.target = target
        self.state = state
        self.key = key
        self.name = f"{target.name}#{key.key.name}" if len(target.provider.keys) > 1 else target.name
        self.not_before_ns = 0
        self.calls = 0
        self.failures = 0
        self._tokens_left: float | None = None
        self._tokens_known_until_ns = 0
        gates: list[Any] = [state.breaker]
        if target.provider.max_concurrent is not None:
            gates.append(Bulkhead(max_concurrent=target.provider.max_concurrent))
        limiter = _limiter(target.provider)
        self.limited = limiter is not None
        most = target.provider.tokens_per_minute
        self.counts_tokens = most is not None
        self._most_tokens = None if most is None else max(1, most)
        if limiter is not None:
            gates.append(limiter)
        self.guard = Pipeline(
            *gates,
            name=state.name,
            clock=state.clock,
            rng=state.rng,
            events=state.events,
            classify=state.classify,
        )

    def ready_at_ns(self, now_ns: int, tokens: float = 0) -> int:
        """When it makes sense to ask: ``now_ns`` is now, ``FOREVER_NS`` when nobody knows.

        Args:
            tokens: about how many tokens the question costs.
        """
        return max(now_ns, self.key.parked_until_ns, self._held_until_ns(now_ns, tokens), self._shut_until_ns(now_ns))

    def is_ready(self, now_ns: int, tokens: float = 0) -> bool:
        """Whether it makes sense to ask now."""
        return (
            self.key.parked_until_ns <= now_ns
            and self._held_until_ns(now_ns, tokens) <= now_ns
            and self._shut_until_ns(now_ns) <= now_ns
            and self.holds(tokens)
        )

    def waits_briefly(self, now_ns: int, tokens: float = 0) -> bool:
        """Whether nothing stands in the way but a provider's wish to be left alone for a while."""
        return self.holds(tokens) and self.key.parked_until_ns <= now_ns and not self._shut_until_ns(now_ns)

    def holds(self, tokens: float) -> bool:
        """Whether a question of so many tokens could ever pass the limit of ours."""
        return self._most_tokens is None or tokens <= self._most_tokens

    @property
    def on_trial(self) -> bool:
        """Whether the next call finds out if the target works again."""
        breaker = self.state.breaker
        return breaker.state != "closed" and not breaker.options.shadow

    def why_not(self, now_ns: int, tokens: float = 0) -> str:
        """Why it is not asked, as a sentence without its beginning."""
        if not self.holds(tokens):
            most = self.target.provider.tokens_per_minute
            return f"its limit (tokens_per_minute = {most:g}) can never hold the {tokens:g} tokens that this may cost"
        if self.key.parked_until_ns > now_ns:
            left = (self.key.parked_until_ns - now_ns) / NS_PER_SECOND
            return f"its key {self.key.key.name} was refused ({self.key.why}) and is left alone for {left:.0f} s"
        if self._shut_until_ns(now_ns):
            return "its circuit breaker is open"
        left = max(0, self._held_until_ns(now_ns, tokens) - now_ns) / NS_PER_SECOND
        return f"it asked to be left alone for {left:.1f} s"

    def hold(self, seconds: float) -> float:
        """Do not ask for ``seconds``, but no longer than :data:`LONGEST_HELD`; gives how long it is.

        A hold that ends later stays.
        """
        seconds = min(seconds, LONGEST_HELD)
        self.not_before_ns = max(self.not_before_ns, self.state.clock.now_ns() + to_ns(seconds))
        return seconds

    def note(self, limits: RateLimits) -> None:
        """Take in what the provider says is left of its rate limits."""
        requests, tokens = limits.requests, limits.tokens
        if requests is not None and requests.remaining is not None and requests.remaining <= 0:
            self.hold(requests.reset_seconds or 0)
        if tokens is not None and tokens.remaining is not None and tokens.reset_seconds is not None:
            self._tokens_left = tokens.remaining
            reset_ns = to_ns(min(tokens.reset_seconds, LONGEST_HELD))
            self._tokens_known_until_ns = self.state.clock.now_ns() + reset_ns

    def snapshot(self) -> LinkSnapshot:
        """Its state now."""
        now = self.state.clock.now_ns()
        breaker = self.state.breaker.snapshot()
        ready = self.ready_at_ns(now)
        why = ""
        if ready > now:
            parked, held = self.key.parked_until_ns, self._held_until_ns(now, 0)
            why = "parked" if parked == ready else "asked_to_wait" if held == ready else "open"
        return LinkSnapshot(
            name=self.name,
            provider=self.target.provider.name,
            model=self.target.model,
            key=self.key.key.name,
            state=str(breaker.state),
            ready_in=None if ready >= FOREVER_NS else (ready - now) / NS_PER_SECOND,
            why=why,
            latency_seconds=self.state.latency.seconds,
            in_flight=self.state.in_flight,
            calls=self.calls,
            failures=self.failures,
        )

    def _held_until_ns(self, now_ns: int, tokens: float) -> int:
        until = self.not_before_ns
        if self._tokens_left is not None and tokens > self._tokens_left and now_ns < self._tokens_known_until_ns:
            until = max(until, self._tokens_known_until_ns)
        return until

    def _shut_until_ns(self, now_ns: int) -> int:
        breaker = self.state.breaker
        if breaker.state != "open" or breaker.options.shadow:
            return 0
        left = breaker.snapshot().retry_after
        return FOREVER_NS if left is None else now_ns + to_ns(left)


def _limiter(provider: Provider) -> RateLimiter | None:
    """The limits that the user knows of. A second's worth of requests may come at once, and a minute's of tokens."""
    requests, tokens = provider.requests_per_minute, provider.tokens_per_minute
    if requests is None and tokens is None:
        return None
    rate = _NO_LIMIT if requests is None else requests
    return RateLimiter(
        requests_per_minute=rate, burst=max(1.0, rate / 60), tokens_per_minute=tokens, kept_share=0.0, default_cost=1
    )
