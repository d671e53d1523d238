"""Who may be asked later, when nobody can be asked now: what providers, limits and the retry policy say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.clock import to_ns
from holdfast.core.deadline import remaining_ns
from holdfast.core.retry import GiveUp
from holdfast.llm.outcomes import Pause

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.retry import Retry
    from holdfast.llm.outcomes import Tried
    from holdfast.llm.routing.link import Link

__all__ = ["pauses"]


def pauses(
    links: Iterable[Link], tried: Mapping[Link, Tried], *, retry: Retry, tokens: float, clock: Clock, rng: random.Random
) -> list[Pause]:
    """Each link that may be asked later in the time that is left, the one to wait for the least first.

    Args:
        links: those that are not ruled out.
        tried: what they have said to the question.
        retry: how often, and how long after a failure, one may be asked again.
        tokens: about how many tokens the question costs.
        clock, rng: where time and chance come from.
    """
    found = []
    now, left = clock.now_ns(), remaining_ns(clock)
    longest = to_ns(retry.max_retry_after)
    for link in links:
        if not link.waits_briefly(now, tokens):
            continue
        said = tried.get(link)
        wait = link.ready_at_ns(now, tokens) - now
        delay = 0
        if said is not None:
            wait = max(wait, said.refused_until_ns - now)
            if said.fault is not None:
                since = now - said.failed_ns
                decision = retry.decide(
                    said.calls,
                    said.fault,
                    None if left is None else left + since,
                    rng=rng,
                    retried=said.retried,
                    previous_ns=said.previous_ns,
                )
                if not said.again or isinstance(decision, GiveUp):
                    continue
                delay = decision
                wait = max(wait, delay - since)
        if wait <= longest and (left is None or wait < left):
            found.append(Pause(wait, link, delay))
    return sorted(found, key=lambda pause: pause.wait_ns)
