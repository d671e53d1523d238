"""What a client gets of each fault, on each endpoint."""

from __future__ import annotations

import json
from math import isnan
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.lab.simulator.conftest import ANSWER, QUESTION, MakeProvider, Provider

from holdfast.core.clock import NS_PER_SECOND
from holdfast.lab.simulator.fault_table import FAULTS, Scope
from holdfast.lab.simulator.response import SimulatedCut, SimulatedRefusal, SimulatedReset

if TYPE_CHECKING:
    from holdfast.testing.clock import FakeClock

WAYS = ("chat", "chat stream", "messages", "messages stream", "responses", "responses stream", "embeddings")
STREAMS = tuple(way for way in WAYS if way.endswith("stream"))
CHATS = WAYS[:-1]


def written(events: list[tuple[str | None, Any]]) -> str:
    """The text in the events of any of the three streams."""
    text = ""
    for name, value in events:
        if name == "content_block_delta":
            text += value["delta"]["text"]
        elif name == "response.output_text.delta":
            text += value["delta"]
        elif isinstance(value, dict) and value.get("object") == "chat.completion.chunk" and value["choices"]:
            text += value["choices"][0]["delta"].get("content") or ""
    return text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", [each for each in FAULTS if each != "outage"])
async def test_every_fault_on_every_endpoint(provider: MakeProvider, fault: str, way: str) -> None:
    """A fault that applies to a call is recorded with it; one that does not leaves the answer as it is."""
    some, plain = provider(fault), provider()
    applies = {
        Scope.CALLS: True,
        Scope.CHATS: way != "embeddings",
        Scope.STREAMS: way in STREAMS,
        Scope.WHOLE: way not in STREAMS,
        Scope.JSON_MODE: False,
        Scope.REASONED: way.startswith(("chat", "messages")),
        Scope.EMBEDDINGS: way == "embeddings",
    }[FAULTS[fault].scope]
    try:
        reply = await some.ask(way)
    except (SimulatedCut, SimulatedRefusal, SimulatedReset):
        reply = None
    call = some.simulator.calls[-1]
    assert call.fault == (fault if applies else None)
    assert call.outcome.value == ("broken" if reply is None else "completed")
    assert some.simulator.calls.counts()["faults"] == ({fault: 1} if applies else {})
    if not applies:
        assert reply is not None
        assert reply.content == (await plain.ask(way)).content


STATUSES = {
    "rate_limited": (429, 429), "rate_limited_bare": (429, 429), "rate_limited_wrong_unit": (429, 429),
    "quota": (429, 429),
    "overloaded": (503, 529), "server_error": (500, 500), "bad_gateway_html": (502, 502), "gateway_timeout": (504, 504),
    "auth": (401, 401), "billing": (402, 402), "context_length": (400, 400), "prompt_filtered": (400, 400),
    "empty_body": (200, 200), "not_json": (200, 200), "error_in_200": (200, 200),
}  # fmt: skip


@pytest.mark.parametrize("fault", STATUSES)
async def test_statuses(provider: MakeProvider, fault: str) -> None:
    """Each refusal has the status that its provider gives it, streamed or not."""
    for way in ("chat", "chat stream", "messages", "messages stream"):
        expected = STATUSES[fault][way.startswith("messages")]
        assert (await provider(fault).ask(way)).status == expected


async def test_bodies_of_refusals(provider: MakeProvider) -> None:
    """Each refusal has the codes by which its provider's clients tell it."""

    async def of(fault: str, way: str) -> Any:
        return (await provider(fault).ask(way)).json["error"]

    assert (await of("quota", "chat"))["code"] == "insufficient_quota"
    assert (await of("rate_limited", "chat"))["code"] == "rate_limit_exceeded"
    assert (await of("overloaded", "chat"))["code"] == "server_is_overloaded"
    assert (await of("context_length", "chat"))["code"] == "context_length_exceeded"
    assert (await of("prompt_filtered", "chat"))["code"] == "content_filter"
    assert (await of("error_in_200", "chat"))["type"] == "server_error"
    assert (await of("overloaded", "messages"))["type"] == "overloaded_error"
    assert "enforced_spend_limit_reached" in (await of("quota", "messages"))["message"]
    assert (await of("billing", "messages"))["type"] == "billing_error"
    assert (await of("context_length", "messages"))["message"].startswith("prompt is too long")
    assert (await provider("bad_gateway_html").ask("chat")).content.startswith(b"<html>")
    assert (await provider("empty_body").ask("messages")).content == b""
    with pytest.raises(json.JSONDecodeError):
        _ = (await provider("not_json").ask("embeddings")).json


async def test_retry_after(provider: MakeProvider) -> None:
    """A 429 says when to come back, or does not, or says it in the wrong unit."""

    async def after(fault: str) -> str | None:
        return (await provider(fault).chat()).headers.get("retry-after")

    assert await after("rate_limited") == "7"
    assert await after("rate_limited,retry_after=0.5") == "0.5"
    assert await after("rate_limited_bare") is None
    assert await after("rate_limited_wrong_unit") == "7000"
    assert await after("quota") is None


@pytest.mark.parametrize(("fault", "error"), [("refused", SimulatedRefusal), ("reset", SimulatedReset)])
async def test_no_connection(provider: MakeProvider, fault: str, error: type[Exception]) -> None:
    """A broken connection gives no response, and the record has no status."""
    some = provider(fault)
    with pytest.raises(error):
        await some.chat()
    assert (some.simulator.calls[0].status, some.simulator.calls[0].outcome) == (None, "broken")


async def read(some: Provider, body: dict[str, Any]) -> tuple[int, list[bytes], bool]:
    """The status, the pieces, and whether the body was cut."""
    response = await some.simulator.handle("POST", "/v1/chat/completions", {}, json.dumps(body).encode())
    pieces: list[bytes] = []
    try:
        async for piece in response.body():
            pieces.append(piece)  # noqa: PERF401 - what came before a cut counts
    except SimulatedCut:
        return response.status, pieces, True
    return response.status, pieces, False


STREAMED = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Why?"}]}
WHOLE = {**STREAMED, "stream": False}


async def test_cuts(provider: MakeProvider) -> None:
    """A cut comes after the tokens asked for, a whole body is cut in its middle, and one after the head has no body."""
    status, pieces, cut = await read(provider("cut,after=2"), STREAMED)
    assert (status, len(pieces), cut) == (200, 1 + 2, True)
    whole = (await provider().chat("Why?", model="m")).content
    status, pieces, cut = await read(provider("cut"), WHOLE)
    assert (status, b"".join(pieces), cut) == (200, whole[: len(whole) // 2], True)
    assert await read(provider("reset_after_headers"), STREAMED) == (200, [], True)
    assert (await provider("malformed_json").chat("Why?", model="m")).content == whole[: len(whole) // 2]
    status, pieces, cut = await read(provider("cut,after=1000"), STREAMED)
    assert (pieces[-1].count(b'"content"'), cut) == (1, True)


@pytest.mark.parametrize("way", STREAMS)
async def test_streams_that_are_not_whole(provider: MakeProvider, way: str) -> None:
    """Streams end early, inside an event, without an end mark, or with an error, after the tokens asked for."""
    whole = (await provider().ask(way)).events
    eof = (await provider("eof,after=4").ask(way)).events
    assert written(eof) == "Shipping to the"
    assert eof == whole[: len(eof)]
    assert written((await provider("eof,after=0").ask(way)).events) == ""
    assert written((await provider("eof,after=999").ask(way)).events) == ANSWER

    half = await provider("eof_half_event,after=4").ask(way)
    assert not half.content.endswith(b"\n\n")
    assert half.content.startswith((await provider("eof,after=4").ask(way)).content)

    assert (await provider("no_done").ask(way)).events == whole[:-1]

    broken = await provider("error_event,after=4").ask(way)
    assert written(broken.events) == "Shipping to the"
    error = broken.events[-1][1]
    assert "overloaded" in json.dumps(error)
    assert broken.status == 200
    assert (broken.events[-1][0] == "error") is (way != "chat stream")

    bad = await provider("bad_line,after=4").ask(way)
    texts = [value for _, value in bad.events if isinstance(value, str) and value != "[DONE]"]
    assert len(texts) == 1
    assert len(bad.events) == len(whole) + 1
    assert written([event for event in bad.events if not isinstance(event[1], str)]) == ANSWER

    empty = (await provider("empty_stream").ask(way)).events
    assert empty == ([] if way.startswith("responses") else whole[-1:])


@pytest.mark.parametrize("way", STREAMS)
async def test_before_the_first_token_is_before_any_output(provider: MakeProvider, way: str) -> None:
    """A fault before the first token comes before the name of a tool is told."""
    tools: list[dict[str, Any]] = [{"name": "look", "type": "function", "function": {"name": "look"}}]
    choice: Any = {"type": "any"} if way.startswith("messages") else "required"
    reply = await provider("eof,after=0").ask(way, tools=tools, tool_choice=choice)
    assert reply.content
    assert b"look" not in reply.content
    assert b"look" in (await provider("eof,after=1").ask(way, tools=tools, tool_choice=choice)).content


async def test_a_stream_without_a_token_can_break_too(provider: MakeProvider) -> None:
    """Where an answer has no token, the stream breaks behind what opens it."""
    events = (await provider("eof").chat(stream=True, stop=["Shipping"])).events
    assert [value["choices"][0]["delta"].get("role") for _, value in events] == ["assistant"]


async def test_answers_that_are_others(provider: MakeProvider) -> None:
    """Faults of the model give answers that are empty, refused, withheld, miscounted, or without a finish reason."""
    empty = (await provider("empty_content").chat()).json["choices"][0]
    assert (empty["message"]["content"], empty["finish_reason"]) == ("", "stop")
    refused = (await provider("refusal").chat()).json["choices"][0]["message"]
    assert (refused["content"], refused["refusal"][:9]) == (None, "I'm sorry")
    held = (await provider("content_filter,after=2").chat()).json["choices"][0]
    assert (held["message"]["content"], held["finish_reason"]) == ("Shipping", "content_filter")
    assert (await provider("no_finish").chat()).json["choices"][0]["finish_reason"] is None
    true, wrong = (await provider().chat()).json["usage"], (await provider("wrong_usage").chat()).json["usage"]
    assert wrong["total_tokens"] == 10 * true["total_tokens"]

    message = (await provider("refusal").messages()).json
    assert (message["content"], message["stop_reason"]) == ([], "refusal")
    assert (await provider("content_filter").messages()).json["stop_reason"] == "refusal"
    assert (await provider("no_finish").messages()).json["stop_reason"] is None

    response = (await provider("refusal").responses()).json
    assert response["output"][0]["content"][0]["refusal"].startswith("I'm sorry")
    assert (await provider("content_filter").responses()).json["incomplete_details"] == {"reason": "content_filter"}


async def test_an_answer_that_begins_anew(provider: MakeProvider) -> None:
    """A model that overlooks the beginning of its answer writes all of it again, where another writes the rest."""
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Shipping to"}]

    async def written_by(some: Provider) -> str:
        return str((await some.chat(messages=turns)).json["choices"][0]["message"]["content"])

    assert await written_by(provider()) == ANSWER.removeprefix("Shipping to")
    assert await written_by(provider("begins_anew")) == ANSWER


async def test_refusals_are_streamed(provider: MakeProvider) -> None:
    """A refusal comes in pieces where the protocol has a place for it, and as a stop reason where it has not."""
    chat = (await provider("refusal").ask("chat stream")).events
    words = "".join(value["choices"][0]["delta"].get("refusal") or "" for _, value in chat[:-1])
    assert words.startswith("I'm sorry")
    response = (await provider("refusal").ask("responses stream")).events
    assert words == "".join(value["delta"] for name, value in response if name == "response.refusal.delta")
    message = (await provider("refusal").ask("messages stream")).events
    assert [name for name, _ in message] == ["message_start", "ping", "message_delta", "message_stop"]


async def test_fenced_json(provider: MakeProvider) -> None:
    """In JSON mode the object comes inside a fence, streamed too; outside of it nothing happens."""
    form = {"response_format": {"type": "json_object"}}
    fenced = (await provider("fenced_json").chat(**form)).json["choices"][0]["message"]["content"]
    assert json.loads(fenced.removeprefix("```json\n").removesuffix("\n```"))["citations"] == [2]
    assert written((await provider("fenced_json").chat(stream=True, **form)).events) == fenced
    some = provider("fenced_json")
    flat = (await some.responses(text={"format": {"type": "json_object"}})).json["output"][0]["content"][0]["text"]
    assert flat.startswith("```json\n")
    assert (await some.chat()).json["choices"][0]["message"]["content"] == ANSWER


async def test_wrong_schema(provider: MakeProvider) -> None:
    """A body that no protocol knows is JSON, or a stream of JSON events, all the same."""
    assert (await provider("wrong_schema").chat()).json["version"] == 2
    events = (await provider("wrong_schema").ask("messages stream")).events
    assert [value for _, value in events[:1]] == [{"result": {"value": 42}, "version": 2}]
    assert events[-1] == (None, "[DONE]")


async def test_vectors_that_are_wrong(provider: MakeProvider) -> None:
    """Vectors of another dimension, with a number that is none, and one that is missing, in both encodings."""
    data = (await provider("wrong_dimension").embed("a", "b")).json["data"]
    assert [len(each["embedding"]) for each in data] == [8, 8]
    data = (await provider("nan_vector").embed("a", "b", dimensions=4)).json["data"]
    assert [isnan(each["embedding"][0]) for each in data] == [False, True]
    assert (await provider("nan_vector").embed("a", encoding_format="base64")).status == 200
    assert len((await provider("missing_vector").embed("a", "b")).json["data"]) == 1


async def test_an_outage_is_another_fault_for_a_time(provider: MakeProvider, clock: FakeClock) -> None:
    """An outage plays the fault that it names on every call of its period, and is recorded by its own name."""
    some = provider("outage@10-20,as=overloaded")
    statuses = []
    for _ in range(3):
        statuses.append((await some.chat()).status)
        clock.advance(10)
    assert statuses == [200, 503, 200]
    assert [call.fault for call in some.simulator.calls] == [None, "outage", None]


async def test_a_request_that_is_wrong_gets_no_fault_of_the_answer(provider: MakeProvider) -> None:
    """A request that is refused for its own fault is not counted as one that a fault was played on."""
    some = provider("stall,seconds=5")
    assert (await some.chat(n=2)).status == 400
    assert some.simulator.calls[0].fault is None


# --- time -------------------------------------------------------------------------------------------------------------


async def timed(some: Provider, body: dict[str, Any]) -> list[float]:
    """Seconds, since the request, of the head and of each piece."""
    begun = some.clock.now_ns()
    response = await some.simulator.handle("POST", "/v1/chat/completions", {}, json.dumps(body).encode())
    times = [some.clock.now_ns()]
    times += [some.clock.now_ns() async for _ in response.body()]
    return [(each - begun) / NS_PER_SECOND for each in times]


STEADY: dict[str, Any] = {"speed": 1, "first_token_sigma": 0, "per_token_sigma": 0}


async def test_the_pace_of_an_answer(provider: MakeProvider) -> None:
    """Half of the time to the first token passes before the head; a whole answer comes when its last token would."""
    head, role, first, second, *_, last = await timed(provider(**STEADY), STREAMED)
    assert (head, role, first) == (0.25, 0.5, 0.5)
    assert second == pytest.approx(0.52)
    [whole, body] = await timed(provider(**STEADY), WHOLE)
    assert whole == body == pytest.approx(last)
    assert await timed(provider(), STREAMED) == [0] * (len(await timed(provider(**STEADY), STREAMED)))


async def test_latencies_come_from_the_seed(provider: MakeProvider) -> None:
    """The same seed and number of a call give the same times; another call has others."""
    one, same = provider(speed=1, seed=3), provider(speed=1, seed=3)
    times = await timed(one, STREAMED)
    assert times == pytest.approx(await timed(same, STREAMED))
    assert times != pytest.approx(await timed(one, STREAMED))


async def test_slow_faults(provider: MakeProvider) -> None:
    """What is slow comes late at its place: the head, the first token, the middle, or everything."""
    assert await timed(provider("slow_headers,seconds=9"), STREAMED) == [9.0] * len(await timed(provider(), STREAMED))
    head, *rest = await timed(provider("slow_first_token,seconds=9"), STREAMED)
    assert (head, set(rest)) == (0, {9.0})
    head, role, *rest = await timed(provider("role_then_stall,seconds=9"), STREAMED)
    assert ((head, role), set(rest)) == ((0, 0), {9.0})
    times = await timed(provider("stall,after=2,seconds=9"), STREAMED)
    assert (times[:4], set(times[4:])) == ([0, 0, 0, 0], {9.0})
    assert await timed(provider("stall,seconds=9"), WHOLE) == [0, 0, 9]
    assert (await timed(provider("slow,factor=4,seconds=1", **STEADY), STREAMED))[:3] == [2.0, 3.0, 3.0]
    assert await timed(provider("gateway_timeout,seconds=60"), WHOLE) == [60, 60]


@pytest.mark.parametrize(
    ("fault", "pieces"), [("stall,after=2", 3), ("role_then_stall", 1), ("slow_first_token,seconds=inf", 0)]
)
async def test_for_ever_is_a_day_of_silence(provider: MakeProvider, fault: str, pieces: int) -> None:
    """A stall without end sends nothing more, and after a day the connection breaks."""
    some, plain = provider(fault), await read(provider(), STREAMED)
    assert await read(some, STREAMED) == (200, plain[1][:pieces], True)
    assert some.simulator.calls[0].took == 86_400
    assert (await timed(provider("slow_headers,seconds=inf"), WHOLE))[0] == 86_400
