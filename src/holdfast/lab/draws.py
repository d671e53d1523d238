"""Randomness for experiments: a draw belongs to its key, and not to the order in which draws are made.

Two configurations are compared on the same faults only if the fault of a request does not depend on what the
configuration did before. Each draw is therefore a hash of the seed and a key: the component, the request, the number of
the attempt. The first call of request 17 to the store fails under every configuration, or under none; whether there is
a second call is the configuration's affair, and what becomes of it is settled, too. (*Common random numbers*: Law,
Simulation Modeling and Analysis, chapter 11.)

The hash is BLAKE2b over the key's ``repr``: strings, numbers and tuples of them give the same draws in every process
and under every version of Python.
"""

from __future__ import annotations

import random
from contextvars import ContextVar
from math import log
from typing import TYPE_CHECKING, TypeVar

from holdfast.core._options import positive, whole
from holdfast.lab.simulator import draws as keyed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token

    from holdfast.lab.virtual.trace import Trace

__all__ = ["Attempt", "Draws", "request_scope"]

T = TypeVar("T")

_Counts = tuple[str, dict[str, int]]
_request: ContextVar[_Counts | None] = ContextVar("holdfast_lab_request", default=None)
Attempt = tuple[str, int]
"""A request's id, and the number of its attempt at something, from 1."""


class request_scope:  # noqa: N801  a context manager, used like a function
    """Draws within are this request's; its tasks and timers included, for as long as they live."""

    __slots__ = ("_request", "_token")

    def __init__(self, request: str) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._token: Token[_Counts | None] = _request.set((self._request, {}))

    def __exit__(self, *_: object) -> None:
        _request.reset(self._token)


class Draws:
    """A source of draws.

    Args:
        seed: 0 or more; another seed is another course of all faults.
        trace: where draws are noted, so that the hash of a run tells of them, too.

    Raises:
        ConfigError: the seed is no whole number of at least 0.
    """

    __slots__ = ("_background", "_trace", "seed")

    def __init__(self, seed: int, *, trace: Trace | None = None) -> None:
        self.seed = whole("seed", seed, least=0)
        self._trace = trace
        self._background: dict[str, int] = {}

    def next_attempt(self, what: str) -> Attempt:
        """The running request, and how often it has come to ``what`` now; work of no request counts for itself.

        Args:
            what: component and operation, e.g. ``"store:sqlite lexical"``.
        """
        current = _request.get()
        request, counts = ("", self._background) if current is None else current
        counts[what] = number = counts.get(what, 0) + 1
        return request, number

    def uniform(self, component: str, *key: object) -> float:
        """A number above 0 and below 1."""
        value = keyed.uniform(self.seed, component, *key)
        if self._trace is not None:
            self._trace.add(int(value * (1 << 53)))
        return value

    def chance(self, rate: float, component: str, *key: object) -> bool:
        """True for a share ``rate`` of keys. 0 and 1 are certain, and cost no draw."""
        return rate >= 1 or (rate > 0 and self.uniform(component, *key) < rate)

    def choice(self, items: Sequence[T], component: str, *key: object) -> T:
        """One of ``items``, each as likely as the next."""
        return items[int(self.uniform(component, *key) * len(items))]

    def exponential(self, mean: float, component: str, *key: object) -> float:
        """The time to the next event, where events are independent and come ``mean`` apart."""
        return -mean * log(self.uniform(component, *key))

    def lognormal(self, median: float, sigma: float, component: str, *key: object) -> float:
        """Half of the numbers are below ``median``; ``sigma`` is the spread of their logarithms; 0: all are alike."""
        if not sigma or not median:
            return median
        return median * keyed.normal_factor(sigma, self.uniform(component, *key))

    def pareto(self, least: float, alpha: float, component: str, *key: object) -> float:
        """A heavy tail from ``least`` on: the share above x is (least/x)**alpha; the mean is infinite up to alpha 1."""
        share: float = self.uniform(component, *key) ** (-1 / positive("alpha", alpha))
        return least * share

    def stream(self, name: str) -> random.Random:
        """A generator of its own for code that takes one: the same for the same seed and name."""
        seed = int(keyed.hex_of(32, self.seed, "stream", name), 16)
        return random.Random(seed) if self._trace is None else _TracedRandom(seed, self._trace)  # noqa: S311


class _TracedRandom(random.Random):
    """A generator whose draws are part of the trace. Everything it gives comes from these two."""

    def __init__(self, seed: int, trace: Trace) -> None:
        super().__init__(seed)
        self._trace = trace

    def random(self) -> float:
        value = super().random()
        self._trace.add(int(value * (1 << 53)))
        return value

    def getrandbits(self, k: int, /) -> int:
        value = super().getrandbits(k)
        self._trace.add(value & 0x7FFF_FFFF_FFFF_FFFF)
        return value
