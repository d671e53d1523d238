"""The driver's client: bounded in every wait, and never retrying by itself. An address holds a password: see below.

A message, a ``repr`` or a log line of ours names the hosts and the database and nothing else of the address; what the
driver says about an address that it cannot read is not passed on, because it quotes pieces of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import PyMongoError

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase

__all__ = ["Client", "Database", "Row", "Timeouts", "database_of", "make_client", "place_of"]

Row: TypeAlias = "dict[str, Any]"
Client: TypeAlias = "AsyncMongoClient[Row]"
Database: TypeAlias = "AsyncDatabase[Row]"

_SCHEMES = ("mongodb://", "mongodb+srv://")
_HOST = re.compile(r"[\w.\-\[\]:%]+")
_DATABASE = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one call waits, in seconds above 0.

    Attributes:
        select: for a server that takes the call (a dead cluster costs this much, a failover may); default 2.
        connect: for a new connection; default 2.
        reply: for a server's answer on a connection; default 10.
        queue: for a free connection of the pool; default 2.
    """

    select: float = 2.0
    connect: float = 2.0
    reply: float = 10.0
    queue: float = 2.0

    def __post_init__(self) -> None:
        for name in ("select", "connect", "reply", "queue"):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"timeouts.{name}", value, "must be above 0 seconds")


def make_client(uri: str, *, timeouts: Timeouts, max_connections: int) -> Client:
    """A client that is not connected yet.

    Retries are off in the driver: our policies retry, and two that do so multiply.

    Raises:
        ConfigError: the address cannot be read; the message does not quote it.
    """
    client: Client | None = None
    if uri.startswith(_SCHEMES):
        try:
            client = AsyncMongoClient(
                uri,
                appname="holdfast",
                connect=False,
                connectTimeoutMS=_ms(timeouts.connect),
                maxPoolSize=max_connections,
                retryReads=False,
                retryWrites=False,
                serverSelectionTimeoutMS=_ms(timeouts.select),
                socketTimeoutMS=_ms(timeouts.reply),
                waitQueueTimeoutMS=_ms(timeouts.queue),
            )
        except (PyMongoError, ValueError, TypeError):
            client = None
    if client is None:  # raised outside of the handler: the driver's error quotes pieces of the address
        raise ConfigError(
            "uri",
            "mongodb://...",
            "must be a MongoDB address, mongodb://USER:PASSWORD@HOST:PORT/ or mongodb+srv://..., with special "
            "characters in user and password percent-encoded (not shown here: it holds a password)",
        )
    return client


def database_of(client: Client, name: str, *, timeouts: Timeouts) -> Database:
    """The database; a write is acknowledged when it is in the journal of most members."""
    return client.get_database(name, write_concern=WriteConcern("majority", wtimeout=_ms(timeouts.reply), j=True))


def place_of(uri: str, database: str) -> str:
    """Which hosts and which database, for messages: nothing else of the address.

    Raises:
        ConfigError: the database's name is not one.
    """
    if not _DATABASE.fullmatch(database):
        raise ConfigError("database", database, "must be 1 to 63 letters, digits, _ or -")
    # What comes before the last @ may be a password, whatever is in it.
    hosts = re.split(r"[/?]", uri.rpartition("@")[2].partition("://")[2] or uri.rpartition("@")[2])[0].split(",")
    shown = ", ".join(hosts) if all(map(_HOST.fullmatch, hosts)) else "the server"
    return f"{database} on {shown}"


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
