"""What a run gave: its measures, its course in buckets of five seconds, and the hash of everything that happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUCKET_SECONDS", "Bucket", "Measures", "Outcome"]

BUCKET_SECONDS = 5.0
"""How long a bucket is."""

T = TypeVar("T", "Bucket", "Measures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Five seconds of a run. A question belongs to the bucket in which it was asked, a call to that in which it began.

    Attributes:
        at: when it begins, in seconds of the run.
        offered: questions that were asked.
        useful: of them, those that got a useful answer in time.
        degraded: of the useful ones, those that were less than full.
        errors: user-facing errors; ``offered`` less ``useful``.
        attempts: calls to providers of models.
        retries: repeated calls, to whichever dependency.
        tier: the lowest tier of the service within it.
        open_breakers: the dependencies whose breakers were open within it, by name.
        p95: seconds within which 95% of its questions ended; 0 where none was asked.
    """

    at: float
    offered: int
    useful: int
    degraded: int
    errors: int
    attempts: int
    retries: int
    tier: str
    open_breakers: tuple[str, ...]
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The measures of one run. Shares are from 0 to 1, times are virtual seconds.

    Attributes:
        asked: questions.
        errors: user-facing errors: no useful answer within the deadline, or one that lacks the known fact.
        error_rate: ``errors`` of ``asked``.
        error_causes: ``errors`` by cause: ``rejected``, ``static``, ``late``, ``failed`` (an exception), ``wrong``
            (claims to know, and lacks the known fact) and ``unanswered`` (does not know what is known).
        wrong: answers against the known fact; they are among the ``errors``.
        useful_degraded: the share of questions that got a useful answer that was less than full.
        availability: the share of buckets in which the share of errors was within the scenario's objective.
        goodput: useful answers a second, over the time in which questions were asked.
        p50, p95, p99: seconds until the end of a question, whatever it was; within 1%.
        first_text_p95: seconds until the first text of streamed answers; 0 where none was streamed.
        mttr: for each outage, from its onset to the first of three good buckets in a row.
        recovery: for each outage that ended within the run, from its end to the same point.
        unrecovered: outages after which there was no such point; their times above run to the next one, or to the end.
        full_again: for each outage that ended within the run, seconds from its end until the service was at its full
            tier and stayed there (until the next outage, or the end); 0: it was.
        attempts_per_request: calls to providers of models for each question, over the whole run.
        attempts_per_request_max: the same in the worst window of ten seconds with ten questions or more.
        retry_share: of the calls to providers of models, those that were not the question's first one to that provider.
        wasted_calls, wasted_tokens: calls to models, and their tokens, that were paid and not used.
        cost_usd: of all calls to models; ``cost_by_cause`` and ``cost_by_model`` share it out.
        openings: how often a breaker opened.
        false_openings: openings of, or stays beyond a probe's interval in, a state that the dependency's true failure
            rate did not warrant; a simulated day.
        seconds_in_tier: how long the service was in each tier.
        quality: quality-weighted availability: the mean over all questions of the tier's quality, of that of the full
            one; an error counts 0.
        sources, tiers: answers by source and by tier.
        calls: calls to each dependency, looks whether it works included.
        crashes: questions that ended with an error that the engine does not raise on purpose.
    """

    asked: int = 0
    errors: int = 0
    error_rate: float = 0.0
    error_causes: Mapping[str, int] = field(default_factory=dict)
    wrong: int = 0
    useful_degraded: float = 0.0
    availability: float = 1.0
    goodput: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    first_text_p95: float = 0.0
    mttr: tuple[float, ...] = ()
    recovery: tuple[float, ...] = ()
    unrecovered: int = 0
    full_again: tuple[float, ...] = ()
    attempts_per_request: float = 0.0
    attempts_per_request_max: float = 0.0
    retry_share: float = 0.0
    wasted_calls: int = 0
    wasted_tokens: int = 0
    cost_usd: float = 0.0
    cost_by_cause: Mapping[str, float] = field(default_factory=dict)
    cost_by_model: Mapping[str, float] = field(default_factory=dict)
    openings: int = 0
    false_openings: float = 0.0
    seconds_in_tier: Mapping[str, float] = field(default_factory=dict)
    quality: float = 1.0
    sources: Mapping[str, int] = field(default_factory=dict)
    tiers: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    crashes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One scenario, played once.

    Attributes:
        scenario, configuration: their names.
        seed: what all its draws came from.
        rate: the share of failing calls that was injected; None where the scenario has none to vary.
        seconds: how long questions were asked, in virtual time.
        trace: the hash of everything that happened; equal for equal runs.
        measures: what was measured.
        timeline: its course.
    """

    scenario: str
    configuration: str
    seed: int
    rate: float | None
    seconds: float
    trace: str
    measures: Measures
    timeline: tuple[Bucket, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As data that JSON can hold; :meth:`from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """An outcome from what :meth:`as_json` gave, after JSON. Fields that it lacks have their defaults.

        Raises:
            InvalidInputError: a field is missing that has no default, or is not known.
        """
        try:
            return cls(
                **{
                    **data,
                    "measures": _read(Measures, data["measures"]),
                    "timeline": tuple(_read(Bucket, each) for each in data.get("timeline", ())),
                }
            )
        except (KeyError, TypeError) as error:
            raise InvalidInputError("outcome", f"is not what the lab writes: {error}") from error


def _read(cls: type[T], data: Mapping[str, Any]) -> T:
    """``data`` with JSON's lists as the tuples that they were."""
    tuples = {each.name for each in fields(cls) if str(each.type).startswith("tuple")}
    values: dict[str, Any] = {name: tuple(value) if name in tuples else value for name, value in data.items()}
    return cls(**values)
