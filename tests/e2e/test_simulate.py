"""``holdfast simulate`` as a real process: it is started, asked, made to fail while it runs, and stopped."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
PATIENCE = 60.0


def call(method: str, url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_simulator_from_start_to_end(number: signal.Signals) -> None:
    """It says where it answers, fails on request and stops failing, and a signal ends it with 0 and its counts."""
    command = [HOLDFAST, "simulate", "--port", "0", "--speed", "0", "--admin", "--verbose"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""  # all that it says at the start: what a reader has buffered, `communicate` does not see
        while "ANTHROPIC_BASE_URL=" not in said and (line := process.stdout.readline()):
            said += line
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said
        url = found[0]
        asked = {
            "model": "gpt-sim",
            "messages": [{"role": "user", "content": "[1] Lamps are blue.\n\nWhich colour have lamps?"}],
        }
        status, body = call("POST", f"{url}/v1/chat/completions", asked)
        assert (status, body["choices"][0]["message"]["content"]) == (200, "Lamps are blue [1].")
        assert call("POST", f"{url}/admin/faults", {"rule": "overloaded"})[0] == 201
        assert call("POST", f"{url}/v1/chat/completions", asked)[0] == 503
        assert call("DELETE", f"{url}/admin/faults") == (200, {"removed": 1})
        assert call("POST", f"{url}/v1/chat/completions", asked)[0] == 200
        assert call("GET", f"{url}/admin/calls")[1]["counts"]["calls"] == 3
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "OPENAI_BASE_URL=" in said
    assert "#2 chat gpt-sim 503 overloaded" in err
    assert err.endswith("3 calls, 0 under way, 1 with a fault, 0 given up by the client, 14 tokens sent\n")
