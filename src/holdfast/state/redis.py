"""A cache in Redis, shared by every process that uses the same server and namespace.

Keys, all beginning with ``holdfast:1:NAMESPACE:``, where 1 is the version of this layout:

| key | holds | lives |
|---|---|---|
| ``v:KEY`` | a value with the stamps that make it valid | the value's time |
| ``t:TAG`` | the stamp of a tag: a random text | 30 days from the last value with this tag |
| ``q:TAG`` | that nothing is kept under the tag now | the quiet time |
| ``e`` | the stamp of everything | 30 days from the last value |

Nothing is ever searched for: to forget a tag is to delete its stamp. Stamps may be evicted like all else; then the
values that need them are misses. No scripts are used.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.core._options import whole
from holdfast.errors import ConfigError
from holdfast.state._frame import Frame, pack, unpack
from holdfast.state.base import DEFAULT_MAX_VALUE_BYTES, MAX_TTL, CacheSnapshot, checked_ttl
from holdfast.state.redis_client import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from redis.asyncio import Redis

    from holdfast.state.redis_client import RedisClient

__all__ = ["RedisCache"]

_LAYOUT = 1
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STAMP_MS = round(MAX_TTL * 1000)
_AT_ONCE = 256
"""Keys in one operation: more would keep other users of the server waiting, and could outlast the timeout."""

_MAX_OWED = 10_000


@dataclass(slots=True, eq=False)
class _Owed:
    """An invalidation that the server has not confirmed."""

    quiet_ms: int


class RedisCache:
    """A cache in Redis.

    Args:
        client: the server; closed with the cache.
        namespace: keeps services apart that share a server: 1 to 64 letters, digits, ``-``, ``_`` or ``.``.
        max_value_bytes: a larger value is not kept, 1 or more.
    """

    name = "cache:redis"

    def __init__(
        self, client: RedisClient, *, namespace: str = "default", max_value_bytes: int = DEFAULT_MAX_VALUE_BYTES
    ) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise ConfigError("namespace", namespace, "must be 1 to 64 letters, digits, '-', '_' or '.'")
        self._client = client
        self._prefix = f"holdfast:{_LAYOUT}:{namespace}:"
        self._epoch_key = self._key("e")
        self._max_value = whole("max_value_bytes", max_value_bytes, least=1)
        self._owed: dict[str, _Owed] = {}
        self._owed_all: _Owed | None = None
        self._hits = self._misses = self._unreadable = self._kept = self._refused = 0

    def __repr__(self) -> str:
        return f"<RedisCache {self._prefix}* on {self._client!r}>"

    async def get(self, key: str) -> bytes | None:
        """What is kept under ``key``."""
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each of ``keys``, in their order."""
        found: list[bytes | None] = []
        for part in _parts(keys):

            async def read(redis: Redis, part: Sequence[str] = part) -> list[bytes | None]:
                await self._settle(redis)
                return await self._read(redis, part)

            found += await self._client.run(read)
        return found

    async def set(self, key: str, value: bytes, *, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep ``value`` for ``ttl`` seconds, above 0 and at most 30 days, in place of what was there."""
        await self.set_many({key: value}, ttl=ttl, tags=tags)

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        """Like :meth:`set`, for several values with the same tags."""
        life_ms = max(1, round(checked_ttl("ttl", ttl) * 1000))
        for part in _parts(list(values)):

            async def write(redis: Redis, part: Sequence[str] = part) -> None:
                await self._settle(redis)
                await self._write(redis, {key: values[key] for key in part}, life_ms, tuple(tags))

            await self._client.run(write)

    async def delete(self, *keys: str) -> None:
        """Forget what is kept under ``keys``."""
        for part in _parts(keys):

            async def remove(redis: Redis, part: Sequence[str] = part) -> None:
                await redis.unlink(*(self._key("v:", key) for key in part))

            await self._client.run(remove)

    async def invalidate(self, *tags: str, quiet: float = 0.0) -> None:
        """Forget every entry that carries one of ``tags``; see :meth:`CacheBackend.invalidate`."""
        quiet_ms = round(checked_ttl("quiet", quiet, or_zero=True) * 1000)
        for tag in tags:
            earlier = self._owed.get(tag)
            self._owed[tag] = _Owed(max(quiet_ms, earlier.quiet_ms if earlier else 0))
        if len(self._owed) > _MAX_OWED:  # cheaper, and certainly enough
            self._owed_all = _Owed(0)
            self._owed.clear()
        await self._client.run(self._settle)

    async def clear(self) -> None:
        """Forget everything. When it raises, see :meth:`CacheBackend.invalidate`."""
        self._owed_all = _Owed(0)
        await self._client.run(self._settle)

    async def close(self) -> None:
        """Close the connections of this event loop."""
        await self._client.close()

    def snapshot(self) -> CacheSnapshot:
        """What this process did with it."""
        return CacheSnapshot(
            hits=self._hits,
            misses=self._misses,
            unreadable=self._unreadable,
            kept=self._kept,
            refused=self._refused,
        )

    async def _settle(self, redis: Redis) -> None:
        """Do the invalidations that could not be done before: until then nothing may be read or written."""
        while self._owed or self._owed_all is not None:
            everything, some = self._owed_all, dict(list(self._owed.items())[:_AT_ONCE])
            async with redis.pipeline(transaction=True) as commands:
                if everything is not None:
                    commands.unlink(self._epoch_key)
                for tag, owed in some.items():
                    if owed.quiet_ms:
                        commands.set(self._key("q:", tag), b"", px=owed.quiet_ms)
                    commands.unlink(self._key("t:", tag))
                await commands.execute()
            if self._owed_all is everything:
                self._owed_all = None
            for tag, owed in some.items():  # unless it was invalidated once more meanwhile
                if self._owed.get(tag) is owed:
                    del self._owed[tag]

    async def _read(self, redis: Redis, keys: Sequence[str]) -> list[bytes | None]:
        epoch, *stored = await _fetch(redis, [self._epoch_key, *(self._key("v:", key) for key in keys)])
        frames = [None if data is None else unpack(data) for data in stored]
        self._unreadable += sum(frame is None and data is not None for frame, data in zip(frames, stored, strict=True))
        tags = sorted({tag for frame in frames if frame is not None for tag in frame.stamps})
        stamps: dict[str, bytes | None] = {}
        if tags:
            now = await _fetch(redis, [self._key("t:", tag) for tag in tags])
            stamps = dict(zip(tags, now, strict=True))
        values = [frame.value if frame is not None and _is_good(frame, epoch, stamps) else None for frame in frames]
        hits = sum(value is not None for value in values)
        self._hits += hits
        self._misses += len(values) - hits
        return values

    async def _write(self, redis: Redis, values: Mapping[str, bytes], life_ms: int, tags: Sequence[str]) -> None:
        good = {key: value for key, value in values.items() if len(value) <= self._max_value}
        self._refused += len(values) - len(good)
        stale = [self._key("v:", key) for key in values.keys() - good.keys()]
        try:
            epoch, stamps = await self._stamps(redis, tags)
            if stamps is None:
                self._refused += len(good)
                stale, good = [self._key("v:", key) for key in values], {}
            async with redis.pipeline(transaction=False) as commands:
                if stale:  # not the new value, and not the old one either
                    commands.unlink(*stale)
                for key, value in good.items():
                    commands.set(self._key("v:", key), pack(Frame(value, epoch, stamps or {})), px=life_ms)
                # Left to itself, redis-py puts the value into the error's text, a third of a second for a megabyte.
                said = await commands.execute(raise_on_error=False)
            for error in said:
                if isinstance(error, Exception):
                    raise error
        except OutOfMemoryError:  # the server is full and evicts nothing: it is no less alive for that
            self._refused += len(good)
            await redis.unlink(*(self._key("v:", key) for key in values))
            return
        self._kept += len(good)

    async def _stamps(self, redis: Redis, tags: Sequence[str]) -> tuple[str, dict[str, str] | None]:
        """The stamps to keep values with, made where there are none; None when a tag is quiet."""
        keys = [self._epoch_key, *(self._key("t:", tag) for tag in tags)]
        async with redis.pipeline(transaction=True) as commands:
            for key in keys:
                commands.set(key, secrets.token_hex(8), px=_STAMP_MS, nx=True)
            for key in keys:
                commands.getex(key, px=_STAMP_MS)
            if tags:
                commands.exists(*(self._key("q:", tag) for tag in tags))
            said = await commands.execute()
        epoch, *stamps = (_text(stamp) for stamp in said[len(keys) : 2 * len(keys)])
        if tags and said[-1]:
            return epoch, None
        return epoch, dict(zip(tags, stamps, strict=True))

    def _key(self, kind: str, name: str = "") -> bytes:
        return f"{self._prefix}{kind}{name}".encode("utf-8", "surrogatepass")


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]


async def _fetch(redis: Redis, keys: Sequence[bytes]) -> list[bytes | None]:
    found: list[Any] = await redis.mget(keys)  # bytes, since nothing is decoded
    return found


def _is_good(frame: Frame, epoch: bytes | None, stamps: Mapping[str, bytes | None]) -> bool:
    return _text(epoch) == frame.epoch and all(_text(stamps[tag]) == was for tag, was in frame.stamps.items())


def _text(stamp: bytes | None) -> str:
    return "" if stamp is None else stamp.decode("ascii", "replace")
