"""A pipeline: policies around every call of one dependency.

    guard = Pipeline(Deadline(seconds=30), Retry(max_retries=2), CircuitBreaker(), Timeout(seconds=10), name="model:x")

    @guard
    async def complete(prompt: str) -> str: ...

    answer = await guard.call(client.complete, prompt)

The same object guards functions and generator functions, sync and async.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
import random
import threading
from dataclasses import dataclass, replace
from enum import IntEnum, auto
from types import CodeType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from holdfast.core._drive import bind_async, bind_hedge, bind_sync
from holdfast.core._drive_streams import as_async_stream, as_stream, bind_agen, bind_gen
from holdfast.core._flight import Attempts
from holdfast.core._plan import Plan, Policy, check_order, fold, worst_case
from holdfast.core.breaker import BreakerSnapshot
from holdfast.core.classify import classify as default_classify
from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.core.deadline import Deadline
from holdfast.core.events import Events
from holdfast.core.fallback import Fallback
from holdfast.core.hedge import Hedge
from holdfast.core.policy import Gate, Site
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping

    from holdfast.core._limits import Fn
    from holdfast.core.faults import Fault

__all__ = ["Pipeline", "PipelineDescription", "PipelineSnapshot", "Policy"]

_CHANGEABLE: Mapping[str, type] = {"deadline": Deadline, "fallback": Fallback, "retry": Retry, "timeout": Timeout}

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDescription:
    """What a pipeline does, and the most that one call through it can cost. ``str()`` gives it as a sentence.

    Attributes:
        order: the policies, from the outside in.
        max_calls: calls of the function and its alternatives, at most.
        max_seconds: until the caller has an answer or an error, the longest Retry-After included; None when nothing
            bounds it. Sync code cannot be cut, and may overrun its limit.
    """

    name: str
    order: tuple[str, ...]
    max_calls: int
    max_seconds: float | None

    def __str__(self) -> str:
        calls = "1 call" if self.max_calls == 1 else f"{self.max_calls} calls"
        time = "without a limit of time" if self.max_seconds is None else f"in at most {self.max_seconds:g} s"
        return f"{self.name}: {' > '.join((*self.order, 'call'))}; at most {calls}, {time}."


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSnapshot:
    """A pipeline's state.

    Attributes:
        policies: the snapshot of each gate by its label: ``"circuit_breaker"``, ``"circuit_breaker.2"``, ...
    """

    name: str
    dependency: str
    policies: Mapping[str, object]

    @property
    def breaker(self) -> BreakerSnapshot | None:
        """The first circuit breaker's state, if there is one."""
        return next((each for each in self.policies.values() if isinstance(each, BreakerSnapshot)), None)


class Pipeline:
    """Policies, from the outermost to the innermost, around every call of one dependency.

    Args:
        policies: in the order request queue, deadline, fallback, retry, hedge, circuit breaker and other gates,
            timeout; each may be left out.
        name: the pipeline's name in events, metrics and logs, e.g. ``"store:sqlite"``.
        dependency: the dependency's name where it is not the pipeline's.
        clock: the source of time.
        rng: the source of jitter.
        events: the hub that hears what happens; by default one of its own (:attr:`events`).
        classify: tells what an exception means; by default :func:`holdfast.core.classify.classify`.
        allow_order: accept an order that would be refused; the policies then nest as they are listed.

    Raises:
        ConfigError: the order cannot do what the policies are for.
    """

    def __init__(
        self,
        *policies: Policy,
        name: str = "call",
        dependency: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        events: Events | None = None,
        classify: Callable[[BaseException], Fault] | None = None,
        allow_order: bool = False,
    ) -> None:
        plans = fold(policies)
        if not allow_order:
            check_order(policies)
        self.policies = policies
        self.events = Events() if events is None else events
        self._site = Site(
            pipeline=name,
            dependency=name if dependency is None else dependency,
            clock=clock,
            rng=random.Random() if rng is None else rng,  # noqa: S311  jitter is no secret
            events=self.events,
        )
        self._classify = classify or functools.partial(default_classify, clock=clock)
        self._gates = [policy for policy in policies if isinstance(policy, Gate | RequestQueue)]
        for policy in policies:
            if isinstance(policy, Gate | RequestQueue | Hedge):
                policy.attach(self._site)
        self._plans = plans
        self._layers = self._make_layers(plans)
        self._lock = threading.Lock()
        self._callers: dict[_Kind, Fn] = {}
        self._kinds: set[_Kind] = set()  # what was bound: alternatives that come later must fit, too

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self._site.pipeline

    @property
    def dependency(self) -> str:
        """The name of what is called."""
        return self._site.dependency

    @property
    def gates(self) -> tuple[Gate | RequestQueue, ...]:
        """Its gates, from the outside in."""
        return tuple(self._gates)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a function or a generator function, sync or async. Its type stays."""
        return cast("Callable[P, R]", functools.update_wrapper(self._bind(_kind(fn), fn, skip=0), fn))

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` under the policies.

        Gives what the decorated ``fn`` would: the result of a sync function, something to await for an async one, a
        generator for a generator function.
        """
        kind = _kind(fn)
        caller = self._callers.get(kind)
        if caller is None:
            caller = self._callers[kind] = self._bind(kind, operator.call, skip=1)
        return cast("R", caller(fn, *args, **kwargs))

    @overload
    def stream(self, fn: Callable[P, Awaitable[AsyncIterator[R]]], /) -> Callable[P, AsyncGenerator[R, None]]: ...

    @overload
    def stream(self, fn: Callable[P, Iterator[R]], /) -> Callable[P, Generator[R, None, None]]: ...

    def stream(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Decorate ``fn``, a plain or async function that *returns* an iterator, as an SDK's call with ``stream=True``.

        The stream is then guarded to its end, as that of a generator function is, and closed. Generator functions need
        no ``stream``: the pipeline itself decorates them.
        """
        kind = _kind(fn)
        if kind is _Kind.SYNC:
            return functools.update_wrapper(self._bind(_Kind.GEN, as_stream(fn), skip=0), fn)
        if kind is _Kind.ASYNC:
            return functools.update_wrapper(self._bind(_Kind.AGEN, as_async_stream(fn), skip=0), fn)
        return self(fn)

    def reconfigure(self, *policies: Deadline | Fallback | Retry | Timeout) -> None:
        """Give policies of this pipeline other options, for the next call on; functions that are decorated follow.

        Nothing else changes: permits of calls under way, the states of gates and the order stay. A call under way uses
        the new options for its next decision, and the time limits that it began with. Gates have a ``reconfigure`` of
        their own where they can be changed.

        Raises:
            ConfigError: the pipeline has no such policy, or several: then nothing is changed.
        """
        with self._lock:
            plans = [replace(plan) for plan in self._plans]
            for policy in policies:
                name = next((name for name, kind in _CHANGEABLE.items() if isinstance(policy, kind)), None)
                holders = [plan for plan in plans if name is not None and getattr(plan, name) is not None]
                if name is None or len(holders) != 1:
                    rule = f"must be one of the policies that this pipeline has once: {', '.join(self._changeable())}"
                    raise ConfigError("policies", policy, rule)
                setattr(holders[0], name, policy)
            for kind, plan in itertools.product(self._kinds, plans):
                _check_alternatives(kind, plan.fallback)
            for layer, plan in zip(self._layers, plans, strict=True):
                layer.apply(plan.deadline, plan.fallback, plan.retry, plan.timeout)
            self._plans = plans
            held = [getattr(plan, name) for plan in plans for name in _CHANGEABLE if getattr(plan, name) is not None]
            kept = iter(held)
            self.policies = tuple(
                next(kept) if isinstance(policy, tuple(_CHANGEABLE.values())) else policy for policy in self.policies
            )

    def _changeable(self) -> list[str]:
        return [name for name in _CHANGEABLE if sum(getattr(plan, name) is not None for plan in self._plans) == 1]

    def describe(self) -> PipelineDescription:
        """The order, and the most calls and seconds that one call can cost."""
        worst = worst_case(self._plans)
        order = tuple(policy.label for policy in self.policies)
        return PipelineDescription(name=self.name, order=order, max_calls=worst.calls, max_seconds=worst.seconds)

    def snapshot(self) -> PipelineSnapshot:
        """The state of its gates now."""
        states: dict[str, object] = {}
        for gate in self._gates:
            count = sum(each.partition(".")[0] == gate.label for each in states)
            states[gate.label if count == 0 else f"{gate.label}.{count + 1}"] = gate.snapshot()
        return PipelineSnapshot(name=self.name, dependency=self.dependency, policies=states)

    def __repr__(self) -> str:
        return f"<Pipeline {self.describe()}>"

    def _make_layers(self, plans: list[Plan]) -> list[Attempts]:
        return [
            Attempts(
                site=self._site,
                classify=self._classify,
                plan=plan,
                ahead=[gate for inner in plans[index:] for gate in inner.gates],
                outermost=index == 0,
            )
            for index, plan in enumerate(plans)
        ]

    def _bind(self, kind: _Kind, fn: Fn, *, skip: int) -> Fn:
        """``fn`` inside all layers, the innermost first."""
        self._kinds.add(kind)
        bound = fn
        for layer in reversed(self._layers):
            _check_alternatives(kind, layer.fallback)
            if layer.hedge is not None:
                if kind is not _Kind.ASYNC:
                    layer.hedge(fn)  # it says why it cannot
                bound = bind_hedge(layer.hedge, bound)
            bound = _DRIVERS[kind](layer, bound, skip)
        return bound


class _Kind(IntEnum):
    SYNC = auto()
    ASYNC = auto()
    GEN = auto()
    AGEN = auto()


_DRIVERS: Mapping[_Kind, Callable[[Attempts, Fn, int], Fn]] = {
    _Kind.SYNC: bind_sync,
    _Kind.ASYNC: bind_async,
    _Kind.GEN: bind_gen,
    _Kind.AGEN: bind_agen,
}

_FLAGS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR
_BY_FLAG = {
    inspect.CO_COROUTINE: _Kind.ASYNC,
    inspect.CO_ASYNC_GENERATOR: _Kind.AGEN,
    inspect.CO_GENERATOR: _Kind.GEN,
    0: _Kind.SYNC,
}


def _kind(fn: Any) -> _Kind:  # noqa: ANN401  anything: that is what is found out
    """What sort of function ``fn`` is; partial functions, methods and objects with an async ``__call__`` included.

    Raises:
        ConfigError: it is none that can be guarded; the sentence says what to do instead.
    """
    code = getattr(fn, "__code__", None)
    if code.__class__ is CodeType and inspect.isroutine(fn):
        return _BY_FLAG[code.co_flags & _FLAGS]  # the quick way, for `call`
    if inspect.isclass(fn):
        raise ConfigError("fn", fn, "is a class: guard the function or method that makes the call")
    if inspect.isawaitable(fn):
        if inspect.iscoroutine(fn):
            fn.close()
        raise ConfigError("fn", fn, "is already a coroutine: pass the function and its arguments, without calling it")
    if not callable(fn):
        raise ConfigError("fn", fn, "is not a function")
    while isinstance(fn, functools.partial):
        fn = fn.func
    for each in (fn, type(fn).__call__):
        if inspect.iscoroutinefunction(each):
            return _Kind.ASYNC
        if inspect.isasyncgenfunction(each):
            return _Kind.AGEN
        if inspect.isgeneratorfunction(each):
            return _Kind.GEN
    return _Kind.SYNC


def _check_alternatives(kind: _Kind, fallback: Fallback | None) -> None:
    """Refuse alternatives that the driver of this kind cannot ask."""
    for each in () if fallback is None else fallback.alternatives:
        other = _kind(each)
        if kind is _Kind.AGEN and other is not _Kind.AGEN:
            raise ConfigError("alternatives", each, "must be an async generator function, as what it replaces is")
        if kind is _Kind.GEN and other is not _Kind.GEN:
            raise ConfigError("alternatives", each, "must be a generator function, as what it replaces is")
        if kind is _Kind.SYNC and other is not _Kind.SYNC:
            raise ConfigError("alternatives", each, "must be a plain function, as what it replaces is")
        if kind is _Kind.ASYNC and other in {_Kind.AGEN, _Kind.GEN}:
            raise ConfigError("alternatives", each, "must not be a generator function: what it replaces is none")
