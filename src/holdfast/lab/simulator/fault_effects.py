"""What each fault does: it takes the place of the answer, or changes the answer, or changes how it is sent."""

from __future__ import annotations

from array import array
from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING, Protocol, TypeAlias

from holdfast.core.clock import NS_PER_SECOND
from holdfast.lab.simulator import tokens
from holdfast.lab.simulator.failures import Failure, Problem, error_body, error_script
from holdfast.lab.simulator.script import Connection, Ending, Kind, Piece, Script, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.lab.simulator.failures import ProviderKind
    from holdfast.lab.simulator.fault_table import Value
    from holdfast.lab.simulator.prompt import Answer, Embeddings, Prompt

__all__ = [
    "ANSWER_EFFECTS",
    "PROMPT_EFFECTS",
    "REPLACEMENTS",
    "SCRIPT_EFFECTS",
    "VECTOR_EFFECTS",
    "ErrorEvent",
    "Replacement",
]

_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"</body>\r\n</html>\r\n"
)
_NOT_JSON = b"upstream connect error or disconnect/reset before headers"
_REFUSAL = "I'm sorry, but I can't help with that."
_LONGEST = 86_400.0
"""What "for ever" is, in seconds: after a day the connection is cut."""


Replacement: TypeAlias = "Callable[[ProviderKind, str, Mapping[str, Value]], Script]"
"""Makes the response that takes the place of an answer, for a provider and the id of a request."""


class ErrorEvent(Protocol):
    """Makes the error that stands in the middle of a stream, of a problem and the number of events before it."""

    def __call__(self, problem: Problem, sent: int) -> Piece:
        """The event."""
        ...


# --- in the place of an answer ----------------------------------------------------------------------------------------


def _error(failure: Failure, words: str | None = None) -> Replacement:
    def make(provider: ProviderKind, request_id: str, _parameters: Mapping[str, Value]) -> Script:
        return error_script(provider, Problem(failure, words), request_id)

    return make


def _rate_limited(factor: float) -> Replacement:
    def make(provider: ProviderKind, request_id: str, parameters: Mapping[str, Value]) -> Script:
        wait = f"{_number(parameters, 'retry_after') * factor:g}"
        return error_script(provider, Problem(Failure.REQUESTS, headers={"retry-after": wait}), request_id)

    return make


def _gateway_timeout(provider: ProviderKind, request_id: str, parameters: Mapping[str, Value]) -> Script:
    script = error_script(provider, Problem(Failure.TIMEOUT), request_id)
    script.head_wait_ns = _nanoseconds(parameters)
    return script


def _body(status: int, kind: str, body: bytes) -> Replacement:
    def make(_provider: ProviderKind, _request_id: str, _parameters: Mapping[str, Value]) -> Script:
        return Script.of_body(status, kind, body)

    return make


def _error_in_200(provider: ProviderKind, request_id: str, _parameters: Mapping[str, Value]) -> Script:
    return Script.of_json(200, error_body(provider, Problem(Failure.SERVER), request_id))


def _broken(connection: Connection) -> Replacement:
    def make(_provider: ProviderKind, _request_id: str, _parameters: Mapping[str, Value]) -> Script:
        return Script(0, {}, connection=connection)

    return make


REPLACEMENTS: Mapping[str, Replacement] = {
    "rate_limited": _rate_limited(1),
    "rate_limited_bare": _error(Failure.REQUESTS),
    "rate_limited_wrong_unit": _rate_limited(1_000),
    "quota": _error(Failure.QUOTA),
    "overloaded": _error(Failure.OVERLOADED),
    "server_error": _error(Failure.SERVER),
    "bad_gateway_html": _body(502, "text/html", _HTML),
    "gateway_timeout": _gateway_timeout,
    "auth": _error(Failure.AUTH),
    "billing": _error(Failure.BILLING),
    "context_length": _error(Failure.CONTEXT, "prompt is too long: it does not fit into the context of this model"),
    "prompt_filtered": _error(Failure.FILTERED),
    "refused": _broken(Connection.REFUSED),
    "reset": _broken(Connection.RESET),
    "empty_body": _body(200, "application/json", b""),
    "not_json": _body(200, "text/plain", _NOT_JSON),
    "error_in_200": _error_in_200,
}
"""Faults that take the place of an answer, whatever was asked."""


# --- another answer ---------------------------------------------------------------------------------------------------


def _fenced_json(answer: Answer, _parameters: Mapping[str, Value]) -> Answer:
    written = ["```json\n", *answer.tokens, "\n```"]
    return replace(answer, tokens=written, completion_tokens=len(written))


def _refusal(answer: Answer, _parameters: Mapping[str, Value]) -> Answer:
    count = tokens.count(_REFUSAL)
    return replace(answer, tokens=(), tool=None, refusal=_REFUSAL, finish="refused", completion_tokens=count)


def _filtered(answer: Answer, parameters: Mapping[str, Value]) -> Answer:
    kept = answer.tokens[: int(_number(parameters, "after"))]
    return replace(answer, tokens=kept, tool=None, finish="filtered", stop_sequence=None, completion_tokens=len(kept))


def _wrong_usage(answer: Answer, parameters: Mapping[str, Value]) -> Answer:
    factor = _number(parameters, "factor")
    return replace(
        answer,
        prompt_tokens=round(answer.prompt_tokens * factor),
        completion_tokens=round(answer.completion_tokens * factor),
    )


def _begins_anew(prompt: Prompt) -> Prompt:
    turns = list(prompt.turns)
    while len(turns) > 1 and turns[-1].role == "assistant":
        del turns[-1]
    return replace(prompt, turns=turns)


PROMPT_EFFECTS: Mapping[str, Callable[[Prompt], Prompt]] = {"begins_anew": _begins_anew}
"""Faults of the model: it overlooks a part of what it was asked."""

ANSWER_EFFECTS: Mapping[str, Callable[[Answer, Mapping[str, Value]], Answer]] = {
    "empty_content": lambda answer, _: replace(answer, tokens=(), tool=None, finish="stop", completion_tokens=0),
    "fenced_json": _fenced_json,
    "refusal": _refusal,
    "content_filter": _filtered,
    "wrong_usage": _wrong_usage,
    "no_finish": lambda answer, _: replace(answer, finish="unsaid", stop_sequence=None),
}
"""Faults of the model: the answer is another."""


def _wrong_dimension(embeddings: Embeddings, parameters: Mapping[str, Value]) -> Embeddings:
    dimension = int(min(_number(parameters, "dimension"), 1 << 16))
    other = array("f", [dimension**-0.5]) * dimension
    return replace(embeddings, vectors=[other] * len(embeddings.vectors))


def _nan_vector(embeddings: Embeddings, _parameters: Mapping[str, Value]) -> Embeddings:
    *others, last = embeddings.vectors
    return replace(embeddings, vectors=[*others, array("f", [nan, *last[1:]])])


VECTOR_EFFECTS: Mapping[str, Callable[[Embeddings, Mapping[str, Value]], Embeddings]] = {
    "wrong_dimension": _wrong_dimension,
    "nan_vector": _nan_vector,
    "missing_vector": lambda embeddings, _: replace(embeddings, vectors=embeddings.vectors[:-1]),
}
"""Faults of the embedding model: the vectors are others."""


# --- sent in another way ----------------------------------------------------------------------------------------------


def _slow_headers(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    script.head_wait_ns += _nanoseconds(parameters)


def _slow_first_token(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    _wait_at(script, 0, _number(parameters, "seconds"))


def _role_then_stall(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    _wait_at(script, script.place_of_token(0), _number(parameters, "seconds"))


def _stall(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    _wait_at(script, _middle(script, parameters), _number(parameters, "seconds"))


def _slow(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    factor = _number(parameters, "factor")
    script.head_wait_ns = _at_most_a_day(script.head_wait_ns * factor) + _nanoseconds(parameters)
    for piece in script.pieces:
        piece.wait_ns = _at_most_a_day(piece.wait_ns * factor)


def _reset_after_headers(script: Script, _parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    script.pieces, script.ending = [], Ending.CUT


def _cut(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    place = _middle(script, parameters)
    del script.pieces[place:]
    script.ending = Ending.CUT


def _malformed_json(script: Script, _parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    place = _middle(script, {"after": 0.0})
    del script.pieces[place:]


def _wrong_schema(script: Script, _parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    whole = dump({"result": {"value": 42}, "version": 2})
    if not script.streamed:
        script.pieces = [Piece(whole, Kind.WHOLE, sum(piece.wait_ns for piece in script.pieces))]
        return
    sent = [piece for piece in script.pieces if piece.kind is Kind.TOKEN]
    events = [Piece(b"data: " + whole + b"\n\n", Kind.TOKEN, piece.wait_ns) for piece in sent]
    script.pieces = [*events, Piece(b"data: [DONE]\n\n", Kind.END)]


def _empty_stream(script: Script, _parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    wait, last = script.pieces[0].wait_ns, script.pieces[-1]
    repeats_the_answer = last.data.startswith(b"event: response.")
    script.pieces = [] if repeats_the_answer else [Piece(last.data, Kind.END, wait)]


def _eof(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    del script.pieces[script.place_of_token(_after(parameters)) :]


def _eof_half_event(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    place = script.place_of_token(_after(parameters))
    del script.pieces[place + 1 :]
    last = script.pieces[place]
    script.pieces[place] = Piece(last.data[: len(last.data) // 2], Kind.CLOSE, last.wait_ns)


def _no_done(script: Script, _parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    script.pieces = [piece for piece in script.pieces if piece.kind is not Kind.END]


def _bad_line(script: Script, parameters: Mapping[str, Value], _error: ErrorEvent) -> None:
    place = script.place_of_token(_after(parameters))
    good = script.pieces[place].data
    script.pieces.insert(place, Piece(good[: len(good) // 2].rstrip() + b"\n\n", Kind.CLOSE))


def _error_event(script: Script, parameters: Mapping[str, Value], error: ErrorEvent) -> None:
    place = script.place_of_token(_after(parameters))
    script.pieces[place:] = [error(Problem(Failure.OVERLOADED), place)]


SCRIPT_EFFECTS: Mapping[str, Callable[[Script, Mapping[str, Value], ErrorEvent], None]] = {
    "slow_headers": _slow_headers,
    "slow_first_token": _slow_first_token,
    "role_then_stall": _role_then_stall,
    "stall": _stall,
    "slow": _slow,
    "reset_after_headers": _reset_after_headers,
    "cut": _cut,
    "malformed_json": _malformed_json,
    "wrong_schema": _wrong_schema,
    "empty_stream": _empty_stream,
    "eof": _eof,
    "eof_half_event": _eof_half_event,
    "no_done": _no_done,
    "bad_line": _bad_line,
    "error_event": _error_event,
}
"""Faults on the way: the answer is right, and is sent late, in part, or broken."""


def _middle(script: Script, parameters: Mapping[str, Value]) -> int:
    """Where the fault strikes; a whole body is cut in two for it."""
    if script.streamed:
        return script.place_of_token(_after(parameters))
    body, wait = b"".join(piece.data for piece in script.pieces), sum(piece.wait_ns for piece in script.pieces)
    half = len(body) // 2
    script.pieces = [Piece(body[:half], Kind.WHOLE, wait), Piece(body[half:])]
    return 1


def _wait_at(script: Script, place: int, seconds: float) -> None:
    if seconds == inf:
        del script.pieces[place:]
        script.ending = Ending.SILENCE
    else:
        script.pieces[place].wait_ns += round(min(seconds, _LONGEST) * NS_PER_SECOND)


def _after(parameters: Mapping[str, Value]) -> int:
    return int(min(_number(parameters, "after"), 1 << 31))


def _nanoseconds(parameters: Mapping[str, Value]) -> int:
    return round(min(_number(parameters, "seconds"), _LONGEST) * NS_PER_SECOND)


def _at_most_a_day(ns: float) -> int:
    return round(min(ns, _LONGEST * NS_PER_SECOND))


def _number(parameters: Mapping[str, Value], name: str) -> float:
    return float(parameters[name])
