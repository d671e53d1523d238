"""How the parts of an engine fail when they run in process: errors as their real counterparts raise them, and garbage.

A model's provider fails over the wire, see :mod:`~holdfast.lab.faults.models`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from holdfast.errors import (
    ModelUnavailableError,
    ProviderError,
    StateUnavailableError,
    StoreCorruptError,
    StoreInterruptedError,
    StoreLockedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from holdfast.rag.cache import CachedAnswer
    from holdfast.rag.store.base import Scored
    from holdfast.rag.types import StoredChunk

__all__ = ["CACHE", "EMBEDDER", "ROLES", "STORE", "Role"]

Spoil: TypeAlias = "Callable[[Any], Any]"
"""Makes garbage of a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """How a kind of component fails.

    Attributes:
        down: what it raises when it is not there.
        errors: what it raises now and then, by name.
        garbage: what becomes of its results, by the name of the garbage and the operation; other operations are
            spared. A result that is an exception is raised.
        spared: operations that never fail: without them there is nothing to break, or no end.
    """

    down: Callable[[], Exception]
    errors: Mapping[str, Callable[[], Exception]]
    garbage: Mapping[str, Mapping[str, Spoil]]
    spared: frozenset[str] = frozenset({"open", "close", "snapshot", "release_job"})


# --- the store --------------------------------------------------------------------------------------------------------


def _half(rows: Sequence[Any]) -> list[Any]:
    return list(rows[: len(rows) // 2])


def _elsewhere(rows: Sequence[Scored]) -> list[Scored]:
    """Ids of chunks that are gone: an index that lags behind its documents."""
    return [replace(each, chunk_id=f"{each.chunk_id}-gone") for each in rows]


def _twice(rows: Sequence[Any]) -> list[Any]:
    return [each for row in rows for each in (row, row)]


def _muddled(chunks: Sequence[StoredChunk]) -> list[StoredChunk]:
    """The right chunks with the texts of others."""
    texts = [each.chunk.text for each in chunks]
    return [
        replace(each, chunk=replace(each.chunk, text=text), sentence_vectors=None)
        for each, text in zip(chunks, texts[1:] + texts[:1], strict=True)
    ]


def _corrupt(_result: object) -> Exception:
    return StoreCorruptError("lab: the store's file is damaged.")


_READS = ("lexical", "dense", "fetch", "document_frequency", "get", "list", "records", "status", "generation")

STORE = Role(
    down=lambda: StoreUnavailableError("lab: the store is not there."),
    errors={
        "interrupted": lambda: StoreInterruptedError("lab: the connection to the store was lost."),
        "locked": lambda: StoreLockedError("lab: the store is locked."),
        "unavailable": lambda: StoreUnavailableError("lab: the store does not answer."),
    },
    garbage={
        "empty": {"lexical": lambda _: [], "dense": lambda _: [], "fetch": lambda _: []},
        "truncated": {"lexical": _half, "dense": _half, "fetch": _half},
        "gone": {"lexical": _elsewhere, "dense": _elsewhere},
        "duplicate": {"lexical": _twice, "dense": _twice, "fetch": _twice},
        "muddled": {"fetch": _muddled},
        "corrupt": dict.fromkeys(_READS, _corrupt),
    },
)

# --- the embedder -----------------------------------------------------------------------------------------------------


def _other_dimension(vectors: Any) -> Any:  # noqa: ANN401 - an array; numpy's types say no more
    return np.ones((len(vectors), 8), np.float32) / np.float32(8**0.5)


EMBEDDER = Role(
    down=lambda: ConnectionRefusedError("lab: no connection to the embedder."),
    errors={
        "unavailable": lambda: ProviderError("lab: the embedder is overloaded.", provider="lab", status_code=503),
        "reset": lambda: ConnectionResetError("lab: the connection to the embedder broke."),
        "broken": lambda: ModelUnavailableError("lab: the embedding model cannot be run."),
    },
    garbage={
        "empty": {"embed": lambda vectors: vectors[:0]},
        "wrong_dimension": {"embed": _other_dimension},
        "not_a_number": {"embed": lambda vectors: np.full_like(vectors, np.nan)},
        "zero": {"embed": np.zeros_like},
    },
)


# --- the cache --------------------------------------------------------------------------------------------------------


def _unreachable(why: Callable[[str], Exception], message: str) -> Callable[[], Exception]:
    def make() -> Exception:
        error = StateUnavailableError(message)
        error.__cause__ = why(message)
        return error

    return make


def _found(spoil: Callable[[Any], Any]) -> Spoil:
    """``spoil`` for what was found; nothing stays nothing."""
    return lambda result: None if result is None else spoil(result)


def _cut(entry: Any) -> Any:  # noqa: ANN401 - an entry of an answer cache, or bytes of a backend
    if isinstance(entry, bytes):
        return entry[: len(entry) // 2]
    return _with_text(entry, entry.answer.text[: len(entry.answer.text) // 2])


def _flipped(entry: Any) -> Any:  # noqa: ANN401 - as above
    if isinstance(entry, bytes):
        return bytes(255 - byte for byte in entry)
    return None  # whoever reads it finds that it is none, and takes it for nothing


def _blank(entry: Any) -> Any:  # noqa: ANN401 - as above
    return b"" if isinstance(entry, bytes) else _with_text(entry, "")


def _with_text(entry: CachedAnswer, words: str) -> CachedAnswer:
    return replace(entry, answer=replace(entry.answer, text=words))


def _each(spoil: Callable[[Any], Any]) -> Mapping[str, Spoil]:
    one = _found(spoil)
    return {"get": one, "get_many": lambda results: [one(each) for each in results]}


CACHE = Role(
    down=_unreachable(ConnectionRefusedError, "lab: no connection to the cache."),
    errors={
        "reset": _unreachable(ConnectionResetError, "lab: the connection to the cache broke."),
        "late": _unreachable(TimeoutError, "lab: the cache did not answer in time."),
    },
    garbage={
        "empty": _each(lambda _: None),
        "truncated": _each(_cut),
        "flipped": _each(_flipped),
        "blank": _each(_blank),
    },
)

ROLES: Mapping[str, Role] = {"store": STORE, "embedder": EMBEDDER, "cache": CACHE}
"""By the beginning of a component's name."""
