"""Feedback in MongoDB: one document an answer, under its request's id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo.errors import DuplicateKeyError

from holdfast.rag.records.feedback import Feedback, FeedbackCounts, check_feedback
from holdfast.rag.records.mongo.layout import FEEDBACK

if TYPE_CHECKING:
    from collections.abc import Collection

    from holdfast.rag.records.mongo.place import MongoRecords

__all__ = ["MongoFeedback"]

_WANTED = {"useful": 1, "comment": 1, "given_at": 1}
"""By name: a replica of a later version may have written more."""


class MongoFeedback:
    """A ``FeedbackStore``; see ``MongoRecords``, which makes it."""

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

    async def put(self, feedback: Feedback) -> None:
        """Keep it, in the place of what was said of this answer before.

        Raises:
            InvalidInputError: a field is out of its bounds.
        """
        check_feedback(feedback)
        change = {
            "$set": {"useful": feedback.useful, "comment": feedback.comment, "given_at": float(feedback.given_at)}
        }
        async with self._place.changing() as database:
            try:
                await database[FEEDBACK].update_one({"_id": feedback.request_id}, change, upsert=True)
            except DuplicateKeyError:  # somebody made it at the same moment: now there is one to change
                await database[FEEDBACK].update_one({"_id": feedback.request_id}, change)

    async def get(self, request_id: str) -> Feedback | None:
        """What was said of an answer."""
        async with self._place.reading() as database:
            row = await database[FEEDBACK].find_one(
                {"_id": request_id, "given_at": {"$gte": self._place.oldest()}}, _WANTED
            )
        return None if row is None else Feedback(request_id=row.pop("_id"), **row)

    async def delete(self, request_ids: Collection[str]) -> int:
        """Remove what was said of these answers; how many there were."""
        if not request_ids:
            return 0
        async with self._place.changing() as database:
            return (await database[FEEDBACK].delete_many({"_id": {"$in": list(request_ids)}})).deleted_count

    async def counts(self) -> FeedbackCounts:
        """How much there is."""
        kept = {"given_at": {"$gte": self._place.oldest()}}
        async with self._place.reading() as database:
            opinions = database[FEEDBACK]
            return FeedbackCounts(
                useful=await opinions.count_documents({**kept, "useful": True}),
                not_useful=await opinions.count_documents({**kept, "useful": False}),
                comments=await opinions.count_documents({**kept, "comment": {"$ne": ""}}),
            )
