"""The levels and the authors of a service, from its settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.rag.answering.generated import GenerationOptions, ModelAnswerer
from holdfast.rag.tiers.levels import LEVELS, Levels
from holdfast.rag.types import Reason, Tier
from holdfast.rag.writer import Author

if TYPE_CHECKING:
    import random

    from holdfast.core.ports import Blocking
    from holdfast.rag.answering.base import Answerer
    from holdfast.rag.guards import Guards
    from holdfast.rag.models import Models
    from holdfast.rag.settings import Settings

__all__ = ["model_authors", "quoting_author", "settled_levels"]


def settled_levels(settings: Settings, *, quotes: bool = True) -> Levels:
    """The tiers, with what the settings say of them.

    Args:
        quotes: whether sentences of the documents stand in for a model's answer. Where nothing does, a question that
            is not put to the models is lost: then it is put to them at every tier, as far as their breakers let it.
    """
    by_tier = {level.tier: level for level in LEVELS}
    by_tier[Tier.DEGRADED] = replace(
        by_tier[Tier.DEGRADED], passages=settings.degraded_top_k, answer_tokens=settings.degraded_answer_tokens
    )
    by_tier[Tier.MINIMAL] = replace(by_tier[Tier.MINIMAL], passages=settings.degraded_top_k)
    levels = list(by_tier.values())
    return Levels(levels if quotes else [replace(each, searches=True, generates=True) for each in levels])


def quoting_author(answerer: Answerer, guards: Guards) -> Author:
    """Who writes where no model does: at every tier at which anything is searched."""
    return Author(
        best=Tier.FULL,
        tiers=frozenset({Tier.FULL, Tier.DEGRADED, Tier.MINIMAL}),
        answerer=answerer,
        guard=guards.answerer,
        failure=Reason.ANSWERER_UNAVAILABLE,
    )


def model_authors(
    settings: Settings, models: Models, guards: Guards, levels: Levels, *, blocking: Blocking, rng: random.Random
) -> tuple[Author, ...]:
    """The models that write, the best first: one for each tier that has a model write; none without a chat route."""
    if models.answers is None:
        return ()
    full, degraded = levels[Tier.FULL], levels[Tier.DEGRADED]
    best = ModelAnswerer(
        models.client,
        models.answers,
        blocking=blocking,
        rng=rng,
        options=GenerationOptions(max_tokens=full.answer_tokens or settings.max_answer_tokens),
    )
    second = ModelAnswerer(
        models.client,
        models.cheap or models.answers,
        blocking=blocking,
        rng=rng,
        options=GenerationOptions(
            max_tokens=min(settings.max_answer_tokens, degraded.answer_tokens or settings.max_answer_tokens),
            brief=degraded.brief,
        ),
    )
    return (
        Author(
            best=Tier.FULL,
            tiers=frozenset({Tier.FULL}),
            answerer=best,
            guard=guards.model,
            failure=Reason.LLM_UNAVAILABLE,
        ),
        Author(
            best=Tier.DEGRADED,
            tiers=frozenset(tier for tier in Tier if levels[tier].generates),
            answerer=second,
            guard=guards.model,
            failure=Reason.LLM_UNAVAILABLE,
        ),
    )
