"""The service as a real process, over real sockets: answers, jobs, an outage of the store, a kill in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.process

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
PATIENCE = 60.0
GIFT = {"id": "gift", "title": "Gift cards", "text": "Gift cards are valid for 36 months from the day of purchase."}
QUESTION = "For how many months are gift cards valid?"


class Service:
    """A running ``holdfast serve`` on a free port, searching by words; ``environ`` is added to its environment."""

    def __init__(self, folder: Path, port: int, **environ: str) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        self._environ = ours | {
            "HOLDFAST_DATA_DIR": str(folder),
            "HOLDFAST_PORT": str(port),
            "HOLDFAST_EMBEDDER": "none",
            **environ,
        }
        self.port = port
        self._url = f"http://127.0.0.1:{port}"
        self._log = folder.parent / "serve.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([HOLDFAST, "serve"], env=self._environ, stdout=log, stderr=log)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def text(self, path: str, body: object = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return str(response.read().decode())

    def ask(self, question: str = QUESTION) -> dict[str, Any]:
        status, answer = self.call("POST", "/v1/query", {"question": question})
        assert status == 200, answer
        return dict(answer)

    def until(self, what: str, true: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            try:
                if true():
                    return
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {PATIENCE:g} s\n{self._log.read_text()}")

    def ready(self) -> None:
        self.until("ready", lambda: self.call("GET", "/health/ready")[0] == 200)

    def load(self, *documents: dict[str, Any]) -> None:
        status, job = self.call("POST", "/v1/documents", {"documents": list(documents)})
        assert status == 202, job
        self.finished(job["job_id"])

    def finished(self, job_id: str) -> None:
        self.until("the job is done", lambda: self.call("GET", f"/v1/jobs/{job_id}")[1]["status"] == "done")

    def kill_and_restart(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process = self._start()
        self.ready()

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def running(folder: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service = Service(folder, port)
    try:
        service.ready()
        yield service
    finally:
        service.process.kill()
        service.process.wait(PATIENCE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_document_handed_in_is_answered_from(folder: Path) -> None:
    """A document posted to a fresh service is found, cited exactly, listed, and gone after its deletion."""
    with running(folder) as service:
        service.load(GIFT)
        answer = service.ask()
        assert "36 months" in answer["answer"]
        citation = answer["citations"][0]
        assert (citation["document_id"], citation["title"]) == ("gift", "Gift cards")
        assert GIFT["text"][citation["start"] : citation["end"]] == citation["text"]
        assert (answer["source"], answer["tier"], answer["quality"], answer["degraded"]) == (
            "extract",
            "full",
            0.85,
            False,
        )
        assert service.call("GET", "/v1/documents/gift")[1]["title"] == "Gift cards"
        assert service.call("DELETE", "/v1/documents/gift")[0] in {200, 204}
        assert service.call("GET", "/v1/documents/gift")[0] == 404
        assert "36 months" not in service.ask()["answer"]
        assert service.stop() == 0


def test_a_streamed_answer_ends_with_done(folder: Path) -> None:
    """Server-sent events bring pieces of the text, then the whole answer, then done."""
    with running(folder) as service:
        service.load(GIFT)
        body = service.text("/v1/query", {"question": QUESTION, "stream": True})
        events = [
            (block.split("event: ")[1].split("\n")[0], json.loads(block.split("data: ")[1].split("\n")[0] or "null"))
            for block in body.replace("\r\n", "\n").split("\n\n")
            if "event: " in block
        ]
        names = [name for name, _ in events]
        assert names[-2:] == ["answer", "done"]
        assert set(names[:-2]) == {"delta"}
        assert "".join(data["text"] for name, data in events if name == "delta") == events[-2][1]["answer"]


def test_the_store_deleted_while_running_and_back_again(folder: Path) -> None:
    """Without its store the service says what it can, and recovers without a restart."""
    with running(folder) as service:
        service.load(GIFT)
        good = service.ask()
        shutil.rmtree(folder)
        earlier = service.ask()
        assert (earlier["answer"], earlier["source"], earlier["degraded"]) == (good["answer"], "cache", True)
        assert earlier["reasons"] == ["vector_store_unavailable"]
        assert earlier["age_seconds"] > 0
        other = service.ask("What does shipping cost?")
        assert (other["tier"], other["source"]) == ("offline", "static")
        _, health = service.call("GET", "/health")
        assert health["checks"]["store:sqlite"]["status"] == "unavailable"
        service.load(GIFT)
        service.until("a full answer", lambda: service.ask(QUESTION + " Please")["tier"] == "full")
        assert 'rag_service_tier{tier="full"} 1.0' in service.text("/metrics")


def test_a_job_outlives_a_kill(folder: Path) -> None:
    """What was acknowledged with 202 is ingested after a kill -9 and a restart: every document, none twice."""
    documents = [
        {"id": f"d{n}", "title": f"Note {n}", "text": f"Note number {n} says that shelf {n} holds {n + 3} boxes."}
        for n in range(300)
    ]
    with running(folder) as service:
        status, job = service.call("POST", "/v1/documents", {"documents": documents})
        assert status == 202
        service.until("some are stored", lambda: service.call("GET", f"/v1/jobs/{job['job_id']}")[1]["done"] > 5)
        service.kill_and_restart()
        service.finished(job["job_id"])
        assert service.call("GET", f"/v1/jobs/{job['job_id']}")[1]["done"] == 300
        listed: list[str] = []
        cursor = ""
        while True:
            page = service.call("GET", f"/v1/documents?limit=100{cursor}")[1]
            listed += [one["id"] for one in page["documents"]]
            if not page.get("next_cursor"):
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert sorted(listed) == sorted(one["id"] for one in documents)
        assert "20 boxes" in service.ask("How many boxes does shelf 17 hold?")["answer"]
