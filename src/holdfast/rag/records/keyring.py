"""Which API keys are accepted: asked at every request, answered from memory.

All keys of a service are few, so all of them are read at once, every few seconds while there are requests. A key that
was revoked stops working at the next reading; a guess costs no reading of its own, and leaves nothing behind in memory.

When they cannot be read, the keys that were known go on working for a while: a store that is down must not lock
everybody out, and a key that is revoked in that very time is the price. Of any other key nobody can say whether it is
one: that is told as such, and not as a refusal.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import duration, options_by_name
from holdfast.core.clock import to_ns
from holdfast.core.pipeline import Pipeline
from holdfast.core.single_flight import SingleFlight
from holdfast.core.timeout import Timeout
from holdfast.errors import HoldfastError, StoreUnavailableError
from holdfast.rag.records.keys import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.rag.records.keys import ApiKey, KeyStore

__all__ = ["KeyRing", "KeyRingOptions"]

_log = logging.getLogger(__name__)


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRingOptions:
    """How keys are remembered. All are seconds above 0.

    Attributes:
        fresh_seconds: for how long what was read counts; a revoked key works no longer than this (default 3).
        known_seconds: for how long after the last reading known keys work while no reading succeeds (default 900).
        read_seconds: how long a request waits for a reading (default 1).
        pause_seconds: the time from one failed reading to the next (default 2).
        used_seconds: the time from one note of when keys were used last to the next (default 60).

    Raises:
        ConfigError: a value is out of its range.
    """

    fresh_seconds: float = 3.0
    known_seconds: float = 900.0
    read_seconds: float = 1.0
    pause_seconds: float = 2.0
    used_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("fresh_seconds", "known_seconds", "read_seconds", "pause_seconds", "used_seconds"):
            duration(name, getattr(self, name))


class KeyRing:
    """The keys that are known.

    Args:
        store: where they are kept.
        clock: the source of time; its wall time ends keys.
        events: who hears of readings that take too long.
    """

    def __init__(
        self, store: KeyStore, *, clock: Clock, events: Events | None = None, options: KeyRingOptions | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._options = options or KeyRingOptions()
        self._flights = SingleFlight(clock=clock, name=f"{store.name}:keys")
        self._in_time = Pipeline(
            Timeout(seconds=self._options.read_seconds),
            name=f"{store.name}:keys",
            clock=clock,
            events=events,
        )
        self._keys: Mapping[str, ApiKey] = {}
        self._read_ns: int | None = None
        self._failed_ns: int | None = None
        self._used: dict[str, float] = {}
        self._noted_ns: int | None = None
        self._noting: asyncio.Task[None] | None = None

    async def find(self, secret: str) -> ApiKey | None:
        """The key that this is, or None when it is none, or is revoked or expired.

        Raises:
            StoreUnavailableError: nobody can say now, because the keys cannot be read.
        """
        current = await self._refresh()
        digest = digest_of(secret)
        key = self._keys.get(digest)
        if key is not None and hmac.compare_digest(key.digest, digest) and (current or self._still_known()):
            if not key.usable(self._wall()):
                return None
            self._note_use(digest)
            return key
        if not current:
            raise _unknown()
        return None

    async def any_made(self) -> bool:
        """Whether a key was ever made and not deleted, as far as is known; revoked and expired ones count.

        Raises:
            StoreUnavailableError: nobody can say, because the keys could not be read yet.
        """
        await self._refresh()
        if self._read_ns is None:
            raise _unknown()
        return bool(self._keys)

    async def any_usable(self) -> bool:
        """Whether a key would be accepted now.

        Raises:
            StoreUnavailableError: nobody can say now, because the keys cannot be read.
        """
        if not await self._refresh():
            raise _unknown()
        return any(key.usable(self._wall()) for key in self._keys.values())

    async def close(self) -> None:
        """Note when keys were used last, as far as that was not done yet. Idempotent."""
        if self._noting is not None:
            await asyncio.wait({self._noting})
        if self._used:
            await self._write_uses()

    async def _refresh(self) -> bool:
        """Read the keys when it is time; whether what is known counts."""
        now = self._clock.now_ns()
        if self._read_ns is not None and now - self._read_ns < to_ns(self._options.fresh_seconds):
            return True
        if self._failed_ns is not None and now - self._failed_ns < to_ns(self._options.pause_seconds):
            return False
        try:
            await self._flights.call(self._read)
        except Exception as error:  # noqa: BLE001 - whatever it is, known keys go on working
            if self._failed_ns is None:
                _log.warning("The API keys cannot be read now, those that are known go on working: %s", error)
            self._failed_ns = self._clock.now_ns()
            return False
        return True

    async def _read(self) -> None:
        now = self._clock.now_ns()  # before the reading: what is revoked during it is not known to be
        self._keys = {key.digest: key for key in await self._in_time.call(self._store.keys)}
        self._read_ns, self._failed_ns = now, None

    def _still_known(self) -> bool:
        limit = to_ns(self._options.known_seconds)
        return self._read_ns is not None and self._clock.now_ns() - self._read_ns < limit

    def _wall(self) -> float:
        return self._clock.wall_ns() / 1e9

    # --- when keys were used last -------------------------------------------------------------------------------------

    def _note_use(self, digest: str) -> None:
        self._used[digest] = self._wall()
        now, pause = self._clock.now_ns(), to_ns(self._options.used_seconds)
        if self._noted_ns is not None and now - self._noted_ns < pause:
            return
        if self._noting is None or self._noting.done():
            self._noted_ns = now
            # Of no request: it has no deadline, and the end of whoever asked is not its own.
            self._noting = asyncio.get_running_loop().create_task(self._write_uses(), context=Context())

    async def _write_uses(self) -> None:
        used, self._used = self._used, {}
        try:
            await self._store.used(used)
        except HoldfastError as error:
            self._used = {**used, **self._used}
            _log.warning("When API keys were used last could not be noted now: %s", error)


def _unknown() -> StoreUnavailableError:
    # Whoever reads this has not shown a key: it says nothing of files or servers.
    return StoreUnavailableError(
        "API keys cannot be checked now, because the service cannot read its records: try again in a moment."
    )
