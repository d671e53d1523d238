"""`holdfast ask` with a mistyped data folder made that folder, and answered from the empty store it had just made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process


@pytest.mark.parametrize("command", ["ask", "search"])
def test_asking_makes_no_store(tmp_path: Path, command: str) -> None:
    """Who asks of a folder without a store is told so, and the folder is not made."""
    folder = tmp_path / "mistyped"
    environ = {**os.environ, "HOLDFAST_DATA_DIR": str(folder), "HOLDFAST_EMBEDDER": "none"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("holdfast")), command, "Where is my parcel?"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"There is no store at {folder}" in done.stderr
    assert not folder.exists()
