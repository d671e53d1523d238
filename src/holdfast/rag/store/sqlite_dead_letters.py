"""Dead letters in the store's file. Every function runs inside the caller's transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from holdfast.errors import InvalidInputError
from holdfast.rag.store.codec import read_metadata, write_metadata
from holdfast.rag.store.dead_letters import DeadLetter, DeadLetterPage
from holdfast.rag.store.jobs import JobItem

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

__all__ = ["bury", "find_letter", "list_letters", "read_item", "remove_letters", "sources_of_letters", "write_item"]

_NANOSECONDS = 1_000_000_000
_FIELDS = "collection, document_id, uri, reason, kind, stage, source, path, file_uri, tries, first_at, last_at, item"


def bury(connection: sqlite3.Connection, letters: Sequence[DeadLetter], *, now_ns: int) -> None:
    """Keep these; one that is there counts a try more."""
    connection.executemany(
        f"INSERT INTO dead_letters (id, {_FIELDS}, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?) "  # noqa: S608 - names of ours
        "ON CONFLICT (id) DO UPDATE SET uri = excluded.uri, reason = excluded.reason, kind = excluded.kind, "
        "stage = excluded.stage, source = excluded.source, path = excluded.path, file_uri = excluded.file_uri, "
        "tries = tries + 1, last_at = excluded.last_at, item = excluded.item, payload = excluded.payload",
        [
            (
                each.id,
                each.collection,
                each.document_id,
                each.uri,
                each.reason,
                each.kind,
                each.stage,
                each.source,
                each.path,
                each.file_uri,
                now_ns,
                now_ns,
                None if each.item is None else write_item(each.item),
                None if each.item is None else each.item.payload,
            )
            for each in letters
        ],
    )


def find_letter(connection: sqlite3.Connection, letter_id: str) -> DeadLetter | None:
    """A dead letter with its payload."""
    found = connection.execute(
        f"SELECT {_FIELDS}, payload FROM dead_letters WHERE id = ?",  # noqa: S608 - names of ours
        (letter_id,),
    ).fetchone()
    return None if found is None else _letter(found[:-1], found[-1])


def list_letters(
    connection: sqlite3.Connection, collection: str | None, limit: int, cursor: str | None
) -> DeadLetterPage:
    """A page of dead letters in the order of their ids; the cursor is the last id of the page before."""
    if limit < 1:
        raise InvalidInputError("limit", f"{limit} is too small: ask for at least 1 dead letter")
    where, parameters = ("", []) if collection is None else (" AND collection = ?", [collection])
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM dead_letters WHERE id > ?{where} ORDER BY id LIMIT ?",  # noqa: S608 - names of ours
        (cursor or "", *parameters, limit + 1),
    ).fetchall()
    letters = [_letter(row, b"") for row in rows[:limit]]
    return DeadLetterPage(letters=letters, next_cursor=letters[-1].id if len(rows) > limit else None)


def sources_of_letters(connection: sqlite3.Connection, collection: str) -> dict[str, str]:
    """The ids of a collection's dead letters, each with its source."""
    return dict(
        connection.execute("SELECT id, source FROM dead_letters WHERE collection = ?", (collection,)).fetchall()
    )


def remove_letters(connection: sqlite3.Connection, letter_ids: Collection[str]) -> int:
    """Forget these; how many there were."""
    removed = connection.executemany("DELETE FROM dead_letters WHERE id = ?", [(each,) for each in letter_ids])
    return max(0, removed.rowcount)


def write_item(item: JobItem) -> str:
    """An item without its payload, as JSON."""
    names = {"name": item.name, "mime": item.mime, "document_id": item.document_id, "title": item.title}
    return json.dumps({**names, "uri": item.uri, "metadata": write_metadata(item.metadata)})


def read_item(text: str, payload: bytes) -> JobItem:
    """What ``write_item`` wrote."""
    fields: dict[str, Any] = json.loads(text)
    return JobItem(payload=payload, **{**fields, "metadata": read_metadata(fields["metadata"])})


def _letter(row: Sequence[Any], payload: bytes) -> DeadLetter:
    collection, document_id, uri, reason, kind, stage, source, path, file_uri, tries, first_at, last_at, item = row
    return DeadLetter(
        collection=collection,
        document_id=document_id,
        uri=uri,
        reason=reason,
        kind=kind,
        stage=stage,
        source=source,
        path=path,
        file_uri=file_uri,
        tries=tries,
        first_at=first_at / _NANOSECONDS,
        last_at=last_at / _NANOSECONDS,
        item=None if item is None else read_item(item, payload),
    )
