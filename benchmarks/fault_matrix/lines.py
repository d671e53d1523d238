"""The lines of the matrix: every fault of the simulator, in families, and what is the caller's own doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.lab.simulator.fault_rules import parse_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FAMILIES", "KEY_LINES", "WRONG_REQUEST", "Family", "Line", "all_lines"]

WRONG_REQUEST = "wrong_request"
"""Stands where the other lines have a fault: the provider is well, and the request is not valid."""

_WRONG_MODEL = "wrong_model"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the matrix.

    Attributes:
        says: the first column.
        rule: the fault as on the simulator's command line; or :data:`WRONG_REQUEST`.
        before: the fault of the first provider, where ``rule`` is that of the second, which is to continue its answer.
        streams_only: whether the line differs from the one above it only where an answer is streamed.
        visible: why the caller notices although a second provider is well; empty where it is not to be noticed.
    """

    says: str
    rule: str
    before: str = ""
    streams_only: bool = False
    visible: str = ""

    @property
    def fault(self) -> str | None:
        """The name of the fault; None where the provider is not at fault."""
        return None if self.rule in {WRONG_REQUEST, _WRONG_MODEL} else parse_rule(self.rule).fault

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the first provider has; none stands for every name."""
        return ("another-model",) if self.rule == _WRONG_MODEL else ()


@dataclass(frozen=True, slots=True)
class Family:
    """Faults that have something in common. ``says`` tells what is done about them, in a sentence or two."""

    name: str
    says: str
    lines: tuple[Line, ...]


_COMMITTED = "A part of the answer was given out already; see `continue_streams`."
_TRUSTED = "Nothing in the answer shows it."

FAMILIES = (
    Family(
        "The provider refuses",
        "A status and a code say so. What each means is a table per provider, for one status stands for many things.",
        (
            Line("429, `Retry-After: 7`", "rate_limited"),
            Line("429, `Retry-After: 3600`", "rate_limited,retry_after=3600"),
            Line("429, `Retry-After` in milliseconds", "rate_limited_wrong_unit"),
            Line("429 without `Retry-After`", "rate_limited_bare"),
            Line("429, the money is used up", "quota"),
            Line("402, the account is not paid", "billing"),
            Line("401, the key is refused", "auth"),
            Line("404, the model is not there", _WRONG_MODEL),
            Line("503 or 529, overloaded", "overloaded"),
            Line("500", "server_error"),
            Line("500 to every call (outage)", "outage"),
            Line("502 with a page of HTML", "bad_gateway_html"),
            Line("504", "gateway_timeout"),
            Line("504 after 10 s", "gateway_timeout,seconds=10"),
        ),
    ),
    Family(
        "The connection fails",
        "A body that ends in an error is never taken for a whole one.",
        (
            Line("refused", "refused"),
            Line("reset before the head", "reset"),
            Line("reset after the head", "reset_after_headers"),
            Line("cut in the body; in a stream before the first token", "cut,after=0"),
            Line("cut after three tokens", "cut", streams_only=True, visible=_COMMITTED),
            Line(
                "the same, and the second begins anew instead of going on",
                "begins_anew",
                before="cut",
                streams_only=True,
                visible=_COMMITTED,
            ),
        ),
    ),
    Family(
        "It takes its time",
        "Streams: 15 s to the head and to the first token, 20 s between tokens. Whole answers: 30 s, vectors: 5 s. "
        "What is slow and within these limits is an answer.",
        (
            Line("everything ten times slower", "slow"),
            Line("the head 20 s late", "slow_headers,seconds=20"),
            Line("the head never comes", "slow_headers,seconds=inf"),
            Line("the first token 20 s late", "slow_first_token,seconds=20"),
            Line("the first token never comes", "slow_first_token,seconds=inf"),
            Line("the role comes, and then nothing", "role_then_stall"),
            Line("the body stalls for 10 s", "stall,seconds=10"),
            Line("the body stalls for ever; a stream before its first token", "stall,after=0"),
            Line("stalls for ever after three tokens", "stall", streams_only=True, visible=_COMMITTED),
        ),
    ),
    Family(
        "The body is not an answer",
        "Status 200 says nothing: the body is read before it is believed.",
        (
            Line("empty body", "empty_body"),
            Line("plain text", "not_json"),
            Line("an error as the body", "error_in_200"),
            Line("JSON that ends in its middle", "malformed_json"),
            Line("JSON of another schema", "wrong_schema"),
            Line("an answer without a character", "empty_content"),
            Line("does not say why it ends", "no_finish", visible="In a stream the whole text is out by then."),
        ),
    ),
    Family(
        "The stream is not whole",
        "Nothing is given out before the first real token. After it, an end is an end only when the provider says so.",
        (
            Line("nothing but the end mark", "empty_stream"),
            Line("ends in good order before the first token", "eof,after=0"),
            Line("ends in good order after three tokens", "eof", visible=_COMMITTED),
            Line("ends in half an event, the first", "eof_half_event,after=0"),
            Line("ends in half an event after three tokens", "eof_half_event", visible=_COMMITTED),
            Line("an error event before the first token", "error_event,after=0"),
            Line("an error event after three tokens", "error_event", visible=_COMMITTED),
            Line("one event that is not JSON", "bad_line"),
            Line(
                "the finish reason without the end mark",
                "no_done",
                visible="Anthropic: a message ends with `message_stop`. OpenAI: behind a finish reason comes no text.",
            ),
        ),
    ),
    Family(
        "The vectors are wrong",
        "Each input must have its vector, of the model's dimension, with a number in each place.",
        (
            Line("of another dimension", "wrong_dimension"),
            Line("with a number that is none (NaN)", "nan_vector"),
            Line("the last one is missing", "missing_vector"),
        ),
    ),
    Family(
        "The question is the reason",
        "Another provider is not asked behind the caller's back: one would refuse as well, or a policy would be "
        "circumvented. Lists of their own (`larger`, `filtered`) say who may be asked.",
        (
            Line("the request is not valid", WRONG_REQUEST, visible="It is the caller's own."),
            Line("too long for the model", "context_length", visible="`larger` is the list for it."),
            Line("the prompt is blocked", "prompt_filtered", visible="`filtered` is the list for it."),
            Line(
                "the answer is withheld, nothing was said",
                "content_filter",
                visible="`filtered` is the list for it.",
            ),
            Line(
                "the answer is withheld after three tokens",
                "content_filter,after=3",
                visible="`filtered` is the list for it; in a stream a part was given out already.",
            ),
        ),
    ),
    Family(
        "An answer that is wrong",
        "It is whole and in order by everything that the protocol says.",
        (
            Line(
                "the model refuses",
                "refusal",
                visible="OpenAI: a refusal is an answer, and the caller can read it. Anthropic: as withheld.",
            ),
            Line(
                "JSON inside a Markdown fence", "fenced_json", visible=_TRUSTED + " What JSON is for, the caller knows."
            ),
            Line("ten times as many tokens are counted", "wrong_usage", visible=_TRUSTED),
        ),
    ),
)

KEY_LINES = (
    Line("429, the money is used up", "quota"),
    Line("401, the key is refused", "auth"),
    Line("402, the account is not paid", "billing"),
    Line("429, `Retry-After: 7`", "rate_limited"),
    Line("429 without `Retry-After`", "rate_limited_bare"),
)
"""Faults of one key of two."""


def all_lines() -> Iterator[Line]:
    """Every line, in order."""
    for family in FAMILIES:
        yield from family.lines
