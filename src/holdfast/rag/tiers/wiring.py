"""Which dependencies an engine has, as the tiers see them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holdfast.llm.probing import PROBE_SECONDS
from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.tiers.controller import ControllerOptions, TierController
from holdfast.rag.tiers.levels import Levels, Need
from holdfast.rag.tiers.prober import Prober
from holdfast.rag.tiers.service import ServiceTier
from holdfast.rag.tiers.vitals import Vital, Vitals
from holdfast.rag.types import Reason, Scope

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Embedder
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute, Target
    from holdfast.rag.answering.base import Answerer
    from holdfast.rag.guards import Guards
    from holdfast.rag.models import Models
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.records.records import Records
    from holdfast.rag.store.base import Store

__all__ = ["service_tier"]


def service_tier(
    *,
    store: Store,
    embedder: Embedder | None,
    models: Models | None,
    answerer: Answerer,
    guards: Guards,
    records: Records,
    something_to_say: Callable[[], bool],
    copied: Callable[[], bool] | None = None,
    clock: Clock,
    rng: random.Random,
    narrator: Narrator,
    levels: Levels | None = None,
    options: ControllerOptions | None = None,
) -> ServiceTier:
    """The tiers of an engine with these parts.

    Args:
        something_to_say: whether there is anything to say when no document can be searched.
        copied: whether the documents can be searched without the store; None: never.
    """
    vitals = [_store(store, guards)]
    if embedder is not None:
        vitals += _embedding(embedder, models, guards)
    vitals += _writing(answerer, models, guards)
    vitals.append(_records(records))
    every = Vitals(vitals, anything=something_to_say, copied=copied)
    controller = TierController(every, clock=clock, narrator=narrator, levels=levels, options=options)
    prober = Prober(every, controller, clock=clock, rng=rng, narrator=narrator)
    return ServiceTier(every, controller, prober)


def _store(store: Store, guards: Guards) -> Vital:
    async def search() -> None:
        # What questions do, on as little as possible: a file that opens may still not be searchable.
        await store.lexical("holdfast", k=1, scope=Scope())

    return Vital(
        name=store.name,
        need=Need.STORE,
        reason=Reason.VECTOR_STORE_UNAVAILABLE,
        guard=guards.store,
        check=search,
    )


def _records(records: Records) -> Vital:
    return Vital(
        name=records.name,
        need=None,  # an answer is as good without
        reason=Reason.MEMORY_UNAVAILABLE,
        guard=records.guard,
        check=records.ping,
    )


def _embedding(embedder: Embedder, models: Models | None, guards: Guards) -> list[Vital]:
    reason = Reason.EMBEDDER_UNAVAILABLE
    if models is not None and models.embeds is not None:
        route = models.client.routes.embedding(models.embeds)
        targets = [_target(models, route, target, reason) for target in route.targets]
        return [*targets, _any_of(Need.EMBEDDER, embedder.name, reason, targets)]

    async def embed() -> None:
        await embedder.embed(["holdfast"], kind="query")

    return [Vital(name=embedder.name, need=Need.EMBEDDER, reason=reason, guard=guards.query_embedder, check=embed)]


def _writing(answerer: Answerer, models: Models | None, guards: Guards) -> list[Vital]:
    """Who writes: the route's first choice and the others, or, without a model, who quotes."""

    async def quote() -> None:
        await answerer.answer(AnswerRequest(question="holdfast", hits=()))

    name, reason = guards.answerer.name, Reason.ANSWERER_UNAVAILABLE
    quoting = Vital(name=name, need=None, reason=reason, guard=guards.answerer, check=quote)
    if models is None or models.answers is None:
        return [quoting, *(_any_of(need, "", reason, [quoting]) for need in (Need.MODEL, Need.ANY_MODEL))]
    route = models.client.routes.model(models.answers)
    targets = [_target(models, route, target, Reason.LLM_UNAVAILABLE) for target in models.writing]
    by_name = {vital.name: vital for vital in targets}
    home = [by_name[f"model:{target.name}"] for target in models.home]
    return [
        quoting,
        *targets,
        _any_of(Need.MODEL, "", Reason.PRIMARY_MODEL_UNAVAILABLE, home),
        _any_of(Need.ANY_MODEL, "", Reason.LLM_UNAVAILABLE, targets),
    ]


def _any_of(need: Need, name: str, reason: Reason, vitals: Sequence[Vital]) -> Vital:
    """Well while one of several is."""
    return Vital(name=name, need=need, reason=reason, one_of=tuple(vitals))


def _target(models: Models, route: ModelRoute | EmbeddingRoute, target: Target, reason: Reason) -> Vital:
    async def ask() -> None:
        await models.client.probe(route, target)

    calls = 1 + target.provider.breaker.success_threshold
    return Vital(
        name=f"model:{target.name}",
        need=None,
        reason=reason,
        check=ask,
        check_seconds=max(PROBE_SECONDS, route.options.attempt_seconds) * calls,  # each call has a time of its own
        well_otherwise=partial(models.is_well, target.name),
    )
