"""Puts the standby of an engine together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.ingest.bulk_store import BulkStore
from holdfast.rag.standby.copy import STANDBY, DocumentCopy
from holdfast.rag.standby.follower import Follower, FollowerOptions
from holdfast.rag.standby.standby import Standby
from holdfast.rag.store.repeating import Repeating

if TYPE_CHECKING:
    import random

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.ports import Blocking
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.policies import Policies
    from holdfast.rag.settings import Settings
    from holdfast.rag.store.base import Store

__all__ = ["build_standby"]

_EVERY_SECONDS = 15.0
_SEARCH_SECONDS = 1.0
"""A search of the copy takes milliseconds; a question that has waited for the store does not wait much longer."""
_MEGABYTE = 1_000_000


def build_standby(
    settings: Settings,
    *,
    store: Store,
    guards: Guards,
    blocking: Blocking,
    clock: Clock,
    rng: random.Random,
    events: Events,
    narrator: Narrator,
    policies: Policies,
) -> Standby | None:
    """The standby of these settings, not opened; None where there is to be none. No I/O.

    Args:
        store: what is copied, with all that stands in front of it.
    """
    if not (policies.standby and settings.standby_megabytes):
        return None
    copy = DocumentCopy(settings.data_dir / "standby", blocking=blocking, clock=clock)
    follower = Follower(
        BulkStore(store, guard=guards.bulk_store, clock=clock),
        copy,
        chunk_options=ChunkOptions(target_chars=settings.chunk_chars),
        blocking=blocking,
        clock=clock,
        collections=(settings.collection,),
        options=FollowerOptions(characters=settings.standby_megabytes * _MEGABYTE),
    )
    following = Repeating(follower.turn, every=_EVERY_SECONDS, clock=clock, rng=rng, what="Following the store")
    usual = (CircuitBreaker(failure_threshold=5, recovery_timeout=15.0), Timeout(seconds=_SEARCH_SECONDS))
    guard = Pipeline(*policies.around(usual), name=STANDBY, clock=clock, rng=rng, events=events)
    return Standby(copy, follower, following, guard=guard, store=store, guards=guards, narrator=narrator, clock=clock)
