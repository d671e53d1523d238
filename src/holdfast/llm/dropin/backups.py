"""Who is asked when the caller's own provider fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from holdfast.core._options import options_by_name
from holdfast.errors import ConfigError
from holdfast.llm.dropin.sdk import SdkClient, known_client
from holdfast.llm.routing.known import KNOWN_PROVIDERS
from holdfast.llm.routing.short import target_from_name
from holdfast.llm.routing.targets import Provider, Target

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.llm.dropin.options import Options
    from holdfast.llm.dropin.sdk import SdkKind
    from holdfast.llm.routing.known import KnownProvider
    from holdfast.llm.routing.targets import Kind

__all__ = ["Backup", "Standby", "provider_for", "standbys"]

_EMBEDDINGS = "openai.embeddings"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.\-]+")


@options_by_name
@dataclass(frozen=True, slots=True)
class Backup:
    """Somebody else to ask: another client of the same SDK, or a target by its name.

    Args:
        to: a client, with its own address and key; or e.g. ``"openrouter/openai/gpt-4o"``, whose key is taken from the
            environment.
        model: the model to ask there for a chat; or a mapping from models that callers ask for to what they are called
            there; None is the caller's own. A target by its name brings its model.

    Raises:
        ConfigError: it is neither a client nor a name, or the model fits neither.
    """

    to: SdkClient
    model: str | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.to, str):
            if self.model is not None:
                raise ConfigError("model", self.model, "must not be given beside a target by its name, which has one")
            return
        known_client(self.to, "to")
        if self.model is not None and not isinstance(self.model, str | Mapping):
            raise ConfigError("model", self.model, "must be a model's name, or a mapping of models' names")

    def __repr__(self) -> str:
        return f"Backup({self.to if isinstance(self.to, str) else type(self.to).__name__!r}, model={self.model!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """A backup that is ready to be asked.

    Attributes:
        provider: who.
        client: the SDK's client that asks it; None where it is asked with a key of ours.
        model: see :class:`Backup`.
    """

    provider: Provider
    client: SdkClient | None
    model: str | Mapping[str, str] | None

    def target(self, asked: str, wire: str) -> Target | None:
        """Whom to ask instead of the model ``asked``; None when it is not there for that.

        Vectors of two models never mix: a question for embeddings goes to the same model only, or to one of which the
        mapping says that it is the same.
        """
        model = self.model
        if isinstance(model, Mapping):
            model = model.get(asked, asked)
        elif model is None:
            model = asked
        elif wire == _EMBEDDINGS and model != asked:
            return None
        return Target(provider=self.provider, model=model)


def provider_for(
    base_url: str, *, protocol: Kind, taken: Collection[str], options: Options, suffix: str = ""
) -> Provider:
    """The provider at an address: a well-known one by its name, another by its host.

    Args:
        base_url: what the protocol's paths are put behind.
        protocol: what it speaks.
        taken: names that stand for others.
        options: what holds for each of them.
        suffix: what to put behind a name that is taken; by default a number.
    """
    base_url = base_url.rstrip("/")
    parts = urlsplit(base_url)
    known = _known_at(base_url, protocol)
    host = (parts.hostname or "provider") + ("" if parts.port is None else f"-{parts.port}")
    plain = known[0] if known else _NOT_IN_NAMES.sub("-", host).strip("-.")[:56] or "provider"
    candidates = [
        plain,
        *([f"{plain}-{suffix}"] if suffix else []),
        *(f"{plain}-{n}" for n in range(2, len(taken) + 3)),
    ]
    name = next(each for each in candidates if each not in taken)
    table = known[1].error_table if known else "azure" if host.endswith(".azure.com") else None
    required = known is None or known[1].finish_required
    return Provider(
        name=name,
        kind=protocol,
        base_url=base_url,
        error_table=table or (protocol if protocol == "anthropic" else None),
        finish_required=required if options.finish_required is None else options.finish_required,
        prices_as=known[0] if known else None,
        allow_http=True,  # the caller has chosen the address
        breaker=options.breaker,
    )


def _known_at(base_url: str, protocol: Kind) -> tuple[str, KnownProvider] | None:
    """The well-known provider at an address. Servers on one's own machine are reached by its name as well."""
    base_url = base_url.replace("http://localhost:", "http://127.0.0.1:", 1)
    known = ((name, each) for name, each in KNOWN_PROVIDERS.items() if each.kind == protocol)
    return next(((name, each) for name, each in known if each.base_url == base_url), None)


def standbys(
    fallbacks: Sequence[Any], *, like: SdkKind | None, taken: Sequence[str], options: Options
) -> tuple[Standby, ...]:
    """The backups in ``fallbacks``, ready to be asked.

    Args:
        fallbacks: clients, names of targets, and :class:`Backup`; what is ready already stays as it is.
        like: of which kind they have to be; None: targets by their names, of any protocol.
        taken: names of providers that stand for others.
        options: what holds for each of them.

    Raises:
        ConfigError: one is nothing of that, or of another kind.
    """
    if isinstance(fallbacks, str | Backup) or not hasattr(fallbacks, "__iter__"):
        raise ConfigError("fallbacks", fallbacks, "must be a list")
    names = list(taken)
    found: list[Standby] = []
    for given in fallbacks:
        standby = given if isinstance(given, Standby) else _ready(given, like, names, options)
        same = any(each.provider == standby.provider and each.client is standby.client for each in found)
        if standby.provider.name in names and not same:
            standby = replace(standby, provider=_renamed(standby.provider, names))
        names.append(standby.provider.name)
        found.append(standby)
    return tuple(found)


def _ready(
    given: Any,  # noqa: ANN401  whatever the user has put into the list
    like: SdkKind | None,
    names: Sequence[str],
    options: Options,
) -> Standby:
    backup = given if isinstance(given, Backup) else Backup(given)
    if isinstance(backup.to, str):
        return _by_name(backup.to, like, options.environ)
    return _by_client(backup, like, names, options)


def _by_name(name: str, like: SdkKind | None, environ: Mapping[str, str] | None) -> Standby:
    target = target_from_name(name, environ=environ, field="fallbacks")
    kind = target.provider.kind
    if like is not None and kind != like.protocol:
        raise ConfigError("fallbacks", name, f"must speak the protocol of the client; it speaks that of {kind}")
    return Standby(provider=target.provider, client=None, model=target.model)


def _by_client(backup: Backup, like: SdkKind | None, taken: Sequence[str], options: Options) -> Standby:
    kind = known_client(backup.to, "fallbacks")
    if like is None or kind[:2] != like[:2]:
        what = "a target by its name" if like is None else f"{like.label} as the client is, or a target by its name"
        raise ConfigError("fallbacks", kind.label, f"must be {what}")
    provider = provider_for(str(backup.to.base_url), protocol=kind.protocol, taken=taken, options=options)
    return Standby(provider=provider, client=backup.to, model=backup.model)


def _renamed(provider: Provider, taken: Sequence[str]) -> Provider:
    number = 2
    while f"{provider.name}-{number}" in taken:
        number += 1
    return replace(provider, name=f"{provider.name}-{number}", prices_as=provider.priced_as)
