"""What each documented code, number and class name means, one line for all that mean the same."""

import errno
import http.client
import json
import os
import socket
import sqlite3
import ssl
from asyncio import CancelledError as TaskCancelledError
from asyncio import IncompleteReadError
from concurrent.futures import CancelledError as FutureCancelledError
from typing import TypeAlias

import pytest

from holdfast import errors
from holdfast.core.classify import FaultKind, classify

K = FaultKind
Meaning: TypeAlias = tuple[FaultKind, bool, bool]

# what it is, whether it may pass, whether the dependency certainly did nothing
THROTTLED: Meaning = (K.THROTTLED, True, True)
REFUSED: Meaning = (K.OVERLOADED, True, True)
OVERLOADED: Meaning = (K.OVERLOADED, True, False)
LATE: Meaning = (K.TIMEOUT, True, False)
LATE_UNSENT: Meaning = (K.TIMEOUT, True, True)
NO_TIME: Meaning = (K.TIMEOUT, False, False)
UNCONNECTED: Meaning = (K.CONNECT, True, True)
LOST: Meaning = (K.CONNECT, True, False)
NOT_THERE: Meaning = (K.CONNECT, False, False)
TRUNCATED: Meaning = (K.TRUNCATED, True, False)
BROKEN_OFF: Meaning = (K.TRUNCATED, False, False)
MALFORMED: Meaning = (K.MALFORMED, True, False)
DAMAGED: Meaning = (K.MALFORMED, False, False)
EMPTY: Meaning = (K.EMPTY, True, False)
BUSY: Meaning = (K.TRANSIENT, True, True)
FAILED: Meaning = (K.TRANSIENT, True, False)
UNKNOWN: Meaning = (K.TRANSIENT, False, False)
AUTH: Meaning = (K.AUTH, False, False)
QUOTA: Meaning = (K.QUOTA, False, False)
TOO_LONG: Meaning = (K.CONTEXT_TOO_LONG, False, False)
FILTERED: Meaning = (K.CONTENT_FILTERED, False, False)
WRONG: Meaning = (K.BAD_REQUEST, False, False)
CANCELLED: Meaning = (K.CANCELLED, False, False)
BUG: Meaning = (K.BUG, False, False)


class AnswerError(Exception):
    """An answer with an error, as an SDK raises it."""

    def __init__(self, status: int, code: str | None = None, body: object = None) -> None:
        super().__init__(status)
        self.status_code, self.code, self.body = status, code, body


def meaning(error: BaseException, provider: str | None = None) -> Meaning:
    fault = classify(error, provider=provider)
    return fault.kind, fault.transient, fault.safe_to_replay


def foreign(module: str, name: str, **attributes: object) -> BaseException:
    """An error of a library, known by its names."""
    error = type(name, (Exception,), {"__module__": f"{module}.exceptions"})("foreign")
    vars(error).update(attributes)
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, AUTH),
        (402, QUOTA),
        (403, AUTH),
        (408, LATE),
        (413, TOO_LONG),
        (418, WRONG),
        (429, THROTTLED),
        (499, CANCELLED),
        (500, FAILED),
        (503, OVERLOADED),
        (504, LATE),
        (521, FAILED),
        (522, LATE),
        (523, FAILED),
        (524, LATE),
        (529, REFUSED),
    ],
)
def test_statuses(status: int, expected: Meaning) -> None:
    """An HTTP status alone; where a request was refused for load it certainly did nothing."""
    assert meaning(AnswerError(status)) == expected


_OF_OPENAI = [
    ("insufficient_quota credit_balance_exhausted project_spend_limit_exceeded", QUOTA),
    ("organization_spend_limit_exceeded organization_usage_limit_exceeded", QUOTA),
    ("rate_limit_exceeded slow_down", THROTTLED),
    ("server_is_overloaded", REFUSED),
    ("context_length_exceeded", TOO_LONG),
    ("content_filter content_policy_violation", FILTERED),
    ("invalid_api_key", AUTH),
]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("provider", "codes", "expected"),
    [
        *(("openai", *row) for row in _OF_OPENAI),
        *(("azure", *row) for row in _OF_OPENAI),
        ("azure", "ResponsibleAIPolicyViolation", FILTERED),
        ("anthropic", "enforced_spend_limit_reached contract_spend_limit_reached billing_error", QUOTA),
        ("anthropic", "linked_organization_spend_limit_reached", QUOTA),
        ("anthropic", "rate_limit_error", THROTTLED),
        ("anthropic", "overloaded_error", REFUSED),
        ("anthropic", "request_too_large", TOO_LONG),
        ("anthropic", "authentication_error permission_error", AUTH),
        ("anthropic", "timeout_error", LATE),
        ("anthropic", "api_error", FAILED),
        ("gemini", "RESOURCE_EXHAUSTED", THROTTLED),
        ("gemini", "UNAVAILABLE", OVERLOADED),
        ("gemini", "DEADLINE_EXCEEDED", LATE),
        ("gemini", "CANCELLED", CANCELLED),
        ("gemini", "PERMISSION_DENIED UNAUTHENTICATED", AUTH),
        ("voyage", "any", WRONG),
        ("cohere", "any", WRONG),
    ],
)
def test_codes_of_providers(provider: str, codes: str, expected: Meaning, named: bool) -> None:
    """A provider's own code says what is wrong, whatever the status, and whether or not the provider is named."""
    for code in codes.split():
        assert meaning(AnswerError(400, code), provider if named else None) == expected


@pytest.mark.parametrize(
    ("provider", "status", "text", "expected", "otherwise"),
    [
        ("openai", 400, "This model's maximum context length is 8192 tokens.", TOO_LONG, FAILED),
        ("azure", 400, "This model's maximum context length is 8192 tokens.", TOO_LONG, FAILED),
        ("anthropic", 400, "prompt is too long: 210000 tokens", TOO_LONG, FAILED),
        ("anthropic", 400, "Output blocked by content filtering policy", FILTERED, FAILED),
        ("gemini", 429, "GenerateRequestsPerDayPerProjectPerModel", QUOTA, FAILED),
        ("gemini", 400, "The input token count (40000) exceeds the maximum", TOO_LONG, FAILED),
        ("cohere", 429, "You are using a Trial key, which is limited", QUOTA, FAILED),
    ],
)
def test_texts_of_providers(provider: str, status: int, text: str, expected: Meaning, otherwise: Meaning) -> None:
    """Where no code tells errors apart the text does, for the status with which the provider sends it."""
    for named in (provider, None):
        assert meaning(AnswerError(status, body={"error": {"message": text}}), named) == expected
        assert meaning(AnswerError(500, body={"error": {"message": text}}), named) == otherwise


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((errors.RateLimitedError,), (K.THROTTLED, False, True)),
        ((errors.QuotaExhaustedError,), (K.QUOTA, False, True)),
        ((errors.RejectedError, errors.CircuitOpenError, errors.BulkheadFullError), (K.OVERLOADED, False, True)),
        ((errors.DeadlineExceededError,), NO_TIME),
        ((errors.AttemptTimeoutError,), LATE),
        ((errors.StoreUnavailableError, errors.ModelUnavailableError), NOT_THERE),
        ((errors.StoreLockedError,), BUSY),
        ((errors.StoreCorruptError,), DAMAGED),
    ],
)
def test_errors_of_ours(classes: tuple[type[BaseException], ...], expected: Meaning) -> None:
    """What the package's own errors mean; a refusal is never repeated by itself."""
    assert [meaning(each("x")) for each in classes] == [expected] * len(classes)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("InvalidInputError NotFoundError", WRONG),
        ("ConfigError MissingExtraError", BUG),
        ("MalformedAnswerError", MALFORMED),
        ("EmptyAnswerError", EMPTY),
        ("TruncatedAnswerError", TRUNCATED),
        ("ContentFilteredError", FILTERED),
        ("StreamInterruptedError", BROKEN_OFF),
    ],
)
def test_errors_of_ours_by_name(names: str, expected: Meaning) -> None:
    """Wrong input, bugs, and answers of models that are not what was asked for."""
    for name in names.split():
        assert hasattr(errors, name)
        assert meaning(foreign("holdfast", name)) == expected


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        *((each, LATE) for each in (TimeoutError(),)),
        *((each, UNCONNECTED) for each in (ConnectionRefusedError(), socket.gaierror())),
        *((each, LOST) for each in (ConnectionError(), ConnectionResetError(), ssl.SSLError())),
        *((each, LOST) for each in (http.client.HTTPException(), http.client.BadStatusLine("x"))),
        *((each, NOT_THERE) for each in (ssl.SSLCertVerificationError(),)),
        *((each, WRONG) for each in (FileNotFoundError(), FileExistsError(), NotADirectoryError())),
        *((each, WRONG) for each in (IsADirectoryError(),)),
        *((each, AUTH) for each in (PermissionError(),)),
        *((each, MALFORMED) for each in (UnicodeDecodeError("utf-8", b"", 0, 1, ""), json.JSONDecodeError("", "", 0))),
        *((each, TRUNCATED) for each in (EOFError(), IncompleteReadError(b"", 1), http.client.IncompleteRead(b""))),
        *((each, BUG) for each in (ValueError(), TypeError(), KeyError(), IndexError(), AttributeError(), NameError())),
        *((each, BUG) for each in (ZeroDivisionError(), OverflowError(), AssertionError(), ImportError())),
        *((each, BUG) for each in (NotImplementedError(), RecursionError())),
        *((each, CANCELLED) for each in (GeneratorExit(), KeyboardInterrupt(), SystemExit())),
        *((each, CANCELLED) for each in (TaskCancelledError(), FutureCancelledError())),
        *((each, BUG) for each in (sqlite3.ProgrammingError(), sqlite3.InterfaceError(), sqlite3.OperationalError())),
        *((each, WRONG) for each in (sqlite3.IntegrityError(), sqlite3.DataError())),
        *((each, DAMAGED) for each in (sqlite3.DatabaseError(),)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_of_python(each: BaseException, expected: Meaning) -> None:
    """What the interpreter and its library raise."""
    assert meaning(each) == expected


_HTTPX = [
    ("ConnectTimeout PoolTimeout", LATE_UNSENT),
    ("TimeoutException", LATE),
    ("ConnectError ProxyError", UNCONNECTED),
    ("DecodingError", MALFORMED),
    ("UnsupportedProtocol LocalProtocolError", BUG),
    ("TooManyRedirects", WRONG),
    ("NetworkError ProtocolError TransportError", LOST),
]
_SDK = [
    ("APITimeoutError", LATE),
    ("APIConnectionError", LOST),
    ("APIResponseValidationError", MALFORMED),
    ("LengthFinishReasonError", TRUNCATED),
    ("ContentFilterFinishReasonError", FILTERED),
    ("APIError", FAILED),
]


@pytest.mark.parametrize(
    ("module", "names", "expected"),
    [
        *((module, *row) for module in ("httpx", "httpx2", "httpcore", "httpcore2") for row in _HTTPX),
        ("aiohttp", "ConnectionTimeoutError", LATE_UNSENT),
        ("aiohttp", "ServerTimeoutError", LATE),
        ("aiohttp", "ClientConnectorCertificateError ServerFingerprintMismatch", NOT_THERE),
        ("aiohttp", "ClientConnectorError", UNCONNECTED),
        ("aiohttp", "ClientConnectionError", LOST),
        ("aiohttp", "ClientPayloadError", TRUNCATED),
        ("aiohttp", "InvalidURL", BUG),
        ("requests", "ConnectTimeout", LATE_UNSENT),
        ("requests", "Timeout", LATE),
        ("requests", "SSLError", NOT_THERE),
        ("requests", "ConnectionError", LOST),
        ("requests", "ChunkedEncodingError", TRUNCATED),
        ("requests", "ContentDecodingError JSONDecodeError", MALFORMED),
        ("requests", "TooManyRedirects", WRONG),
        ("requests", "MissingSchema InvalidSchema InvalidURL InvalidHeader", BUG),
        ("urllib3", "NewConnectionError", UNCONNECTED),
        ("urllib3", "TimeoutError", LATE),
        ("urllib3", "ProtocolError", LOST),
        *((module, *row) for module in ("openai", "anthropic") for row in _SDK),
        ("redis", "TimeoutError", LATE),
        ("redis", "AuthenticationError AuthorizationError NoPermissionError", AUTH),
        ("redis", "BusyLoadingError ClusterDownError", REFUSED),
        ("redis", "ReadOnlyError", BUSY),
        ("redis", "OutOfMemoryError", QUOTA),
        ("redis", "DataError", BUG),
        ("redis", "ConnectionError", LOST),
        ("redis", "ResponseError", WRONG),
        ("pymongo", "ServerSelectionTimeoutError", UNCONNECTED),
        ("pymongo", "NetworkTimeout ExecutionTimeout", LATE),
        ("pymongo", "WaitQueueTimeoutError", LATE_UNSENT),
        ("pymongo", "NotPrimaryError", BUSY),
        ("pymongo", "AutoReconnect", LOST),
        ("pymongo", "OperationFailure DocumentTooLarge", WRONG),
        ("pymongo", "ConfigurationError InvalidOperation", BUG),
    ],
)
def test_errors_of_libraries(module: str, names: str, expected: Meaning) -> None:
    """A library's error is known by its module and its name, without the library."""
    for name in names.split():
        assert meaning(foreign(module, name)) == expected
        assert meaning(foreign("elsewhere", name)) == UNKNOWN


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((6, 7, 91, 11600), LOST),
        ((13, 18), AUTH),
        ((24, 112, 189, 10107, 11602, 13435, 13436), BUSY),
        ((50, 89), LATE),
        ((0, 2, 11000), WRONG),
    ],
)
def test_numbers_of_mongo(codes: tuple[int, ...], expected: Meaning) -> None:
    """The server's number says more than the class; one that nobody lists leaves what the class says."""
    assert [meaning(foreign("pymongo", "OperationFailure", code=each)) for each in codes] == [expected] * len(codes)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("ECONNREFUSED ENETUNREACH EHOSTUNREACH ENETDOWN EHOSTDOWN EADDRNOTAVAIL", UNCONNECTED),
        ("ECONNRESET ECONNABORTED EPIPE ENOTCONN", LOST),
        ("ETIMEDOUT", LATE),
        ("EAGAIN EBUSY EDEADLK", BUSY),
        ("EINTR", FAILED),
        ("EMFILE ENFILE", REFUSED),
        ("ENOSPC EDQUOT", QUOTA),
        ("EROFS ENODEV ESTALE", NOT_THERE),
        ("ENOTTY", UNKNOWN),
    ],
)
def test_numbers_of_the_system(names: str, expected: Meaning) -> None:
    """What the operating system's number says, where the class does not."""
    for name in names.split():
        number = getattr(errno, name)
        assert meaning(OSError(number, os.strerror(number))) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("BUSY BUSY_SNAPSHOT LOCKED PROTOCOL", BUSY),
        ("CANTOPEN READONLY PERM IOERR IOERR_READ", NOT_THERE),
        ("FULL", QUOTA),
        ("CORRUPT NOTADB", DAMAGED),
        ("INTERRUPT", CANCELLED),
        ("ERROR", BUG),
    ],
)
def test_codes_of_sqlite(names: str, expected: Meaning) -> None:
    """SQLite's primary result code, also where it is extended."""
    for name in names.split():
        error = sqlite3.OperationalError(name)
        error.sqlite_errorname = f"SQLITE_{name}"
        assert meaning(error) == expected
