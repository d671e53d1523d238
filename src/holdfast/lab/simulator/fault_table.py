"""Every fault that the simulator can play, as data: its name, where it applies, its parameters, what it does.

The reference in the documentation is made of this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["FAULTS", "FaultKind", "Parameter", "Scope", "Traits", "Value", "as_markdown"]

Value: TypeAlias = float | str


class Scope(StrEnum):
    """The calls that a fault can be played on."""

    CALLS = "every call"
    CHATS = "chats"
    STREAMS = "streamed chats"
    WHOLE = "answers that are not streamed"
    JSON_MODE = "chats in JSON mode"
    REASONED = "chats, but not responses"
    EMBEDDINGS = "embeddings"


class Traits(NamedTuple):
    """What can be seen of a call before it is read."""

    endpoint: str
    stream: bool
    json_mode: bool


_CHATS = frozenset({"chat", "responses", "messages"})
_FITS: Mapping[Scope, Callable[[Traits], bool]] = {
    Scope.CALLS: lambda _: True,
    Scope.CHATS: lambda call: call.endpoint in _CHATS,
    Scope.STREAMS: lambda call: call.stream and call.endpoint in _CHATS,
    Scope.WHOLE: lambda call: not call.stream,
    Scope.JSON_MODE: lambda call: call.json_mode and call.endpoint in _CHATS,
    Scope.REASONED: lambda call: call.endpoint in _CHATS and call.endpoint != "responses",
    Scope.EMBEDDINGS: lambda call: call.endpoint == "embeddings",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option of a fault. ``least`` is the smallest value that is allowed; texts have none."""

    name: str
    default: Value
    says: str
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault."""

    name: str
    scope: Scope
    says: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def applies_to(self) -> Callable[[Traits], bool]:
        """Tells whether it can be played on a call."""
        return _FITS[self.scope]

    @property
    def defaults(self) -> dict[str, Value]:
        """The parameters as they are when nothing is said."""
        return {parameter.name: parameter.default for parameter in self.parameters}


_RETRY_AFTER = Parameter("retry_after", 7.0, "seconds until it may be tried again")
_AFTER = Parameter("after", 3.0, "tokens that come before it; 0 is before the first one")
_HELD = Parameter("seconds", inf, "how long; `inf` is for ever")

_ROWS = (
    # the provider refuses
    FaultKind("rate_limited", Scope.CALLS, "429 with `Retry-After`.", (_RETRY_AFTER,)),
    FaultKind("rate_limited_bare", Scope.CALLS, "429 that does not say when to come back."),
    FaultKind(
        "rate_limited_wrong_unit",
        Scope.CALLS,
        "429 whose `Retry-After` holds milliseconds, where seconds belong.",
        (_RETRY_AFTER,),
    ),
    FaultKind(
        "quota",
        Scope.CALLS,
        "429 that no waiting helps: OpenAI's `insufficient_quota`, Anthropic's `enforced_spend_limit_reached`.",
    ),
    FaultKind("overloaded", Scope.CALLS, "OpenAI's 503 `server_is_overloaded`, Anthropic's 529 `overloaded_error`."),
    FaultKind("server_error", Scope.CALLS, "500 in the provider's shape."),
    FaultKind("bad_gateway_html", Scope.CALLS, "502 with a page of HTML, from something in front of the provider."),
    FaultKind(
        "gateway_timeout",
        Scope.CALLS,
        "504, after a wait.",
        (Parameter("seconds", 0.0, "the wait before it"),),
    ),
    FaultKind("auth", Scope.CALLS, "401, though the key is right."),
    FaultKind("billing", Scope.CALLS, "402: the account is not paid."),
    FaultKind(
        "context_length", Scope.CHATS, "400 `context_length_exceeded` (Anthropic: `prompt is too long`), however short."
    ),
    FaultKind("prompt_filtered", Scope.CHATS, "400 `content_filter`: the prompt is blocked."),
    # the connection fails
    FaultKind(
        "refused",
        Scope.CALLS,
        "No connection. In process that is a refusal. A real socket has accepted the connection before the request can "
        "be seen, so there it is a reset before any byte of a response; for a real refusal, stop the simulator.",
    ),
    FaultKind("reset", Scope.CALLS, "The connection is reset (RST) before any byte of a response."),
    FaultKind("reset_after_headers", Scope.CALLS, "The head comes, then the connection is reset."),
    FaultKind("cut", Scope.CALLS, "The connection is reset in the middle of the body.", (_AFTER,)),
    # it takes its time
    FaultKind(
        "slow_headers",
        Scope.CALLS,
        "The head comes late.",
        (Parameter("seconds", 30.0, "how much later; `inf` is never"),),
    ),
    FaultKind(
        "slow_first_token",
        Scope.CALLS,
        "The head comes in time, what follows it comes late.",
        (Parameter("seconds", 30.0, "how much later; `inf` is never"),),
    ),
    FaultKind(
        "role_then_stall", Scope.STREAMS, "What opens the stream comes (the role), then nothing for a time.", (_HELD,)
    ),
    FaultKind(
        "stall", Scope.CALLS, "Nothing comes for a time in the middle of the body, then the rest.", (_AFTER, _HELD)
    ),
    FaultKind(
        "slow",
        Scope.CALLS,
        "Everything takes longer. `slow:0.05` is grey slowness: one call in twenty.",
        (
            Parameter("factor", 10.0, "by which the latency is multiplied (at `--speed 0` there is none)"),
            Parameter("seconds", 0.0, "added before the head"),
        ),
    ),
    # the body is not an answer
    FaultKind("empty_body", Scope.CALLS, "200 with no body at all."),
    FaultKind("not_json", Scope.CALLS, "200 with plain text, where JSON or a stream belongs."),
    FaultKind("error_in_200", Scope.CALLS, "200 with an error in the provider's shape as its JSON body."),
    FaultKind("malformed_json", Scope.WHOLE, "200 with a JSON body that ends in its middle, in good order."),
    FaultKind("wrong_schema", Scope.CALLS, "200 with valid JSON (or events) that is nothing the protocol knows."),
    FaultKind("empty_content", Scope.CHATS, "A whole answer without a single character in it."),
    FaultKind(
        "begins_anew",
        Scope.CHATS,
        "A prompt that ends with the beginning of the answer gets the whole answer again, instead of the rest.",
    ),
    FaultKind("fenced_json", Scope.JSON_MODE, "The JSON object comes inside a Markdown fence."),
    FaultKind("refusal", Scope.CHATS, "The model refuses: OpenAI's `refusal`, Anthropic's stop reason `refusal`."),
    FaultKind(
        "content_filter",
        Scope.CHATS,
        "The answer is withheld after some tokens: finish reason `content_filter` (Anthropic: `refusal`).",
        (Parameter("after", 0.0, "tokens that come before it"),),
    ),
    FaultKind(
        "wrong_usage",
        Scope.CHATS,
        "Token counts that are not true.",
        (Parameter("factor", 10.0, "by which they are multiplied"),),
    ),
    FaultKind(
        "no_finish",
        Scope.REASONED,
        "A whole answer that does not say why it ends, as some servers never do; the end mark comes.",
    ),
    # the stream is not whole
    FaultKind("empty_stream", Scope.STREAMS, "200 with a stream that holds nothing but its end mark."),
    FaultKind(
        "eof",
        Scope.STREAMS,
        "The stream ends in good order after some tokens: no finish reason, no end mark.",
        (_AFTER,),
    ),
    FaultKind("eof_half_event", Scope.STREAMS, "As `eof`, in the middle of an event.", (_AFTER,)),
    FaultKind("no_done", Scope.STREAMS, "The finish reason comes, the end mark (`[DONE]`, `message_stop`) does not."),
    FaultKind("bad_line", Scope.STREAMS, "One event that is not JSON stands among the good ones.", (_AFTER,)),
    FaultKind(
        "error_event",
        Scope.STREAMS,
        "The stream ends in an overload error after some tokens, under status 200.",
        (_AFTER,),
    ),
    # the vectors are wrong
    FaultKind(
        "wrong_dimension",
        Scope.EMBEDDINGS,
        "Vectors of another dimension.",
        (Parameter("dimension", 8.0, "numbers in each", 1.0),),
    ),
    FaultKind("nan_vector", Scope.EMBEDDINGS, "The last vector holds a number that is none (NaN)."),
    FaultKind("missing_vector", Scope.EMBEDDINGS, "The last vector is missing."),
    # all at once
    FaultKind(
        "outage",
        Scope.CALLS,
        "Everything fails, as another fault that applies to every call; meant for a period (`outage@10-40`), or with "
        "`group` for periods that several simulators of one seed have in common.",
        (Parameter("as", "server_error", "that fault's name"),),
    ),
)

FAULTS: Mapping[str, FaultKind] = {row.name: row for row in _ROWS}
"""By name."""


def as_markdown() -> str:
    """The table for the documentation."""
    return "\n".join(["| Fault | Applies to | Parameters | What happens |", "|---|---|---|---|", *_lines()])


def _lines() -> Iterator[str]:
    for row in _ROWS:
        parameters = "; ".join(f"`{each.name}={_shown(each.default)}`: {each.says}" for each in row.parameters)
        yield f"| `{row.name}` | {row.scope} | {parameters} | {row.says} |"


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
