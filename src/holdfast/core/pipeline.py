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
import threading
from dataclasses import dataclass
from enum import IntEnum, auto
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from holdfast.core._attempts import Attempts
from holdfast.core._chance import JITTER
from holdfast.core._changes import named, planned
from holdfast.core._drive import bind_async, bind_hedge, bind_sync
from holdfast.core._drive_streams import as_async_stream, as_stream, bind_agen, bind_gen
from holdfast.core._functions import check_function
from holdfast.core._options import flag, function, options_by_name, text
from holdfast.core._place import check_clock, check_doors
from holdfast.core._plan import Plan, Policy, check_order, check_together, fold, worst_case
from holdfast.core.breaker import BreakerSnapshot
from holdfast.core.classify import classify as default_classify
from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.core.events import Events
from holdfast.core.hedge import Hedge
from holdfast.core.policy import Gate, Site
from holdfast.core.request_queue import RequestQueue
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping

    from holdfast.core._limits import Fn
    from holdfast.core.deadline import Deadline
    from holdfast.core.fallback import Fallback
    from holdfast.core.faults import Fault
    from holdfast.core.retry import Retry
    from holdfast.core.timeout import Timeout

__all__ = ["Pipeline", "PipelineDescription", "PipelineSnapshot", "Policy"]

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


@options_by_name
class Pipeline:
    """Policies, from the outermost to the innermost, around every call of one dependency.

    Args:
        policies: in the order request queue, deadline, fallback, retry, hedge, circuit breaker and other gates,
            timeout; each may be left out.
        name: the pipeline's name in events, metrics and logs, e.g. ``"store:sqlite"``.
        dependency: the dependency's name where it is not the pipeline's.
        clock: the source of time.
        rng: the source of jitter; by default the library's own, which forked processes do not share.
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
        check_clock(clock)
        check_doors(clock=None, rng=rng, events=events, name=name)
        text("dependency", name if dependency is None else dependency)
        function("classify", classify)
        plans = fold(policies)
        if not flag("allow_order", allow_order):
            check_order(policies)
        check_together(policies)
        self.policies = policies
        self.events = Events() if events is None else events
        self._site = Site(
            pipeline=name,
            dependency=name if dependency is None else dependency,
            clock=clock,
            rng=JITTER if rng is None else rng,
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
        self._changing = threading.RLock()
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
        result: R = caller(fn, *args, **kwargs)
        return result

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

    def reconfigure(self, *policies: Deadline | Fallback | Retry | Timeout, **changes: Any) -> None:  # noqa: ANN401
        """Give policies of this pipeline other options while calls are under way; functions that are decorated follow.

            guard.reconfigure(retry={"max_retries": 0}, circuit_breaker={"failure_threshold": 3})
            guard.reconfigure(Timeout(seconds=5))

        Everything is checked first: all of it is done, or nothing. The order stays, and so do the states of the gates
        and the permits that are out. A call under way uses the new options for its next decision, and keeps the time
        limits that it began with. What each gate does with what it has counted is said by its own ``reconfigure``.

        Args:
            policies: each takes the place of the pipeline's one policy of its sort.
            changes: by the policy's name in :meth:`snapshot` and :meth:`describe` (``circuit_breaker``, a second one is
                ``circuit_breaker.2``): a mapping of single options to their values, or the whole options as an object.

        Raises:
            ConfigError: there is no such policy or option, a value is out of its range, or policies would contradict
                each other.
        """
        with self._changing:  # for one change after the other; what the gates tell of theirs is heard inside
            change = planned(self.policies, policies, changes)
            check_together(change.policies)
            change.check_lines()
            plans = fold(change.policies)
            self._make_layers(plans)  # whoever would refuse later does it now
            before = self._plans, self.policies
            self._take(plans, change.policies)
            try:
                change.apply()
            except BaseException:
                self._take(*before)
                raise

    def _take(self, plans: list[Plan], policies: tuple[Policy, ...]) -> None:
        with self._lock:
            for kind, plan in itertools.product(self._kinds, plans):
                _check_alternatives(kind, plan.fallback)
            for layer, plan in zip(self._layers, plans, strict=True):
                layer.apply(plan.deadline, plan.fallback, plan.retry, plan.timeout)
            self._plans, self.policies = plans, policies

    def describe(self) -> PipelineDescription:
        """The order, and the most calls and seconds that one call can cost."""
        worst = worst_case(self._plans)
        order = tuple(policy.label for policy in self.policies)
        return PipelineDescription(name=self.name, order=order, max_calls=worst.calls, max_seconds=worst.seconds)

    def snapshot(self) -> PipelineSnapshot:
        """The state of its gates now."""
        states = {name: gate.snapshot() for name, gate in named(self._gates).items()}
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
        with self._lock:
            bound = fn
            for layer in reversed(self._layers):
                _check_alternatives(kind, layer.fallback)
                if layer.hedge is not None:
                    if kind is not _Kind.ASYNC:
                        layer.hedge(fn)  # it says why it cannot
                    bound = bind_hedge(layer.hedge, bound)
                bound = _DRIVERS[kind](layer, bound, skip)
            self._kinds.add(kind)
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

_PLAIN = (FunctionType, MethodType)
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
    if code.__class__ is CodeType and (fn.__class__ in _PLAIN or inspect.isroutine(fn)):
        return _BY_FLAG[code.co_flags & _FLAGS]  # the quick way, for `call`
    check_function(fn)
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
