"""MongoDB's commands over ``mongomock``: those that our store sends, and ``configureFailPoint`` with ``failCommand``.

What mongomock lacks is added where our store needs it: how many rows an update changed, search indexes, and a search
engine of the simplest kind. Not here: users, transactions, replica sets, and the search engine's own ranking.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import bson
import mongomock
import numpy as np
import pymongo.errors

if TYPE_CHECKING:
    from collections.abc import Iterable

Row: TypeAlias = "dict[str, Any]"

DUPLICATE_KEY = 11000
_HELLO: Row = {
    "helloOk": True,
    "isWritablePrimary": True,
    "ismaster": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "connectionId": 1,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
}


class CommandError(Exception):
    """A command that fails with a code, as the server says it."""

    def __init__(self, code: int, name: str, message: str, labels: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.reply: Row = {"ok": 0.0, "code": code, "codeName": name, "errmsg": message}
        if labels:
            self.reply["errorLabels"] = list(labels)


@dataclass
class FailPoint:
    """MongoDB's ``failCommand``: which commands fail, how often, and how."""

    data: Row = field(default_factory=dict)
    skip: int = 0
    times: int = 0

    def configure(self, mode: Any, data: Row) -> None:
        self.data = data
        self.skip = mode.get("skip", 0) if isinstance(mode, dict) else 0
        if mode == "off":
            self.times = 0
        elif isinstance(mode, dict) and "times" in mode:
            self.times = mode["times"]
        else:
            self.times = 1 << 30

    def hit(self, command: str, app: str) -> Row | None:
        """What is to be done to this command of a client of this name; counts it."""
        if not self.times or command not in self.data.get("failCommands", ()):
            return None
        if self.data.get("appName", app) != app:
            return None
        if self.skip:
            self.skip -= 1
            return None
        self.times -= 1
        return self.data


class Commands:
    """One server's data, and what it answers."""

    def __init__(self) -> None:
        self.client: Any = mongomock.MongoClient()
        self.fail_point = FailPoint()
        self.search_engine = False
        self.queryable = True
        self.search_indexes: dict[str, list[Row]] = {}
        self.seen: list[Row] = []
        self._cursors: dict[int, list[Row]] = {}
        self._cursor_ids = itertools.count(1_000)

    def run(self, command: Row, failure: Row) -> Row:
        """The reply.

        Raises:
            CommandError: the command fails, or ``failure`` (of the fail point) says that it does.
        """
        name = next(iter(command))
        if failure.get("errorCode"):
            code, labels = failure["errorCode"], failure.get("errorLabels", ())
            raise CommandError(code, "Injected", "failed by the fail point", labels)
        handler = getattr(self, f"_do_{name.lower()}", None)
        if handler is None:
            raise CommandError(59, "CommandNotFound", f"no such command: '{name}'")
        if name.lower() not in {"hello", "ismaster", "ping", "endsessions"}:
            self.seen.append(command)
        reply: Row = {"ok": 1.0, **handler(command)}
        return reply

    def _collection(self, command: Row) -> Any:
        return self.client[command["$db"]][next(iter(command.values()))]

    def _do_hello(self, _: Row) -> Row:
        return _HELLO

    _do_ismaster = _do_hello

    def _do_ping(self, _: Row) -> Row:
        return {}

    _do_endsessions = _do_ping

    def _do_killcursors(self, command: Row) -> Row:
        for each in command["cursors"]:
            self._cursors.pop(each, None)
        return {"cursorsKilled": command["cursors"]}

    def _do_configurefailpoint(self, command: Row) -> Row:
        self.fail_point.configure(command["mode"], command.get("data", {}))
        return {}

    def _do_insert(self, command: Row) -> Row:
        collection = self._collection(command)
        errors: list[Row] = []
        for n, row in enumerate(command["documents"]):
            try:
                collection.insert_one(row)
            except pymongo.errors.DuplicateKeyError as error:
                errors.append({"index": n, "code": DUPLICATE_KEY, "errmsg": str(error)})
                if command.get("ordered", True):
                    break
        count = len(command["documents"]) - len(errors)
        return {"n": count, **({"writeErrors": errors} if errors else {})}

    def _do_update(self, command: Row) -> Row:
        collection = self._collection(command)
        matched = modified = 0
        upserted: list[Row] = []
        for n, update in enumerate(command["updates"]):
            before = collection.find_one(update["q"])
            done = collection.update_one(update["q"], update["u"], upsert=update.get("upsert", False))
            if done.upserted_id is not None:
                upserted.append({"index": n, "_id": done.upserted_id})
                matched += 1
            elif before is not None:
                matched += 1
                modified += before != collection.find_one({"_id": before["_id"]})
        return {"n": matched, "nModified": modified, **({"upserted": upserted} if upserted else {})}

    def _do_delete(self, command: Row) -> Row:
        collection = self._collection(command)
        count = 0
        for each in command["deletes"]:
            delete = collection.delete_one if each.get("limit") else collection.delete_many
            count += delete(each["q"]).deleted_count
        return {"n": count}

    def _do_findandmodify(self, command: Row) -> Row:
        collection = self._collection(command)
        value = collection.find_one_and_update(
            command["query"],
            command["update"],
            projection=command.get("fields"),
            upsert=command.get("upsert", False),
            return_document=bool(command.get("new")),
        )
        return {"value": value, "lastErrorObject": {"n": int(value is not None), "updatedExisting": value is not None}}

    def _do_find(self, command: Row) -> Row:
        rows = self._collection(command).find(command.get("filter", {}), command.get("projection") or None)
        if command.get("sort"):
            rows = rows.sort(list(command["sort"].items()))
        if command.get("limit"):
            rows = rows.limit(abs(command["limit"]))
        return self._batch(command, rows, command.get("batchSize", 101))

    def _do_getmore(self, command: Row) -> Row:
        cursor_id = command["getMore"]
        rows = self._cursors.pop(cursor_id, None)
        if rows is None:
            raise CommandError(43, "CursorNotFound", "cursor not found")
        size = command.get("batchSize", 101)
        if rows[size:]:
            self._cursors[cursor_id] = rows[size:]
        left = bson.Int64(cursor_id if rows[size:] else 0)
        return {"cursor": {"id": left, "ns": f"{command['$db']}.{command['collection']}", "nextBatch": rows[:size]}}

    def _do_aggregate(self, command: Row) -> Row:
        collection = self._collection(command)
        first, *rest = command["pipeline"]
        stage = next(iter(first))
        if stage in {"$listSearchIndexes", "$vectorSearch", "$search"}:
            if not self.search_engine:
                raise CommandError(31082, "SearchNotEnabled", "Using Atlas Search requires additional configuration.")
            rows = getattr(self, f"_{stage[1:].lower()}")(command, first[stage])
            for each in rest:
                if "$limit" in each:
                    rows = rows[: each["$limit"]]
        else:
            rows = collection.aggregate(command["pipeline"])
        return self._batch(command, rows, command.get("cursor", {}).get("batchSize", 101))

    def _do_createindexes(self, command: Row) -> Row:
        for index in command["indexes"]:
            if index.get("unique"):
                keys, sparse = list(index["key"].items()), index.get("sparse", False)
                self._collection(command).create_index(keys, name=index["name"], unique=True, sparse=sparse)
        return {"numIndexesBefore": 1, "numIndexesAfter": 1 + len(command["indexes"])}

    def _do_createsearchindexes(self, command: Row) -> Row:
        if not self.search_engine:
            raise CommandError(31082, "SearchNotEnabled", "Using Atlas Search requires additional configuration.")
        self.search_indexes.setdefault(command["createSearchIndexes"], []).extend(command["indexes"])
        return {"indexesCreated": [{"id": each["name"], "name": each["name"]} for each in command["indexes"]]}

    def _do_dbstats(self, command: Row) -> Row:
        return {"db": command["$db"], "storageSize": 4_096.0, "indexSize": 4_096.0}

    def _do_dropdatabase(self, command: Row) -> Row:
        self.client.drop_database(command["$db"])
        return {}

    def _batch(self, command: Row, rows: Iterable[Row], size: int) -> Row:
        rows = list(rows)
        cursor_id = 0
        if rows[size:] and not command.get("singleBatch"):
            cursor_id = next(self._cursor_ids)
            self._cursors[cursor_id] = rows[size:]
        namespace = f"{command['$db']}.{next(iter(command.values()))}"
        return {"cursor": {"id": bson.Int64(cursor_id), "ns": namespace, "firstBatch": rows[:size]}}

    def _listsearchindexes(self, command: Row, _: Row) -> list[Row]:
        rows = self.search_indexes.get(command["aggregate"], [])
        return [{**each, "status": "READY", "queryable": self.queryable} for each in rows]

    def _vectorsearch(self, command: Row, search: Row) -> list[Row]:
        """Exact, whatever was asked for."""
        question = np.array(search["queryVector"])
        found = []
        for row in self._collection(command).find(search["filter"]):
            if search["path"] in row:
                vector = np.frombuffer(row[search["path"]], dtype="<f4", offset=2)
                found.append((float((1 + vector @ question) / 2), row))
        return _scored(found)[: search["limit"]]

    def _search(self, command: Row, search: Row) -> list[Row]:
        """Counts the words as they are written."""
        compound = search["compound"]
        wanted = {"$and": [{each["equals"]["path"]: each["equals"]["value"]} for each in compound["filter"]]}
        found = []
        for row in self._collection(command).find(wanted):
            score = sum(
                each["text"]["score"]["boost"]["value"] * row[each["text"]["path"]].lower().count(word.lower())
                for each in compound["should"]
                for word in each["text"]["query"].split()
            )
            if score:
                found.append((float(score), row))
        return _scored(found)


def _scored(found: list[tuple[float, Row]]) -> list[Row]:
    found.sort(key=lambda each: -each[0])
    return [{**{name: row[name] for name in ("id", "document", "version")}, "score": score} for score, row in found]
