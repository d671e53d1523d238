"""The rule for skipped tests: told always, and a failure in CI unless it is on the list."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEST_FILE = """
import pytest

def test_passes(): assert True

@pytest.mark.skip(reason="{reason}")
def test_skipped(): assert True
"""
MODULE_SKIP = "import pytest\npytest.skip('no such module', allow_module_level=True)\n"


def run_pytest(folder: Path, *arguments: str, ci: str) -> subprocess.CompletedProcess[str]:
    tests = folder / "tests"
    shutil.copy(TESTS / "conftest.py", tests)
    shutil.copy(TESTS / "allowed_skips.toml", tests)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))} | {"CI": ci}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={folder}",
        "tests",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests" / "integration").mkdir(parents=True)
    return tmp_path


@pytest.mark.process
@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_skip_in_ci_fails_the_run(folder: Path, arguments: tuple[str, ...]) -> None:
    """With CI set a skipped test and a skipped file make the run red and are named, in one process and in several."""
    (folder / "tests" / "test_it.py").write_text(TEST_FILE.format(reason="no browser"))
    (folder / "tests" / "test_more.py").write_text(MODULE_SKIP)
    done = run_pytest(folder, *arguments, ci="true")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "tests/test_it.py::test_skipped: no browser" in done.stdout
    assert "tests/test_more.py: no such module" in done.stdout


@pytest.mark.process
def test_skip_without_ci_is_told(folder: Path) -> None:
    """Without CI a skip is listed, and the run is green."""
    (folder / "tests" / "test_it.py").write_text(TEST_FILE.format(reason="no browser"))
    done = run_pytest(folder, "-rs", ci="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no browser" in done.stdout


@pytest.mark.process
@pytest.mark.parametrize(("reason", "code"), [("needs a real MongoDB", 0), ("some other reason", 1)])
def test_list_of_allowed_skips(folder: Path, reason: str, code: int) -> None:
    """A skip on the list is no failure; its id alone is not enough, the reason has to be the one that is listed."""
    (folder / "tests" / "integration" / "test_mongo.py").write_text(TEST_FILE.format(reason=reason))
    done = run_pytest(folder, ci="true")
    assert done.returncode == code, done.stdout + done.stderr
