"""The bare search: passages without an answer, from the store, or from the copy where the store cannot be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import CircuitOpenError, DeadlineExceededError, RetriesExhaustedError, StoreError

if TYPE_CHECKING:
    from holdfast.rag.query import Query
    from holdfast.rag.search import Found, Searcher
    from holdfast.rag.standby.standby import Standby

__all__ = ["searched"]


async def searched(searcher: Searcher, standby: Standby | None, query: Query, *, k: int) -> Found:
    """The ``k`` passages that fit a question best.

    Args:
        standby: None where there is none.

    Raises:
        StoreError: the store cannot be searched at all, and the copy has nothing that fits.
        RejectedError: the same, and the store is left alone for a while.
        DeadlineExceededError: the time allowed was used up.
    """
    try:
        found = await searcher.search(query, k=k)
    except DeadlineExceededError:
        raise
    except Exception as error:
        copied = None if standby is None else await standby.search(query, k=k)
        if copied is not None:
            return copied
        root = error.__cause__
        if isinstance(error, RetriesExhaustedError | CircuitOpenError) and isinstance(root, StoreError):
            raise root from root.__cause__  # what failed matters, not how often it was tried
        raise
    if standby is not None and not found.hits:
        return await standby.instead_of_nothing(query, found, None, k=k) or found
    return found
