"""The MongoDB store's options, and that an address is never told."""

from __future__ import annotations

import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.errors import ConfigError
from holdfast.rag.store.mongo import MongoStore
from holdfast.rag.store.mongo.client import Timeouts, place_of


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("mongodb://localhost", "kb on localhost"),
        ("mongodb://localhost:27017/?tls=true", "kb on localhost:27017"),
        ("mongodb://me:pass@a.example:1,b.example:2/admin?replicaSet=rs", "kb on a.example:1, b.example:2"),
        ("mongodb+srv://me:pass@cluster.example.net/", "kb on cluster.example.net"),
        ("mongodb://[::1]:27017", "kb on [::1]:27017"),
        ("mongodb://me:pa@ss/w:rd@host:1/", "kb on host:1"),
        ("mongodb://me:pa ss", "kb on the server"),
    ],
)
def test_a_place_names_hosts_and_database_and_no_more(uri: str, place: str) -> None:
    """Whatever stands before the last @ is not shown, and what does not look like hosts is not either."""
    assert place_of(uri, "kb") == place


@pytest.mark.parametrize(
    "uri", ["mongodb://me:pa:s3cr3t@host:x/", "mongodb://me:s3cr3t/x@host/", "http://me:s3cr3t@host/", "s3cr3t", ""]
)
async def test_an_address_that_cannot_be_read_is_not_quoted(uri: str) -> None:
    """The error names the setting and the rule, and nothing that it carries holds the address."""
    blocking = ThreadBlocking(max_workers=1)
    with pytest.raises(ConfigError, match="MongoDB address") as caught:
        MongoStore(uri, blocking=blocking, clock=SystemClock())
    assert caught.value.__context__ is None
    assert "s3cr3t" not in f"{caught.value!r} {caught.value.value} {caught.value.rule}"
    await blocking.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_exact_vectors", 0),
        ("max_connections", 0),
        ("lease_seconds", 0.0),
        ("abandoned_after", float("nan")),
        ("sweep_every", 0.0),
        ("analytics_days", 0.0),
        ("search", "native"),
        ("database", "a.b"),
        ("database", ""),
    ],
)
async def test_an_option_out_of_its_range_is_named(field: str, value: object) -> None:
    """Each option says what it takes."""
    blocking = ThreadBlocking(max_workers=1)
    with pytest.raises(ConfigError) as caught:
        MongoStore("mongodb://localhost", blocking=blocking, clock=SystemClock(), **{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field
    await blocking.close()


@pytest.mark.parametrize("field", ["select", "connect", "reply", "queue"])
def test_a_timeout_is_above_zero(field: str) -> None:
    """No wait is endless, and none is of no time."""
    with pytest.raises(ConfigError, match=f"timeouts.{field}"):
        Timeouts(**{field: 0.0})
