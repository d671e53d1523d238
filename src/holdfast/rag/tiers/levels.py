"""What each tier needs, and what an answer at it may use: data, so that a question is one walk down a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast.core._options import whole
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["LEVELS", "Level", "Levels", "Need", "worse"]


class Need(StrEnum):
    """What a tier can need. The cache is nobody's need: nothing is noticed when it is gone."""

    STORE = "store"
    DOCUMENTS = "documents"
    """The store, or a copy of its documents."""
    EMBEDDER = "embedder"
    MODEL = "model"
    ANY_MODEL = "any_model"
    ANYTHING = "anything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One tier as data.

    Attributes:
        tier: its name; its quality score goes with it.
        needs: what must be well for the service to be at it.
        searches: whether the documents are searched.
        generates: whether a model may write; without one configured, quoting is what every tier does.
        passages: passages that an answer rests on at most; None: as many as the question or the settings say.
        answer_tokens: tokens that a model's answer may have; None: as many as the settings say.
        brief: whether the model is given the short prompt, and told to be brief.
        keeps: whether its answers are kept in the cache.
        notice: what the user is told, when no reason says more.
    """

    tier: Tier
    needs: frozenset[Need] = frozenset()
    searches: bool = True
    generates: bool = False
    passages: int | None = None
    answer_tokens: int | None = None
    brief: bool = False
    keeps: bool = False
    notice: str = ""

    def __post_init__(self) -> None:
        for name in ("passages", "answer_tokens"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=1)

    def passages_for(self, wanted: int) -> int:
        """How many passages an answer rests on, where ``wanted`` are asked for."""
        return wanted if self.passages is None else min(wanted, self.passages)


LEVELS: tuple[Level, ...] = (
    Level(
        tier=Tier.FULL,
        needs=frozenset({Need.STORE, Need.DOCUMENTS, Need.EMBEDDER, Need.MODEL, Need.ANY_MODEL}),
        generates=True,
        keeps=True,
    ),
    Level(
        tier=Tier.DEGRADED,
        needs=frozenset({Need.DOCUMENTS, Need.ANY_MODEL}),
        generates=True,
        passages=3,
        answer_tokens=200,
        brief=True,
        notice="The service runs with reduced means right now: this answer is shorter than usual.",
    ),
    Level(
        tier=Tier.MINIMAL,
        needs=frozenset({Need.ANYTHING}),
        passages=3,
        notice="The service runs with few means right now: this is the best that could be found.",
    ),
    Level(tier=Tier.OFFLINE, searches=False),
)
"""The tiers as they come, best first."""


class Levels:
    """All tiers, best first.

    Args:
        levels: one for each tier, in the order of the tiers.
    """

    def __init__(self, levels: Sequence[Level] = LEVELS) -> None:
        self._by_tier: Mapping[Tier, Level] = {level.tier: level for level in levels}
        if list(self._by_tier) != list(Tier):
            raise AssertionError("one level for each tier, best first")

    def __getitem__(self, tier: Tier) -> Level:
        return self._by_tier[tier]

    def best(self, missing: Collection[Need]) -> Tier:
        """The best tier that needs nothing of what is missing."""
        return next((tier for tier, level in self._by_tier.items() if not level.needs & set(missing)), Tier.OFFLINE)


_ORDER = {tier: place for place, tier in enumerate(Tier)}


def worse(one: Tier, other: Tier) -> Tier:
    """The lower of two tiers."""
    return one if _ORDER[one] > _ORDER[other] else other


def above(tier: Tier) -> Tier:
    """The next better tier; the best one is its own."""
    return list(Tier)[max(0, _ORDER[tier] - 1)]
