"""Everything that lives longer than a question: the links with what is known of them, the clients, the books."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Events
from holdfast.core.patience import Patience
from holdfast.llm.costs import CallCost, CostBook, priced_event
from holdfast.llm.messages import Usage
from holdfast.llm.prices import load_prices
from holdfast.llm.routing.background import Background
from holdfast.llm.routing.link import KeyState, Link, TargetState
from holdfast.llm.streams.hedges import HedgeAllowance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Http
    from holdfast.llm.costs import Cause
    from holdfast.llm.prices import Prices
    from holdfast.llm.routing.link import LinkSnapshot
    from holdfast.llm.routing.targets import Choice, Provider, Target

__all__ = ["Network"]

_MOST_LISTS = 256
"""Lists of targets whose links are remembered: routes may be made from what callers ask for, and never end."""
_MOST_ALLOWANCES = 512
"""Routes whose hedges are counted one by one: they may be made from what callers ask for."""
_USUAL = Usage(prompt_tokens=4_000, completion_tokens=1_000)
"""By which prices are compared: most questions are longer than their answers."""


class Network:
    """The links to all targets, shared by every route that leads over them.

    Args:
        http: sends the requests.
        https: clients of single providers, by the provider's name, where they are not to use ``http``.
        prices: what models cost; by default those that come with the package.
        clock, rng, events: where time, chance and listeners come from.

    Attributes:
        background: what goes on after its caller has an answer.
        hedges: the allowance of each route, see :meth:`allowance`.
    """

    def __init__(
        self,
        *,
        http: Http,
        https: Mapping[str, Http] | None = None,
        prices: Prices | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        events: Events | None = None,
    ) -> None:
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311  it spreads load; it guards no secret
        self.events = events or Events()
        self.patience = Patience(clock)
        self.prices = prices or load_prices()
        self.costs = CostBook()
        self.background = Background()
        self.hedges: dict[str, HedgeAllowance] = {}
        self._http = http
        self._https = dict(https or {})
        self._states: dict[str, TargetState] = {}
        self._keys: dict[tuple[str, str], KeyState] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._lists: dict[tuple[int, Choice], tuple[Sequence[Target], Mapping[Link, float]]] = {}

    def http(self, provider: Provider) -> Http:
        """The client for a provider."""
        return self._https.get(provider.name, self._http)

    def links(self, targets: Sequence[Target], choose: Choice = "ordered") -> Mapping[Link, float]:
        """The links to ``targets`` in the order in which they are to be tried, with their weights.

        Args:
            targets: of a route, whose tuple never changes, so that it is looked at once; or a list of one's own.
            choose: how the route chooses.
        """
        if not isinstance(targets, tuple):
            return self._listed(targets, choose)
        # By identity, for to hash a target is to hash all of its provider. The tuple is kept, so that no other gets it.
        known = self._lists.get((id(targets), choose))
        if known is None:
            if len(self._lists) >= _MOST_LISTS:
                self._lists.clear()
            known = self._lists[id(targets), choose] = targets, self._listed(targets, choose)
        return known[1]

    def allowance(self, route: str, percent: float) -> HedgeAllowance:
        """How many questions of a route may be hedged; the routes that were made first are forgotten first."""
        allowance = self.hedges.get(route)
        if allowance is None:
            allowance = self.hedges[route] = HedgeAllowance(percent)
            if len(self.hedges) > _MOST_ALLOWANCES:
                del self.hedges[next(iter(self.hedges))]
        return allowance

    def book(self, target: Target, usage: Usage, cause: Cause, *, attempt: int = 0) -> CallCost:
        """Enter what a call cost, and tell of it."""
        provider = target.provider
        cost = self.prices.cost(provider.priced_as, target.model, usage)
        call = CallCost(
            provider=provider.name, model=target.model, cause=cause, usage=usage, usd=cost.usd, known=cost.known
        )
        self.costs.add(call)
        if self.events.active:
            self.events.emit(priced_event(call, time_ns=self.clock.wall_ns(), attempt=attempt))
        return call

    def snapshot(self) -> tuple[LinkSnapshot, ...]:
        """Every link that was used, as it is now."""
        return tuple(link.snapshot() for link in self._links.values())

    def forget(self, target: str) -> None:
        """Drop what is known of a target, by its name, that no route leads to any more; not while a call is under way.

        For routes that are made from what callers ask for, which may be anything.
        """
        state = self._states.get(target)
        if state is not None and not state.in_flight:
            del self._states[target]
            self._lists.clear()
            self._links = {known: link for known, link in self._links.items() if known[0] != target}
            used = {(link.target.provider.name, link.key.key.name) for link in self._links.values()}
            self._keys = {known: key for known, key in self._keys.items() if known in used or key.why}

    def release_keys(self) -> None:
        """Use parked keys again: the money is there, or the key was mended."""
        for key in self._keys.values():
            key.release()

    async def close(self) -> None:
        """End what goes on in the background, and close the clients."""
        await self.background.close()
        for http in {id(each): each for each in (self._http, *self._https.values())}.values():
            await http.close()

    def _listed(self, targets: Sequence[Target], choose: Choice) -> dict[Link, float]:
        if choose == "cheapest":
            targets = sorted(targets, key=self._price)
        return {self._link(target, index): target.weight for target in targets for index in range(_keys(target))}

    def _link(self, target: Target, index: int) -> Link:
        provider, key = target.provider, target.provider.keys[index]
        link = self._links.get((target.name, key.name))
        if link is None:
            state = self._states.get(target.name)
            if state is None:
                state = TargetState(target, clock=self.clock, rng=self.rng, events=self.events)
                self._states[target.name] = state
            owner = self._keys.setdefault((provider.name, key.name), KeyState(key))
            link = self._links[target.name, key.name] = Link(state, owner)
        return link

    def _price(self, target: Target) -> tuple[bool, float]:
        cost = self.prices.cost(target.provider.priced_as, target.model, _USUAL)
        return not cost.known, cost.usd


def _keys(target: Target) -> int:
    return len(target.provider.keys)
