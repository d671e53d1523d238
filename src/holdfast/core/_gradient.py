"""How many calls at once a server bears, found out from its latency: a gradient that cannot drift.

After Gradient2 of Netflix' concurrency-limits: latency well above a baseline means that calls queue behind each other,
so the limit goes down in proportion; otherwise it goes up by a small allowance for a queue.

    gradient = clamp(tolerance * baseline / latency, 0.5, 1)
    limit   += smoothing * (limit * gradient + queue_size - limit)

There the baseline is the moving mean of all latencies. Under an overload that lasts it learns the queue that the limit
itself lets in, takes it for normal, and the limit climbs without end. Here

- the baseline follows the mean, up and down, only while less than half of the limit is used: then no queue is of our
  making. The limit is frozen meanwhile, for it is not what bounds the load;
- above that it only ever decays, when it is more than twice what is measured now;
- every ``probe_every`` rounds above it a *probe* halves the limit for as long as it takes to measure some calls, and
  moves the baseline halfway to what they show. Should even half the limit hold a queue, the baseline is too high by at
  most half of what the limit is too high. As ``tolerance / 2 < 1``, baseline and limit shrink together from any start,
  to about ``tolerance * knee + queue_size``.

A round is as many calls as the limit allows at once, so each step sees the effect of the one before it. The calls of a
probe are those that *begin* during it, slow ones included: the first to end would be the quick ones.

This module knows neither clock nor thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from holdfast.core._options import number, positive, whole
from holdfast.errors import ConfigError

__all__ = ["AdaptiveLimitOptions", "Gradient"]

_MEMORY = 600  # samples that the baseline remembers, as in Gradient2
_TOO_HIGH = 2.0
_DECAY = 0.95
_BACKOFF = 0.9
_STEEPEST = 0.5
_PROBE_SHARE = 0.5
_PATIENCE = 8  # a probe ends after so many times its calls, though some of them have not


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimitOptions:
    """What an adaptive limit was built with; see :class:`~holdfast.core.adaptive_limit.AdaptiveLimit`."""

    initial_limit: int = 20
    min_limit: int = 1
    max_limit: int = 200
    tolerance: float = 1.5
    queue_size: int = 4
    smoothing: float = 0.2
    min_samples: int = 10
    probe_every: int = 30

    def __post_init__(self) -> None:
        whole("min_limit", self.min_limit, least=1)
        whole("max_limit", self.max_limit, least=self.min_limit)
        if not self.min_limit <= whole("initial_limit", self.initial_limit, least=1) <= self.max_limit:
            raise ConfigError("initial_limit", self.initial_limit, "must be from min_limit to max_limit")
        if not 1 <= number("tolerance", self.tolerance) < 1 / _PROBE_SHARE:
            raise ConfigError("tolerance", self.tolerance, "must be from 1 to below 2, or the limit could drift up")
        whole("queue_size", self.queue_size, least=1)
        if positive("smoothing", self.smoothing) > 1:
            raise ConfigError("smoothing", self.smoothing, "must be above 0 and at most 1")
        whole("min_samples", self.min_samples, least=1)
        whole("probe_every", self.probe_every, least=1)


class Gradient:
    """The algorithm. Not thread-safe: its owner holds a lock.

    Attributes:
        limit: how many calls may be under way now.
        estimate: the limit apart from probes.
        baseline_ns: the latency without a queue, as far as it is known; 0 when it is not.
        probing: whether a probe is under way.
    """

    __slots__ = (
        "_count",
        "_draining",
        "_dropped",
        "_first",
        "_last",
        "_others",
        "_peak",
        "_rounds",
        "_settled",
        "_size",
        "_stepped_back",
        "_total_ns",
        "baseline_ns",
        "estimate",
        "limit",
        "options",
        "probing",
    )

    _count: int
    _total_ns: int
    _peak: int
    _settled: int
    _others: int
    _dropped: bool
    _draining: bool  # this and the next two belong to a probe, which sets them
    _first: int
    _size: int

    def __init__(self, options: AdaptiveLimitOptions) -> None:
        self.options = options
        self.estimate = float(options.initial_limit)
        self.limit = options.initial_limit
        self.baseline_ns = 0.0
        self.probing = False
        self._rounds = 0
        self._last = 0  # calls begun so far: the number of the latest
        self._stepped_back = 0  # the latest call when the limit last stepped back
        self._new_round()

    def reconfigure(self, options: AdaptiveLimitOptions) -> None:
        """Take these options; what was found out stays, within the new bounds."""
        self.options = options
        probing, limit = self.probing, self.limit
        self._move_to(self.estimate)
        if probing:
            self.limit = min(options.max_limit, max(options.min_limit, limit))

    def begin(self, inflight: int) -> int:
        """A call begins, the ``inflight``-th under way; gives its number, for :meth:`end`."""
        self._last += 1
        if not self.probing:
            self._peak = max(self._peak, inflight)
        elif self._draining:
            self._draining = False
            self._first = self._last
        return self._last

    def end(self, number: int, latency_ns: int | None, *, dropped: bool) -> None:
        """A call ended.

        Args:
            number: what :meth:`begin` gave.
            latency_ns: what it took; None when that says nothing.
            dropped: whether the server said, or showed, that it has too much to do. What began before the limit last
                stepped back does not make it step back again.
        """
        self._dropped = self._dropped or (dropped and number > self._stepped_back)
        if self.probing:
            self._end_probed(number, latency_ns)
        elif latency_ns is not None:
            self._count += 1
            self._total_ns += latency_ns
        if not self.probing and (self._dropped or self._count >= max(self.options.min_samples, int(self.estimate))):
            self._end_round()

    def _new_round(self) -> None:
        self._count = self._total_ns = self._peak = 0
        self._settled = self._others = 0
        self._dropped = False

    def _end_round(self) -> None:
        """One step of the gradient."""
        latency = self._total_ns / self._count if self._count else 0.0
        if self._dropped:
            self._stepped_back = self._last
            self._move_to(self.estimate * _BACKOFF)
        elif self.baseline_ns == 0:
            self.baseline_ns = latency
        elif self._peak < self.estimate / 2:
            self.baseline_ns += (latency - self.baseline_ns) * min(1.0, 2 * self._count / (_MEMORY + 1))
        else:
            if self.baseline_ns > _TOO_HIGH * latency:
                self.baseline_ns *= _DECAY
            gradient = min(1.0, max(_STEEPEST, self.options.tolerance * self.baseline_ns / latency)) if latency else 1.0
            target = self.estimate * gradient + self.options.queue_size
            self._move_to(self.estimate + self.options.smoothing * (target - self.estimate))
            self._rounds += 1
        self._new_round()
        if self._rounds >= self.options.probe_every:
            self._start_probe()

    def _move_to(self, estimate: float) -> None:
        self.estimate = min(float(self.options.max_limit), max(float(self.options.min_limit), estimate))
        self.limit = int(self.estimate)

    def _start_probe(self) -> None:
        self._rounds = 0
        self.probing = self._draining = True
        self.limit = max(self.options.min_limit, math.ceil(self.estimate * _PROBE_SHARE))
        self._size = max(self.options.min_samples, self.limit)

    def _end_probed(self, number: int, latency_ns: int | None) -> None:
        if self._draining:
            return
        if self._first <= number < self._first + self._size:
            self._settled += 1
            if latency_ns is not None:
                self._count += 1
                self._total_ns += latency_ns
        else:
            self._others += 1
        if self._settled < self._size and self._others < _PATIENCE * self._size:
            return
        if 2 * self._count >= self._size:
            self.baseline_ns += (self._total_ns / self._count - self.baseline_ns) / 2
        dropped = self._dropped
        self.probing = False
        self._move_to(self.estimate)
        self._new_round()
        self._dropped = dropped  # the round that ends now steps back
