"""The service's tier as questions see it: where their walk begins, and what they report back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.tiers.levels import Need, worse
from holdfast.rag.types import Reason, Tier

if TYPE_CHECKING:
    from holdfast.rag.query import Query
    from holdfast.rag.search import Found
    from holdfast.rag.tiers.controller import TierController, TierSnapshot
    from holdfast.rag.tiers.levels import Level
    from holdfast.rag.tiers.prober import Prober
    from holdfast.rag.tiers.vitals import Vitals

__all__ = ["ServiceTier"]


class ServiceTier:
    """The controller, the prober and the dependencies behind one door.

    Args:
        vitals: the dependencies.
        controller: moves the tier.
        prober: looks after what is ill.
    """

    def __init__(self, vitals: Vitals, controller: TierController, prober: Prober) -> None:
        self.vitals = vitals
        self._controller = controller
        self._prober = prober

    @property
    def tier(self) -> Tier:
        """Where the service is."""
        return self._controller.tier

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What keeps it from being full."""
        return self._controller.reasons

    def snapshot(self) -> TierSnapshot:
        """Where it is, and where it could be."""
        return self._controller.snapshot()

    def level_for(self, query: Query) -> Level:
        """Where the walk of a question begins: at the service's tier, or lower where the question says so."""
        tier = self._prober.look()
        return self._controller.levels[tier if query.tier is None else worse(tier, query.tier)]

    def searched(self, found: Found | None) -> None:
        """How a search went: what it found, or None when it failed."""
        self.vitals.note(Need.STORE, ok=found is not None and Reason.VECTOR_STORE_UNAVAILABLE not in found.reasons)
        if found is not None and found.query_vector is not None:
            self.vitals.note(Need.EMBEDDER, ok=True)
        elif found is not None and Reason.EMBEDDER_UNAVAILABLE in found.reasons:
            self.vitals.note(Need.EMBEDDER, ok=False)
        self._prober.look()

    def wrote(self, *, ok: bool) -> None:
        """Whether anybody wrote the answer."""
        self.vitals.note(Need.ANY_MODEL, ok=ok)
        self._prober.look()

    def open(self) -> None:
        """Begin to look after what is ill, whenever something is."""
        self._prober.open()

    async def close(self) -> None:
        """Stop. Idempotent."""
        await self._prober.close()
