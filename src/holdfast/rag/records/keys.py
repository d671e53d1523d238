"""API keys: what is known of them, and the protocol of what keeps it.

A key is 256 random bits. What is stored is its SHA-256: a hash that is slow on purpose protects secrets that can be
guessed, and this one cannot. The key itself is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.rag.names import is_plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "KEY_PREFIX",
    "MAX_KEYS",
    "ApiKey",
    "KeyStore",
    "check_key",
    "digest_of",
    "find_key",
    "make_key",
    "name_in_use",
    "too_many_keys",
]

KEY_PREFIX = "hf_"
MAX_KEYS = 1_000
"""Keys of one service, revoked ones included: keys are for programs and teams, not for each of their users."""

NAME_MAX_CHARS = 100

_SHOWN_CHARS = 8  # 48 bits of the 256: enough to tell keys apart, and no help in guessing one


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key. Times are Unix seconds.

    Attributes:
        name: what it is for; keys that are not revoked have different names.
        digest: SHA-256 of the key, in hex.
        prefix: how the key begins, for people to recognise it: ``hf_ab12cd34``.
        last_used_at: to the minute; None: never.
        expires_at: from then on it is refused; None: never.
        revoked_at: since then it is refused; None: it is not.
        requests_per_minute, tokens_per_minute: its own limits, at least 1; None: the service's.
        priority: of requests that name none, 0 to 9; None: the service's.
    """

    name: str
    digest: str = field(repr=False)
    prefix: str
    created_at: float
    last_used_at: float | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    priority: int | None = None

    def usable(self, now: float) -> bool:
        """Whether it is accepted at ``now``, Unix seconds."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@runtime_checkable
class KeyStore(Protocol):
    """Keeps what is known of keys. Failures as in ``ConversationStore``."""

    @property
    def name(self) -> str:
        """The dependency's name; that of the conversations beside it."""
        ...

    async def open(self) -> None:
        """Make it ready, creating it when it is not there. Idempotent."""
        ...

    async def close(self) -> None:
        """Release it. Idempotent."""
        ...

    async def add(self, key: ApiKey) -> None:
        """Keep a new key. It is durable when this returns.

        Raises:
            InvalidInputError: a field is out of its bounds, a key that is not revoked has this name, the key is there
                already, or there are ``MAX_KEYS``.
        """
        ...

    async def keys(self) -> Sequence[ApiKey]:
        """All keys, oldest first; revoked and expired ones included."""
        ...

    async def revoke(self, digest: str, *, at: float) -> bool:
        """Refuse a key from now on; False when it is not there. A key that is revoked already stays as it is."""
        ...

    async def delete(self, digest: str) -> bool:
        """Forget a key altogether; False when it was not there."""
        ...

    async def used(self, times: Mapping[str, float]) -> None:
        """Note when keys (by digest) were used last; earlier times than are noted, and unknown keys, change nothing."""
        ...


def make_key(
    name: str,
    *,
    now: float,
    expires_at: float | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    priority: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key: what is to be stored of it, and the key itself, which is to be shown once.

    Raises:
        InvalidInputError: a field is out of its bounds.
    """
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        digest=digest_of(secret),
        prefix=secret[: len(KEY_PREFIX) + _SHOWN_CHARS],
        created_at=now,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        priority=priority,
    )
    check_key(key)
    return key, secret


def digest_of(secret: str) -> str:
    """The SHA-256 of a key, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_key(key: ApiKey) -> None:
    """Return when the key may be kept.

    Raises:
        InvalidInputError: it may not.
    """
    name = key.name
    if not 1 <= len(name) <= NAME_MAX_CHARS or not name.strip() or not is_plain_name(name):
        raise InvalidInputError("name", f"must be 1 to {NAME_MAX_CHARS} printable characters, and not only spaces")
    if name.startswith(KEY_PREFIX):
        raise InvalidInputError("name", f"must not begin with {KEY_PREFIX}, as keys do")
    for limit in ("requests_per_minute", "tokens_per_minute"):
        value = getattr(key, limit)
        if value is not None and not 1 <= value < 2**63:
            raise InvalidInputError(limit, f"must be at least 1, got {value}")
    if key.priority is not None and not 0 <= key.priority <= 9:
        raise InvalidInputError("priority", f"must be from 0 to 9, got {key.priority}")
    if key.expires_at is not None and not key.created_at < key.expires_at < 1e12:
        raise InvalidInputError("expires_at", "must be a time after now")


def name_in_use(name: str) -> InvalidInputError:
    """A key cannot be added under this name."""
    return InvalidInputError(
        "name",
        f"{name!r} is the name of a key already: revoke that one first (`holdfast keys revoke`), or choose another",
    )


def too_many_keys() -> InvalidInputError:
    """No more keys are kept."""
    return InvalidInputError(
        "name", f"there are {MAX_KEYS:,} keys already: remove old ones with `holdfast keys revoke NAME --delete`"
    )


def find_key(keys: Sequence[ApiKey], name_or_prefix: str) -> ApiKey:
    """The key that somebody means: by its name, or by how it begins.

    Of several with one name it is the one that is not revoked, else the last one.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: several keys begin like this.
    """
    named = [key for key in keys if key.name == name_or_prefix]
    if named:
        return next((key for key in named if key.revoked_at is None), named[-1])
    wanted = name_or_prefix.rstrip("….")
    begun = [key for key in keys if wanted.startswith(KEY_PREFIX) and key.prefix.startswith(wanted)]
    if wanted == KEY_PREFIX or not begun:
        raise NotFoundError("key", f"There is no key {name_or_prefix!r}: `holdfast keys list` shows what there is.")
    if len(begun) > 1:
        names = ", ".join(key.name for key in begun[:5])
        raise InvalidInputError("key", f"{len(begun)} keys begin with {wanted} ({names}): use the name")
    return begun[0]
