"""Retry budgets: a share of the requests, with a floor, in a window of time; hedges that are under way live on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.testing.policies.calls import attempt
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import Budget, BudgetAdapter

__all__ = ["CASES"]

_cases = CaseList("budget")

_SHARE, _FLOOR, _WINDOW = 0.2, 5.0, 1.0
_ENOUGH = 1_000


def _make(adapter: BudgetAdapter) -> Budget:
    return adapter.budget(share=_SHARE, floor=_FLOOR, window=_WINDOW)


def _granted(budget: Budget) -> int:
    """How many retries are granted, one after the other and none of them made yet."""
    return next((count for count in range(_ENOUGH) if budget.spend() is None), _ENOUGH)


@_cases.add("budget.floor", "With next to no traffic, the floor still grants retries.")
def _floor(adapter: BudgetAdapter) -> None:
    budget = _make(adapter)
    granted = _granted(budget)
    check(granted >= 1, "no retry is granted when traffic is low")
    check(granted <= _FLOOR * _WINDOW, f"{granted} were granted, for a floor of {_FLOOR * _WINDOW:g} a window")


@_cases.add(
    "budget.share", "Under traffic it grants its share of the requests; retries that wait in their backoff are counted."
)
def _share(adapter: BudgetAdapter) -> None:
    budget = _make(adapter)
    requests = 100
    for _ in range(requests):
        budget.request()
    granted = _granted(budget)
    check(granted == _SHARE * requests, f"{granted} retries were granted for {requests} requests")


@_cases.add("budget.window", "What was spent is forgotten when the window has passed, and so is the traffic.")
def _window(adapter: BudgetAdapter) -> None:
    budget = _make(adapter)
    _granted(budget)
    adapter.time.let_pass(1.1 * _WINDOW)
    granted = _granted(budget)
    check(granted >= 1, "retries of long ago still use the budget up")
    check(granted <= _FLOOR * _WINDOW, f"{granted} were granted, for a floor of {_FLOOR * _WINDOW:g} a window")


@_cases.add("budget.refund", "A retry that was cancelled before it was made is given back.")
def _refund(adapter: BudgetAdapter) -> None:
    budget = _make(adapter)
    spent = budget.spend()
    check(spent is not None, "no retry is granted when traffic is low")
    _granted(budget)
    budget.refund(spent)
    check(budget.spend() is not None, "what was given back is lost")


@_cases.add("budget.live_hedge", "A budget that runs out while a hedge is under way does not end that hedge.")
async def _live_hedge(adapter: BudgetAdapter) -> None:
    budget = _make(adapter)
    calls = 0

    async def call() -> str:
        nonlocal calls
        calls += 1
        mine = calls
        await adapter.time.sleep(5.0 if mine == 1 else 0.5)
        return f"answer of call {mine}"

    task = asyncio.create_task(attempt(budget.hedge(call, delay=0.1)))
    await adapter.time.sleep(0.3)
    check(calls == 2, f"{calls} calls are under way after the hedge was due")
    _granted(budget)
    check(budget.spend() is None, "the budget never runs out")
    check(await task == "answer of call 2", "the hedge did not give the answer")


CASES = _cases.cases
