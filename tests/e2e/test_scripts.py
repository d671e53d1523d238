"""The scripts `run` and `test` where something is missing: a sentence with the exact command, and exit code 1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
BASE = getattr(sys, "_base_executable", sys.executable)
"""The interpreter behind the environment that the tests run in."""
TOOLS = ("sh", "dirname", "date", "cat", "cksum", "rm", "flock")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A copy of what the scripts read, and a folder ``bin`` with the only programs there are."""
    for name in ("run", "test", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "src" / "holdfast").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "holdfast" / "__init__.py", tmp_path / "src" / "holdfast")
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (programs / tool).symlink_to(found)
    program(tmp_path, "id", "echo 1000")
    return tmp_path


def program(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def start(machine: Path, script: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    return subprocess.run(
        [machine / script], env=environ, capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )


@pytest.mark.parametrize("script", ["run", "test"])
@pytest.mark.parametrize("old", [False, True])
def test_no_python(machine: Path, script: str, *, old: bool) -> None:
    """Without Python, or with one that is too old, it says which one is needed."""
    if old:
        program(machine, "python3", "exit 1")  # what the question for the version gives
    done = start(machine, script)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt-get install python3" in done.stderr
    assert not (machine / ".venv").exists()


@pytest.mark.parametrize("script", ["run", "test"])
def test_python_without_venv(machine: Path, script: str) -> None:
    """Where Debian's package for environments is missing, one who is not root is told the command that installs it."""
    program(machine, "python3", f'case "$2" in *ensurepip*) exit 1 ;; *) exec {BASE} "$@" ;; esac')
    program(machine, "apt-get", "echo apt-get must not run >&2; exit 1")
    done = start(machine, script)
    assert done.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"As root, run: apt-get install -y --no-install-recommends python{version}-venv" in done.stderr
    assert "must not run" not in done.stderr
    assert not (machine / ".venv").exists()


def test_root_installs_what_is_missing(machine: Path) -> None:
    """As root it installs the package itself, and says so when that fails."""
    program(machine, "id", "echo 0")
    program(machine, "python3", f'case "$2" in *ensurepip*) exit 1 ;; *) exec {BASE} "$@" ;; esac')
    program(machine, "apt-get", f'echo "$@" >>{machine}/asked; case "$*" in *install*) exit 100 ;; esac')
    done = start(machine, "run")
    assert done.returncode == 1
    update, install = (machine / "asked").read_text().splitlines()
    assert update == "-qq update"
    assert install.endswith(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    assert "Start again when it is installed" in done.stderr


def test_scripts_are_portable_shell() -> None:
    """Every script is executable, and parses as plain sh."""
    for name in ("run", "test", ".ci/run", "scripts/lock"):
        assert os.access(ROOT / name, os.X_OK)
        subprocess.run(["/bin/sh", "-n", ROOT / name], check=True)
    subprocess.run(["/bin/sh", "-n", ROOT / "scripts" / "environment.sh"], check=True)


def test_an_active_environment_is_not_what_is_built_upon(machine: Path) -> None:
    """With the project's environment active the interpreter behind it is used, and nothing is installed anew."""
    program(machine, "python3", f'exec {sys.executable} "$@"')
    command = ["/bin/sh", "-c", '. scripts/environment.sh && find_python && echo "$python"']
    environ = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    done = subprocess.run(command, env=environ, cwd=machine, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == BASE
