"""What the primary does, and what is asked of it. No imports of Holdfast: every candidate reads this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["ANSWER", "HEALTHY", "QUESTION", "SCENARIOS", "Job", "Mode", "Scenario", "jobs"]

Mode: TypeAlias = Literal["whole", "stream"]

QUESTION = (
    "When does the library open?\n\nContext:\n[1] The library opens at nine o'clock on weekdays.\n[2] Cats sleep."
)
ANSWER = "The library opens at nine o'clock on weekdays [1]."

_SHARED_LANES = 2
_APART_SECONDS = 1.2
_ENOUGH, _BURST = 5, 10
"""Failures that open our breaker, and timeouts that do, each of which counts half; a peer is tuned to the first."""

HEALTHY = "healthy"
"""The scenario without a fault: what everything else is compared with."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the primary does to every call.

    Attributes:
        says: the same for people.
        whole, stream: the simulator's fault for a whole answer and for a stream; None leaves that one out, and
            ``"closed"`` stands for a port that nobody listens on.
        protocol: of the primary; the second provider speaks OpenAI's.
        partial: whether a part of the answer comes before the fault.
        alone: whether it runs in a process of its own: where many requests hang, others must not hang with them.
    """

    name: str
    says: str
    whole: str | None
    stream: str | None
    protocol: Literal["openai", "anthropic"] = "openai"
    partial: bool = False
    alone: bool = False


def _same(name: str, says: str, rule: str, **more: object) -> Scenario:
    return Scenario(name, says, rule, rule, **more)  # type: ignore[arg-type]


SCENARIOS = (
    _same(HEALTHY, "no fault: the primary answers", ""),
    _same("retry_after", "429, `Retry-After: 7`", "rate_limited"),
    _same("throttled", "429 without `Retry-After`", "rate_limited_bare"),
    _same("server_error", "500", "server_error"),
    _same("overloaded", "503, overloaded", "overloaded"),
    _same("overloaded_529", "529, overloaded (Anthropic)", "overloaded", protocol="anthropic"),
    _same("html", "502 with a page of HTML", "bad_gateway_html"),
    _same("refused", "connection refused", "closed"),
    _same("reset", "connection reset", "reset"),
    Scenario(
        "stall",
        "stalls before the first token (stream: after the role)",
        "stall,after=0",
        "role_then_stall",
        alone=True,
    ),
    _same("error_in_200", "200 with an error as its body", "error_in_200"),
    _same("not_json", "200 that is not JSON", "not_json"),
    Scenario("half_json", "200 with half of its JSON", "malformed_json", None),
    _same("empty_answer", "200 with an empty answer", "empty_content"),
    Scenario("empty_stream", "a stream that holds only its end mark", None, "empty_stream"),
    Scenario("error_first", "an error event before the first token", None, "error_event,after=0"),
    Scenario("bad_line", "one SSE line is not JSON", None, "bad_line"),
    Scenario("truncated", "clean end after three tokens, no finish reason", None, "eof", partial=True),
    Scenario("cut", "connection reset after three tokens", None, "cut", partial=True),
    Scenario("error_later", "an error event after three tokens", None, "error_event", partial=True),
    Scenario("stall_later", "stalls after three tokens", None, "stall", partial=True, alone=True),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario, asked in one way.

    Attributes:
        rule: what the primary does.
        burst: requests at once after the first one, 0 for none.
        lane: jobs with the same number share a process.
        after: seconds after the common start at which it begins, so that jobs do not all begin at once.
        primary, second: addresses without a path.
    """

    scenario: str
    mode: Mode
    protocol: str
    rule: str
    burst: int = 0
    lane: int = 0
    after: float = 0.0
    primary: str = ""
    second: str = ""

    @property
    def settled_after(self) -> int:
        """Requests after which a breaker or a cooldown has had its chance."""
        return 1 + (self.burst or _ENOUGH)


def jobs(*, only: str = "", partial_only: bool = False) -> list[Job]:
    """Every job.

    Args:
        only: names of scenarios, separated by commas; empty is all.
        partial_only: only those in which a part of the answer comes before the fault.
    """
    wanted = set(filter(None, only.split(",")))
    made: list[Job] = []
    modes: tuple[Mode, ...] = ("whole", "stream")
    for each in SCENARIOS:
        if (wanted and each.name not in wanted) or (partial_only and not each.partial):
            continue
        for mode in modes:
            rule = each.whole if mode == "whole" else each.stream
            if rule is not None:
                lane = _SHARED_LANES + len(made) if each.alone else len(made) % _SHARED_LANES
                burst = _BURST if each.alone else 0  # one after the other, hanging would take minutes
                made.append(Job(each.name, mode, each.protocol, rule, burst, lane, _APART_SECONDS * len(made)))
    return made
