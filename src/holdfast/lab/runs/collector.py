"""The garbage collector during a run: it looks more seldom, and not at what was there before."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["seldom_collected"]

_NEW_OBJECTS = 50_000
"""New objects that make Python look for cycles among them. Its own default, 2,000 or fewer, is meant for programs that
wait now and then; a run makes as many in every tenth of a virtual second, and hardly any of them in cycles."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have the collector look for cycles among the block's own objects only, and at fewer times.

    What the block leaves in cycles is found all the same, a little later: memory stays flat. Afterwards everything is
    as it was, also for blocks in blocks.
    """
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()
