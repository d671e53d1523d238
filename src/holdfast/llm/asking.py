"""The calls of one question, each from its start to the day it is paid: who gave what, and what it cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from holdfast.core.clock import to_ns
from holdfast.core.demand import CURRENT as DEMAND
from holdfast.core.demand import Demand, current_demand
from holdfast.core.faults import FaultKind
from holdfast.errors import DeadlineExceededError, RejectedError
from holdfast.llm.attempt import Attempt
from holdfast.llm.costs import Cause
from holdfast.llm.outcomes import Failed, Opened, Tried
from holdfast.llm.routing.verdicts import parks_key
from holdfast.llm.telling import Telling

if TYPE_CHECKING:
    from holdfast.core.ports import HttpRequest
    from holdfast.llm.costs import CallCost
    from holdfast.llm.question import Question
    from holdfast.llm.racing import Outcome
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.network import Network
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute

__all__ = ["Calls"]

_PARKED_SECONDS = {FaultKind.AUTH: 60.0, FaultKind.QUOTA: 300.0}
"""How long a key is left alone that says nothing about when it will work again."""
_LONGEST_PARKED_SECONDS = 300.0
"""How long a key is left alone at most, whatever its provider says: looking again costs one call."""
_THROTTLED_SECONDS = 1.0
"""How long a target is left alone that says "too many requests" and not for how long."""


class Calls:
    """The calls of one question.

    Args:
        network: the links, the clients, the books.
        route: whose options hold.
        question: what to ask.

    Attributes:
        made: calls made so far.
        tokens: about how many tokens one costs.
        tried: what the links have said.
        costs: what the calls cost that have ended.
        telling: says what happens.
        maybe_whole: whether what was given out so far may be the whole answer.
    """

    def __init__(self, network: Network, route: ModelRoute | EmbeddingRoute, question: Question) -> None:
        self.network = network
        self.route = route
        self.question = question
        self.made = 0
        self.maybe_whole = False
        self.tokens = question.tokens
        self.tried: dict[Link, Tried] = {}
        self.costs: list[CallCost] = []
        self.telling = Telling(network, route)
        self._asked_states: set[str] = set()
        self._requests: dict[tuple[Link, str], tuple[HttpRequest, dict[str, str]]] = {}
        self._under_way: dict[Link, tuple[Attempt, asyncio.Task[Any] | None]] = {}

    async def ask(self, link: Link, cause: Cause, prefix: str) -> Outcome:
        """One call of one link; never raises what the link did."""
        network, options, state = self.network, self.route.options, link.state
        attempt = Attempt(
            link=link,
            question=self.question,
            timers=options.timers,
            seconds=options.attempt_seconds,
            http=network.http(link.target.provider),
            clock=network.clock,
            patience=network.patience,
            prefix=prefix,
            maybe_whole=self.maybe_whole,
            requests=self._requests,
        )
        tried = self.tried.setdefault(link, Tried())
        tried.calls += 1
        if state.name not in self._asked_states:
            self._asked_states.add(state.name)
            state.budget.request(network.clock.now_ns())
        self.made += 1
        link.calls += 1
        state.in_flight += 1
        self._under_way[link] = attempt, asyncio.current_task()  # a frame that held its task would keep its error alive
        stream = link.guard.call(attempt.run)
        opened = False
        # What the caller asks of limits of its own is in units of its own; the link's are asked for what this costs.
        token = None
        if link.limited:
            cost = self.tokens if link.counts_tokens else None
            token = DEMAND.set(Demand(cost, current_demand().priority))
        try:
            first = await anext(stream)
            opened = True
            tried.refused_until_ns = 0
            return Opened(attempt=attempt, cause=cause, first=first, stream=stream)
        except RejectedError as error:
            self.made -= 1
            link.calls -= 1
            tried.calls -= 1
            return Failed(link=link, error=error, fault=state.classify(error), made=False)
        except DeadlineExceededError:
            raise self.telling.late(self.made) from None
        except Exception as error:  # noqa: BLE001  every failure of a target is data here
            tried.refused_until_ns = 0
            return Failed(link=link, error=error, fault=state.classify(error), made=True)
        finally:
            self._under_way.pop(link, None)
            if token is not None:
                DEMAND.reset(token)
            if not opened:
                try:
                    await stream.aclose()
                finally:
                    state.in_flight -= 1
                    self._account(attempt, Cause.WASTED)

    def give_up(self, link: Link) -> None:
        """Wait no longer for a call that has had no output: it ends as one whose time was up.

        One that is ending already is left to it: a second cancellation would look like the caller's own.
        """
        attempt, task = self._under_way.get(link, (None, None))
        if attempt is not None and task is not None and not attempt.given_up:
            attempt.given_up = True
            task.cancel()

    async def done(self, opened: Opened) -> None:
        """The answer was given to its end."""
        try:
            await anext(opened.stream, None)  # a stream is at its end; a whole reply lets its connection go
        finally:
            self.settle(opened)

    async def broke(self, opened: Opened, error: Exception) -> Failed:
        """The answer broke on the way; says how."""
        await self.abandon(opened)
        return Failed(link=opened.link, error=error, fault=opened.link.state.classify(error), made=True)

    async def abandon(self, opened: Opened) -> None:
        """The caller does not want the rest: the provider is told by closing the connection."""
        try:
            await opened.stream.aclose()
        finally:
            self.settle(opened)

    # --- who was asked for nothing ------------------------------------------------------------------------------------

    async def drop(self, task: asyncio.Task[Outcome]) -> None:
        """Another one answered: this call is not needed."""
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Opened):
            outcome.cause = Cause.WASTED
            await self.abandon(outcome)

    async def hear_out(self, task: asyncio.Task[Outcome]) -> None:
        """Another one answered while this one was on trial: its breaker has to know how it ends."""
        try:
            outcome = await task
        except DeadlineExceededError:
            return  # the breaker knows
        if isinstance(outcome, Failed):
            if outcome.made:
                self.remember(outcome)
            return
        outcome.cause = Cause.WASTED
        try:
            async for _ in outcome.stream:
                pass
        except Exception as error:  # noqa: BLE001  nobody is there who could be told
            self.remember(await self.broke(outcome, error))
        finally:
            self.settle(outcome)

    # --- what is remembered and counted ------------------------------------------------------------------------------

    def remember(self, failed: Failed) -> None:
        """What a failure says about the next calls of everybody."""
        link, fault = failed.link, failed.fault
        link.failures += 1
        if fault.weight:
            link.state.latency.penalize(self.route.options.timers.first_token)
        if parks_key(fault):
            seconds = _PARKED_SECONDS[fault.kind] if fault.retry_after is None else fault.retry_after
            seconds = min(seconds, _LONGEST_PARKED_SECONDS)
            link.key.park(self.network.clock.now_ns() + to_ns(seconds), fault.kind)
            self.telling.parked(link, fault.kind, seconds, calls=self.made)
            return
        unsaid = _THROTTLED_SECONDS if fault.kind is FaultKind.THROTTLED else _PARKED_SECONDS.get(fault.kind, 0.0)
        if seconds := fault.retry_after or unsaid:
            self.telling.held(link, link.hold(seconds), calls=self.made)

    def settle(self, opened: Opened) -> None:
        """An answer came to its end, whichever it was; said again, it changes nothing."""
        if opened.settled:
            return
        opened.settled = True
        opened.link.state.in_flight -= 1
        self._account(opened.attempt, opened.cause)

    def _account(self, attempt: Attempt, cause: Cause) -> None:
        """Enter what a call cost, if it cost anything."""
        usage = attempt.usage
        if usage.total_tokens:
            self.costs.append(self.network.book(attempt.link.target, usage, cause, attempt=self.made))
