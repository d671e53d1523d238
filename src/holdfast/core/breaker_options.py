"""What a circuit breaker can be told, what is allowed, and the presets for the usual dependencies."""

from __future__ import annotations

from collections.abc import Collection  # noqa: TC003  type hints of options are read at run time
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Literal, TypeAlias, TypedDict, get_args

from holdfast.core._options import (
    at_least,
    duration,
    fault_kinds,
    flag,
    not_negative,
    options_by_name,
    positive,
    whole,
)
from holdfast.core.clock import to_ns
from holdfast.core.faults import FaultKind  # noqa: TC001
from holdfast.errors import ConfigError

__all__ = ["CACHE", "MODEL", "VECTOR_STORE", "BreakerChanges", "BreakerOptions", "Window"]

Window: TypeAlias = Literal["consecutive", "combined", "count", "time"]

_RATES: tuple[Window, ...] = ("count", "time")
_ALL_RATES: tuple[Window, ...] = ("combined", *_RATES)
_USED_WITH: dict[str, tuple[Window, ...]] = {
    "failure_threshold": ("consecutive", "combined"),
    "window_calls": ("count",),
    "window_seconds": ("combined", "time"),
    "minimum_calls": _ALL_RATES,
    "failure_rate": _ALL_RATES,
    "slow_call_duration": _RATES,
    "slow_call_rate": _RATES,
}
_LONGEST = 10  # times recovery_timeout, where max_recovery_timeout says nothing


class BreakerChanges(TypedDict, total=False):
    """The options as keywords, see :class:`BreakerOptions`."""

    window: Window
    failure_threshold: float
    window_calls: int
    window_seconds: float
    minimum_calls: int
    failure_rate: float
    slow_call_duration: float | None
    slow_call_rate: float
    recovery_timeout: float
    recovery_multiplier: float
    max_recovery_timeout: float | None
    recovery_jitter: float
    healthy_period: float
    success_threshold: int
    half_open_max_calls: int
    probe_lease: float
    ramp_seconds: float
    ramp_start: float
    expected: Collection[FaultKind] | None
    shadow: bool


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """When a breaker opens, how long it stays open, and how it finds back.

    Attributes:
        window: what failures are counted over: ``"consecutive"`` (in a row), ``"count"`` (the last ``window_calls``
            calls), ``"time"`` (the last ``window_seconds``), or ``"combined"``: in a row, where the rate of the last
            ``window_seconds`` bears it out. With many calls at once take that one: failures end sooner than successes,
            and so come in rows by themselves.
        failure_threshold: opens when failures in a row weigh this much, above 0 (consecutive, combined). Below 5 an
            ordinary bad second of a remote service opens it.
        window_calls: the calls that the rate is taken over, 1 or more (count).
        window_seconds: the seconds that the rate is taken over, above 0 (combined, time); kept in ten buckets, so that
            a failure is forgotten after nine to ten tenths of it.
        minimum_calls: no rate says anything before the window holds this many calls, 1 or more (combined, where the
            row alone decides until then; count, time).
        failure_rate: opens at this share of failures, above 0 and at most 1 (combined; count and time by weight).
        slow_call_duration: seconds from which a call is slow, above 0; None: no call is (count, time).
        slow_call_rate: opens at this share of slow calls, above 0 and at most 1 (count, time).
        recovery_timeout: seconds from opening to the first probe, above 0.
        recovery_multiplier: by how much each opening is longer than the last, 1 or more.
        max_recovery_timeout: the longest opening in seconds, at least ``recovery_timeout``; None: ten times that.
        recovery_jitter: the share of an opening that chance may take off, at least 0 and below 1, so that replicas do
            not probe at once; it works at the longest opening too.
        healthy_period: seconds for which it must have been closed before an opening begins with ``recovery_timeout``
            again, 0 or more.
        success_threshold: probes that must succeed before it closes, 1 or more.
        half_open_max_calls: probes under way at once, 1 or more.
        probe_lease: seconds after which a probe that was never settled no longer holds its place, above 0.
        ramp_seconds: seconds after closing in which the share of calls let in grows to all of them, 0 or more.
        ramp_start: the share at the beginning of that time, above 0 and at most 1.
        expected: the kinds of fault that count, each with its weight or 1 where that is 0; None: every kind counts
            with the weight of its fault.
        shadow: True for a breaker that counts and tells, and never refuses.

    Raises:
        ConfigError: an option is out of its range, or is set and has no meaning with this ``window``.
    """

    window: Window = "consecutive"
    failure_threshold: float = 5
    window_calls: int = 100
    window_seconds: float = 30.0
    minimum_calls: int = 20
    failure_rate: float = 0.5
    slow_call_duration: float | None = None
    slow_call_rate: float = 0.5
    recovery_timeout: float = 15.0
    recovery_multiplier: float = 1.0
    max_recovery_timeout: float | None = None
    recovery_jitter: float = 0.0
    healthy_period: float = 60.0
    success_threshold: int = 2
    half_open_max_calls: int = 1
    probe_lease: float = 60.0
    ramp_seconds: float = 0.0
    ramp_start: float = 0.1
    expected: Collection[FaultKind] | None = None
    shadow: bool = False

    def __post_init__(self) -> None:
        self._check_window()
        duration("recovery_timeout", self.recovery_timeout)
        at_least("recovery_multiplier", self.recovery_multiplier, 1)
        if self.max_recovery_timeout is not None:
            longest = duration("max_recovery_timeout", self.max_recovery_timeout)
            if longest < self.recovery_timeout:
                rule = f"must be at least recovery_timeout ({self.recovery_timeout:g})"
                raise ConfigError("max_recovery_timeout", longest, rule)
        if not_negative("recovery_jitter", self.recovery_jitter) >= 1:
            raise ConfigError("recovery_jitter", self.recovery_jitter, "must be below 1")
        duration("healthy_period", self.healthy_period, or_zero=True)
        whole("success_threshold", self.success_threshold, least=1)
        whole("half_open_max_calls", self.half_open_max_calls, least=1)
        duration("probe_lease", self.probe_lease)
        duration("ramp_seconds", self.ramp_seconds, or_zero=True)
        _share("ramp_start", self.ramp_start)
        flag("shadow", self.shadow)
        if self.expected is not None:
            object.__setattr__(self, "expected", fault_kinds("expected", self.expected))

    @property
    def longest_open_ns(self) -> int:
        """The longest opening in nanoseconds."""
        longest = self.max_recovery_timeout
        return to_ns(_LONGEST * self.recovery_timeout if longest is None else longest)

    def changed(self, changes: BreakerChanges) -> BreakerOptions:
        """These options with ``changes``; with another ``window``, those that have no meaning there are the defaults.

        Raises:
            ConfigError: as for the options themselves.
        """
        window = changes.get("window", self.window)
        if window == self.window or window not in get_args(Window):
            return replace(self, **changes)
        defaults = {
            each.name: each.default
            for each in dataclass_fields(self)
            if each.name in _USED_WITH and window not in _USED_WITH[each.name]
        }
        return replace(self, **{**defaults, **changes})  # type: ignore[arg-type]

    def _check_window(self) -> None:
        if self.window not in get_args(Window):
            raise ConfigError("window", self.window, f"must be one of {', '.join(get_args(Window))}")
        positive("failure_threshold", self.failure_threshold)
        whole("window_calls", self.window_calls, least=1)
        duration("window_seconds", self.window_seconds)
        whole("minimum_calls", self.minimum_calls, least=1)
        _share("failure_rate", self.failure_rate)
        if self.slow_call_duration is not None:
            duration("slow_call_duration", self.slow_call_duration)
        _share("slow_call_rate", self.slow_call_rate)
        defaults = {each.name: each.default for each in dataclass_fields(self)}
        for name, windows in _USED_WITH.items():
            value = getattr(self, name)
            if self.window not in windows and value != defaults[name]:
                wanted = " or ".join(f'"{each}"' for each in windows)
                raise ConfigError(name, value, f'has a meaning with window={wanted} only; window is "{self.window}"')
        if self.window == "count" and self.minimum_calls > self.window_calls:
            rule = f"must be at most window_calls ({self.window_calls}), or no rate could open it"
            raise ConfigError("minimum_calls", self.minimum_calls, rule)


def _share(field: str, value: object) -> None:
    if positive(field, value) > 1:
        raise ConfigError(field, value, "must be at most 1")


_BORNE_OUT = BreakerOptions(window="combined", window_seconds=5.0, failure_rate=0.7)
"""Services make many calls at once. What still answers three calls of ten is worth asking: whoever is failed by it asks
again, or asks somebody else."""

MODEL = replace(_BORNE_OUT, failure_threshold=5, recovery_timeout=30.0)
"""For a language model behind an API: five failures in a row, and 70% where the last 5 s know 20 calls; 30 s."""

VECTOR_STORE = replace(_BORNE_OUT, failure_threshold=5, recovery_timeout=60.0)
"""For a vector store: as for a model, and 60 s; it is slow to come back and little helped by probes."""

CACHE = replace(_BORNE_OUT, failure_threshold=10, recovery_timeout=10.0)
"""For a cache: ten failures in a row, else as for a model, and 10 s; doing without it is cheap, and so is asking it
again."""
