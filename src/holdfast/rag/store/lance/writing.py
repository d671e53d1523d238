"""How a document changes: one commit, under the lock of writers.

LanceDB lets several write at once, and lets the one that commits second do its work again. But it has no way to say
"append, unless it is there": two that put the same new document would both add it. So writers of one machine take
turns by a lock that the kernel gives back when its holder dies, and tidying up (see ``upkeep``) takes its turn among
them. A conflict is then left only with a writer on another machine; the change is made again on what is there then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import pyarrow as pa

from holdfast.errors import InvalidInputError
from holdfast.rag.store.lance.faults import is_conflict, store_faults
from holdfast.rag.store.lance.layout import (
    EVERY_ROW,
    document_key,
    documents_tag,
    key_of,
    keys_of,
    vector_columns,
    with_tags,
)
from holdfast.rag.store.lance.rows import with_empty_rows
from holdfast.rag.store.locks import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lancedb.table import LanceTable

    from holdfast.rag.store.lance.home import Home

__all__ = ["BUSY", "Busy", "delete_document", "put_document", "under_lock"]

T = TypeVar("T")

_TRIES = 5  # of a change that others come before


class Busy:
    """Says that another holds the lock."""


BUSY: Final = Busy()


def under_lock(path: Path, place: str, change: Callable[[], T]) -> T | Busy:
    """Make a change while this process holds the lock at ``path``; :data:`BUSY`, and no change, when another does.

    The lock is given back here, in the thread that works, and not by who waits for it: who is cancelled stops waiting
    while the work goes on.
    """
    with store_faults(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock.try_acquire(path)
        if lock is None:
            return BUSY
        try:
            return _again_on_conflict(change)
        finally:
            lock.release()


def put_document(home: Home, rows: pa.Table, *, embedder_id: str | None, now_us: int) -> None:
    """Store a document's rows, replacing what was there.

    Raises:
        InvalidInputError: the vectors have another size than the embedder's others.
    """
    table = home.writable(create_us=now_us)
    _make_column(table, rows, embedder_id)
    document = rows["key"][0].as_py().partition(":")[0]
    there = table.search().where(keys_of(document)).select(["key"]).limit(EVERY_ROW).to_arrow()["key"].to_pylist()
    if there:
        left_over = sorted(set(there) - set(rows["key"].to_pylist()))
        complete = _with_all_columns(with_empty_rows(rows, left_over), table.schema)
        upsert = table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all()
        upsert.execute(complete, on_bad_vectors="null")  # a document has none
    else:
        table.add(_with_all_columns(rows, table.schema), on_bad_vectors="null")


def delete_document(home: Home, document_id: str, *, collection: str) -> bool:
    """Remove a document's rows; False when it was not there."""
    table = home.writable()
    document = document_key(collection, document_id)
    if not table.count_rows(f"key = '{key_of(document, 0)}' AND {with_tags([documents_tag(collection)])}"):
        return False
    table.delete(keys_of(document))
    return True


def _make_column(table: LanceTable, rows: pa.Table, embedder_id: str | None) -> None:
    for name in vector_columns(rows.schema):
        field = rows.schema.field(name)
        if name not in table.schema.names:
            table.add_columns(field)
        elif table.schema.field(name).type != field.type:
            raise InvalidInputError(
                "chunks",
                f"the vectors have {field.type.list_size} numbers, but those of {embedder_id!r} in this store have "
                f"{table.schema.field(name).type.list_size}: give another model another id",
            )


def _with_all_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    there = set(rows.schema.names)
    columns = [rows[field.name] if field.name in there else pa.nulls(rows.num_rows, field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _again_on_conflict(change: Callable[[], T]) -> T:
    for left in reversed(range(_TRIES)):
        try:
            return change()
        except (RuntimeError, ValueError, OSError) as error:
            if not left or not is_conflict(error):
                raise
    raise AssertionError("the last try returns or raises")
