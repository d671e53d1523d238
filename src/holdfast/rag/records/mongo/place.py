"""The records of a fleet: three collections of one MongoDB database, and the three stores in them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.core._options import duration, whole
from holdfast.rag.records.limits import TOMBSTONE_SECONDS
from holdfast.rag.records.mongo.conversations import MongoConversations
from holdfast.rag.records.mongo.feedback import MongoFeedback
from holdfast.rag.records.mongo.keys import MongoKeys
from holdfast.rag.records.mongo.layout import CONVERSATIONS, FEEDBACK, create_indexes
from holdfast.rag.store.mongo.client import Timeouts, database_of, make_client, place_of
from holdfast.rag.store.mongo.faults import closed, store_faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.core.clock import Clock
    from holdfast.rag.store.mongo.client import Client, Database

__all__ = ["MongoRecords"]


class MongoRecords:
    """Conversations, keys and feedback in one database, which any number of processes may share.

    The three stores are opened and closed together, through this object or through any of them. An object belongs to
    one event loop. It connects with the first call; the indexes are made by ``open``, or by the first change where
    ``open`` could not. Nothing is retried here: that is for the policies around it.

    Args:
        uri: the server's address; holds a password, and is kept by the driver alone.
        clock: whose wall time records carry; keep the machines' clocks within some seconds of each other.
        database: its name; 1 to 63 letters, digits, _ or -; default ``"holdfast"``.
        retention: seconds after its last turn for which a conversation is kept, and feedback after it was given; at
            least 0, default 90 days; 0: for ever.
        timeouts: see :class:`~holdfast.rag.store.mongo.client.Timeouts`.
        max_connections: of this process, at least 1; default 5.

    Raises:
        ConfigError: an option is out of its range, or the address cannot be read.

    Attributes:
        conversations, keys, feedback: the stores.
    """

    name = "records:mongodb"

    def __init__(
        self,
        uri: str,
        *,
        clock: Clock,
        database: str = "holdfast",
        retention: float = 90 * 86_400.0,
        timeouts: Timeouts | None = None,
        max_connections: int = 5,
    ) -> None:
        whole("max_connections", max_connections, least=1)
        self.place = place_of(uri, database)
        limits = timeouts or Timeouts()

        def connect() -> tuple[Client, Database]:
            client = make_client(uri, timeouts=limits, max_connections=max_connections)
            return client, database_of(client, database, timeouts=limits)

        self._connect = connect
        self._connected: tuple[Client, Database] | None = connect()
        self._retention = duration("retention", retention, or_zero=True)
        self._clock = clock
        self._indexed = False
        self._indexing = asyncio.Lock()
        self.conversations = MongoConversations(self)
        self.keys = MongoKeys(self)
        self.feedback = MongoFeedback(self)

    async def open(self) -> None:
        """Make the indexes that are missing. Idempotent."""
        if self._connected is None:
            self._connected = self._connect()
        async with self.changing():
            pass

    async def close(self) -> None:
        """Release the connections. Idempotent."""
        if self._connected is None:
            return
        (client, _), self._connected = self._connected, None
        self._indexed = False
        await client.close()

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        async with self.reading() as database:
            await database[CONVERSATIONS].find_one({"_id": ""}, {"_id": 1})

    async def sweep(self) -> int:
        """Remove what is older than ``retention``; how many conversations and opinions."""
        oldest, forgotten = self.oldest(), self.now() - TOMBSTONE_SECONDS
        async with self.changing() as database:
            await database[CONVERSATIONS].delete_many({"live": False, "refused_before": {"$lt": forgotten}})
            expired = await database[CONVERSATIONS].delete_many({"live": True, "updated_at": {"$lt": oldest}})
            opinions = await database[FEEDBACK].delete_many({"given_at": {"$lt": oldest}})
        return expired.deleted_count + opinions.deleted_count

    def now(self) -> float:
        """The wall time, Unix seconds."""
        return self._clock.wall_ns() / 1e9

    def oldest(self) -> float:
        """What is from before this time is not given out any more, Unix seconds."""
        return self.now() - self._retention if self._retention else 0.0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Database]:
        """The database; what the driver raises is raised as an error of the store."""
        with store_faults(self.place):
            if self._connected is None:
                raise closed(self.place)
            yield self._connected[1]

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Database]:
        """The same, with its indexes: the one on names of keys keeps them apart."""
        async with self.reading() as database:
            async with self._indexing:
                if not self._indexed:
                    await create_indexes(database)
                    self._indexed = True
            yield database
