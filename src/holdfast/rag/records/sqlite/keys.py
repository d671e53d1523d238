"""API keys in the records' file."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from holdfast.rag.records.keys import MAX_KEYS, ApiKey, check_key, name_in_use, too_many_keys

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from holdfast.rag.records.sqlite.place import SqliteRecords

__all__ = ["SqliteKeys"]

_NAMES = [each.name for each in fields(ApiKey)]
_FIELDS = ", ".join(_NAMES)
_MARKS = ", ".join("?" for _ in _NAMES)


class SqliteKeys:
    """A ``KeyStore``; see ``SqliteRecords``, which makes it."""

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

    async def add(self, key: ApiKey) -> None:
        """Keep a new key.

        Raises:
            InvalidInputError: a field is out of its bounds, the name is in use, or there are too many keys.
        """
        check_key(key)

        def add(connection: sqlite3.Connection) -> None:
            (count,) = connection.execute("SELECT count(*) FROM keys").fetchone()
            if count >= MAX_KEYS:
                raise too_many_keys()
            if connection.execute(
                "SELECT 1 FROM keys WHERE (name = ? AND revoked_at IS NULL) OR digest = ?", (key.name, key.digest)
            ).fetchone():
                raise name_in_use(key.name)
            connection.execute(
                f"INSERT INTO keys ({_FIELDS}) VALUES ({_MARKS})",  # noqa: S608 - names of fields and question marks
                astuple(key),
            )

        await self._place.write(add)

    async def keys(self) -> list[ApiKey]:
        """All keys, oldest first."""

        def keys(connection: sqlite3.Connection) -> list[ApiKey]:
            rows = connection.execute(f"SELECT {_FIELDS} FROM keys ORDER BY number")  # noqa: S608 - names of fields
            return [
                ApiKey(**{each.name: value for each, value in zip(fields(ApiKey), row, strict=True)}) for row in rows
            ]

        return await self._place.read(keys)

    async def revoke(self, digest: str, *, at: float) -> bool:
        """Refuse a key from now on; False when it is not there."""
        return await self._changed("UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE digest = ?", at, digest)

    async def delete(self, digest: str) -> bool:
        """Forget a key altogether; False when it was not there."""
        return await self._changed("DELETE FROM keys WHERE digest = ?", digest)

    async def used(self, times: Mapping[str, float]) -> None:
        """Note when keys (by digest) were used last."""
        rows = [(at, digest, at) for digest, at in times.items()]

        def used(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE keys SET last_used_at = ? WHERE digest = ? AND (last_used_at IS NULL OR last_used_at < ?)", rows
            )

        await self._place.write(used)

    async def _changed(self, sql: str, *values: object) -> bool:
        return await self._place.write(lambda connection: connection.execute(sql, values).rowcount > 0)
