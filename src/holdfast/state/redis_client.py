"""The connection to Redis: short timeouts, no hidden retries, one pool for each event loop.

redis-py's defaults suit a database: they retry for seconds. Here Redis is what makes answers faster, so it has a fixed
time for each operation, connecting included, and then the answer is made without it. A connection that broke is
dropped, and the next operation opens a new one: nothing has to be told that Redis is back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from holdfast.core._options import duration, whole
from holdfast.errors import ConfigError, MissingExtraError, StateUnavailableError

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.connection import parse_url
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        AuthenticationError,
        AuthorizationError,
        NoPermissionError,
        OutOfMemoryError,
        RedisError,
    )
except ImportError as error:
    raise MissingExtraError("Redis", "redis") from error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    T = TypeVar("T")

__all__ = ["OutOfMemoryError", "RedisClient"]

_FORBIDDEN = (AuthenticationError, AuthorizationError, NoPermissionError)


class RedisClient:
    """One Redis server.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with the password in it where there is one. It is not
            repeated in any error.
        timeout: seconds for one operation, waiting for a connection and opening it included.
        max_connections: connections for each event loop, 1 or more; an operation waits for a free one.
    """

    def __init__(self, url: str, *, timeout: float = 0.2, max_connections: int = 32) -> None:
        self._options = _parsed(url)
        self._timeout = duration("timeout", timeout)
        self._max = whole("max_connections", max_connections, least=1)
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()
        self.address = _address(self._options)
        """Where the server is, for people: without the password."""

    def __repr__(self) -> str:
        return f"<RedisClient {self.address}>"

    async def run(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do ``work`` with the server, within the time.

        Raises:
            StateUnavailableError: the server cannot be reached, does not answer in time, or refuses.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await work(self._redis())
        except TimeoutError as error:
            raise StateUnavailableError(f"{self.address} did not answer within {self._timeout:g} s.") from error
        except _FORBIDDEN as error:
            raise StateUnavailableError(
                f"{self.address} refuses us: check the user and the password in the address."
            ) from error
        except (RedisError, OSError) as error:
            raise StateUnavailableError(f"{self.address} cannot be used ({type(error).__name__}).") from error

    async def close(self) -> None:
        """Close the connections of this event loop."""
        redis = self._pools.pop(asyncio.get_running_loop(), None)
        if redis is not None:
            with suppress(RedisError, OSError):  # it is closed one way or the other
                async with asyncio.timeout(self._timeout):
                    await redis.aclose(close_connection_pool=True)

    def _redis(self) -> Redis:
        """The client of the running event loop: a connection belongs to the loop that opened it."""
        loop = asyncio.get_running_loop()
        redis = self._pools.get(loop)
        if redis is None:
            pool = BlockingConnectionPool(
                max_connections=self._max,
                timeout=self._timeout,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
                protocol=2,  # no handshake: one round trip less for each connection
                driver_info=None,
                **self._options,
            )
            redis = self._pools[loop] = Redis(connection_pool=pool)
        return redis


def _parsed(url: str) -> dict[str, Any]:
    rule = "must be redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix://PATH, with USER:PASSWORD@ before the host"
    try:
        options = dict(parse_url(url))
        return {**options, "db": whole("db", options.get("db", 0), least=0)}
    except (ValueError, TypeError, AttributeError):
        pass  # what was raised may hold the address, and the address the password
    raise ConfigError("redis_url", "...", rule)


def _address(options: dict[str, Any]) -> str:
    place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"Redis at {place}"
