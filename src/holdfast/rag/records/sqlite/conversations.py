"""Conversations in the records' file. Each change is one transaction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from holdfast.rag.records.base import Conversation, ConversationBrief, ConversationPage, Turn
from holdfast.rag.records.deleted import deleted, digest_of_id
from holdfast.rag.records.limits import (
    MAX_CONVERSATION_BYTES,
    MAX_TURNS,
    brief,
    check_conversation_id,
    check_last,
    check_page,
    check_summary,
    check_turn,
    full,
)
from holdfast.rag.records.paging import cursor_after, place_of_cursor

if TYPE_CHECKING:
    import sqlite3

    from holdfast.rag.records.sqlite.place import SqliteRecords

__all__ = ["SqliteConversations", "remove_expired"]

_BEGINNING = (math.inf, "")
_TURN = "request_id, question, answer, asked_at, source, tier, standalone"


class SqliteConversations:
    """A ``ConversationStore``; see ``SqliteRecords``, which makes it."""

    def __init__(self, place: SqliteRecords) -> None:
        self._place = place

    @property
    def name(self) -> str:
        """The dependency's name."""
        return self._place.name

    async def open(self) -> None:
        """Open the file, which all stores of this place share."""
        await self._place.open()

    async def close(self) -> None:
        """Close the file, which all stores of this place share."""
        await self._place.close()

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        await self._place.ping()

    async def get(self, conversation_id: str, *, last: int | None = None) -> Conversation | None:
        """A conversation with its turns, or the ``last`` n of them; None when there is none."""
        check_conversation_id(conversation_id)
        check_last(last)
        oldest = self._place.oldest()
        return await self._place.read(lambda connection: _get(connection, conversation_id, last, oldest))

    async def append(self, conversation_id: str, turn: Turn) -> None:
        """Add a turn, and make the conversation when it is not there; nothing when it has the turn already.

        Raises:
            InvalidInputError: a field is out of its bounds, or the conversation is full.
            NotFoundError: the conversation was deleted after this was asked.
        """
        check_conversation_id(conversation_id)
        size = check_turn(turn)
        now, oldest = self._place.now(), self._place.oldest()
        await self._place.write(
            lambda connection: _append(connection, conversation_id, turn, size, now=now, oldest=oldest)
        )

    async def summarise(
        self, conversation_id: str, summary: str, *, upto: int, created_at: float | None = None
    ) -> bool:
        """Keep a summary of the first ``upto`` turns; False when it came too late."""
        check_conversation_id(conversation_id)
        check_summary(summary, upto)
        oldest = self._place.oldest()

        def summarise(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE conversations SET summary = ?, summarised = ? WHERE id = ? AND summarised < ? AND turns >= ? "
                "AND updated_at >= ? AND (? IS NULL OR created_at = ?)",
                (summary, upto, conversation_id, upto, upto, oldest, created_at, created_at),
            )
            return changed.rowcount > 0

        return await self._place.write(summarise)

    async def delete(self, conversation_id: str) -> bool:
        """Remove everything of a conversation, overwrite it on disk, and refuse turns that were asked before."""
        check_conversation_id(conversation_id)
        now = self._place.now()

        def delete(connection: sqlite3.Connection) -> bool:
            found = connection.execute("SELECT key FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            if found is not None:
                _remove(connection, found[0])
            connection.execute(
                "INSERT INTO tombstones (digest, deleted_at) VALUES (?, ?) "
                "ON CONFLICT (digest) DO UPDATE SET deleted_at = max(deleted_at, excluded.deleted_at)",
                (digest_of_id(conversation_id), now),
            )
            return found is not None

        return await self._place.erase(delete)

    async def page(self, *, limit: int = 100, cursor: str | None = None) -> ConversationPage:
        """Conversations, the one with the latest turn first."""
        limit = check_page(limit)
        place = _BEGINNING if cursor is None else place_of_cursor(cursor)
        oldest = self._place.oldest()
        return await self._place.read(lambda connection: _page(connection, limit, place, oldest))


def remove_expired(connection: sqlite3.Connection, *, oldest: float, limit: int) -> int:
    """Remove up to ``limit`` conversations whose last turn came before ``oldest``; how many there were."""
    expired = connection.execute(
        "SELECT key FROM conversations WHERE updated_at < ? ORDER BY updated_at LIMIT ?", (oldest, limit)
    ).fetchall()
    for (key,) in expired:
        _remove(connection, key)
    return len(expired)


def _get(connection: sqlite3.Connection, conversation_id: str, last: int | None, oldest: float) -> Conversation | None:
    found = connection.execute(
        "SELECT key, turns, summary, summarised, created_at, updated_at FROM conversations "
        "WHERE id = ? AND updated_at >= ?",
        (conversation_id, oldest),
    ).fetchone()
    if found is None:
        return None
    key, count, summary, summarised, created_at, updated_at = found
    first = 0 if last is None else max(0, count - last)
    rows = connection.execute(
        f"SELECT {_TURN} FROM turns WHERE conversation = ? AND number >= ? ORDER BY number",  # noqa: S608 - constants
        (key, first),
    )
    return Conversation(
        id=conversation_id,
        turns=[_turn_of(row) for row in rows],
        first=first,
        summary=summary,
        summarised=summarised,
        created_at=created_at,
        updated_at=updated_at,
    )


def _turn_of(row: tuple[str, str, str, float, str, str, str]) -> Turn:
    request_id, question, answer, asked_at, source, tier, standalone = row
    return Turn(
        request_id=request_id,
        question=question,
        answer=answer,
        asked_at=asked_at,
        source=source,
        tier=tier,
        standalone=standalone,
    )


def _append(
    connection: sqlite3.Connection, conversation_id: str, turn: Turn, size: int, *, now: float, oldest: float
) -> None:
    tombstone = connection.execute(
        "SELECT deleted_at FROM tombstones WHERE digest = ?", (digest_of_id(conversation_id),)
    ).fetchone()
    if tombstone is not None and turn.asked_at <= tombstone[0]:
        raise deleted(conversation_id)
    found = connection.execute(
        "SELECT key, turns, bytes, updated_at FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if found is not None and found[3] < oldest:  # nobody sees it any more: what follows is another conversation
        _remove(connection, found[0])
        found = None
    if found is None:
        (key,) = connection.execute(
            "INSERT INTO conversations "
            "(id, created_at, updated_at, turns, bytes, first_question, summary, summarised) "
            "VALUES (?, ?, ?, 0, 0, ?, '', 0) RETURNING key",
            (conversation_id, now, now, brief(turn.question)),
        ).fetchone()
        count = used = 0
    else:
        key, count, used, _ = found
        if connection.execute(
            "SELECT 1 FROM turns WHERE conversation = ? AND request_id = ?", (key, turn.request_id)
        ).fetchone():
            return
    if count >= MAX_TURNS or used + size > MAX_CONVERSATION_BYTES:
        raise full(conversation_id)
    connection.execute(
        f"INSERT INTO turns (conversation, number, {_TURN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        (
            key,
            count,
            turn.request_id,
            turn.question,
            turn.answer,
            turn.asked_at,
            turn.source,
            turn.tier,
            turn.standalone,
        ),
    )
    connection.execute(
        "UPDATE conversations SET turns = turns + 1, bytes = bytes + ?, updated_at = ? WHERE key = ?", (size, now, key)
    )


def _remove(connection: sqlite3.Connection, key: int) -> None:
    connection.execute("DELETE FROM turns WHERE conversation = ?", (key,))
    connection.execute("DELETE FROM conversations WHERE key = ?", (key,))


def _page(connection: sqlite3.Connection, limit: int, place: tuple[float, str], oldest: float) -> ConversationPage:
    rows = connection.execute(
        "SELECT id, turns, first_question, created_at, updated_at FROM conversations WHERE updated_at >= ? "
        "AND (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?",
        (oldest, *place, limit + 1),
    ).fetchall()
    briefs = [
        ConversationBrief(id=id_, turns=turns, first_question=first, created_at=created, updated_at=updated)
        for id_, turns, first, created, updated in rows[:limit]
    ]
    more = len(rows) > limit
    return ConversationPage(
        conversations=briefs, next_cursor=cursor_after(briefs[-1].updated_at, briefs[-1].id) if more else None
    )
