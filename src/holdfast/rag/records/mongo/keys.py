"""API keys in MongoDB: one document a key, under its digest. ``active`` holds the name of a key that is not revoked."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from holdfast.rag.records.keys import MAX_KEYS, ApiKey, check_key, name_in_use, too_many_keys
from holdfast.rag.records.mongo.layout import KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.records.mongo.place import MongoRecords

__all__ = ["MongoKeys"]

_WANTED = {field.name: 1 for field in fields(ApiKey) if field.name != "digest"}
"""By name: a replica of a later version may have written more."""


class MongoKeys:
    """A ``KeyStore``; see ``MongoRecords``, which makes it."""

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

    async def add(self, key: ApiKey) -> None:
        """Keep a new key. Of several that come at once, a few more than ``MAX_KEYS`` may be kept.

        Raises:
            InvalidInputError: a field is out of its bounds, the name is in use, or there are too many keys.
        """
        check_key(key)
        row = asdict(key)
        row["_id"] = row.pop("digest")
        if key.revoked_at is None:
            row["active"] = key.name
        async with self._place.changing() as database:
            if await database[KEYS].count_documents({}) >= MAX_KEYS:
                raise too_many_keys()
            try:
                await database[KEYS].insert_one(row)
            except DuplicateKeyError:
                raise name_in_use(key.name) from None

    async def keys(self) -> list[ApiKey]:
        """All keys, oldest first."""
        async with self._place.reading() as database:
            rows = await database[KEYS].find({}, _WANTED).sort([("created_at", 1), ("_id", 1)]).to_list()
        return [ApiKey(digest=row.pop("_id"), **row) for row in rows]

    async def revoke(self, digest: str, *, at: float) -> bool:
        """Refuse a key from now on; False when it is not there."""
        async with self._place.changing() as database:
            revoked = await database[KEYS].update_one(
                {"_id": digest, "revoked_at": None}, {"$set": {"revoked_at": at}, "$unset": {"active": ""}}
            )
            if revoked.matched_count:
                return True
            return await database[KEYS].find_one({"_id": digest}, {"_id": 1}) is not None

    async def delete(self, digest: str) -> bool:
        """Forget a key altogether; False when it was not there."""
        async with self._place.changing() as database:
            return (await database[KEYS].delete_one({"_id": digest})).deleted_count > 0

    async def used(self, times: Mapping[str, float]) -> None:
        """Note when keys (by digest) were used last."""
        if not times:
            return
        changes = [
            UpdateOne(
                {"_id": digest, "$or": [{"last_used_at": None}, {"last_used_at": {"$lt": at}}]},
                {"$set": {"last_used_at": at}},
            )
            for digest, at in times.items()
        ]
        async with self._place.changing() as database:
            await database[KEYS].bulk_write(changes, ordered=False)
