"""The driver's errors, told as the store's errors: what happened, and what to do. They carry no word of the server's.

The driver's own error stays the cause, so that ``holdfast.core.classify`` can tell a lost connection from a refusal.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bson.errors import BSONError
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from holdfast.errors import (
    HoldfastError,
    InvalidInputError,
    StoreInterruptedError,
    StoreLockedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "DUPLICATE_KEY",
    "closed",
    "revoked",
    "store_faults",
    "too_large",
    "too_many_vectors",
    "unsettled",
]

DUPLICATE_KEY = 11000

_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
_LOCKED = frozenset({24, 46, 112})
_BROKEN_OFF = frozenset({6, 7, 50, 64, 89, 91, 189, 10107, 11600, 11602, 13435, 13436})
_CAUSES = {
    13: "this user may not do that: give it the role readWrite on the database",
    18: "the server does not accept the user or the password: correct them in the address",
    50: "the server gave up because the call took too long: try again when it is less busy",
    64: "the write is not confirmed by most members in time: check the replica set, then try again",
    91: "the server is shutting down: try again",
    8000: "the server does not accept the user or the password: correct them in the address",
    14031: "the server's disk is full: make room, then try again",
}


@contextmanager
def store_faults(place: str) -> Iterator[None]:
    """Raise whatever the driver raises inside as an error of the store at ``place``."""
    try:
        yield
    except DocumentTooLarge as error:
        raise too_large() from error
    except PyMongoError as error:
        raise _translated(error, place) from error
    except (BSONError, UnicodeEncodeError) as error:
        raise InvalidInputError(
            "text", "holds characters that are not valid Unicode (lone surrogates): decode the source rightly"
        ) from error
    except OSError as error:
        raise StoreInterruptedError(_sentence(place, "the connection failed: try again")) from error


def _translated(error: PyMongoError, place: str) -> HoldfastError:
    if isinstance(error, OperationFailure):
        return _refused(error, place)
    if isinstance(error, InvalidOperation):
        return closed(place)
    if isinstance(error, ServerSelectionTimeoutError):
        return _unavailable(place, "no server takes the call: check that it runs, and its address and network")
    for kind, reason in _INTERRUPTIONS:
        if isinstance(error, kind):
            return StoreInterruptedError(_sentence(place, reason))
    return _unavailable(place, f"the driver failed ({type(error).__name__})")


_INTERRUPTIONS = (
    (WaitQueueTimeoutError, "all connections of the pool are taken: try again, or allow more connections"),
    (NetworkTimeout, "the server did not answer in time: try again when it is less busy"),
    (NotPrimaryError, "the replica set is choosing another primary: try again in some seconds"),
    (ConnectionFailure, "the connection was lost: try again"),
)


def _refused(error: OperationFailure, place: str) -> HoldfastError:
    codes = {error.code, *_inner_codes(error)}
    if codes & _TOO_LARGE:
        return too_large()
    if codes & _LOCKED:
        return StoreLockedError(
            f"Another writer holds what this call needs in the MongoDB store {place}: try again in a moment."
        )
    known = [_CAUSES[code] for code in codes if code in _CAUSES]
    reason = known[0] if known else f"the server refused the call (code {error.code})"
    if codes & _BROKEN_OFF:
        return StoreInterruptedError(_sentence(place, reason))
    return _unavailable(place, reason)


def _inner_codes(error: OperationFailure) -> set[int]:
    details = error.details or {}
    return {
        each["code"]
        for part in ("writeErrors", "writeConcernErrors")
        for each in details.get(part, [])
        if isinstance(each, dict) and isinstance(each.get("code"), int)
    }


def _unavailable(place: str, reason: str) -> StoreUnavailableError:
    return StoreUnavailableError(_sentence(place, reason))


def _sentence(place: str, reason: str) -> str:
    return f"The MongoDB store {place} cannot be used: {reason}."


def too_large() -> InvalidInputError:
    """One document does not fit into one of MongoDB's."""
    return InvalidInputError("text", "is larger than MongoDB takes for one document (16 MB): split it")


def closed(place: str) -> StoreUnavailableError:
    """The store was closed by its owner."""
    return StoreUnavailableError(f"The MongoDB store {place} is closed in this process: open it again before using it.")


def revoked(place: str) -> StoreUnavailableError:
    """What a put had written was removed before it was done, because it looked abandoned."""
    return StoreUnavailableError(
        f"A document was written to the MongoDB store {place} for so long that it was taken for abandoned, and "
        "removed: put it again."
    )


def unsettled(place: str) -> StoreLockedError:
    """Others changed the same thing again and again."""
    return StoreLockedError(
        f"Others keep changing what this call changes in the MongoDB store {place}: try again in a moment."
    )


def too_many_vectors(place: str, found: int, limit: int) -> StoreUnavailableError:
    """Without a vector index the vectors are scored in this process, and these are too many for that."""
    return StoreUnavailableError(
        f"The MongoDB store {place} has no vector index, and {found:,} vectors are too many to score in this process "
        f"(the limit is {limit:,}): use a server with vector search, or raise max_exact_vectors."
    )
