"""Routes for whatever is asked: made on the way, from the address and the model of a request."""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from holdfast.llm.dropin.backups import provider_for
from holdfast.llm.dropin.options import bounded_by
from holdfast.llm.routing.keys import Key
from holdfast.llm.routing.targets import ModelRoute, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from holdfast.llm.dropin.backups import Standby
    from holdfast.llm.dropin.endpoints import Asked
    from holdfast.llm.dropin.options import Options
    from holdfast.llm.routing.targets import Kind, Provider

__all__ = ["Home", "RouteBook"]

_MOST_ROUTES = 512
_MOST_KEYS = 256
_MOST_NAMES = 256
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.\-_]+")
_CREDENTIALS = ("authorization", "x-api-key", "api-key")


@dataclass(frozen=True, slots=True)
class Home:
    """Where a question was addressed to: the caller's own provider, with the caller's own credentials."""

    route: ModelRoute
    provider: Provider

    @property
    def key(self) -> str:
        """What the caller's credentials are called."""
        return self.provider.keys[0].name


class RouteBook:
    """Routes by what they are for; those that were used last are kept.

    Args:
        standbys: who is asked when the provider of a question fails.
        options: time and calls.
        forget: told of each target that no route leads to any more.
    """

    def __init__(self, standbys: Sequence[Standby], options: Options, *, forget: Callable[[str], None]) -> None:
        self._standbys = standbys
        self._options = options
        self._routes: OrderedDict[tuple[Any, ...], Home] = OrderedDict()
        self._first: dict[str, str] = {}
        self._forget = forget

    def home(self, asked: Asked) -> Home:
        """The route for ``asked``.

        Raises:
            ConfigError: its address is not one that a provider can have.
        """
        credentials = _credentials(asked.headers)
        known = (asked.base_url, credentials, asked.wire.name, asked.model, asked.waits, asked.bound)
        found = self._routes.get(known)
        if found is not None:
            self._routes.move_to_end(known)
            return found
        found = self._routes[known] = self._make(asked, credentials)
        if len(self._routes) > _MOST_ROUTES:
            self._drop_oldest()
        return found

    def _drop_oldest(self) -> None:
        _, dropped = self._routes.popitem(last=False)
        used = {target.name for home in self._routes.values() for target in home.route.targets}
        for target in dropped.route.targets:
            if target.name not in used:
                self._forget(target.name)

    def _make(self, asked: Asked, credentials: str) -> Home:
        wire = asked.wire.name
        provider = replace(self._provider(asked), keys=(Key(name=credentials, value=""),))
        targets = {f"{provider.name}/{asked.model}": Target(provider=provider, model=asked.model)}
        for standby in () if asked.bound else self._standbys:
            target = standby.target(asked.model, wire)
            if target is not None and target.provider.kind == provider.kind:
                targets.setdefault(target.name, target)
        route = ModelRoute(
            name=_NOT_IN_NAMES.sub("-", asked.model).strip("-._")[:64] or "model",
            targets=tuple(targets.values()),
            options=bounded_by(self._options.of(wire), asked.waits),
        )
        return Home(route, provider)

    def _provider(self, asked: Asked) -> Provider:
        kind: Kind = "anthropic" if asked.wire.name.startswith("anthropic") else "openai"
        others = [standby.provider.name for standby in self._standbys]
        provider = provider_for(asked.base_url, protocol=kind, taken=others, options=self._options, suffix="home")
        if len(self._first) < _MOST_NAMES and self._first.setdefault(provider.name, asked.base_url) == asked.base_url:
            return provider
        if self._first.get(provider.name) == asked.base_url:
            return provider
        # another address at the same host, such as another deployment at Azure
        return replace(provider, name=f"{provider.name[:55]}-{zlib.crc32(asked.base_url.encode()):08x}")


def _credentials(headers: Mapping[str, str]) -> str:
    """A name for the caller's credentials, which says nothing about them: keys that differ are parked one by one.

    There are few such names, for some callers make a new token for each call.
    """
    said = "\0".join(headers.get(name, "") for name in _CREDENTIALS)
    return f"caller-{zlib.crc32(said.encode()) % _MOST_KEYS}"
