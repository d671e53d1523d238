"""How patient a question is: what it may take, in time and in calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from holdfast.core._options import duration, flag, options_by_name, positive, whole
from holdfast.errors import ConfigError
from holdfast.llm._checks import Checked, by, instance, one_of

__all__ = ["EMBEDDING_OPTIONS", "Choice", "HedgeAfter", "RetryOptions", "RouteOptions", "StreamTimers"]

Choice: TypeAlias = Literal["ordered", "balanced", "cheapest"]
HedgeAfter: TypeAlias = float | Literal["percentile"] | None


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimers(Checked):
    """How long each part of a streamed answer may take, in seconds, above 0.

    The defaults leave room for what providers do on a bad day: a first token after 4.5 s for one answer in a hundred,
    11.6 s at the worst.

    Attributes:
        connect: until there is a connection.
        headers: until the head of the response is there, from the start.
        first_token: until the first real output, from the start; a chunk that names only the role is none.
        inter_token: between two pieces of output; comments and pings are none.
        total: for the whole stream, from the start, without the time that its reader takes; at least each of the
            others.
    """

    connect: float = field(default=5.0, metadata=by(duration))
    headers: float = field(default=15.0, metadata=by(duration))
    first_token: float = field(default=15.0, metadata=by(duration))
    inter_token: float = field(default=20.0, metadata=by(duration))
    total: float = field(default=300.0, metadata=by(duration))

    def _check_together(self) -> None:
        longest = max(self.connect, self.headers, self.first_token, self.inter_token)
        if self.total < longest:
            raise ConfigError("total", self.total, f"must be at least the longest of the other timers ({longest:g})")


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions(Checked):
    """Repetitions at one target, when there is no other one to ask.

    Attributes:
        max_retries: repetitions after the first call, 0 or more.
        initial_delay: seconds before the first of them, 0 or more; each delay is twice the last.
        max_delay: the longest delay in seconds, at least ``initial_delay``.
    """

    max_retries: int = field(default=2, metadata=by(lambda f, v: whole(f, v, least=0)))
    initial_delay: float = field(default=1.0, metadata=by(lambda f, v: duration(f, v, or_zero=True)))
    max_delay: float = field(default=30.0, metadata=by(lambda f, v: duration(f, v, or_zero=True)))

    def _check_together(self) -> None:
        if self.max_delay < self.initial_delay:
            raise ConfigError("max_delay", self.max_delay, f"must be at least initial_delay ({self.initial_delay:g})")


def _hedge_after(field_name: str, value: object) -> HedgeAfter:
    if value is None or value == "percentile":
        return "percentile" if value else None
    try:
        return duration(field_name, value)
    except ConfigError as refused:
        raise ConfigError(field_name, value, f'must be seconds or "percentile"; a number {refused.rule}') from None


def _percent(field_name: str, value: object) -> float:
    percent = positive(field_name, value)
    if percent > 100:
        raise ConfigError(field_name, value, "must be at most 100")
    return percent


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOptions(Checked):
    """What a question may take, in time and in calls.

    Attributes:
        max_calls: calls to providers for one question, 1 or more, whatever they are for: repetitions, other keys, other
            targets, hedges.
        deadline_seconds: seconds for the whole answer, above 0; of a stream, until its first real output
            (``timers.total`` bounds the rest).
        attempt_seconds: seconds for one call that is not streamed, above 0.
        timers: for one call that is streamed.
        retry: repetitions at one target.
        hedge_after: seconds after which a call without output is made at a second target as well, above 0;
            ``"percentile"``: twice as long as 95 of 100 of the target's latest answers took to begin (3 s until
            twenty are known); None: never.
        hedge_percent: the share of questions that may be hedged, in percent, above 0 and at most 100. A target from
            which nobody hears any more is left without a hedge: the call ends as one whose time is up.
        continue_streams: whether a stream that breaks after a part of it was given out is continued by another target.
        choose: ``"ordered"`` asks the first target that is well; ``"balanced"`` draws one by weight, and passes over
            one that has twice the load of another; ``"cheapest"`` asks the one with the lowest price, those whose price
            is unknown last.
    """

    max_calls: int = field(default=6, metadata=by(lambda f, v: whole(f, v, least=1)))
    deadline_seconds: float = field(default=60.0, metadata=by(duration))
    attempt_seconds: float = field(default=30.0, metadata=by(duration))
    timers: StreamTimers = field(default_factory=StreamTimers, metadata=by(instance(StreamTimers)))
    retry: RetryOptions = field(default_factory=RetryOptions, metadata=by(instance(RetryOptions)))
    hedge_after: HedgeAfter = field(default=None, metadata=by(_hedge_after))
    hedge_percent: float = field(default=10.0, metadata=by(_percent))
    continue_streams: bool = field(default=False, metadata=by(flag))
    choose: Choice = field(default="ordered", metadata=by(one_of(*get_args(Choice))))


EMBEDDING_OPTIONS = RouteOptions(
    deadline_seconds=30.0,
    attempt_seconds=5.0,
    retry=RetryOptions(max_retries=3, initial_delay=0.5, max_delay=10.0),
)
"""The options of an embedding route that names none: short calls, many of them."""
