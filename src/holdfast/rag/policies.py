"""Which of the engine's policies work, and by which numbers: to find out what each of them is worth.

The service has all of them on. The lab switches them off one by one on the same faults, and tries profiles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeAlias

from holdfast.core._options import flag, options_by_name
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_options import BreakerOptions
from holdfast.core.profiles import BALANCED, Profile
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.llm.routing.options import RouteOptions
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute, Provider, Target
    from holdfast.rag.models import Configured

__all__ = ["ALL", "Policies"]

Policy: TypeAlias = Retry | CircuitBreaker | Timeout

_NEVER = 1e15
"""A weight of failures that no breaker ever counts."""


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What works of an engine.

    Attributes:
        retries: whether a failed call is made again at the same dependency.
        breakers: whether a dependency that keeps failing is left alone for a while.
        failover: whether another model is asked when the first one fails; without it there is no cheaper one either.
        hedges: whether another model is asked beside one that takes long.
        probes: whether what is ill is asked in the background if it is well again. Without it the traffic finds out,
            as far as it gets there: a model that no question is led to stays given up.
        words: whether a search by words alone stands in where the one by vectors cannot be made.
        remembered: whether the last good answer to a question stands in for a new one.
        frequent: whether the answer to a frequent question stands in.
        quotes: whether sentences or passages of the documents stand in for a model's answer.
        standby: whether a copy of the documents is kept, and searched by words where the store cannot be.
        profile: numbers of a profile in place of the engine's own: how often calls are made again and after which time,
            when breakers open and for how long. The waits at the store, the embedder and the cache, which answer in
            milliseconds, keep their proportion to those of the balanced profile. None: the engine's own.

    Raises:
        ConfigError: a switch is neither true nor false, or the profile is none.
    """

    retries: bool = True
    breakers: bool = True
    failover: bool = True
    hedges: bool = True
    probes: bool = True
    words: bool = True
    remembered: bool = True
    frequent: bool = True
    quotes: bool = True
    standby: bool = True
    profile: Profile | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "profile":
                flag(each.name, getattr(self, each.name))
        if self.profile is not None and not isinstance(self.profile, Profile):
            raise ConfigError("profile", self.profile, "must be a Profile of holdfast.core.profiles, or None")

    def around(self, policies: Iterable[Policy]) -> list[Policy]:
        """The policies of one dependency's pipeline, as they are here: changed, or left out."""
        return [kept for policy in policies if (kept := self._kept(policy)) is not None]

    def breaker(self, options: BreakerOptions) -> BreakerOptions:
        """The options of a breaker; of one that never opens, where breakers are off."""
        if not self.breakers:
            return BreakerOptions(failure_threshold=_NEVER)
        if self.profile is None or options.window not in {"consecutive", "combined"}:
            return options
        return replace(
            options,
            failure_threshold=self.profile.failure_threshold,
            recovery_timeout=self.profile.recovery_timeout,
            max_recovery_timeout=None,
        )

    def configured(self, models: Configured) -> Configured:
        """What is configured of models, as it is here."""
        if self == ALL:
            return models
        routes = models.routes
        changed = replace(
            routes,
            providers={},
            models={name: self._model_route(route) for name, route in routes.models.items()},
            embeddings={name: self._embedding_route(route) for name, route in routes.embeddings.items()},
        )
        return replace(models, routes=changed, cheap=models.cheap if self.failover else None)

    def targets(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """The models of one route, as they are here."""
        kept = targets if self.failover else targets[:1]
        return tuple(replace(target, provider=self._provider(target.provider)) for target in kept)

    # --- the parts ----------------------------------------------------------------------------------------------------

    def _kept(self, policy: Policy) -> Policy | None:
        match policy:
            case Retry():
                return self._retry(policy) if self.retries else None
            case CircuitBreaker():
                return CircuitBreaker(self.breaker(policy.options)) if self.breakers else None
            case Timeout():
                return policy

    def _retry(self, retry: Retry) -> Retry:
        if self.profile is None:
            return retry
        pace = self.profile.initial_delay / BALANCED.initial_delay
        first = retry.initial_delay * pace
        return replace(
            retry,
            max_retries=self.profile.max_retries,
            initial_delay=first,
            max_delay=max(first, retry.max_delay * pace),
        )

    def _options(self, options: RouteOptions) -> RouteOptions:
        if not self.hedges:
            options = replace(options, hedge_after=None)
        retry = options.retry
        if not self.retries:
            retry = replace(retry, max_retries=0)
        elif self.profile is not None:
            first = self.profile.initial_delay
            retry = replace(
                retry,
                max_retries=self.profile.max_retries,
                initial_delay=first,
                max_delay=max(first, retry.max_delay),
            )
        return replace(options, retry=retry)

    def _model_route(self, route: ModelRoute) -> ModelRoute:
        others = self.failover
        return replace(
            route,
            targets=self.targets(route.targets),
            larger=self.targets(route.larger) if others else (),
            filtered=self.targets(route.filtered) if others else (),
            options=self._options(route.options),
        )

    def _embedding_route(self, route: EmbeddingRoute) -> EmbeddingRoute:
        return replace(route, targets=self.targets(route.targets), options=self._options(route.options))

    def _provider(self, provider: Provider) -> Provider:
        return replace(provider, breaker=self.breaker(provider.breaker))


ALL = Policies()
"""Everything works, by the engine's own numbers."""
