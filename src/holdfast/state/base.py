"""What a cache is: bytes by key, for a time, that may be gone at any moment.

Entries can carry **tags**, so that everything that was made from one document or one collection can be forgotten at
once, without looking for it. A backend keeps a *stamp* for each tag, and each entry remembers the stamps of its tags as
they were when it was kept. :meth:`CacheBackend.invalidate` throws a stamp away; from then on no entry that remembers it
is given out, and the space comes back as entries expire. A stamp that got lost has the same effect: what cannot be
checked is forgotten, never believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.core._options import duration
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["DEFAULT_MAX_VALUE_BYTES", "MAX_TTL", "CacheBackend", "CacheSnapshot", "checked_ttl"]

MAX_TTL = 30 * 86_400.0
"""The longest time for which a cache keeps anything, in seconds: 30 days."""

DEFAULT_MAX_VALUE_BYTES = 1_048_576
"""A larger value is not kept: it would push out hundreds of ordinary ones, and hold up everybody on the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSnapshot:
    """What a cache did since it was made, and what it holds.

    Attributes:
        hits: values that were asked for and given; ``misses``: those that were not there, expired, or forgotten.
        unreadable: values that were there and were damaged, or written by another version; they count as misses.
        kept: values written.
        refused: values not kept, because they were too large, their tags were quiet, or the server had no room.
        evicted: values that made room for others; None where the server does not tell.
        entries, size_bytes: what it holds now, expired entries included; None where only the server knows.
    """

    hits: int
    misses: int
    unreadable: int
    kept: int
    refused: int
    evicted: int | None = None
    entries: int | None = None
    size_bytes: int | None = None


@runtime_checkable
class CacheBackend(Protocol):
    """Keeps bytes by key. It may forget anything at any time.

    Every method but ``close`` and ``snapshot`` raises :class:`~holdfast.errors.StateUnavailableError` when the cache
    cannot be reached, and nothing else.
    """

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs: ``"cache:memory"``, ``"cache:redis"``."""
        ...

    async def get(self, key: str) -> bytes | None:
        """What is kept under ``key``."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each of ``keys``, in their order."""
        ...

    async def set(self, key: str, value: bytes, *, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep ``value`` for ``ttl`` seconds, above 0 and at most 30 days, in place of what was there.

        A value that is larger than the backend's ``max_value_bytes`` is not kept.
        """
        ...

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        """Like :meth:`set`, for several values with the same tags."""
        ...

    async def delete(self, *keys: str) -> None:
        """Forget what is kept under ``keys``."""
        ...

    async def invalidate(self, *tags: str, quiet: float = 0.0) -> None:
        """Forget every entry that carries one of ``tags``.

        When it raises, it is not forgotten: this process reads and writes nothing of the cache until it is done.
        Other processes may see the entries until then.

        Args:
            quiet: seconds for which nothing new is kept under these tags, because work that began earlier would
                bring back what it saw; 0 to 30 days.
        """
        ...

    async def clear(self) -> None:
        """Forget everything. When it raises, see :meth:`invalidate`."""
        ...

    async def close(self) -> None:
        """Release connections and memory."""
        ...

    def snapshot(self) -> CacheSnapshot:
        """What it did, and what it holds."""
        ...


def checked_ttl(field: str, seconds: float, *, or_zero: bool = False) -> float:
    """``seconds``, when a cache may keep something for so long.

    Raises:
        ConfigError: it is not above 0 (or not 0, where that is allowed), or above 30 days.
    """
    if duration(field, seconds, or_zero=or_zero) > MAX_TTL:
        raise ConfigError(field, seconds, f"must be at most {MAX_TTL:,.0f} seconds (30 days)")
    return seconds
