"""``holdfast chat`` as a real process: on a real terminal, against a provider on real sockets, and over a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.simulators import served

from holdfast.lab.simulator.options import SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
PATIENCE = 60.0
CTRL_C, CTRL_D = b"\x03", b"\x04"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUESTION = "Within how many days can I return a lamp?"
MODELS = """
[providers.openai]
base_url = "{url}/v1"

[models.answers]
targets = ["openai/gpt-4o-mini"]
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A store with two documents in it, found by words."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    ours |= {
        "HOME": str(tmp_path / "home"),
        "HOLDFAST_DATA_DIR": str(tmp_path / "data"),
        "HOLDFAST_EMBEDDER": "none",
        "TERM": "xterm-256color",
        "COLUMNS": "200",
    }
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "returns.md").write_text(
        "# Returns\n\nYou can return a lamp within 30 days of delivery. The parcel label is free.\n"
    )
    (tmp_path / "documents" / "shipping.md").write_text(
        "# Shipping\n\nShipping to the islands takes eight working days and costs seven euros.\n"
    )
    command = [HOLDFAST, "ingest", str(tmp_path / "documents")]
    subprocess.run(command, env=ours, cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE)
    return ours


class Terminal:
    """A process on a terminal of its own, with Ctrl-C and all."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        setsid = shutil.which("setsid")
        assert setsid, "there is no setsid (package util-linux) to give the process its terminal"
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.process = subprocess.Popen(
            [setsid, "--ctty", HOLDFAST, *arguments],
            env=environ,
            cwd=Path(environ["HOLDFAST_DATA_DIR"]).parent,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._unread = ""

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def until(self, text: str, *, pressing: bytes = b"") -> str:
        """What is shown up to ``text`` and with it, without escape sequences.

        ``pressing`` is pressed again and again: readline misses a Ctrl-C that comes just when it begins to wait.
        """
        give_up, silent = time.monotonic() + PATIENCE, True
        while text not in self._unread:
            assert time.monotonic() < give_up, f"no {text!r} in {self._unread!r}"
            if silent:
                self.type(pressing)
            silent = not select.select([self._ours], [], [], 0.5)[0]
            if not silent:
                try:
                    piece = os.read(self._ours, 65_536)
                except OSError:  # Linux tells the end of a terminal so
                    piece = b""
                assert piece, f"the process has ended, with no {text!r} in {self._unread!r}"
                self._unread = ESCAPES.sub("", self._unread + piece.decode("utf-8", "replace"))
        shown, _, self._unread = self._unread.partition(text)
        return shown + text

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._ours)


@contextmanager
def terminal(environ: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    made = Terminal(environ, *arguments)
    try:
        yield made
    finally:
        made.close()


def test_ctrl_c_stops_an_answer_and_not_the_session(environ: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C while a model writes ends the call at the provider, the next question is answered, and Ctrl-D leaves."""
    with served(SimulatorOptions(first_token=0.0, per_token=0.0)) as [provider]:
        (tmp_path / "models.toml").write_text(MODELS.format(url=provider.url))
        environ |= {"HOLDFAST_MODELS_FILE": str(tmp_path / "models.toml"), "OPENAI_API_KEY": "sk-simulated-0123"}
        provider.fault("stall", after=4)
        with terminal(environ, "chat") as chat:
            chat.until("> ")
            chat.type(QUESTION.encode() + b"\n")
            chat.until("You can return")  # the model has begun, and will never end
            chat.type(CTRL_C)
            chat.until("Stopped. Ctrl-C again leaves.")
            assert provider.outcomes(1) == ["cancelled"]
            provider.fault("")
            chat.until("> ")
            chat.type(QUESTION.encode() + b"\n")
            chat.until("source live")
            assert "tier full · breakers closed · $0.0" in chat.until(" so far\r\n> ").rpartition("\n> ")[0]
            chat.type(b"test slow-model\n")
            chat.until("FAULT ON  model: slow, delay 3")
            chat.type(CTRL_C)
            chat.until("Stopped.")
            chat.until("> ")
            chat.type(QUESTION.upper().encode() + b"\n")  # in other letters, and in time: the fault is off
            chat.until("tier full")
            chat.until(" so far\r\n> ")
            chat.type(CTRL_D)
            chat.until("goes on from here.")
            assert chat.process.wait(PATIENCE) == 0
        with terminal(environ, "chat", "--continue") as chat:
            assert QUESTION in chat.until("conversation conv_")
            chat.until("> ")
            chat.until("Bye.", pressing=CTRL_C)
            assert chat.process.wait(PATIENCE) == 0


def piped(environ: dict[str, str], lines: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HOLDFAST, "chat", *options],
        env=environ,
        cwd=Path(environ["HOLDFAST_DATA_DIR"]).parent,
        input=lines,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_script_drives_a_session(environ: dict[str, str]) -> None:
    """Lines from a pipe are answered plainly, faults injected and healed, and a conversation is kept for the next."""
    done = piped(environ, f"{QUESTION}\ntest cache-down\nstats\n")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "within 30 days of delivery" in done.stdout
    assert "[1] Returns (documents/returns.md)" in done.stdout
    assert "FAULT ON  cache: connection" in done.stderr
    assert "Recovered by itself" in done.stdout
    assert "latency p95" in done.stdout
    again = piped(environ, "exit\n", "--continue")
    assert again.returncode == 0
    assert f"> {QUESTION}" in again.stderr
