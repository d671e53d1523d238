"""A cache of values of one type, on any backend: the codec, the keys, the time to live."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from holdfast.core._options import text
from holdfast.state.base import checked_ttl

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.state.base import CacheBackend

__all__ = ["Codec", "JsonCodec", "TypedCache", "key_of"]

T = TypeVar("T")


class Codec(Protocol[T]):
    """Turns values into bytes and back."""

    @property
    def version(self) -> str:
        """Another text for every form of the bytes: part of the key, so that old values are not found any more."""
        ...

    def encode(self, value: T, /) -> bytes:
        """The bytes to keep."""
        ...

    def decode(self, data: bytes, /) -> T:
        """The value.

        Raises:
            ValueError: the bytes are not what :meth:`encode` makes; so do KeyError and TypeError.
        """
        ...


class JsonCodec:
    """Values that JSON knows, as they are.

    Args:
        version: another text whenever the shape of the values changes.
    """

    def __init__(self, version: str) -> None:
        self.version = text("version", version)

    def encode(self, value: Any, /) -> bytes:  # noqa: ANN401  whatever JSON knows
        """The bytes to keep."""
        return json.dumps(value, separators=(",", ":")).encode()

    def decode(self, data: bytes, /) -> Any:  # noqa: ANN401
        """The value.

        Raises:
            ValueError: the bytes are not JSON.
        """
        return json.loads(data)


class TypedCache(Generic[T]):
    """Values of one type, in a backend that may hold others beside them.

    What cannot be decoded is a miss, and counted. Errors of the backend pass through: the caller has the guard.

    Args:
        kind: what it caches, e.g. ``"answer"``; the first part of every key.
        ttl: seconds for which a value is kept, above 0 and at most 30 days.

    Attributes:
        unreadable: values that were found and could not be decoded.
    """

    def __init__(self, backend: CacheBackend, codec: Codec[T], *, kind: str, ttl: float) -> None:
        self._backend = backend
        self._codec = codec
        self._ttl = checked_ttl("ttl", ttl)
        self._prefix = f"{text('kind', kind)}:{codec.version}:"
        self.unreadable = 0

    @property
    def name(self) -> str:
        """The backend's name now: one that is made of several may tell which it uses."""
        return self._backend.name

    async def get(self, key: str) -> T | None:
        """What is kept under ``key``."""
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[str]) -> list[T | None]:
        """What is kept under each of ``keys``, in their order."""
        found = await self._backend.get_many([self._prefix + key for key in keys])
        return [None if data is None else self._decoded(data) for data in found]

    async def put(self, key: str, value: T, *, tags: Collection[str] = ()) -> None:
        """Keep ``value``, in place of what was there."""
        await self.put_many({key: value}, tags=tags)

    async def put_many(self, values: Mapping[str, T], *, tags: Collection[str] = ()) -> None:
        """Keep several values with the same tags."""
        encoded = {self._prefix + key: self._codec.encode(value) for key, value in values.items()}
        await self._backend.set_many(encoded, ttl=self._ttl, tags=tags)

    async def forget(self, *keys: str) -> None:
        """Forget what is kept under ``keys``."""
        await self._backend.delete(*(self._prefix + key for key in keys))

    def _decoded(self, data: bytes) -> T | None:
        try:
            return self._codec.decode(data)
        except (ValueError, KeyError, TypeError):
            self.unreadable += 1
            return None


def key_of(*parts: object) -> str:
    """A short key for what ``parts`` say together: SHA-256 over their JSON, so that no two readings are the same."""
    return hashlib.sha256(_as_json(parts).encode()).hexdigest()


_as_json = json.JSONEncoder().encode
