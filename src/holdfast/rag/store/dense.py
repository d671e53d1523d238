"""Search by meaning: exact cosine similarity with every vector of a space, over a matrix kept in step with SQLite.

The matrix is in two parts: a base, mapped from a vector file that processes share, and a tail in memory with what is
newer. Rows that were removed are marked as dead. Bringing it up to date reads only what changed since the last look.
"""

# ruff: noqa: S608 - the SQL that is put together here is ours: names of tables and question marks

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import Scored
from holdfast.rag.store.reader import chunk_ids_of, filter_clause, generation_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.vectors import Keys, VectorFiles
    from holdfast.rag.types import Scope

__all__ = ["DenseIndex"]

FOLD_MIN_ROWS = 4_096
"""Rows that SQLite gives in some ten milliseconds: below this a vector file is not worth its place."""
FOLD_SHARE = 0.25
"""The vector file is written anew when the rows it lacks or has too many of pass this share of it."""
_KNOWN_IDS = 20_000
"""Ids of chunks that are remembered: some 2 MB."""


@dataclass(frozen=True, slots=True)
class _Part:
    keys: Keys
    rows: Vectors
    dead: NDArray[np.bool_] | None = None

    def without(self, removed: Keys) -> _Part:
        hit = _mask(self.keys, removed)
        if not hit.any():
            return self
        return _Part(self.keys, self.rows, hit if self.dead is None else hit | self.dead)

    @property
    def dead_count(self) -> int:
        return 0 if self.dead is None else int(np.count_nonzero(self.dead))

    def live(self) -> tuple[Keys, Vectors]:
        return (self.keys, self.rows) if self.dead is None else (self.keys[~self.dead], self.rows[~self.dead])

    def best(self, vector: Vectors, k: int, allowed: Keys | None) -> tuple[Keys, NDArray[np.float32]]:
        # Not "@": BLAS spreads the product over all cores and waits for the slowest. On a machine that is busy that
        # took 20 ms where one core needs 1.5 for 20,000 rows; on an idle one it is hardly faster, memory is the limit.
        scores = np.einsum("ij,j->i", self.rows, vector)
        keys = self.keys
        if allowed is not None or self.dead is not None:
            eligible = np.ones(len(keys), np.bool_) if allowed is None else _mask(keys, allowed)
            if self.dead is not None:
                eligible &= ~self.dead
            keys, scores = keys[eligible], scores[eligible]
        if len(scores) <= k:
            return keys, scores
        chosen = np.argpartition(scores, -k)[-k:]
        return keys[chosen], scores[chosen]


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A space's vectors at one generation. Never changed: the next generation gets a new one that shares its arrays."""

    generation: int
    removals: int
    last_key: int
    base: _Part
    tail: _Part

    @property
    def to_fold(self) -> bool:
        live = len(self.base.keys) + len(self.tail.keys) - self.base.dead_count - self.tail.dead_count
        outside = len(self.tail.keys) + self.base.dead_count
        return live >= FOLD_MIN_ROWS and outside > max(FOLD_MIN_ROWS // 2, FOLD_SHARE * len(self.base.keys))

    def best(self, vector: Vectors, k: int, allowed: Keys | None) -> tuple[Keys, NDArray[np.float32]]:
        parts = [part.best(vector, k, allowed) for part in (self.base, self.tail) if len(part.keys)]
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        keys = np.concatenate([keys for keys, _ in parts])
        scores = np.concatenate([scores for _, scores in parts])
        order = np.lexsort((keys, -scores))[:k]
        return keys[order], scores[order]


class DenseIndex:
    """The matrices of one store file. Thread-safe.

    Args:
        files: where bases are kept.
    """

    def __init__(self, files: VectorFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._matrices: dict[int, _Matrix] = {}
        self._ids: tuple[int, dict[int, str]] = (-1, {})

    def search(
        self, connection: sqlite3.Connection, vector: Vectors, embedder_id: str, k: int, scope: Scope
    ) -> list[Scored]:
        """The ``k`` chunks whose vectors are nearest, best first.

        Raises:
            InvalidInputError: the vector is not one of this space.
        """
        space = _space_of(connection, embedder_id, scope.collection)
        if space is None or k < 1:
            return []
        key, dimension = space
        if vector.shape != (dimension,) or not np.isfinite(vector).all():
            raise InvalidInputError("vector", f"must be {dimension} finite numbers, as {embedder_id!r} makes them")
        matrix = self._current(connection, key, dimension)
        allowed = _allowed(connection, scope) if scope.filters else None
        keys, scores = matrix.best(np.ascontiguousarray(vector, dtype=np.float32), k, allowed)
        ids = self._ids_of(connection, keys.tolist())
        # Another thread may have brought the matrix to a newer state than the one our transaction sees.
        return [
            Scored(ids[each], score) for each, score in zip(keys.tolist(), scores.tolist(), strict=True) if each in ids
        ]

    def _ids_of(self, connection: sqlite3.Connection, keys: Sequence[int]) -> Mapping[int, str]:
        """The ids of chunks by their keys, remembered for the generation that this transaction sees."""
        generation = generation_of(connection)
        of, known = self._ids
        if of != generation or len(known) > _KNOWN_IDS:
            known = {}
            self._ids = generation, known
        unknown = [key for key in keys if key not in known]
        if not unknown:
            return known
        found = chunk_ids_of(connection, unknown)
        known.update(found)
        return known

    def to_fold(self) -> list[int]:
        """The spaces whose vector file is worth writing anew."""
        return [space for space, matrix in list(self._matrices.items()) if matrix.to_fold]

    def fold(self, connection: sqlite3.Connection, space: int) -> None:
        """Write the space's vector file anew, unless another process did, and go on with it.

        Raises:
            OSError: the file cannot be written; the index stays as it is.
        """
        found = connection.execute("SELECT dimension FROM spaces WHERE key = ?", (space,)).fetchone()
        if found is None:
            return
        matrix = self._load(connection, space, found[0])
        if matrix.to_fold:
            self._files.save(space, matrix.generation, _in_order(matrix))
            self.sweep(connection)
            matrix = self._load(connection, space, found[0])
        with self._lock:
            self._matrices[space] = matrix

    def sweep(self, connection: sqlite3.Connection) -> None:
        """Remove the vector files of spaces that have no vector any more.

        Raises:
            OSError: a file cannot be removed.
        """
        used = connection.execute(
            "SELECT key FROM spaces WHERE EXISTS (SELECT 1 FROM vectors WHERE space = spaces.key)"
        )
        self._files.keep_only({key for (key,) in used})

    def bytes_on_disk(self) -> int:
        """The size of the vector files."""
        return self._files.bytes_on_disk()

    def _current(self, connection: sqlite3.Connection, space: int, dimension: int) -> _Matrix:
        generation = generation_of(connection)
        with self._lock:  # one thread reads what changed, the others wait for it
            matrix = self._matrices.get(space)
            if matrix is None:
                matrix = self._load(connection, space, dimension)
            elif matrix.generation < generation:
                matrix = _advanced(connection, matrix, space, generation) or self._load(connection, space, dimension)
            self._matrices[space] = matrix
            return matrix

    def _load(self, connection: sqlite3.Connection, space: int, dimension: int) -> _Matrix:
        live = _array(connection.execute("SELECT key FROM vectors WHERE space = ? ORDER BY key", (space,)).fetchall())
        base = _Part(np.empty(0, np.int64), np.empty((0, dimension), np.float32))
        mapped = self._files.load(space, dimension) if len(live) else None
        if mapped is not None:
            base = _Part(*mapped)
            base = base.without(base.keys[~_mask(base.keys, live)])
        lacking = live[~_mask(live, base.keys)]
        tail = _Part(np.empty(0, np.int64), base.rows[:0])
        if len(lacking):
            tail = _rows_from(connection, space, int(lacking[0]), dimension)
            if len(tail.keys) != len(lacking):
                wanted = _mask(tail.keys, lacking)
                tail = _Part(tail.keys[wanted], tail.rows[wanted])
        return _Matrix(
            generation=generation_of(connection),
            removals=_removals_of(connection),
            last_key=int(live[-1]) if len(live) else 0,
            base=base,
            tail=tail,
        )


def _advanced(connection: sqlite3.Connection, matrix: _Matrix, space: int, generation: int) -> _Matrix | None:
    """The matrix with what changed since; None when too much did."""
    first, removals = connection.execute("SELECT min(number), max(number) FROM removed_vectors").fetchone()
    removals = removals or 0
    base, tail = matrix.base, matrix.tail
    if removals > matrix.removals:
        if first > matrix.removals + 1:
            return None
        removed = _array(
            connection.execute(
                "SELECT key FROM removed_vectors WHERE number > ? AND space = ?", (matrix.removals, space)
            ).fetchall()
        )
        base, tail = base.without(removed), tail.without(removed)
    added = _rows_from(connection, space, matrix.last_key + 1, base.rows.shape[1])
    last_key = matrix.last_key
    if len(added.keys):
        last_key = int(added.keys[-1])
        keys, rows = tail.live()
        tail = _Part(np.concatenate([keys, added.keys]), np.concatenate([rows, added.rows]))
    return _Matrix(generation=generation, removals=removals, last_key=last_key, base=base, tail=tail)


def _in_order(matrix: _Matrix) -> list[tuple[Keys, Vectors]]:
    keys, rows = matrix.base.live()
    tail_keys, tail_rows = matrix.tail.live()
    if not len(keys) or not len(tail_keys) or keys[-1] < tail_keys[0]:
        return [(keys, rows), (tail_keys, tail_rows)]
    keys, rows = np.concatenate([keys, tail_keys]), np.concatenate([rows, tail_rows])
    order = np.argsort(keys)
    return [(keys[order], rows[order])]


def _rows_from(connection: sqlite3.Connection, space: int, first: int, dimension: int) -> _Part:
    found = connection.execute(
        "SELECT key, vector FROM vectors WHERE space = ? AND key >= ? ORDER BY key", (space, first)
    ).fetchall()
    keys = np.fromiter((key for key, _ in found), np.int64, len(found))
    rows = np.frombuffer(b"".join([vector for _, vector in found]), dtype="<f4").reshape(-1, dimension)
    return _Part(keys, rows)


def _mask(keys: Keys, wanted: Keys) -> NDArray[np.bool_]:
    """Which of the ascending ``keys`` are among ``wanted``."""
    mask = np.zeros(len(keys), np.bool_)
    places = np.searchsorted(keys, wanted)
    inside = places < len(keys)
    places, wanted = places[inside], wanted[inside]
    mask[places[keys[places] == wanted]] = True
    return mask


def _array(rows: list[tuple[int]]) -> Keys:
    return np.fromiter((key for (key,) in rows), np.int64, len(rows))


def _space_of(connection: sqlite3.Connection, embedder_id: str, collection: str) -> tuple[int, int] | None:
    found: tuple[int, int] | None = connection.execute(
        "SELECT s.key, s.dimension FROM spaces AS s JOIN collections AS o ON o.key = s.collection "
        "WHERE o.name = ? AND s.embedder = ? AND s.dimension > 0",
        (collection, embedder_id),
    ).fetchone()
    return found


def _allowed(connection: sqlite3.Connection, scope: Scope) -> Keys:
    # Chunks of other collections may be among them; they are in no matrix of this one.
    documents, values = filter_clause(scope.filters)
    return _array(connection.execute(f"SELECT key FROM chunks WHERE document IN ({documents})", values).fetchall())


def _removals_of(connection: sqlite3.Connection) -> int:
    number: int | None = connection.execute("SELECT max(number) FROM removed_vectors").fetchone()[0]
    return number or 0
