"""Conversations in MongoDB: each is one document, its turns included, so that every change of it is atomic.

A conversation that was deleted leaves a document that holds the hash of its id and the time, and nothing else. It turns
into a conversation again when somebody goes on under the id; the time stays, and refuses what was asked before it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

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
from holdfast.rag.records.mongo.layout import CONVERSATIONS
from holdfast.rag.records.paging import cursor_after, place_of_cursor
from holdfast.rag.store.mongo.faults import unsettled

if TYPE_CHECKING:
    from holdfast.rag.records.mongo.place import MongoRecords
    from holdfast.rag.store.mongo.client import Database, Row

__all__ = ["MongoConversations"]

_NEVER = -1.0  # refuses no turn: times are 0 or above
_TRIES = 20
_TURN = tuple(field.name for field in fields(Turn))
_HEAD = ("count", "summary", "summarised", "created_at", "updated_at")
_CONTENT = (*_HEAD, "id", "bytes", "first_question", "turns")


class MongoConversations:
    """A ``ConversationStore``; see ``MongoRecords``, which makes it."""

    def __init__(self, place: MongoRecords) -> None:
        self._place = place

    @property
    def name(self) -> str:
        """The dependency's name."""
        return self._place.name

    async def open(self) -> None:
        """Make the indexes, which all stores of this place share."""
        await self._place.open()

    async def close(self) -> None:
        """Release the connections, which all stores of this place share."""
        await self._place.close()

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        await self._place.ping()

    async def get(self, conversation_id: str, *, last: int | None = None) -> Conversation | None:
        """A conversation with its turns, or the ``last`` n of them; None when there is none."""
        check_conversation_id(conversation_id)
        check_last(last)
        wanted: Row = dict.fromkeys(_HEAD, 1)
        if last is None:
            wanted["turns"] = 1
        elif last:
            wanted["turns"] = {"$slice": -last}
        async with self._place.reading() as database:
            row = await database[CONVERSATIONS].find_one(self._live(conversation_id), wanted)
        if row is None:
            return None
        # By name: a replica of a later version may have written more.
        turns = [Turn(**{name: each[name] for name in _TURN}) for each in row.get("turns", ())]
        return Conversation(
            id=conversation_id,
            turns=turns,
            first=row["count"] - len(turns),
            summary=row["summary"],
            summarised=row["summarised"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )

    async def append(self, conversation_id: str, turn: Turn) -> None:
        """Add a turn, and make the conversation when it is not there; nothing when it has the turn already.

        Raises:
            InvalidInputError: a field is out of its bounds, or the conversation is full.
            NotFoundError: the conversation was deleted after this was asked.
        """
        check_conversation_id(conversation_id)
        size = check_turn(turn)
        async with self._place.changing() as database:
            for _ in range(_TRIES):
                if await self._added(database, conversation_id, turn, size):
                    return
                if await self._settled(database, conversation_id, turn, size):
                    return
        raise unsettled(self._place.place)

    async def summarise(
        self, conversation_id: str, summary: str, *, upto: int, created_at: float | None = None
    ) -> bool:
        """Keep a summary of the first ``upto`` turns; False when it came too late."""
        check_conversation_id(conversation_id)
        check_summary(summary, upto)
        same = {} if created_at is None else {"created_at": created_at}
        async with self._place.changing() as database:
            changed = await database[CONVERSATIONS].update_one(
                {**self._live(conversation_id), "summarised": {"$lt": upto}, "count": {"$gte": upto}, **same},
                {"$set": {"summary": summary, "summarised": upto}},
            )
        return changed.matched_count > 0

    async def delete(self, conversation_id: str) -> bool:
        """Remove everything of a conversation, and refuse turns of it that were asked before."""
        check_conversation_id(conversation_id)
        now = self._place.now()
        change = {
            "$set": {"live": False},
            "$max": {"refused_before": now},
            "$unset": dict.fromkeys(_CONTENT, ""),
        }
        async with self._place.changing() as database:
            for _ in range(_TRIES):
                try:
                    before = await database[CONVERSATIONS].find_one_and_update(
                        {"_id": digest_of_id(conversation_id)}, change, projection={"live": 1}, upsert=True
                    )
                except DuplicateKeyError:  # somebody made it at the same moment
                    continue
                return before is not None and bool(before["live"])
        raise unsettled(self._place.place)

    async def page(self, *, limit: int = 100, cursor: str | None = None) -> ConversationPage:
        """Conversations, the one with the latest turn first."""
        limit = check_page(limit)
        wanted: Row = {"live": True, "updated_at": {"$gte": self._place.oldest()}}
        if cursor is not None:
            updated_at, last_id = place_of_cursor(cursor)
            wanted["$or"] = [{"updated_at": {"$lt": updated_at}}, {"updated_at": updated_at, "id": {"$lt": last_id}}]
        async with self._place.reading() as database:
            rows = (
                await database[CONVERSATIONS]
                .find(wanted, {"turns": 0, "summary": 0})
                .sort([("updated_at", -1), ("id", -1)])
                .limit(limit + 1)
                .to_list()
            )
        briefs = [
            ConversationBrief(
                id=row["id"],
                turns=row["count"],
                first_question=row["first_question"],
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
            for row in rows[:limit]
        ]
        more = len(rows) > limit
        return ConversationPage(
            conversations=briefs, next_cursor=cursor_after(briefs[-1].updated_at, briefs[-1].id) if more else None
        )

    def _live(self, conversation_id: str) -> Row:
        return {"_id": digest_of_id(conversation_id), "live": True, "updated_at": {"$gte": self._place.oldest()}}

    async def _added(self, database: Database, conversation_id: str, turn: Turn, size: int) -> bool:
        """Add the turn to a conversation that is there and has room for it."""
        changed = await database[CONVERSATIONS].update_one(
            {
                **self._live(conversation_id),
                "refused_before": {"$lt": turn.asked_at},
                "count": {"$lt": MAX_TURNS},
                "bytes": {"$lte": MAX_CONVERSATION_BYTES - size},
                "turns.request_id": {"$ne": turn.request_id},
            },
            {
                "$push": {"turns": _row_of(turn)},
                "$inc": {"count": 1, "bytes": size},
                "$set": {"updated_at": self._place.now()},
            },
        )
        return changed.matched_count > 0

    async def _settled(self, database: Database, conversation_id: str, turn: Turn, size: int) -> bool:
        """What to do with a turn that could not be added; False: try again, something changed meanwhile."""
        key = digest_of_id(conversation_id)
        row = await database[CONVERSATIONS].find_one({"_id": key}, {"turns": 0})
        fresh = self._fresh(conversation_id, turn, size)
        if row is None:
            try:
                await database[CONVERSATIONS].insert_one({"_id": key, "refused_before": _NEVER, **fresh})
            except DuplicateKeyError:
                return False
            return True
        if turn.asked_at <= row["refused_before"]:
            raise deleted(conversation_id)
        if not row["live"] or row["updated_at"] < self._place.oldest():
            same = {name: row.get(name) for name in ("live", "refused_before", "updated_at")}
            changed = await database[CONVERSATIONS].update_one({"_id": key, **same}, {"$set": fresh})
            return changed.matched_count > 0
        if await database[CONVERSATIONS].find_one({"_id": key, "turns.request_id": turn.request_id}, {"_id": 1}):
            return True
        if row["count"] >= MAX_TURNS or row["bytes"] + size > MAX_CONVERSATION_BYTES:
            raise full(conversation_id)
        return False

    def _fresh(self, conversation_id: str, turn: Turn, size: int) -> dict[str, Any]:
        now = self._place.now()
        return {
            "live": True,
            "id": conversation_id,
            "created_at": now,
            "updated_at": now,
            "count": 1,
            "bytes": size,
            "first_question": brief(turn.question),
            "summary": "",
            "summarised": 0,
            "turns": [_row_of(turn)],
        }


def _row_of(turn: Turn) -> Row:
    return {
        "request_id": turn.request_id,
        "question": turn.question,
        "answer": turn.answer,
        "asked_at": float(turn.asked_at),
        "source": turn.source,
        "tier": turn.tier,
        "standalone": turn.standalone,
    }
