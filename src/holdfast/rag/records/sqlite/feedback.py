"""Feedback in the records' file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.records.feedback import Feedback, FeedbackCounts, check_feedback

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from holdfast.rag.records.sqlite.place import SqliteRecords

__all__ = ["SqliteFeedback", "remove_expired"]


class SqliteFeedback:
    """A ``FeedbackStore``; see ``SqliteRecords``, which makes it."""

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

    async def put(self, feedback: Feedback) -> None:
        """Keep it, in the place of what was said of this answer before.

        Raises:
            InvalidInputError: a field is out of its bounds.
        """
        check_feedback(feedback)
        row = (feedback.request_id, int(feedback.useful), feedback.comment, feedback.given_at)

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO feedback (request_id, useful, comment, given_at) VALUES (?, ?, ?, ?)", row
            )

        await self._place.write(put)

    async def get(self, request_id: str) -> Feedback | None:
        """What was said of an answer."""
        oldest = self._place.oldest()

        def get(connection: sqlite3.Connection) -> Feedback | None:
            found = connection.execute(
                "SELECT useful, comment, given_at FROM feedback WHERE request_id = ? AND given_at >= ?",
                (request_id, oldest),
            ).fetchone()
            if found is None:
                return None
            useful, comment, given_at = found
            return Feedback(request_id=request_id, useful=bool(useful), comment=comment, given_at=given_at)

        return await self._place.read(get)

    async def delete(self, request_ids: Collection[str]) -> int:
        """Remove what was said of these answers, and overwrite it on disk; how many there were."""
        ids = [(each,) for each in dict.fromkeys(request_ids)]

        def delete(connection: sqlite3.Connection) -> int:
            return connection.executemany("DELETE FROM feedback WHERE request_id = ?", ids).rowcount

        return await self._place.erase(delete) if ids else 0

    async def counts(self) -> FeedbackCounts:
        """How much there is."""
        oldest = self._place.oldest()

        def counts(connection: sqlite3.Connection) -> FeedbackCounts:
            useful, others, comments = connection.execute(
                "SELECT count(*) FILTER (WHERE useful), count(*) FILTER (WHERE NOT useful), "
                "count(*) FILTER (WHERE comment != '') FROM feedback WHERE given_at >= ?",
                (oldest,),
            ).fetchone()
            return FeedbackCounts(useful=useful, not_useful=others, comments=comments)

        return await self._place.read(counts)


def remove_expired(connection: sqlite3.Connection, *, oldest: float, limit: int) -> int:
    """Remove up to ``limit`` entries that were given before ``oldest``; how many there were."""
    return connection.execute(
        "DELETE FROM feedback WHERE rowid IN (SELECT rowid FROM feedback WHERE given_at < ? LIMIT ?)", (oldest, limit)
    ).rowcount
