"""Which failures there are."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from holdfast.lab.failures import (
    auth_retry,
    breaker_false_positive,
    metastable,
    queue_memory,
    retry_storm,
    stuck_degradation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.lab.failures.story import Story

__all__ = ["Failure", "Play", "Played", "failures"]


class Play(Protocol):
    """Plays a failure once, in virtual time."""

    def __call__(self, *, fixed: bool, seed: int = ...) -> Story:
        """Play it.

        Args:
            fixed: with the fix, or without.
            seed: what all draws come from, 0 or more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: its name, what it is in a few words, what was changed, and how it is played."""

    name: str
    title: str
    fix: str
    play: Play

    def both(self, seed: int) -> Played:
        """Play it without the fix and with it, on the same draws."""
        return Played(self, self.play(fixed=False, seed=seed), self.play(fixed=True, seed=seed))


@dataclass(frozen=True, slots=True)
class Played:
    """A failure that was played."""

    failure: Failure
    broken: Story
    fixed: Story


_ALL = (
    Failure(
        retry_storm.NAME,
        "Retry storm: 100 clients make 400 calls on 20 connections",
        "jitter, a retry budget, a bulkhead",
        retry_storm.play,
    ),
    Failure(
        breaker_false_positive.NAME,
        "Breaker false positive: two slow seconds, a minute of outage",
        "a threshold of 5, a time limit that callers can wait for",
        breaker_false_positive.play,
    ),
    Failure(
        queue_memory.NAME,
        "Queue memory exhaustion: 200 a second in, 50 out",
        "a bounded queue, low priority shed first",
        queue_memory.play,
    ),
    Failure(
        stuck_degradation.NAME,
        "Stuck degradation: two minutes of outage, hours in MINIMAL",
        "probes, and climbing back",
        stuck_degradation.play,
    ),
    Failure(
        auth_retry.NAME,
        "Retrying an auth error: seven seconds for a wrong key",
        "the classification of errors, which is the default",
        auth_retry.play,
    ),
    Failure(
        metastable.NAME,
        "Metastable failure: down long after the trigger is gone",
        "a retry budget, and dropping what nobody waits for",
        metastable.play,
    ),
)


def failures() -> Mapping[str, Failure]:
    """The failures by name: the five classic ones in the order of the documentation, then the metastable one."""
    return MappingProxyType({failure.name: failure for failure in _ALL})
