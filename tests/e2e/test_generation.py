"""The service with a model, as real processes over real sockets: generated, streamed, broken, and back."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.test_service import GIFT, HOLDFAST, PATIENCE, QUESTION, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

MODELS = """
[providers.openai]
base_url = "{url}/v1"
breaker = {{ failure_threshold = 2, recovery_timeout = 1 }}

[models.answers]
targets = ["openai/gpt-4o-mini"]
retry = {{ max_retries = 0 }}
"""


class Provider:
    """A running ``holdfast simulate``, which can be killed and started again on its port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        command = [HOLDFAST, "simulate", "--port", str(self.port), "--speed", "0", "--admin", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                self.calls()
            except OSError:
                assert time.monotonic() < give_up
                assert self.process.poll() is None
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def calls(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/admin/calls", timeout=PATIENCE) as response:
            return list(json.loads(response.read())["calls"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[tuple[Service, Provider]]:
    """A service that asks a provider, with a document in it."""
    provider = Provider(free_port())
    models = folder / "models.toml"
    models.write_text(MODELS.format(url=provider.url))
    environ = {"HOLDFAST_MODELS_FILE": str(models), "OPENAI_API_KEY": "sk-test-0123456789"}
    service = Service(folder / "data", free_port(), **environ)
    try:
        provider.start(*arguments)
        service.ready()
        service.load(GIFT)
        yield service, provider
    finally:
        service.process.kill()
        service.process.wait(PATIENCE)
        provider.kill()


def events_of(body: str) -> list[tuple[str, Any]]:
    """The events of a stream."""
    return [
        (block.split("event: ")[1].split("\n")[0], json.loads(block.split("data: ")[1].split("\n")[0]))
        for block in body.split("\n\n")
        if "event: " in block
    ]


def streamed(service: Service, question: str) -> tuple[list[str], dict[str, Any]]:
    """The pieces and the answer of a streamed question, checked for the order of its events."""
    events = events_of(service.text("/v1/query", {"question": question, "stream": True}))
    names = [name for name, _ in events]
    assert names == ["delta"] * (len(names) - 2) + ["answer", "done"]
    return [data["text"] for _, data in events[:-2]], events[-2][1]


def test_answers_are_generated_and_outlive_the_provider(tmp_path: Path) -> None:
    """A model answers with citations, whole and streamed; without it answers are extracted; back, it answers again."""
    with running(tmp_path) as (service, provider):
        whole = service.ask()
        assert "36 months" in whole["answer"]
        assert (whole["source"], whole["model"], whole["degraded"]) == ("live", "openai/gpt-4o-mini", False)
        (citation,) = whole["citations"]
        assert GIFT["text"][citation["start"] : citation["end"]] == citation["text"]
        assert whole["cost_usd"] > 0
        assert whole["usage"]["completion_tokens"] > 0
        pieces, answer = streamed(service, QUESTION + " Please tell me.")
        assert len(pieces) > 5
        assert "".join(pieces) == answer["answer"]
        assert (answer["source"], answer["citations"]) == ("live", whole["citations"])
        assert [call["stream"] for call in provider.calls()] == [False, True]

        provider.kill()
        gone = service.ask(QUESTION + " Really?")
        assert "36 months" in gone["answer"]
        assert (gone["source"], gone["degraded"], gone["reasons"]) == ("extract", True, ["llm_unavailable"])
        pieces, answer = streamed(service, QUESTION + " Truly?")
        assert "".join(pieces) == answer["answer"]
        assert (answer["source"], answer["reasons"]) == ("extract", ["llm_unavailable"])
        check = service.call("GET", "/health")[1]["checks"]["model:openai/gpt-4o-mini"]
        assert (check["status"], check["breaker"]) == ("degraded", "open")
        assert 0 < check["ready_in"] <= 1
        metrics = service.text("/metrics")
        assert 'rag_circuit_breaker_state{service="model:openai/gpt-4o-mini",state="open"} 1.0' in metrics
        assert 'holdfast_model_calls_total{outcome="ok",target="openai/gpt-4o-mini"} 2.0' in metrics

        provider.start()
        service.until("the model answers", lambda: service.ask(f"{QUESTION} {time.time()}")["source"] == "live")
        assert "sk-test" not in service.log()


def test_a_stream_that_breaks_says_so(tmp_path: Path) -> None:
    """When the provider breaks off after text was shown, the answer ends with a notice, labelled, and then done."""
    with running(tmp_path, "--fault", "cut,after=6") as (service, _):
        pieces, answer = streamed(service, QUESTION)
        assert answer["answer"] == "".join(pieces)
        assert answer["answer"].endswith("\n\n(The answer breaks off here.)")
        assert (answer["degraded"], answer["reasons"]) == (True, ["answer_interrupted"])


def test_a_client_that_goes_away_cancels_the_call(tmp_path: Path) -> None:
    """The first piece comes while the model still writes; when the client hangs up, the call is cancelled."""
    with running(tmp_path, "--fault", "stall,after=6") as (service, provider):
        client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        body = json.dumps({"question": QUESTION, "stream": True})
        client.request("POST", "/v1/query", body, {"content-type": "application/json"})
        response = client.getresponse()
        assert response.readline() == b"event: delta\n"
        assert provider.calls()[0]["outcome"] == "running"
        response.close()
        client.close()
        service.until("the call is cancelled", lambda: provider.calls()[0]["outcome"] == "cancelled")
