"""The official SDKs against the simulator, unchanged, over real sockets: what they read, and what they raise."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import anthropic
import httpx2
import openai
import pytest

from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.options import SimulatedModel, SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator

PROMPT = (
    "[1] A lamp can be returned within 30 days.\n[2] The islands wait eight days.\n\n"
    "Question: When can I return a lamp?"
)
ANSWER = "A lamp can be returned within 30 days [1]."
ASKED: Any = [{"role": "user", "content": PROMPT}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
ANTHROPIC_TOOLS: Any = [{"name": "weather", "input_schema": SCHEMA}]

Start: TypeAlias = Callable[..., SimulatorServer]


@contextmanager
def running(server: SimulatorServer) -> Iterator[SimulatorServer]:
    """Serve on a thread of its own, so that synchronous clients can be used."""
    ready = threading.Event()
    box: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stopped = asyncio.Event()
        async with server:
            box.append((asyncio.get_running_loop(), stopped))
            ready.set()
            await stopped.wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop, stopped = box[0]
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts simulators on free ports, and stops them at the end."""
    with ExitStack() as stack:

        def begin(*faults: str, **options: Any) -> SimulatorServer:
            rules = [parse_rule(each) for each in faults]
            simulator = Simulator(SimulatorOptions(speed=0, faults=rules, **options))
            return stack.enter_context(running(SimulatorServer(simulator)))

        yield begin


def openai_of(server: SimulatorServer, key: str = "sk-any") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=20)


def anthropic_of(server: SimulatorServer, key: str = "sk-any") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=20)


# --- openai -----------------------------------------------------------------------------------------------------------


def test_openai_sync(start: Start) -> None:
    """Chat, stream, embeddings, models and responses work with the synchronous client."""
    with openai_of(start()) as client:
        whole = client.chat.completions.create(model="gpt-sim", messages=ASKED)
        assert whole.choices[0].message.content == ANSWER
        assert whole.usage is not None
        with client.chat.completions.create(
            model="gpt-sim", messages=ASKED, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == ANSWER
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage == whole.usage

        packed = client.embeddings.create(model="text-embedding-sim", input=["a lamp", "the islands"])
        plain = client.embeddings.create(model="text-embedding-sim", input="a lamp", encoding_format="float")
        assert [len(each.embedding) for each in packed.data] == [1_536, 1_536]
        assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
        assert len(client.embeddings.create(model="e", input=[1, 2], dimensions=8).data[0].embedding) == 8

        assert "gpt-sim" in [model.id for model in client.models.list()]
        assert client.models.retrieve("gpt-sim").id == "gpt-sim"

        response = client.responses.create(model="gpt-sim", input=PROMPT)
        assert (response.output_text, response.status) == (ANSWER, "completed")
        with client.responses.stream(model="gpt-sim", input=PROMPT) as events:
            text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            assert (text, events.get_final_response().output_text) == (ANSWER, ANSWER)


async def test_openai_async(start: Start) -> None:
    """Chat, stream, embeddings, models and responses work with the asynchronous client."""
    url = f"{start().url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-any", max_retries=0, timeout=20) as client:
        whole = await client.chat.completions.create(model="gpt-sim", messages=ASKED)
        assert whole.choices[0].message.content == ANSWER
        async with client.chat.completions.stream(model="gpt-sim", messages=ASKED) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.content == ANSWER
        assert len((await client.embeddings.create(model="e", input="a lamp")).data[0].embedding) == 1_536
        assert [model.id async for model in await client.models.list()]
        assert (await client.responses.create(model="gpt-sim", input=PROMPT)).output_text == ANSWER


def test_openai_tools_and_json(start: Start) -> None:
    """Tool calls, streamed tool calls, parsed JSON schemas and log probabilities are what the SDK expects."""
    with openai_of(start()) as client:
        forced = client.chat.completions.create(
            model="gpt-sim", messages=ASKED, tools=OPENAI_TOOLS, tool_choice="required"
        )
        calls = forced.choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].type == "function"
        assert list(json.loads(calls[0].function.arguments)) == ["city"]
        with client.chat.completions.stream(
            model="gpt-sim", messages=ASKED, tools=OPENAI_TOOLS, tool_choice="required"
        ) as stream:
            streamed = stream.get_final_completion().choices[0].message.tool_calls
        assert streamed is not None
        assert streamed[0].function.arguments == calls[0].function.arguments

        form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
        text = client.chat.completions.create(model="gpt-sim", messages=ASKED, response_format=form)
        assert list(json.loads(text.choices[0].message.content or "")) == ["city"]
        logged = client.chat.completions.create(model="gpt-sim", messages=ASKED, logprobs=True).choices[0].logprobs
        assert logged is not None
        assert logged.content


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limited", openai.RateLimitError), ("quota", openai.RateLimitError), ("auth", openai.AuthenticationError),
        ("server_error", openai.InternalServerError), ("overloaded", openai.InternalServerError),
        ("bad_gateway_html", openai.InternalServerError), ("context_length", openai.BadRequestError),
        ("reset", openai.APIConnectionError), ("refused", openai.APIConnectionError),
        ("cut", openai.APIConnectionError),
    ],
)  # fmt: skip
def test_openai_errors(start: Start, fault: str, error: type[openai.APIError]) -> None:
    """Each fault raises the SDK's own class for it, with the code and the header that tell it."""
    with openai_of(start(fault)) as client, pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-sim", messages=ASKED)
    if fault == "rate_limited":
        assert isinstance(caught.value, openai.RateLimitError)
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.request_id
    if fault == "quota":
        assert caught.value.type == "insufficient_quota"


def test_openai_refusals_of_requests(start: Start) -> None:
    """A wrong key, an unknown model and a bad request raise their classes, and say what is wrong."""
    server = start(keys=["sk-right"], models=[SimulatedModel("gpt-sim")])
    with openai_of(server, "sk-wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with openai_of(server, "sk-right") as client:
        with pytest.raises(openai.NotFoundError, match="There are: gpt-sim"):
            client.chat.completions.create(model="gpt-unknown", messages=ASKED)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="gpt-sim", messages=[])
        assert caught.value.param == "messages"


def test_openai_streams_that_break(start: Start) -> None:
    """What goes wrong in a stream reaches a user of the SDK as the SDK shows it: an error, or nothing at all."""

    def read(fault: str) -> str:
        with openai_of(start(fault)) as client:
            stream = client.chat.completions.create(model="gpt-sim", messages=ASKED, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    for fault in ("eof,after=3", "eof_half_event,after=3"):
        assert read(fault) == "A lamp can"  # a silent truncation
    assert read("no_done") == ANSWER
    assert read("empty_stream") == ""
    with pytest.raises(openai.APIError, match="overloaded"):
        read("error_event")
    with pytest.raises(openai.APIConnectionError):
        read("cut")
    with pytest.raises(json.JSONDecodeError):
        read("bad_line")


# --- anthropic --------------------------------------------------------------------------------------------------------


def test_anthropic_sync(start: Start) -> None:
    """Messages, streams, tools, counting and models work with the synchronous client."""
    with anthropic_of(start()) as client:
        message = client.messages.create(model="claude-sim", max_tokens=99, messages=ASKED)
        block = message.content[0]
        assert block.type == "text"
        assert (block.text, message.stop_reason) == (ANSWER, "end_turn")
        with client.messages.stream(model="claude-sim", max_tokens=99, messages=ASKED) as stream:
            assert "".join(stream.text_stream) == ANSWER
            final = stream.get_final_message()
        assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", message.usage.output_tokens)
        names = [event.type for event in client.messages.create(model="c", max_tokens=9, messages=ASKED, stream=True)]
        assert (names[0], names[-1]) == ("message_start", "message_stop")

        called = client.messages.create(
            model="claude-sim", max_tokens=99, messages=ASKED, tools=ANTHROPIC_TOOLS, tool_choice={"type": "any"}
        )
        use = called.content[0]
        assert use.type == "tool_use"
        assert (use.name, list(use.input)) == ("weather", ["city"])
        with client.messages.stream(
            model="claude-sim", max_tokens=99, messages=ASKED, tools=ANTHROPIC_TOOLS, tool_choice={"type": "any"}
        ) as stream:
            streamed = stream.get_final_message().content[0]
        assert streamed.type == "tool_use"
        assert streamed.input == use.input

        counted = client.messages.count_tokens(model="claude-sim", messages=ASKED)
        assert counted.input_tokens == message.usage.input_tokens
        assert [model.id for model in client.models.list()]
        assert client.models.retrieve("claude-sim").id == "claude-sim"


async def test_anthropic_async(start: Start) -> None:
    """Messages and streams work with the asynchronous client."""
    url = start().url
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-any", max_retries=0, timeout=20) as client:
        message = await client.messages.create(model="claude-sim", max_tokens=3, messages=ASKED)
        assert message.stop_reason == "max_tokens"
        async with client.messages.stream(model="claude-sim", max_tokens=99, messages=ASKED) as stream:
            assert "".join([text async for text in stream.text_stream]) == ANSWER


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limited", anthropic.RateLimitError), ("quota", anthropic.RateLimitError),
        ("auth", anthropic.AuthenticationError), ("overloaded", anthropic.InternalServerError),
        ("server_error", anthropic.InternalServerError), ("context_length", anthropic.BadRequestError),
        ("reset", anthropic.APIConnectionError),
    ],
)  # fmt: skip
def test_anthropic_errors(start: Start, fault: str, error: type[anthropic.APIError]) -> None:
    """Each fault raises the SDK's own class for it."""
    with anthropic_of(start(fault)) as client, pytest.raises(error) as caught:
        client.messages.create(model="claude-sim", max_tokens=9, messages=ASKED)
    if isinstance(caught.value, anthropic.APIStatusError):
        assert caught.value.request_id
        assert caught.value.status_code == {"overloaded": 529}.get(fault, caught.value.status_code)


def test_anthropic_streams_that_break(start: Start) -> None:
    """An error event raises, and a clean end in the middle is a message without a stop reason."""

    def read(fault: str) -> anthropic.types.Message:
        with (
            anthropic_of(start(fault)) as client,
            client.messages.stream(model="claude-sim", max_tokens=99, messages=ASKED) as stream,
        ):
            return stream.get_final_message()

    assert read("eof").stop_reason is None
    with pytest.raises(anthropic.APIStatusError, match="overloaded"):
        read("error_event")
    with pytest.raises(httpx2.ReadError):  # this SDK passes its HTTP client's own error on
        read("cut")


def test_an_sdk_s_own_retries(start: Start) -> None:
    """The SDK's retries are seen for what they are: calls, each with its fault, and then the answer."""
    server = start("overloaded,first=2")
    with openai_of(server).with_options(max_retries=2) as client:
        assert client.chat.completions.create(model="gpt-sim", messages=ASKED).choices[0].message.content == ANSWER
    assert [call.fault for call in server.simulator.calls] == ["overloaded", "overloaded", None]
