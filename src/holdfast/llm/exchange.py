"""One question, from the first try to an answer: who is asked, who is asked next, and when to stop.

The rules, in this order:

1. Fail over before waiting. While another link is ready, nobody sleeps on a backoff or a ``Retry-After``; that a target
   asked to wait is remembered for everybody ("not before").
2. One deadline and one number of calls for the question, whatever the calls are for.
3. A target is asked again only when no other is ready, at the pace of the retry policy, and at the charge of the
   target's retry budget. Failing over is not charged to the target that failed.
4. A question that is too long, or whose answer is withheld, goes to the list that is there for it, and to no other.
5. What lies in the question itself goes back to the caller at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.deadline import deadline_ns, deadline_scope, remaining_ns
from holdfast.core.faults import FaultKind
from holdfast.core.retry import GiveUp, Retry
from holdfast.errors import DeadlineExceededError, RejectedError, TargetsExhaustedError
from holdfast.llm.attempt import Attempt
from holdfast.llm.costs import Cause
from holdfast.llm.routing.link import FOREVER_NS
from holdfast.llm.routing.picker import pick
from holdfast.llm.routing.verdicts import Step, parks_key, step_after
from holdfast.llm.streams.hedges import HedgeAllowance
from holdfast.telemetry.model_events import KeyParked, ModelAnswered, ModelFailedOver, TargetHeld

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from holdfast.core.faults import Fault
    from holdfast.llm.costs import CallCost
    from holdfast.llm.question import Question
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.network import Network
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute, Target
    from holdfast.llm.wire.base import Chunk, Reply

__all__ = ["Exchange", "Failed", "Opened"]

_PARKED_SECONDS = {FaultKind.AUTH: 60.0, FaultKind.QUOTA: 300.0}
"""How long a key is left alone that says nothing about when it will work again."""
_THROTTLED_SECONDS = 1.0
"""How long a target is left alone that says "too many requests" and not for how long."""
_MOST_TOLD = 4
"""Failures that the text of an error tells of; all are in its ``failures``."""


@dataclass(slots=True, kw_only=True)
class Opened:
    """An answer that has begun: a whole reply, or the first chunks of a stream with what follows them.

    Whoever has it must end it: with :meth:`Exchange.done`, or :meth:`Exchange.broke`.
    """

    attempt: Attempt
    cause: Cause
    first: Reply | Sequence[Chunk]
    stream: AsyncGenerator[Reply | Sequence[Chunk], None]
    settled: bool = False

    @property
    def link(self) -> Link:
        """Who answers."""
        return self.attempt.link


@dataclass(slots=True, kw_only=True)
class Failed:
    """A try that gave nothing. ``made`` is False when a breaker or a limit of ours refused it."""

    link: Link
    error: Exception
    fault: Fault
    made: bool


@dataclass(slots=True)
class _Tried:
    """What a link has said to this question so far."""

    calls: int = 0
    fault: Fault | None = None
    again: bool = True
    previous_ns: int = 0
    retried: dict[FaultKind, int] = field(default_factory=dict)


class _Pause(NamedTuple):
    wait_ns: int
    link: Link


class Exchange:
    """One question to one route.

    Args:
        network: the links, the clients, the books.
        route: whom to ask.
        question: what to ask.

    Attributes:
        calls: calls made so far.
        delays: seconds waited between calls.
        failures: each failure so far: the link's name, and what went wrong.
        costs: what the calls cost that have ended.
    """

    def __init__(self, network: Network, route: ModelRoute | EmbeddingRoute, question: Question) -> None:
        self.network = network
        self.route = route
        self.question = question
        self.calls = 0
        self.delays: list[float] = []
        self.failures: list[tuple[str, str]] = []
        self.costs: list[CallCost] = []
        options = route.options
        retry = options.retry
        self._retry = Retry(max_retries=retry.max_retries, initial_delay=retry.initial_delay, max_delay=retry.max_delay)
        self._tried: dict[Link, _Tried] = {}
        self._shut: set[Link] = set()
        self._last: Failed | None = None
        self._list = ""
        self._asked_states: set[str] = set()
        self._links = network.links(route.targets, options.choose)
        self._hedges: HedgeAllowance | None = None
        if options.hedge_after is not None:
            self._hedges = network.hedges.setdefault(route.name, HedgeAllowance(options.hedge_percent))
            self._hedges.asked()

    async def open(self, prefix: str = "") -> Opened:
        """The first answer that has something to say.

        Args:
            prefix: text of the answer that was given out already, to be continued.

        Raises:
            ProviderError: what was asked cannot be answered by anybody (a bad request, a text that is too long, one
                that is withheld).
            TargetsExhaustedError: no target gave an answer.
            DeadlineExceededError: time is up.
        """
        with deadline_scope(self.route.options.deadline_seconds, clock=self.network.clock):
            while True:
                link = self._next() or await self._wait_for_one()
                for outcome in await self._ask_hedged(link, self._cause(link, prefix), prefix):
                    if isinstance(outcome, Opened):
                        self._answered(outcome)
                        return outcome
                    self.learn(outcome)

    async def done(self, opened: Opened) -> None:
        """The answer was given to its end."""
        await anext(opened.stream, None)  # a stream is at its end; a whole reply lets its connection go
        self._settle(opened)

    async def broke(self, opened: Opened, error: Exception) -> Failed:
        """The answer broke on the way; says how. The next :meth:`open` asks somebody else, if possible."""
        await opened.stream.aclose()
        self._settle(opened)
        return Failed(link=opened.link, error=error, fault=opened.link.state.classify(error), made=True)

    async def abandon(self, opened: Opened) -> None:
        """The caller does not want the rest: the provider is told by closing the connection."""
        await opened.stream.aclose()
        self._settle(opened)

    def learn(self, failed: Failed) -> None:
        """Take in a failure: whom not to ask for now, and whom to ask instead.

        Raises:
            ProviderError: nobody would answer otherwise.
        """
        link, fault = failed.link, failed.fault
        self.failures.append((link.name, f"{type(failed.error).__name__}: {failed.error}"))
        if not failed.made:
            self._shut.add(link)
            self._last = self._last or failed
            return
        self._last = failed
        link.failures += 1
        if fault.kind is FaultKind.TIMEOUT:
            link.state.latency.observe(self.route.options.timers.first_token)
        self._hold(link, fault)
        step = step_after(fault)
        tried = self._tried.setdefault(link, _Tried())
        tried.fault, tried.again = fault, step is Step.ANOTHER
        if step is Step.RAISE:
            raise failed.error
        if step in {Step.LARGER, Step.FILTERED}:
            self._turn_to(step, failed)
        if remaining_ns(self.network.clock) == 0:
            raise self._late() from failed.error

    # --- whom to ask --------------------------------------------------------------------------------------------------

    def _next(self) -> Link | None:
        """A link that was not asked yet and is ready."""
        if self.calls >= self.route.options.max_calls:
            return None
        return pick(
            self._links,
            choose=self.route.options.choose,
            now_ns=self.network.clock.now_ns(),
            rng=self.network.rng,
            tokens=self.question.tokens,
            but=self._tried.keys() | self._shut,
        )

    async def _wait_for_one(self) -> Link:
        """Nobody else is ready: wait for the first that may be asked again.

        Raises:
            TargetsExhaustedError: there is no sense in waiting.
        """
        if self.calls < self.route.options.max_calls:
            for pause in sorted(self._pauses(), key=lambda pause: pause.wait_ns):
                tried = self._tried.get(pause.link)
                if tried is not None and tried.fault is not None:
                    if not pause.link.state.budget.try_spend("retry", None):
                        self.failures.append((pause.link.name, "its retry budget is used up"))
                        continue
                    tried.previous_ns = pause.wait_ns
                    tried.retried[tried.fault.kind] = tried.retried.get(tried.fault.kind, 0) + 1
                self.delays.append(pause.wait_ns / NS_PER_SECOND)
                await self.network.clock.asleep_ns(pause.wait_ns)
                return pause.link
        raise self._exhausted()

    def _pauses(self) -> list[_Pause]:
        """Each link that may be asked later in the time that is left, with how long to wait for it."""
        clock, found = self.network.clock, []
        now, left = clock.now_ns(), remaining_ns(clock)
        longest = to_ns(self._retry.max_retry_after)
        for link in self._links:
            tried = self._tried.get(link)
            wait = link.ready_at_ns(now, self.question.tokens) - now
            if link in self._shut or not link.waits_briefly(now):
                continue
            if tried is not None and tried.fault is not None:
                if not tried.again:
                    continue
                decision = self._retry.decide(
                    tried.calls,
                    tried.fault,
                    left,
                    rng=self.network.rng,
                    retried=tried.retried,
                    previous_ns=tried.previous_ns,
                )
                if isinstance(decision, GiveUp):
                    continue
                wait = max(wait, decision)
            if wait <= longest and (left is None or wait < left):
                found.append(_Pause(wait, link))
        return found

    def _turn_to(self, step: Step, failed: Failed) -> None:
        """Go on with the list that is there for this failure; without one, the caller hears of it."""
        targets: Sequence[Target] = getattr(self.route, step.value, ())
        if not targets or self._list:
            raise failed.error
        self._list = step.value
        self._links = self.network.links(targets, self.route.options.choose)
        for link in self._links:
            if link is failed.link:
                self._shut.add(link)

    def _hold(self, link: Link, fault: Fault) -> None:
        """What the failure says about the next calls of everybody."""
        now, events = self.network.clock.now_ns(), self.network.events
        if parks_key(fault):
            seconds = _PARKED_SECONDS[fault.kind] if fault.retry_after is None else fault.retry_after
            link.key.park(now + to_ns(seconds), fault.kind)
            if events.active:
                provider = link.target.provider.name
                stamp = self._stamp(link)
                events.emit(
                    KeyParked(**stamp, provider=provider, key=link.key.key.name, kind=fault.kind, seconds=seconds)
                )
            return
        seconds = fault.retry_after or (_THROTTLED_SECONDS if fault.kind is FaultKind.THROTTLED else 0.0)
        if seconds:
            link.hold(now + to_ns(seconds))
            if events.active:
                events.emit(TargetHeld(**self._stamp(link), target=link.name, seconds=seconds))

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask_hedged(self, link: Link, cause: Cause, prefix: str) -> list[Opened | Failed]:
        """Ask ``link``, and a second one when it takes long and that is allowed; the outcomes, an answer last."""
        after = self.route.options.hedge_after
        if after is None or self._hedges is None:
            return [await self._ask(link, cause, prefix)]
        first = asyncio.ensure_future(self._ask(link, cause, prefix))
        racing = {first}
        try:
            timer = asyncio.ensure_future(self.network.clock.asleep_ns(to_ns(after)))
            try:
                await asyncio.wait({first, timer}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
            if not first.done() and (other := self._other_for(link)) is not None:
                racing.add(asyncio.ensure_future(self._ask(other, Cause.HEDGE, prefix)))
            outcomes: list[Opened | Failed] = []
            while racing:
                ended, racing = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
                outcomes.extend(task.result() for task in ended)
                answers = [each for each in outcomes if isinstance(each, Opened)]
                for loser in answers[1:]:
                    await self._lose(loser)
                if answers:
                    return [*(each for each in outcomes if isinstance(each, Failed)), answers[0]]
            return outcomes
        finally:
            for task in racing:
                task.cancel()
            if racing:
                for ended_late in await asyncio.gather(*racing, return_exceptions=True):
                    if isinstance(ended_late, Opened):
                        await self._lose(ended_late)

    def _other_for(self, link: Link) -> Link | None:
        """Whom to ask beside ``link``, when that is allowed now."""
        if self.calls >= self.route.options.max_calls or self._hedges is None:
            return None
        other = self._next()
        if other is None or not self._hedges.take():
            return None
        if other.state is link.state and not link.state.budget.try_spend("hedge", None):
            return None
        return other

    async def _ask(self, link: Link, cause: Cause, prefix: str) -> Opened | Failed:
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
        )
        tried = self._tried.setdefault(link, _Tried())
        tried.calls += 1
        if state.name not in self._asked_states:
            self._asked_states.add(state.name)
            state.budget.request(network.clock.now_ns())
        self.calls += 1
        link.calls += 1
        state.in_flight += 1
        stream = link.guard.call(attempt.run)
        opened = False
        try:
            until = deadline_ns()
            first = await network.patience.until(until or FOREVER_NS, anext(stream), self._late)
            opened = True
            return Opened(attempt=attempt, cause=cause, first=first, stream=stream)
        except RejectedError as error:
            self.calls -= 1
            link.calls -= 1
            tried.calls -= 1
            return Failed(link=link, error=error, fault=state.classify(error), made=False)
        except DeadlineExceededError:
            raise
        except Exception as error:  # noqa: BLE001  every failure of a target is data here
            return Failed(link=link, error=error, fault=state.classify(error), made=True)
        finally:
            if not opened:
                await stream.aclose()
                state.in_flight -= 1
                self._account(attempt, Cause.WASTED)

    async def _lose(self, opened: Opened) -> None:
        """Two answered: this one came second."""
        await opened.stream.aclose()
        self._settle(opened, wasted=True)

    def _cause(self, link: Link, prefix: str) -> Cause:
        if link in self._tried and self._tried[link].fault is not None:
            return Cause.RETRY
        if prefix:
            return Cause.CONTINUATION
        if self._list:
            return Cause.FALLBACK
        return Cause.FAILOVER if self.calls else Cause.FIRST

    # --- what is said and counted -------------------------------------------------------------------------------------

    def _answered(self, opened: Opened) -> None:
        events = self.network.events
        link = opened.link
        link.key.release()
        if not events.active:
            return
        if self._last is not None and self._last.link.target is not link.target:
            events.emit(
                ModelFailedOver(
                    **self._stamp(link),
                    route=self.route.name,
                    from_target=self._last.link.name,
                    to_target=link.name,
                    kind=self._last.fault.kind,
                )
            )
        events.emit(
            ModelAnswered(
                **self._stamp(link),
                route=self.route.name,
                target=link.name,
                calls=self.calls,
                first_token_seconds=opened.attempt.first_token_ns / NS_PER_SECOND,
                streamed=self.question.streamed,
            )
        )

    def _settle(self, opened: Opened, *, wasted: bool = False) -> None:
        if opened.settled:
            return
        opened.settled = True
        opened.link.state.in_flight -= 1
        self._account(opened.attempt, Cause.WASTED if wasted else opened.cause)

    def _account(self, attempt: Attempt, cause: Cause) -> None:
        """Enter what a call cost, if it cost anything."""
        usage = attempt.usage
        if usage.total_tokens:
            self.costs.append(self.network.book(attempt.link.target, usage, cause, attempt=self.calls))

    def _stamp(self, link: Link) -> dict[str, Any]:
        return {"time_ns": self.network.clock.wall_ns(), "dependency": link.state.name, "attempt": self.calls}

    def _late(self) -> DeadlineExceededError:
        seconds = self.route.options.deadline_seconds
        return DeadlineExceededError(
            f"{self.route.name} gave no answer in the time allowed ({seconds:g} s at most; calls: {self.calls})."
        )

    def _exhausted(self) -> TargetsExhaustedError:
        """The error for a question that nobody answered; its cause is the last failure of a target that was asked."""
        now = self.network.clock.now_ns()
        ready = min((link.ready_at_ns(now) for link in self._links), default=FOREVER_NS)
        failures = self.failures or [(link.name, link.why_not(now)) for link in self._links]
        told = "; ".join(f"{name}: {what}" for name, what in failures[-_MOST_TOLD:])
        error = TargetsExhaustedError(
            f"No target of {self.route.name} gave an answer (calls: {self.calls}). {told}",
            attempts=self.calls,
            delays=self.delays,
            failures=failures,
            retry_after=None if ready >= FOREVER_NS else (ready - now) / NS_PER_SECOND,
        )
        error.__cause__ = None if self._last is None else self._last.error
        return error
