"""Named profiles: pipelines whose numbers fit together, to start from.

| profile | for | retries | first delay | opens after | closed again after | may wait |
|---|---|---|---|---|---|---|
| conservative | critical systems | 5 | 2.0 s | 3 | 120 s | 500 |
| balanced | most | 3 | 1.0 s | 5 | 60 s | 1,000 |
| aggressive | high traffic | 2 | 0.5 s | 10 | 30 s | 2,000 |
| cost-optimized | small budgets | 1 | 2.0 s | 5 | 60 s | 500 |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from holdfast.core._options import duration, options_by_name, positive, whole
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.deadline import Deadline
from holdfast.core.fallback import Fallback
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = [
    "AGGRESSIVE",
    "BALANCED",
    "CONSERVATIVE",
    "COST_OPTIMIZED",
    "Environment",
    "Profile",
    "aggressive",
    "balanced",
    "conservative",
    "cost_optimized",
    "for_environment",
]

Environment: TypeAlias = Literal["development", "staging", "production", "custom"]


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The numbers of a profile.

    Args:
        max_retries: repetitions of a call, 0 or more.
        initial_delay: seconds before the first of them, 0 or more.
        failure_threshold: the weight of failures in a row that opens the breaker, above 0. Below 5 it opens on an
            ordinary bad second of a remote service; the conservative profile takes that into account, because there a
            call that hangs costs more than one that is refused.
        recovery_timeout: seconds until an open breaker lets a probe through, above 0.
        queue_size: calls that may wait for their turn, 0 or more.
        max_concurrent: calls under way at once, 1 or more.
        attempt_seconds: the limit of one attempt, above 0.
        deadline_seconds: the limit of the whole call, time in the queue included, above 0.
    """

    max_retries: int = 3
    initial_delay: float = 1.0
    failure_threshold: float = 5
    recovery_timeout: float = 60.0
    queue_size: int = 1000
    max_concurrent: int = 10
    attempt_seconds: float = 30.0
    deadline_seconds: float = 120.0

    def __post_init__(self) -> None:
        whole("max_retries", self.max_retries, least=0)
        duration("initial_delay", self.initial_delay, or_zero=True)
        positive("failure_threshold", self.failure_threshold)
        duration("recovery_timeout", self.recovery_timeout)
        whole("queue_size", self.queue_size, least=0)
        whole("max_concurrent", self.max_concurrent, least=1)
        duration("attempt_seconds", self.attempt_seconds)
        duration("deadline_seconds", self.deadline_seconds)

    def pipeline(
        self,
        *,
        name: str = "call",
        fallback: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        budget: RetryBudget | None = None,
        **doors: Any,  # noqa: ANN401  those of Pipeline
    ) -> Pipeline:
        """A new pipeline: deadline, fallback where one is given, request queue, retry, circuit breaker, timeout.

        Args:
            name: the pipeline's name.
            fallback: alternatives, asked when the call fails or the queue refuses it.
            budget: the retry budget of the target; by default one of its own.
            doors: ``dependency``, ``clock``, ``rng``, ``events``, ``classify``, as for ``Pipeline``.
        """
        policies: list[Policy] = [Deadline(seconds=self.deadline_seconds)]
        if fallback is not None:
            policies.append(Fallback(fallback))
        policies += [
            RequestQueue(max_concurrent=self.max_concurrent, requests_per_minute=None, max_size=self.queue_size),
            Retry(
                max_retries=self.max_retries,
                initial_delay=self.initial_delay,
                budget=RetryBudget() if budget is None else budget,
            ),
            CircuitBreaker(failure_threshold=self.failure_threshold, recovery_timeout=self.recovery_timeout),
            Timeout(seconds=self.attempt_seconds),
        ]
        return Pipeline(*policies, name=name, **doors)


CONSERVATIVE = Profile(
    max_retries=5,
    initial_delay=2.0,
    failure_threshold=3,
    recovery_timeout=120.0,
    queue_size=500,
    deadline_seconds=300.0,
)
"""For critical systems: many patient retries, a breaker that opens early and stays open long."""
BALANCED = Profile()
"""For most."""
AGGRESSIVE = Profile(
    max_retries=2,
    initial_delay=0.5,
    failure_threshold=10,
    recovery_timeout=30.0,
    queue_size=2000,
    deadline_seconds=60.0,
)
"""For high traffic: few quick retries, and back soon."""
COST_OPTIMIZED = Profile(max_retries=1, initial_delay=2.0, queue_size=500)
"""For small budgets: hardly any call is paid for twice."""

_BY_NAME = {
    "conservative": CONSERVATIVE,
    "balanced": BALANCED,
    "aggressive": AGGRESSIVE,
    "cost-optimized": COST_OPTIMIZED,
}


def conservative(**options: Any) -> Pipeline:  # noqa: ANN401
    """A pipeline of the conservative profile; ``options`` as for :meth:`Profile.pipeline`."""
    return CONSERVATIVE.pipeline(**options)


def balanced(**options: Any) -> Pipeline:  # noqa: ANN401
    """A pipeline of the balanced profile."""
    return BALANCED.pipeline(**options)


def aggressive(**options: Any) -> Pipeline:  # noqa: ANN401
    """A pipeline of the aggressive profile."""
    return AGGRESSIVE.pipeline(**options)


def cost_optimized(**options: Any) -> Pipeline:  # noqa: ANN401
    """A pipeline of the cost-optimized profile."""
    return COST_OPTIMIZED.pipeline(**options)


def for_environment(environment: Environment, profile: str | Profile = "balanced", **numbers: Any) -> Profile:  # noqa: ANN401
    """The profile as an environment wants it.

    Args:
        environment: ``"production"`` and ``"staging"`` take the profile as it is: what is tested is what runs.
            ``"development"`` relaxes it: one quick retry, a breaker that opens late and recovers after 5 seconds, so
            that a mistake shows at once and a restart of the other side is noticed. ``"custom"`` takes the profile with
            the ``numbers`` that are given.
        profile: a profile, or its name: conservative, balanced, aggressive, cost-optimized.
        numbers: fields of :class:`Profile`, for ``"custom"`` only.

    Raises:
        ConfigError: an unknown environment or profile, numbers where none are allowed, or one out of its range.
    """
    if environment not in get_args(Environment):
        raise ConfigError("environment", environment, f"must be one of {', '.join(get_args(Environment))}")
    if isinstance(profile, str):
        if profile not in _BY_NAME:
            raise ConfigError("profile", profile, f"must be a Profile, or one of {', '.join(_BY_NAME)}")
        profile = _BY_NAME[profile]
    if environment == "custom":
        return replace(profile, **numbers)
    if numbers:
        raise ConfigError("numbers", tuple(numbers), 'are taken only in the environment "custom"')
    if environment == "development":
        return replace(profile, max_retries=1, initial_delay=0.1, failure_threshold=20, recovery_timeout=5.0)
    return profile
