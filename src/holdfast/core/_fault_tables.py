"""The tables behind ``classify``: data, so that a provider's peculiarity is a line and not a branch."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from holdfast.core.faults import FaultKind as Kind
from holdfast.errors import QuotaExhaustedError, RateLimitedError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ANY_PROVIDER",
    "BY_ERRNO",
    "BY_MONGO",
    "BY_REFUSAL",
    "BY_SQLITE",
    "BY_STATUS",
    "BY_TYPE",
    "CLIENT_ERROR",
    "PROVIDERS",
    "SERVER_ERROR",
    "UNKNOWN",
    "Provider",
    "Verdict",
]


class Verdict(NamedTuple):
    """A row: the kind, whether a repetition may help, and whether the dependency certainly did nothing."""

    kind: Kind
    transient: bool
    safe: bool = False


UNKNOWN = Verdict(Kind.TRANSIENT, transient=False)
"""Nobody knows it: it counts against the dependency, and is not retried unless the caller lists it."""
SERVER_ERROR = Verdict(Kind.TRANSIENT, transient=True)
CLIENT_ERROR = Verdict(Kind.BAD_REQUEST, transient=False)

_THROTTLED = Verdict(Kind.THROTTLED, transient=True, safe=True)
_REFUSED_LOAD = Verdict(Kind.OVERLOADED, transient=True, safe=True)
_OVERLOADED = Verdict(Kind.OVERLOADED, transient=True)
_TIMEOUT = Verdict(Kind.TIMEOUT, transient=True)
_NOT_SENT_IN_TIME = Verdict(Kind.TIMEOUT, transient=True, safe=True)
_NOT_CONNECTED = Verdict(Kind.CONNECT, transient=True, safe=True)
_CONNECTION_LOST = Verdict(Kind.CONNECT, transient=True)
_NOT_THERE = Verdict(Kind.CONNECT, transient=False)
_TRUNCATED = Verdict(Kind.TRUNCATED, transient=True)
_MALFORMED = Verdict(Kind.MALFORMED, transient=True)
_DAMAGED = Verdict(Kind.MALFORMED, transient=False)
_LOCKED = Verdict(Kind.TRANSIENT, transient=True, safe=True)
_AUTH = Verdict(Kind.AUTH, transient=False)
_QUOTA = Verdict(Kind.QUOTA, transient=False)
_TOO_LONG = Verdict(Kind.CONTEXT_TOO_LONG, transient=False)
_FILTERED = Verdict(Kind.CONTENT_FILTERED, transient=False)
_CANCELLED = Verdict(Kind.CANCELLED, transient=False)
_BUG = Verdict(Kind.BUG, transient=False)

BY_STATUS: Mapping[int, Verdict] = {
    401: _AUTH,
    402: _QUOTA,
    403: _AUTH,
    408: _TIMEOUT,
    413: _TOO_LONG,
    429: _THROTTLED,
    499: _CANCELLED,
    503: _OVERLOADED,
    504: _TIMEOUT,
    522: _TIMEOUT,  # 52x: a proxy in front of the provider speaks
    524: _TIMEOUT,
    529: _REFUSED_LOAD,
}
"""By HTTP status; other 4xx are :data:`CLIENT_ERROR`, other 5xx :data:`SERVER_ERROR`."""


class Provider(NamedTuple):
    """What one provider's error bodies mean.

    Attributes:
        codes: by the code, type or status in the body; a code outranks the HTTP status.
        texts: for a status and a fragment of the body, where no code tells them apart.
    """

    codes: Mapping[str, Verdict]
    texts: tuple[tuple[int, str, Verdict], ...] = ()


_OPENAI: Mapping[str, Verdict] = {
    "insufficient_quota": _QUOTA,
    "credit_balance_exhausted": _QUOTA,
    "organization_spend_limit_exceeded": _QUOTA,
    "project_spend_limit_exceeded": _QUOTA,
    "organization_usage_limit_exceeded": _QUOTA,
    "rate_limit_exceeded": _THROTTLED,
    "slow_down": _THROTTLED,
    "server_is_overloaded": _REFUSED_LOAD,
    "context_length_exceeded": _TOO_LONG,
    "content_filter": _FILTERED,
    "content_policy_violation": _FILTERED,
    "invalid_api_key": _AUTH,
}

_NO_CODE = ((400, "maximum context length", _TOO_LONG),)  # servers that speak OpenAI's protocol without its codes

PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(_OPENAI, _NO_CODE),
    "azure": Provider({**_OPENAI, "ResponsibleAIPolicyViolation": _FILTERED}, _NO_CODE),
    "anthropic": Provider(
        {
            "enforced_spend_limit_reached": _QUOTA,
            "contract_spend_limit_reached": _QUOTA,
            "linked_organization_spend_limit_reached": _QUOTA,
            "billing_error": _QUOTA,
            "rate_limit_error": _THROTTLED,
            "overloaded_error": _REFUSED_LOAD,
            "request_too_large": _TOO_LONG,
            "authentication_error": _AUTH,
            "permission_error": _AUTH,
            "timeout_error": _TIMEOUT,
            "api_error": SERVER_ERROR,
        },
        (  # their code is that of every bad request
            (400, "prompt is too long", _TOO_LONG),
            (400, "content filtering policy", _FILTERED),
        ),
    ),
    "gemini": Provider(
        {
            "RESOURCE_EXHAUSTED": _THROTTLED,
            "UNAVAILABLE": _OVERLOADED,
            "DEADLINE_EXCEEDED": _TIMEOUT,
            "CANCELLED": _CANCELLED,
            "PERMISSION_DENIED": _AUTH,
            "UNAUTHENTICATED": _AUTH,
        },
        (
            (429, "PerDay", _QUOTA),  # the same code for a rate and for the day's allowance
            (400, "input token count", _TOO_LONG),
        ),
    ),
    "voyage": Provider({}),
    "cohere": Provider({}, ((429, "Trial key", _QUOTA),)),
}
"""By the provider's name. Hosts that reuse a code with another meaning get a row of their own."""

ANY_PROVIDER = Provider(
    {code: verdict for each in PROVIDERS.values() for code, verdict in each.codes.items()},
    tuple(row for each in PROVIDERS.values() for row in each.texts),
)
"""For an error whose provider nobody names."""

BY_REFUSAL: Mapping[type[RejectedError], Kind] = {
    RateLimitedError: Kind.THROTTLED,
    QuotaExhaustedError: Kind.QUOTA,
    RejectedError: Kind.OVERLOADED,
}
"""What a policy of ours means that refuses a call; the first that fits. None of them is evidence against anybody."""

BY_TYPE: Mapping[tuple[str, str], Verdict] = {
    # ours
    ("holdfast", "InvalidInputError"): CLIENT_ERROR,
    ("holdfast", "NotFoundError"): CLIENT_ERROR,
    ("holdfast", "ConfigError"): _BUG,
    ("holdfast", "MissingExtraError"): _BUG,
    ("holdfast", "DeadlineExceededError"): Verdict(Kind.TIMEOUT, transient=False),
    ("holdfast", "AttemptTimeoutError"): _TIMEOUT,
    ("holdfast", "StoreInterruptedError"): _CONNECTION_LOST,
    ("holdfast", "StoreUnavailableError"): _NOT_THERE,
    ("holdfast", "StoreLockedError"): _LOCKED,
    ("holdfast", "StoreCorruptError"): _DAMAGED,
    ("holdfast", "ModelUnavailableError"): _NOT_THERE,
    ("holdfast", "MalformedAnswerError"): _MALFORMED,
    ("holdfast", "EmptyAnswerError"): Verdict(Kind.EMPTY, transient=True),
    ("holdfast", "TruncatedAnswerError"): _TRUNCATED,
    ("holdfast", "ContentFilteredError"): _FILTERED,
    ("holdfast", "StreamInterruptedError"): Verdict(Kind.TRUNCATED, transient=False),
    # Python
    ("builtins", "TimeoutError"): _TIMEOUT,
    ("builtins", "ConnectionRefusedError"): _NOT_CONNECTED,
    ("builtins", "ConnectionError"): _CONNECTION_LOST,
    ("builtins", "FileNotFoundError"): CLIENT_ERROR,
    ("builtins", "FileExistsError"): CLIENT_ERROR,
    ("builtins", "NotADirectoryError"): CLIENT_ERROR,
    ("builtins", "IsADirectoryError"): CLIENT_ERROR,
    ("builtins", "PermissionError"): _AUTH,
    ("builtins", "UnicodeDecodeError"): _MALFORMED,
    ("json", "JSONDecodeError"): _MALFORMED,
    ("builtins", "EOFError"): _TRUNCATED,
    ("builtins", "ValueError"): _BUG,
    ("builtins", "TypeError"): _BUG,
    ("builtins", "LookupError"): _BUG,
    ("builtins", "AttributeError"): _BUG,
    ("builtins", "NameError"): _BUG,
    ("builtins", "ArithmeticError"): _BUG,
    ("builtins", "AssertionError"): _BUG,
    ("builtins", "ImportError"): _BUG,
    ("builtins", "NotImplementedError"): _BUG,
    ("builtins", "RecursionError"): _BUG,
    ("builtins", "GeneratorExit"): _CANCELLED,
    ("builtins", "KeyboardInterrupt"): _CANCELLED,
    ("builtins", "SystemExit"): _CANCELLED,
    ("asyncio", "CancelledError"): _CANCELLED,
    ("asyncio", "IncompleteReadError"): _TRUNCATED,
    ("concurrent", "CancelledError"): _CANCELLED,
    ("socket", "gaierror"): _NOT_CONNECTED,
    ("ssl", "SSLCertVerificationError"): _NOT_THERE,
    ("ssl", "SSLError"): _CONNECTION_LOST,
    ("http", "IncompleteRead"): _TRUNCATED,
    ("http", "HTTPException"): _CONNECTION_LOST,
    ("sqlite3", "ProgrammingError"): _BUG,
    ("sqlite3", "InterfaceError"): _BUG,
    ("sqlite3", "IntegrityError"): CLIENT_ERROR,
    ("sqlite3", "DataError"): CLIENT_ERROR,
    ("sqlite3", "OperationalError"): _BUG,  # wrong SQL, unless its code says otherwise (BY_SQLITE)
    ("sqlite3", "DatabaseError"): _DAMAGED,
    # clients of HTTP
    **{
        (module, name): verdict
        for module in ("httpx", "httpx2", "httpcore", "httpcore2")
        for name, verdict in {
            "ConnectTimeout": _NOT_SENT_IN_TIME,
            "PoolTimeout": _NOT_SENT_IN_TIME,
            "TimeoutException": _TIMEOUT,
            "ConnectError": _NOT_CONNECTED,
            "ProxyError": _NOT_CONNECTED,
            "DecodingError": _MALFORMED,
            "UnsupportedProtocol": _BUG,
            "LocalProtocolError": _BUG,
            "TooManyRedirects": CLIENT_ERROR,
            "NetworkError": _CONNECTION_LOST,
            "ProtocolError": _CONNECTION_LOST,
            "TransportError": _CONNECTION_LOST,
        }.items()
    },
    ("aiohttp", "ConnectionTimeoutError"): _NOT_SENT_IN_TIME,
    ("aiohttp", "ServerTimeoutError"): _TIMEOUT,
    ("aiohttp", "ClientConnectorCertificateError"): _NOT_THERE,
    ("aiohttp", "ServerFingerprintMismatch"): _NOT_THERE,
    ("aiohttp", "ClientConnectorError"): _NOT_CONNECTED,
    ("aiohttp", "ClientConnectionError"): _CONNECTION_LOST,
    ("aiohttp", "ClientPayloadError"): _TRUNCATED,
    ("aiohttp", "InvalidURL"): _BUG,
    ("requests", "ConnectTimeout"): _NOT_SENT_IN_TIME,
    ("requests", "Timeout"): _TIMEOUT,
    ("requests", "SSLError"): _NOT_THERE,
    ("requests", "ConnectionError"): _CONNECTION_LOST,
    ("requests", "ChunkedEncodingError"): _TRUNCATED,
    ("requests", "ContentDecodingError"): _MALFORMED,
    ("requests", "JSONDecodeError"): _MALFORMED,
    ("requests", "TooManyRedirects"): CLIENT_ERROR,
    ("requests", "MissingSchema"): _BUG,
    ("requests", "InvalidSchema"): _BUG,
    ("requests", "InvalidURL"): _BUG,
    ("requests", "InvalidHeader"): _BUG,
    ("urllib3", "NewConnectionError"): _NOT_CONNECTED,
    ("urllib3", "TimeoutError"): _TIMEOUT,
    ("urllib3", "ProtocolError"): _CONNECTION_LOST,
    # model SDKs
    **{
        (module, name): verdict
        for module in ("openai", "anthropic")
        for name, verdict in {
            "APITimeoutError": _TIMEOUT,
            "APIConnectionError": _CONNECTION_LOST,
            "APIResponseValidationError": _MALFORMED,
            "LengthFinishReasonError": _TRUNCATED,
            "ContentFilterFinishReasonError": _FILTERED,
            "APIError": SERVER_ERROR,  # an error event inside a stream, without a status
        }.items()
    },
    # stores and caches
    ("redis", "TimeoutError"): _TIMEOUT,
    ("redis", "AuthenticationError"): _AUTH,
    ("redis", "AuthorizationError"): _AUTH,
    ("redis", "BusyLoadingError"): _REFUSED_LOAD,
    ("redis", "NoPermissionError"): _AUTH,
    ("redis", "ReadOnlyError"): _LOCKED,
    ("redis", "ClusterDownError"): _REFUSED_LOAD,
    ("redis", "OutOfMemoryError"): _QUOTA,
    ("redis", "DataError"): _BUG,
    ("redis", "ConnectionError"): _CONNECTION_LOST,
    ("redis", "ResponseError"): CLIENT_ERROR,
    ("pymongo", "ServerSelectionTimeoutError"): _NOT_CONNECTED,
    ("pymongo", "NetworkTimeout"): _TIMEOUT,
    ("pymongo", "ExecutionTimeout"): _TIMEOUT,
    ("pymongo", "WaitQueueTimeoutError"): _NOT_SENT_IN_TIME,
    ("pymongo", "NotPrimaryError"): _LOCKED,
    ("pymongo", "AutoReconnect"): _CONNECTION_LOST,
    ("pymongo", "OperationFailure"): CLIENT_ERROR,  # unless its code says otherwise (BY_MONGO)
    ("pymongo", "DocumentTooLarge"): CLIENT_ERROR,
    ("pymongo", "ConfigurationError"): _BUG,
    ("pymongo", "InvalidOperation"): _BUG,
}
"""By the class's top-level module and name; the first match along the method resolution order wins."""

BY_MONGO: Mapping[int, Verdict] = {
    6: _CONNECTION_LOST,  # host unreachable, from inside the cluster
    7: _CONNECTION_LOST,
    13: _AUTH,
    18: _AUTH,
    24: _LOCKED,
    50: _TIMEOUT,
    89: _TIMEOUT,
    91: _CONNECTION_LOST,  # shutting down
    112: _LOCKED,  # a write conflict: nothing was written
    189: _LOCKED,  # stepped down; as below, another one is primary now
    10107: _LOCKED,
    11600: _CONNECTION_LOST,
    11602: _LOCKED,
    13435: _LOCKED,
    13436: _LOCKED,
}
"""By the server's number of an OperationFailure."""

BY_ERRNO: Mapping[int, Verdict] = {
    errno.ECONNREFUSED: _NOT_CONNECTED,
    errno.ENETUNREACH: _NOT_CONNECTED,
    errno.EHOSTUNREACH: _NOT_CONNECTED,
    errno.ENETDOWN: _NOT_CONNECTED,
    errno.EHOSTDOWN: _NOT_CONNECTED,
    errno.EADDRNOTAVAIL: _NOT_CONNECTED,  # no free local port
    errno.ECONNRESET: _CONNECTION_LOST,
    errno.ECONNABORTED: _CONNECTION_LOST,
    errno.EPIPE: _CONNECTION_LOST,
    errno.ENOTCONN: _CONNECTION_LOST,
    errno.ETIMEDOUT: _TIMEOUT,
    errno.EAGAIN: _LOCKED,
    errno.EBUSY: _LOCKED,
    errno.EDEADLK: _LOCKED,
    errno.EINTR: SERVER_ERROR,
    errno.EMFILE: _REFUSED_LOAD,  # no free file descriptor, here or in the system
    errno.ENFILE: _REFUSED_LOAD,
    errno.ENOSPC: _QUOTA,
    errno.EDQUOT: _QUOTA,
    errno.EROFS: _NOT_THERE,
    errno.ENODEV: _NOT_THERE,
    errno.ESTALE: _NOT_THERE,
}
"""For an OSError whose class says nothing."""

BY_SQLITE: Mapping[str, Verdict] = {
    "BUSY": _LOCKED,
    "LOCKED": _LOCKED,
    "PROTOCOL": _LOCKED,  # lost a race for the write-ahead log's locks
    "CANTOPEN": _NOT_THERE,
    "READONLY": _NOT_THERE,
    "PERM": _NOT_THERE,
    "IOERR": _NOT_THERE,
    "FULL": _QUOTA,
    "CORRUPT": _DAMAGED,
    "NOTADB": _DAMAGED,
    "INTERRUPT": _CANCELLED,
}
"""By SQLite's primary result code."""
