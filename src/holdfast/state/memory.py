"""A cache in this process's memory: least recently used, bounded by entries and by bytes."""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import whole
from holdfast.core.clock import SYSTEM_CLOCK, to_ns
from holdfast.state.base import DEFAULT_MAX_VALUE_BYTES, CacheSnapshot, checked_ttl

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.core.clock import Clock

__all__ = ["MemoryCache"]

_ENTRY_BYTES = 260
"""What an entry takes beside its key and value (dictionary, times, tags), as tracemalloc counts it on Python 3.11."""


@dataclass(slots=True)
class _Entry:
    value: bytes
    expires_ns: int
    kept_at: int  # the number of the last invalidation before it
    tags: tuple[str, ...]
    size: int


class MemoryCache:
    """Keeps the values that were used last. For one event loop; nothing is shared with other processes.

    Args:
        max_entries: values that are kept, 1 or more.
        max_bytes: the memory they may take together, keys and bookkeeping included, 1 or more.
        max_value_bytes: a larger value is not kept, 1 or more.
        max_tags: invalidated tags that are remembered, 1 or more; when there are more, everything that was kept
            before the oldest of those invalidations and has tags is forgotten.
        clock: tells what has expired.
    """

    name = "cache:memory"
    _one_by_one = False

    def __init_subclass__(cls, **options: object) -> None:
        """Several keys go through a ``get`` or a ``set`` of the class's own: it may encrypt, count, or raise."""
        super().__init_subclass__(**options)
        cls._one_by_one = cls.get is not MemoryCache.get or cls.set is not MemoryCache.set

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1_048_576,
        max_value_bytes: int = DEFAULT_MAX_VALUE_BYTES,
        max_tags: int = 10_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._max_entries = whole("max_entries", max_entries, least=1)
        self._max_bytes = whole("max_bytes", max_bytes, least=1)
        self._max_value = whole("max_value_bytes", max_value_bytes, least=1)
        self._max_tags = whole("max_tags", max_tags, least=1)
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._size = 0
        # Invalidations are numbered. A tag has the number of its last one; one that is not remembered, that of _floor.
        self._number = self._floor = 0
        self._invalidated: OrderedDict[str, tuple[int, int]] = OrderedDict()  # number, quiet until
        self._hits = self._misses = self._kept = self._refused = self._evicted = 0

    def __repr__(self) -> str:
        return f"<MemoryCache {len(self._entries):,} entries, {self._size:,} bytes>"

    async def get(self, key: str) -> bytes | None:
        """What is kept under ``key``."""
        return self._found(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each of ``keys``, in their order."""
        if self._one_by_one:
            return [await self.get(key) for key in keys]
        return [self._found(key) for key in keys]

    async def set(self, key: str, value: bytes, *, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep ``value`` for ``ttl`` seconds; what was not used for the longest time makes room."""
        self._keep({key: value}, ttl, tags)

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        """Like :meth:`set`, for several values with the same tags."""
        if self._one_by_one:
            for key, value in values.items():
                await self.set(key, value, ttl=ttl, tags=tags)
        else:
            self._keep(values, ttl, tags)

    async def delete(self, *keys: str) -> None:
        """Forget what is kept under ``keys``."""
        for key in keys:
            self._drop(key)

    async def invalidate(self, *tags: str, quiet: float = 0.0) -> None:
        """Forget every entry that carries one of ``tags``; see :meth:`CacheBackend.invalidate`."""
        until = self._clock.now_ns() + to_ns(checked_ttl("quiet", quiet, or_zero=True))
        for tag in tags:
            self._number += 1
            known_until = self._invalidated.pop(tag, (0, 0))[1]
            self._invalidated[tag] = self._number, max(until, known_until)
            if len(self._invalidated) > self._max_tags:
                self._floor = self._invalidated.popitem(last=False)[1][0]

    async def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0

    async def close(self) -> None:
        """Forget everything."""
        await self.clear()

    def snapshot(self) -> CacheSnapshot:
        """What it did, and what it holds."""
        return CacheSnapshot(
            hits=self._hits,
            misses=self._misses,
            unreadable=0,
            kept=self._kept,
            refused=self._refused,
            evicted=self._evicted,
            entries=len(self._entries),
            size_bytes=self._size,
        )

    def _found(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is not None and not self._is_good(entry):
            self._drop(key)
            entry = None
        if entry is None:
            self._misses += 1
            return None
        self._entries.move_to_end(key)
        self._hits += 1
        return entry.value

    def _keep(self, values: Mapping[str, bytes], ttl: float, tags: Collection[str]) -> None:
        now, life = self._clock.now_ns(), to_ns(checked_ttl("ttl", ttl))
        labels = tuple(tags)
        quiet = self._is_quiet(labels, now)
        for key, value in values.items():
            self._drop(key)
            size = sys.getsizeof(value) + sys.getsizeof(key) + _ENTRY_BYTES
            if quiet or len(value) > self._max_value or size > self._max_bytes:
                self._refused += 1
                continue
            self._entries[key] = _Entry(value, now + life, self._number, labels, size)
            self._size += size
            self._kept += 1
            while len(self._entries) > self._max_entries or self._size > self._max_bytes:
                self._drop(next(iter(self._entries)))
                self._evicted += 1

    def _is_good(self, entry: _Entry) -> bool:
        if entry.expires_ns <= self._clock.now_ns():
            return False
        if not self._number:  # mostly nothing was ever invalidated
            return True
        return all(entry.kept_at >= self._invalidated.get(tag, (self._floor, 0))[0] for tag in entry.tags)

    def _is_quiet(self, tags: tuple[str, ...], now: int) -> bool:
        """Whether nothing is kept under one of these tags for a while."""
        return bool(self._invalidated) and any(self._invalidated.get(tag, (0, now))[1] > now for tag in tags)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry.size
