"""The driver's errors as the store's."""

from __future__ import annotations

import sys

import pytest
from bson.errors import InvalidDocument
from pymongo import errors

from holdfast.errors import (
    HoldfastError,
    InvalidInputError,
    MissingExtraError,
    StoreInterruptedError,
    StoreLockedError,
    StoreUnavailableError,
)
from holdfast.rag.store.mongo.faults import store_faults


@pytest.mark.parametrize(
    ("raised", "told", "words"),
    [
        (errors.ServerSelectionTimeoutError("x"), StoreUnavailableError, "no server takes the call"),
        (errors.NetworkTimeout("x"), StoreInterruptedError, "did not answer in time"),
        (errors.WaitQueueTimeoutError("x"), StoreInterruptedError, "connections of the pool"),
        (errors.NotPrimaryError("x"), StoreInterruptedError, "another primary"),
        (errors.AutoReconnect("x"), StoreInterruptedError, "connection was lost"),
        (ConnectionResetError("x"), StoreInterruptedError, "connection failed"),
        (errors.OperationFailure("x", 91), StoreInterruptedError, "shutting down"),
        (errors.OperationFailure("x", 112), StoreLockedError, "try again"),
        (errors.OperationFailure("x", 10334), InvalidInputError, "16 MB"),
        (errors.BulkWriteError({"writeErrors": [{"code": 17280}]}), InvalidInputError, "16 MB"),
        (errors.BulkWriteError({"writeConcernErrors": [{"code": 64}]}), StoreInterruptedError, "most members"),
        (errors.DocumentTooLarge("x"), InvalidInputError, "16 MB"),
        (errors.InvalidOperation("x"), StoreUnavailableError, "closed in this process"),
        (errors.ConfigurationError("x"), StoreUnavailableError, "ConfigurationError"),
        (InvalidDocument("x"), InvalidInputError, "Unicode"),
        (UnicodeEncodeError("utf-8", "x", 0, 1, "x"), InvalidInputError, "Unicode"),
    ],
)
def test_every_error_of_the_driver_is_one_of_ours(raised: Exception, told: type[HoldfastError], words: str) -> None:
    """It says what to do, and keeps the driver's as its cause."""
    with pytest.raises(told, match=words) as caught, store_faults("kb on host"):
        raise raised
    assert caught.value.__cause__ is raised
    assert isinstance(caught.value, StoreInterruptedError) is (told is StoreInterruptedError)


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is in the error."""
    for name in [each for each in sys.modules if each.startswith("holdfast.rag.store.mongo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(MissingExtraError, match=r"holdfast\[mongo\]"):
        __import__("holdfast.rag.store.mongo")
