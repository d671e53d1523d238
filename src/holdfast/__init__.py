"""Holdfast: the resilience stack for LLM and RAG applications.

    import holdfast as hf

    guard = hf.Pipeline(hf.Retry(), hf.CircuitBreaker(), hf.Timeout(seconds=10), name="model:openai")

The names of the core are here, and those that wrap SDKs; each is imported when it is first used (PEP 562), so that
importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # type checkers take it for True; importing typing would cost more than all of this module
if TYPE_CHECKING:
    from holdfast.core.adaptive_limit import AdaptiveLimit as AdaptiveLimit
    from holdfast.core.adaptive_rate import AdaptiveRate as AdaptiveRate
    from holdfast.core.blocking import ThreadBlocking as ThreadBlocking
    from holdfast.core.breaker import BreakerState as BreakerState
    from holdfast.core.breaker import CircuitBreaker as CircuitBreaker
    from holdfast.core.bulkhead import Bulkhead as Bulkhead
    from holdfast.core.classify import Fault as Fault
    from holdfast.core.classify import FaultKind as FaultKind
    from holdfast.core.classify import classify as classify
    from holdfast.core.clock import Clock as Clock
    from holdfast.core.clock import SystemClock as SystemClock
    from holdfast.core.codel import CoDel as CoDel
    from holdfast.core.deadline import Deadline as Deadline
    from holdfast.core.deadline import deadline_scope as deadline_scope
    from holdfast.core.deadline import remaining_ns as remaining_ns
    from holdfast.core.demand import current_demand as current_demand
    from holdfast.core.demand import demand_scope as demand_scope
    from holdfast.core.events import Event as Event
    from holdfast.core.events import Events as Events
    from holdfast.core.events import correlation_scope as correlation_scope
    from holdfast.core.fallback import Fallback as Fallback
    from holdfast.core.hedge import Hedge as Hedge
    from holdfast.core.hedge import hedge_index as hedge_index
    from holdfast.core.last_known_good import Good as Good
    from holdfast.core.last_known_good import LastKnownGood as LastKnownGood
    from holdfast.core.pipeline import Pipeline as Pipeline
    from holdfast.core.profiles import Profile as Profile
    from holdfast.core.queue_worker import TaskWorker as TaskWorker
    from holdfast.core.queue_worker import ThreadWorker as ThreadWorker
    from holdfast.core.quota import Quota as Quota
    from holdfast.core.rate_limiter import RateLimiter as RateLimiter
    from holdfast.core.registry import Registry as Registry
    from holdfast.core.request_queue import RequestQueue as RequestQueue
    from holdfast.core.retry import Retry as Retry
    from holdfast.core.retry_budget import RetryBudget as RetryBudget
    from holdfast.core.single_flight import SingleFlight as SingleFlight
    from holdfast.core.sliding_window import SlidingWindow as SlidingWindow
    from holdfast.core.timeout import Timeout as Timeout
    from holdfast.llm.dropin.backups import Backup as Backup
    from holdfast.llm.dropin.guards import guard_agent as guard_agent
    from holdfast.llm.dropin.guards import guard_completions as guard_completions
    from holdfast.llm.dropin.guards import guard_embeddings as guard_embeddings
    from holdfast.llm.dropin.wrapping import wrap as wrap
    from holdfast.llm.dropin.wrapping import wrapped as wrapped

__version__ = "0.1.0"

_HOMES = {
    "AdaptiveLimit": "adaptive_limit",
    "AdaptiveRate": "adaptive_rate",
    "Backup": "llm.dropin.backups",
    "BreakerState": "breaker",
    "Bulkhead": "bulkhead",
    "CircuitBreaker": "breaker",
    "Clock": "clock",
    "CoDel": "codel",
    "Deadline": "deadline",
    "Event": "events",
    "Events": "events",
    "Fallback": "fallback",
    "Fault": "classify",
    "FaultKind": "classify",
    "Good": "last_known_good",
    "Hedge": "hedge",
    "LastKnownGood": "last_known_good",
    "Pipeline": "pipeline",
    "Profile": "profiles",
    "Quota": "quota",
    "RateLimiter": "rate_limiter",
    "Registry": "registry",
    "RequestQueue": "request_queue",
    "Retry": "retry",
    "RetryBudget": "retry_budget",
    "SingleFlight": "single_flight",
    "SlidingWindow": "sliding_window",
    "SystemClock": "clock",
    "TaskWorker": "queue_worker",
    "ThreadBlocking": "blocking",
    "ThreadWorker": "queue_worker",
    "Timeout": "timeout",
    "classify": "classify",
    "correlation_scope": "events",
    "current_demand": "demand",
    "deadline_scope": "deadline",
    "demand_scope": "demand",
    "guard_agent": "llm.dropin.guards",
    "guard_completions": "llm.dropin.guards",
    "guard_embeddings": "llm.dropin.guards",
    "hedge_index": "hedge",
    "remaining_ns": "deadline",
    "wrap": "llm.dropin.wrapping",
    "wrapped": "llm.dropin.wrapping",
}
"""Where each name lives: a module of the core, or, with dots, of the package."""

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  the keys are strings


if not TYPE_CHECKING:  # a checker that saw it would take any name for one of ours

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
        module = f"holdfast.{home}" if "." in home else f"holdfast.core.{home}"
        value: object = getattr(importlib.import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
