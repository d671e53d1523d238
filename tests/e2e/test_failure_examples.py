"""The scripts in examples/failures, over real sockets and in real time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

FOLDER = Path(__file__).parents[2] / "examples" / "failures"
SAYS = {
    "auth_retry.py": "told in less than 100 ms",
    "breaker_false_positive.py": "the breaker stayed closed",
    "queue_memory.py": "memory is bounded",
    "retry_storm.py": "400 calls became 1",
    "stuck_degradation.py": "the service climbed back by itself",
}


def test_every_failure_is_reproduced_and_fixed() -> None:
    """Each script shows what it is there to show. They mostly wait, so that they run together: some twenty seconds."""
    assert {each.name for each in FOLDER.glob("*.py")} == set(SAYS)
    running = {
        name: subprocess.Popen(
            [sys.executable, str(FOLDER / name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in SAYS
    }
    try:
        for name, process in running.items():
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, f"{name}: {out}{errors}"
            assert SAYS[name] in out
            assert not errors
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
