"""Last known good: when a call fails, give its last good result, and say how old it is.

This is no cache: the call is always made, and a result is given in its place only when it fails. The rules of
refreshing: every good result replaces the last one of its key and begins a new age, where ``keep`` has nothing against
it; giving an old result out does not make it younger; what is older than ``max_age`` is never given. A failure changes
nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeAlias, TypeVar, cast, overload

from holdfast.core._functions import call_key, checked_result, is_async
from holdfast.core._options import duration, fault_kinds, flag, function, options_by_name, whole
from holdfast.core._place import Place
from holdfast.core.classify import classify as default_classify
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.events import LastGoodGiven, LastGoodMissing
from holdfast.core.fallback import FALLBACK_KINDS
from holdfast.core.faults import Fault, FaultKind
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.policy import Site

__all__ = ["Good", "LastKnownGood", "LastKnownGoodOptions", "LastKnownGoodSnapshot"]

P = ParamSpec("P")
R = TypeVar("R")
_Shape: TypeAlias = "Callable[[Any], Any]"

_STREAMS = "it can be read only once; keep the result of a function that reads it to its end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Good(Generic[R]):
    """A result, and where it comes from.

    Attributes:
        value: the result.
        age: seconds since the call that gave it; 0 for a fresh one.
        stale: whether it is older than ``stale_after``.
        fault: why the fresh call failed; None for a fresh result.
    """

    value: R
    age: float = 0.0
    stale: bool = False
    fault: Fault | None = None

    @property
    def fresh(self) -> bool:
        """Whether it comes from the call itself."""
        return self.fault is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastKnownGoodOptions:
    """What it was built with; see :class:`LastKnownGood`."""

    max_age: float = 86_400.0
    stale_after: float = 0.0
    max_entries: int = 1000
    kinds: frozenset[FaultKind] = FALLBACK_KINDS

    def __post_init__(self) -> None:
        duration("max_age", self.max_age)
        if duration("stale_after", self.stale_after, or_zero=True) > self.max_age:
            raise ConfigError("stale_after", self.stale_after, f"must be at most max_age ({self.max_age:g})")
        whole("max_entries", self.max_entries, least=1)
        if FaultKind.CANCELLED in fault_kinds("kinds", self.kinds):
            raise ConfigError("kinds", "cancelled", "must not be there: who gave up wants no older result either")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastKnownGoodSnapshot:
    """Its state at one moment.

    Attributes:
        entries: the results that are kept, expired ones that nobody has asked for since included.
        kept: how often a result was kept; ``given`` in the place of a failed call.
        missing: failed calls for which there was nothing to give; ``expired`` of them because it was too old.
    """

    enabled: bool
    entries: int
    kept: int
    given: int
    missing: int
    expired: int


@options_by_name
class LastKnownGood:
    """A policy: remember the last good result of each call, and give it when the call fails.

    The given result is the kept object itself: treat it as read-only. The error goes to the caller unchanged when its
    kind is not among ``kinds``, or there is nothing to give.

    Args:
        key: a function of the call's arguments that gives what identifies the call, something that can be hashed; by
            default all arguments. Leave nothing out of it on which the answer depends, such as the user.
        max_age: seconds after which a result is not given any more, above 0.
        stale_after: seconds after which it is called stale, 0 to ``max_age``.
        max_entries: results that are kept, 1 or more; the one that was longest neither kept nor given goes first.
        kinds: the kinds of fault that an older result may stand in for; by default those of ``Fallback``.
        keep: whether a result is worth keeping; by default all but None are.
        give: makes what the caller gets of a :class:`Good`; by default its ``value``. It is the place to add a notice.
            An exception that it raises goes to the caller.
        enabled: False keeps and gives nothing; see :attr:`enabled`.
        classify: tells what an exception means; by default :func:`holdfast.core.classify.classify`.
        clock, events: where the policy is used outside a pipeline; a pipeline brings its own.
        name: the dependency's name in events; a pipeline brings its own.
    """

    label: ClassVar[str] = "last_known_good"

    def __init__(
        self,
        *,
        key: Callable[..., Hashable] | None = None,
        max_age: float = 86_400.0,
        stale_after: float = 0.0,
        max_entries: int = 1000,
        kinds: Iterable[FaultKind] = FALLBACK_KINDS,
        keep: Callable[[Any], bool] | None = None,
        give: Callable[[Good[Any]], Any] | None = None,
        enabled: bool = True,
        classify: Callable[[BaseException], Fault] | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        for field, value in (("key", key), ("keep", keep), ("give", give), ("classify", classify)):
            function(field, value)
        self.options = LastKnownGoodOptions(
            max_age=max_age,
            stale_after=stale_after,
            max_entries=max_entries,
            kinds=fault_kinds("kinds", kinds),
        )
        self._key = key
        self._keep = keep or _is_something
        self._give = give or _value
        self._classify = classify or default_classify
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._max_age_ns = to_ns(max_age)
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()  # the result, and when it was kept
        self._enabled = flag("enabled", enabled)
        self._kept = self._given = self._missing = self._expired = 0

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        if self._place.attach(site):
            self.clear()  # an age cannot be told by two clocks

    @property
    def enabled(self) -> bool:
        """Whether results are kept and given. Switching it off forgets them all."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        flag("enabled", enabled)
        with self._lock:
            self._enabled = enabled
            if not enabled:
                self._entries.clear()

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``, a plain or an async function.

        Raises:
            ConfigError: ``fn``'s results cannot be kept: it is a generator function, or no function.
        """
        if is_async(fn, streams=_STREAMS):

            async def kept_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401
                return await self._run_async(fn, args, kwargs, _as_is, self._give)

            return update_wrapper(cast("Callable[P, R]", kept_async), fn)

        def kept(*args: P.args, **kwargs: P.kwargs) -> R:
            return cast("R", self._run(fn, args, kwargs, _as_is, self._give))

        return update_wrapper(kept, fn)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)``; its result, or the last good one. Something to await for an async function.

        Raises:
            ConfigError: ``fn``'s results cannot be kept, or its arguments cannot be hashed and there is no ``key``.
        """
        run = self._run_async if is_async(fn, streams=_STREAMS) else self._run
        return cast("R", run(fn, args, kwargs, _as_is, self._give))

    @overload
    def ask(  # type: ignore[overload-overlap]  # a coroutine is a result too, as far as types can tell
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[Good[R]]: ...

    @overload
    def ask(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Good[R]: ...

    def ask(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like :meth:`call`, but always gives a :class:`Good`, with the age of the result; ``give`` is not asked."""
        run = self._run_async if is_async(fn, streams=_STREAMS) else self._run
        return run(fn, args, kwargs, _fresh, _as_is)

    def forget(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the result of ``fn(*args, **kwargs)``, because it is known to be wrong now; whether there was one."""
        key = call_key(self._key, fn, args, kwargs)
        with self._lock:
            return self._entries.pop(key, None) is not None

    def clear(self) -> None:
        """Drop every result."""
        with self._lock:
            self._entries.clear()

    def snapshot(self) -> LastKnownGoodSnapshot:
        """Its state now."""
        with self._lock:
            return LastKnownGoodSnapshot(
                enabled=self._enabled,
                entries=len(self._entries),
                kept=self._kept,
                given=self._given,
                missing=self._missing,
                expired=self._expired,
            )

    def _run(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], fresh: _Shape, old: _Shape
    ) -> Any:  # noqa: ANN401
        key = call_key(self._key, fn, args, kwargs) if self._enabled else None
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            good = self._instead(key, error)
            if good is None:
                raise
        else:
            self._remember(key, fn, result)
            return fresh(result)
        return old(good)

    async def _run_async(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], fresh: _Shape, old: _Shape
    ) -> Any:  # noqa: ANN401
        key = call_key(self._key, fn, args, kwargs) if self._enabled else None
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:
            good = self._instead(key, error)
            if good is None:
                raise
        else:
            self._remember(key, fn, result)
            return fresh(result)
        return old(good)

    def _remember(self, key: Hashable, fn: object, result: object) -> None:
        """Keep the result of a call, if it is worth it."""
        checked_result(result, fn, streams=_STREAMS)
        if key is None or not self._keep(result):
            return
        with self._lock:
            if self._enabled:
                self._entries[key] = result, self._place.clock.now_ns()
                self._entries.move_to_end(key)
                self._kept += 1
                if len(self._entries) > self.options.max_entries:
                    self._entries.popitem(last=False)

    def _instead(self, key: Hashable, error: Exception) -> Good[Any] | None:
        """What is given in the place of a call that failed."""
        if key is None:
            return None
        fault = self._classify(error)
        if fault.kind not in self.options.kinds:
            return None
        age = 0
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                age = self._place.clock.now_ns() - entry[1]
            expired = age > self._max_age_ns
            if expired:
                del self._entries[key]
                self._expired += 1
            if entry is None or expired:
                self._missing += 1
                entry = None
            else:
                self._entries.move_to_end(key)
                self._given += 1
        if self._place.heard:
            if entry is None:
                self._place.emit(LastGoodMissing, expired=expired, kind=fault.kind)
            else:
                self._place.emit(LastGoodGiven, age_ns=age, kind=fault.kind)
        if entry is None:
            return None
        seconds = age / NS_PER_SECOND
        return Good(value=entry[0], age=seconds, stale=seconds > self.options.stale_after, fault=fault)


def _is_something(result: object) -> bool:
    return result is not None


def _value(good: Good[Any]) -> object:
    return good.value


def _as_is(given: object) -> object:
    return given


def _fresh(result: object) -> Good[Any]:
    return Good(value=result)
