"""``holdfast simulate``: what is asked of the simulator, what is printed, and what is refused."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.cli import main
from holdfast.cli.simulate import _line
from holdfast.lab.simulator.calls import Call, Outcome
from holdfast.lab.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from holdfast.lab.simulator.options import SimulatorOptions


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[SimulatorServer]:
    """The servers that were started; each gets a Ctrl-C as soon as it listens, after two calls."""
    servers: list[SimulatorServer] = []
    start = SimulatorServer.start

    async def start_and_interrupt(server: SimulatorServer) -> None:
        await start(server)
        servers.append(server)
        for path, body in (("/v1/embeddings", b'{"model": "m", "input": "a"}'), ("/v1/models", b"")):
            response = await server.simulator.handle("POST", path, {}, body)
            _ = [piece async for piece in response.body()]
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SimulatorServer, "start", start_and_interrupt)
    return servers


def test_options_reach_the_simulator(started: list[SimulatorServer], capsys: pytest.CaptureFixture[str]) -> None:
    """Every flag sets what it is named after, and Ctrl-C ends the command with 0."""
    flags: dict[str, Any] = {
        "--seed": 7, "--speed": 0, "--ttft": 0.4, "--ttft-sigma": 0.1, "--per-token": 0.03, "--per-token-sigma": 0.2,
        "--embedding": 0.05, "--requests-per-minute": 60, "--tokens-per-minute": 9_000, "--context-tokens": 4_000,
        "--dimension": 16, "--fault": "rate_limited:0.02", "--model": "gpt-sim=800", "--key": "sk-a", "--port": 0,
        "--admin-token": "t",
    }  # fmt: skip
    arguments = [text for flag, value in flags.items() for text in (flag, str(value))]
    assert main(["simulate", *arguments, "--fault", "outage@10-40", "--admin"]) == 0
    options: SimulatorOptions = started[0].simulator.options
    assert (options.seed, options.speed, options.first_token, options.first_token_sigma) == (7, 0, 0.4, 0.1)
    assert (options.per_token, options.per_token_sigma, options.per_embedding) == (0.03, 0.2, 0.05)
    assert (options.requests_per_minute, options.tokens_per_minute, options.context_tokens) == (60, 9_000, 4_000)
    assert (options.dimension, options.names, options.keys) == (16, ["gpt-sim"], ["sk-a"])
    assert [rule.fault for rule in options.faults] == ["rate_limited", "outage"]
    assert (options.admin, options.admin_token) == (True, "t")
    out, err = capsys.readouterr()
    assert "/admin/faults" in out
    assert "OPENAI_API_KEY=YOUR_KEY" in out
    assert "sk-a" not in out + err


def test_the_announcement(started: list[SimulatorServer], capsys: pytest.CaptureFixture[str]) -> None:
    """The address, the endpoints and two lines to copy go to stdout, and the counts to stderr at the end."""
    assert main(["simulate", "--port", "0", "--speed", "0"]) == 0
    out, err = capsys.readouterr()
    url = started[0].url
    assert f"answers on {url}." in out
    assert f"\nexport OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=simulated\n" in out
    assert f"\nexport ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=simulated\n" in out
    for endpoint in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages", "/v1/models"):
        assert endpoint in out
    assert "/admin" not in out
    assert err == "2 calls, 0 under way, 0 with a fault, 0 given up by the client, 0 tokens sent\n"


def test_a_line_for_each_call(
    started: list[SimulatorServer], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --verbose each call has a line on stderr, on a terminal too."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["simulate", "--port", "0", "--speed", "0", "-v", "--fault", "auth,endpoint=embeddings"]) == 0
    err = capsys.readouterr().err
    for line in ("#1 embeddings m 401 auth 0.00 s", "#2 models - 405 0.00 s", "2 calls, 0 under way, 1 with a fault"):
        assert line in err


def test_a_live_line_on_a_terminal(
    started: list[SimulatorServer], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a line counts the calls while it runs."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("holdfast.cli.simulate._REFRESH_SECONDS", 0)
    assert main(["simulate", "--port", "0", "--speed", "0"]) == 0
    assert "2 calls" in capsys.readouterr().err


def test_lines_say_what_happened() -> None:
    """A line names what was asked, the fault, and how the call ended."""
    call = Call(
        3, 0.0, "chat", None, "gpt-sim", stream=True, fault="cut", sent_tokens=4, outcome=Outcome.BROKEN, took=1.5
    )
    assert _line(call) == "#3 chat gpt-sim stream no answer cut 4 tokens 1.50 s broken"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "stal:0.1"], "--fault='stal': is no fault; did you mean stall?"),
        (["--fault", "stall:7"], "--fault: rate='7': must be a number from 0 to 1"),
        (["--ttft", "-1"], "--ttft=-1.0: must be at least 0"),
        (["--ttft-sigma", "9"], "--ttft-sigma=9.0: must be at most 5"),
        (["--embedding", "-1"], "--embedding=-1.0"),
        (["--model", "gpt=x"], "--model='gpt=x': must be NAME or NAME=CONTEXT_TOKENS"),
        (["--key", " "], "--key='***': must be texts"),
        (["--requests-per-minute", "0"], "--requests-per-minute=0: must be a whole number of at least 1"),
        (["--admin", "--host", "0.0.0.0"], "--admin-token=None: must be given"),
        (["--host", "203.0.113.7", "--port", "0"], "--port='203.0.113.7:0': cannot be listened on"),
        (["--port", "70000"], "--port"),
    ],
)
def test_bad_input_is_2(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    """What is wrong is one sentence that names the flag, the value and the rule."""
    assert main(["simulate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert (out, err.count("\n")) == ("", 1)
