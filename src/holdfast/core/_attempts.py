"""One layer of a pipeline: its policies and gates, in the form in which the drivers read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core._door import Door
from holdfast.core._watch import Watchdog
from holdfast.core.classify import classify as default_classify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core._plan import Plan
    from holdfast.core.deadline import Deadline
    from holdfast.core.fallback import Fallback
    from holdfast.core.faults import Fault
    from holdfast.core.hedge import Hedge
    from holdfast.core.policy import Gate, Site
    from holdfast.core.request_queue import RequestQueue
    from holdfast.core.retry import Retry
    from holdfast.core.retry_budget import RetryBudget
    from holdfast.core.timeout import Timeout

__all__ = ["Attempts"]


class Attempts:
    """One layer of a pipeline: everything that concerns attempts, from the outside in.

    Its options may be changed while calls are under way (:meth:`apply`); the gates may not.

    Attributes:
        door: the gates.
        ahead: the gates that every repetition has to pass, also where those are in a layer further inside.
        brief: whether a gate's refusal goes to the caller as it is: not retried, and nobody else asked.
        hedge: makes copies of what is inside.
        outermost: whether this layer speaks for the call as a whole.
        span_ns, limit_ns: the time for the call and for one attempt; 0 is no limit.
        count: counts the call for the retry budget, if there is one.
        judge: tells what is wrong with a result, if it is looked at.
        looks: whether there is a ``count`` or a ``judge``.
        dog: watches the time of async attempts.
    """

    __slots__ = (
        "ahead",
        "brief",
        "classify",
        "count",
        "deadline",
        "dog",
        "door",
        "fallback",
        "hedge",
        "judge",
        "limit_ns",
        "looks",
        "outermost",
        "retry",
        "site",
        "span_ns",
        "timeout",
    )

    def __init__(
        self,
        *,
        site: Site,
        classify: Callable[[BaseException], Fault],
        plan: Plan,
        ahead: Sequence[Gate | RequestQueue] = (),
        outermost: bool = True,
    ) -> None:
        self.site = site
        self.classify = classify
        self.outermost = outermost
        self.door = Door(plan.gates)
        self.ahead = Door(ahead)
        self.hedge = plan.hedge
        self.apply(plan.deadline, plan.fallback, plan.retry, plan.timeout)

    def apply(
        self, deadline: Deadline | None, fallback: Fallback | None, retry: Retry | None, timeout: Timeout | None
    ) -> None:
        """Take these options from the next call on; calls under way use them for their next decision."""
        self.dog = Watchdog(self.site.clock)
        self.deadline = deadline
        self.fallback = fallback
        self.retry = retry
        self.timeout = timeout
        self.span_ns = 0 if deadline is None else deadline.ns
        self.limit_ns = 0 if timeout is None else timeout.ns
        self.count = _counter(self.site, retry, self.hedge)
        self.judge = None if retry is None else retry.judge
        self.brief = _refusal_is_final(self.classify, fallback, retry)
        self.looks = self.count is not None or self.judge is not None


def _counter(site: Site, retry: Retry | None, hedge: Hedge | None) -> Callable[[int], None] | None:
    """Counts a call for the budgets that its repetitions are charged to, once for each."""
    budgets: list[RetryBudget] = []
    for holder in (retry, hedge):
        budget = None if holder is None else holder.budget
        if budget is not None and budget not in budgets:
            budget.attach(site)
            budgets.append(budget)
    if not budgets:
        return None
    requests = [budget.counter(site.clock) for budget in budgets]
    if len(requests) == 1:
        return requests[0]

    def count(now_ns: int) -> None:
        for request in requests:
            request(now_ns)

    return count


def _refusal_is_final(
    classify: Callable[[BaseException], Fault], fallback: Fallback | None, retry: Retry | None
) -> bool:
    if fallback is not None:
        return False
    if retry is None:
        return True
    # Ours calls no refusal transient. A classification of one's own, and `retry_on`, may want one of them repeated.
    return getattr(classify, "func", classify) is default_classify and not retry.retry_on
