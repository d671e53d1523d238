"""The pipeline of policies around each dependency of the engine, with its preset.

The presets follow from what a dependency costs and what stands behind it: the cache is optional, so it gets one short
try; the query's embedding has lexical search behind it, so it gets a short budget; the store has nothing behind it but
old answers, so it gets retries. How long an open breaker waits matters only where nobody looks after it: the prober of
:mod:`holdfast.rag.tiers.prober` asks what is ill every five seconds, and lets its breaker try when it answers.

Providers have pipelines of their own around every call, in ``holdfast.llm``, which fail over, retry and break; what
stands around them here only bounds the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_options import CACHE, MODEL, VECTOR_STORE
from holdfast.core.classify import classify
from holdfast.core.faults import FaultKind
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import StoreCorruptError, StoreUnavailableError
from holdfast.rag.policies import ALL, Policies
from holdfast.state.guard import cache_guard

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault

__all__ = ["Guards"]

_REMOTE_EMBEDDING_SECONDS = 6.0
"""Time for one provider to be found dead (an attempt has 5 s) and not for two: the search by words waits behind it."""


class Guards:
    """One pipeline a dependency.

    Args:
        cache, embedder, store, answerer: the names of the dependencies.
        model: the name of the answerer that has a model write; None where ``answerer`` is the only one.
        remote_embedder: whether a provider embeds.
        policies: which of them work, and by which numbers.
        clock, rng, events: where time, jitter and listeners come from.
    """

    def __init__(
        self,
        *,
        cache: str,
        embedder: str,
        store: str,
        answerer: str,
        clock: Clock,
        rng: random.Random,
        events: Events,
        model: str | None = None,
        remote_embedder: bool = False,
        policies: Policies = ALL,
    ) -> None:
        def guard(
            name: str,
            *usual: Retry | CircuitBreaker | Timeout,
            classify: Callable[[BaseException], Fault] | None = None,
        ) -> Pipeline:
            kept = policies.around(usual)
            return Pipeline(*kept, name=name, clock=clock, rng=rng, events=events, classify=classify)

        self.cache = cache_guard(cache, clock=clock, rng=rng, events=events, breaker=policies.breaker(CACHE))
        self.query_embedder = (
            guard(embedder, Timeout(seconds=_REMOTE_EMBEDDING_SECONDS))
            if remote_embedder
            else guard(
                embedder,
                Retry(max_retries=1, initial_delay=0.05, max_delay=0.2),
                CircuitBreaker(MODEL, recovery_timeout=15.0),
                Timeout(seconds=1.0),
            )
        )
        self.store = guard(
            store,
            # What took two seconds twice takes as long again: an old answer now is worth more than a new one then.
            Retry(max_retries=2, initial_delay=0.05, max_delay=0.5, limits={FaultKind.TIMEOUT: 1}),
            CircuitBreaker(VECTOR_STORE),
            Timeout(seconds=2.0),
            classify=_of_store,
        )
        self.answerer = guard(
            answerer, CircuitBreaker(failure_threshold=5, recovery_timeout=15.0), Timeout(seconds=5.0)
        )
        self.model = self.answerer if model is None else guard(model)
        # Bulk work waits longer, may try more often, and must not open the breakers that questions depend on.
        self.bulk_embedder = guard(
            f"{embedder}:bulk", Retry(max_retries=3, initial_delay=0.5, max_delay=10.0), Timeout(seconds=300.0)
        )
        self.bulk_store = guard(
            f"{store}:bulk", Retry(max_retries=3, initial_delay=0.5, max_delay=10.0), Timeout(seconds=120.0)
        )

    def by_name(self) -> Mapping[str, Pipeline]:
        """The pipelines on the path of a question, by the dependency's name."""
        guards = (self.cache, self.query_embedder, self.store, self.model, self.answerer)
        return {guard.name: guard for guard in guards}


def _of_store(error: BaseException) -> Fault:
    """As for anything else, but a store that is not there, or cannot be read, may be well in a moment.

    Elsewhere that is no reason to try again: who ingests has to be told. Who asks has nothing but old answers
    otherwise, and two more looks cost less than half a second, until the breaker knows.
    """
    fault = classify(error)
    lost = isinstance(error, StoreUnavailableError | StoreCorruptError)
    return replace(fault, transient=True) if lost else fault
