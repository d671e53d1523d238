"""One question, from the first try to an answer: who is asked, who is asked next, and when to stop.

The rules, in this order:

1. Fail over before waiting. While another link is ready, nobody sleeps on a backoff or a ``Retry-After``; that a target
   asked to wait is remembered for everybody ("not before").
2. One deadline and one number of calls for the question, whatever the calls are for.
3. A target is asked again only when no other is ready, at the pace of the retry policy, and at the charge of the
   target's retry budget. Failing over is not charged to the target that failed.
4. A question that is too long, or whose answer is withheld, goes to the list that is there for it, and to no other.
5. What lies in the question itself goes back to the caller at once.
6. A target from which nobody hears any more is not waited for.
7. Nobody pays for finding out whether a target is back that was dead: one that is well is asked beside it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.deadline import deadline_scope, remaining_ns
from holdfast.core.retry import Retry
from holdfast.errors import BulkheadFullError, RateLimitedError
from holdfast.llm.asking import Calls
from holdfast.llm.costs import Cause
from holdfast.llm.outcomes import Failed, Opened, Tried
from holdfast.llm.racing import Outcome, race
from holdfast.llm.routing.picker import pick
from holdfast.llm.routing.verdicts import Step, step_after
from holdfast.llm.waiting import pauses

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from holdfast.llm.costs import CallCost
    from holdfast.llm.question import Question
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.network import Network
    from holdfast.llm.routing.options import RetryOptions
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute, Target
    from holdfast.llm.streams.hedges import HedgeAllowance

__all__ = ["Exchange", "Failed", "Opened"]

_FULL_SECONDS = 0.1
"""How long, and up to three times as long, a limit of ours is left alone that cannot say when it has room."""
_HEAD_START = 1.25
"""How long a target on trial is waited for alone, in latencies of the one that is asked beside it."""
_HEDGED_AFTER = 3.0
"""Seconds without output after which a target is hedged whose usual time is not known yet."""
_UNKNOWN_SECONDS = 1.0
_LEAST_SECONDS = 0.05
"""The same in seconds, where that latency is not known, and at least."""
_LEAST_AGAIN = 0.25
"""Seconds, at least, until somebody looks again whether a late target has gone silent, or may be hedged now."""


class Exchange:
    """One question to one route.

    Args:
        network: the links, the clients, the books.
        route: whom to ask.
        question: what to ask.

    Attributes:
        delays: seconds waited between calls.
        failures: each failure so far: the link's name, and what went wrong.
        telling: says what happens.
    """

    def __init__(self, network: Network, route: ModelRoute | EmbeddingRoute, question: Question) -> None:
        self.network = network
        self.route = route
        self.question = question
        self.delays: list[float] = []
        self.failures: list[tuple[str, str]] = []
        self._calls = Calls(network, route, question)
        self.telling = self._calls.telling
        options = route.options
        self._retry = _retry_of(options.retry)
        self._shut: set[Link] = set()
        self._last: Failed | None = None
        self._list = ""
        self._links = network.links(route.targets, options.choose)
        self._hedges: HedgeAllowance | None = None
        if options.hedge_after is not None:
            self._hedges = network.allowance(route.name, options.hedge_percent)
            self._hedges.asked()

    @property
    def calls(self) -> int:
        """Calls made so far."""
        return self._calls.made

    @property
    def costs(self) -> Sequence[CallCost]:
        """What the calls cost that have ended."""
        return self._calls.costs

    async def open(self, prefix: str = "", *, maybe_whole: bool = False) -> Opened:
        """The first answer that has something to say.

        Args:
            prefix: text of the answer that was given out already, to be continued.
            maybe_whole: whether that may be the whole answer: it had said its end, and was not believed.

        Raises:
            ProviderError: what was asked cannot be answered by anybody (a bad request, a text that is too long, one
                that is withheld).
            TargetsExhaustedError: no target gave an answer.
            DeadlineExceededError: time is up.
        """
        self._calls.maybe_whole = maybe_whole
        with deadline_scope(self.route.options.deadline_seconds, clock=self.network.clock):
            while True:
                link = self._next() or await self._wait_for_one()
                outcomes = await self._ask_raced(link, self._cause(link, prefix), prefix)
                opened = last if isinstance(last := outcomes[-1], Opened) else None
                for each in outcomes:
                    if isinstance(each, Failed):
                        self.learn(each, answered=opened is not None)
                if opened is not None:
                    opened.link.key.release()
                    if not prefix:  # one question is answered once, whoever writes on
                        self.telling.answered(opened, self._last, calls=self.calls)
                    return opened

    async def done(self, opened: Opened) -> None:
        """The answer was given to its end."""
        await self._calls.done(opened)

    async def broke(self, opened: Opened, error: Exception) -> Failed:
        """The answer broke on the way; says how. The next :meth:`open` asks somebody else, if possible."""
        return await self._calls.broke(opened, error)

    async def abandon(self, opened: Opened) -> None:
        """The caller does not want the rest: the provider is told by closing the connection."""
        await self._calls.abandon(opened)

    def learn(self, failed: Failed, *, answered: bool = False) -> None:
        """Take in a failure: whom not to ask for now, and, unless another one ``answered``, whom to ask instead.

        Raises:
            ProviderError: nobody would answer otherwise.
        """
        if not failed.made:
            self._refused(failed)
            return
        link, fault = failed.link, failed.fault
        self.failures.append((link.name, f"{type(failed.error).__name__}: {failed.error}"))
        self._last = failed
        self._calls.remember(failed)
        step = step_after(fault)
        tried = self._calls.tried.setdefault(link, Tried())
        tried.fault = replace(fault, cause=None)  # else error and frames would keep each other alive
        tried.again, tried.failed_ns = step is Step.ANOTHER, self.network.clock.now_ns()
        if answered:
            return
        if step is Step.RAISE:
            raise failed.error
        if step in {Step.LARGER, Step.FILTERED}:
            self._turn_to(step, failed)
        if remaining_ns(self.network.clock) == 0:
            raise self.telling.late(self.calls) from failed.error

    # --- whom to ask --------------------------------------------------------------------------------------------------

    def _next(self, *, well: bool = False) -> Link | None:
        """A link that was not asked yet and is ready; ``well`` when it must not be one whose breaker was open."""
        if self.calls >= self.route.options.max_calls:
            return None
        but = self._calls.tried.keys() | self._shut
        if well:
            but |= {link for link in self._links if link.on_trial}
        return pick(
            self._links,
            choose=self.route.options.choose,
            now_ns=self.network.clock.now_ns(),
            rng=self.network.rng,
            tokens=self._calls.tokens,
            but=but,
        )

    async def _wait_for_one(self) -> Link:
        """Nobody else is ready: wait for the first that may be asked again.

        Raises:
            TargetsExhaustedError: there is no sense in waiting.
        """
        network = self.network
        if self.calls < self.route.options.max_calls:
            candidates = [link for link in self._links if link not in self._shut]
            for pause in pauses(
                candidates,
                self._calls.tried,
                retry=self._retry,
                tokens=self._calls.tokens,
                clock=network.clock,
                rng=network.rng,
            ):
                tried = self._calls.tried.get(pause.link)
                if tried is not None and tried.fault is not None and not tried.refused_until_ns:
                    if not pause.link.state.budget.try_spend("retry", None):
                        self.failures.append((pause.link.name, "its retry budget is used up"))
                        continue
                    tried.previous_ns = pause.delay_ns
                    tried.retried[tried.fault.kind] = tried.retried.get(tried.fault.kind, 0) + 1
                self.delays.append(pause.wait_ns / NS_PER_SECOND)
                await network.clock.asleep_ns(pause.wait_ns)
                return pause.link
        raise self.telling.exhausted(
            self._links,
            self._last,
            tokens=self._calls.tokens,
            calls=self.calls,
            delays=self.delays,
            failures=self.failures,
        )

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

    def _refused(self, failed: Failed) -> None:
        """A breaker or a limit of ours did not let the call through. A limit has room again soon; a breaker has not."""
        link, error = failed.link, failed.error
        tried = self._calls.tried.setdefault(link, Tried())
        if not tried.refused_until_ns:
            self.failures.append((link.name, f"{type(error).__name__}: {error}"))
        self._last = self._last or failed
        if not isinstance(error, RateLimitedError | BulkheadFullError):
            self._shut.add(link)
            return
        seconds = (error.retry_after or 0.0) + _FULL_SECONDS * self.network.rng.uniform(0, 1)
        if error.retry_after is None:
            seconds += _FULL_SECONDS
        tried.refused_until_ns = self.network.clock.now_ns() + to_ns(seconds)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask_raced(self, link: Link, cause: Cause, prefix: str) -> list[Outcome]:
        """Ask ``link``, and beside it another one, where it takes long or is on trial; the outcomes, an answer last."""
        trial = link.on_trial
        other = self._next_beside(link, well=True) if trial else None
        if other is not None:
            after = max(_LEAST_SECONDS, _HEAD_START * other.state.latency.last_known or _UNKNOWN_SECONDS)
        elif (seconds := self._hedged_after(link)) is None:
            return [await self._calls.ask(link, cause, prefix)]
        else:
            trial, after = False, seconds

        def second() -> Coroutine[Any, Any, Outcome] | None:
            if not trial and link.state.pace.silent(streamed=self.question.streamed):
                self._calls.give_up(link)
                return None
            other = self._next_beside(link, well=True) if trial else self._hedge_of(link)
            return None if other is None else self._calls.ask(other, Cause.HEDGE, prefix)

        return await race(
            self._calls.ask(link, cause, prefix),
            second,
            after_ns=to_ns(after),
            clock=self.network.clock,
            background=self.network.background,
            end=self._calls.hear_out if trial else self._calls.drop,
            wait_for_losers=not trial,
            again_ns=None if trial else to_ns(max(_LEAST_AGAIN, after)),
        )

    def _next_beside(self, link: Link, *, well: bool = False) -> Link | None:
        other = self._next(well=well)
        return None if other is link else other

    def _hedged_after(self, link: Link) -> float | None:
        """After how many seconds without output another target is asked beside ``link``; None: never."""
        after = self.route.options.hedge_after
        if after != "percentile":
            return after
        late_ns = link.state.pace.late_ns(streamed=self.question.streamed)
        return _HEDGED_AFTER if late_ns is None else late_ns / NS_PER_SECOND

    def _hedge_of(self, link: Link) -> Link | None:
        """Whom to ask beside ``link``, when that is allowed now."""
        other = self._next_beside(link)
        if other is None or self._hedges is None or not self._hedges.take():
            return None
        if other.state is link.state and not link.state.budget.try_spend("hedge", None):
            return None
        return other

    # --- what is counted ----------------------------------------------------------------------------------------------

    def _cause(self, link: Link, prefix: str) -> Cause:
        if link in self._calls.tried and self._calls.tried[link].fault is not None:
            return Cause.RETRY
        if prefix:
            return Cause.CONTINUATION
        if self._list:
            return Cause.FALLBACK
        return Cause.FAILOVER if self.calls else Cause.FIRST


@lru_cache(maxsize=256)
def _retry_of(options: RetryOptions) -> Retry:
    """The policy; it has no state, so that questions share it."""
    return Retry(max_retries=options.max_retries, initial_delay=options.initial_delay, max_delay=options.max_delay)
