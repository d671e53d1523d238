"""The examples run as they stand; those with an SDK in both generations of the SDKs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.simulators import served

from holdfast.lab.simulator.fault_rules import FaultRule
from holdfast.lab.simulator.options import SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WITH_SDK = [each for each in EXAMPLES if each.name.startswith("sdk_")]
SAYS = {
    "ask_your_documents.py": "£2.95",
    "guard_a_call.py": "worked after",
    "sdk_anthropic.py": "capital of France",
    "sdk_openai.py": "capital of France",
    "sdk_openai_async_stream.py": "capital of France",
}


@pytest.fixture(scope="module")
def providers() -> Iterator[Mapping[str, str]]:
    """The environment of an application whose provider is overloaded, and which has a second one."""
    overloaded = SimulatorOptions(speed=0, faults=[FaultRule(fault="overloaded")])
    healthy = SimulatorOptions(speed=0, keys=["backup-key"])  # it takes no other key
    with served(overloaded, healthy) as (first, second):
        yield {
            **os.environ,
            "OPENAI_BASE_URL": f"{first.url}/v1",
            "OPENAI_API_KEY": "sk-own",
            "ANTHROPIC_BASE_URL": first.url,
            "ANTHROPIC_API_KEY": "sk-ant-own",
            "BACKUP_URL": f"{second.url}/v1",
            "BACKUP_KEY": "backup-key",
        }


@pytest.fixture(scope="module")
def older_sdks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the SDKs of requirements/sdk2.lock, and nothing that Holdfast could need besides."""
    folder = tmp_path_factory.mktemp("sdk2")
    python, lock = folder / "bin" / "python", ROOT / "requirements" / "sdk2.lock"
    uv = next((each for each in (ROOT / ".tools/bin/uv", shutil.which("uv")) if each and Path(each).exists()), None)
    environ = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    if uv is not None:
        make = [str(uv), "venv", "--quiet", "--python", sys.executable, str(folder), "--clear"]
        fill = [str(uv), "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(lock)]
    else:
        make = [sys.executable, "-m", "venv", str(folder)]
        fill = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)]
    subprocess.run(make, check=True, capture_output=True, env=environ)
    done = subprocess.run(fill, check=False, capture_output=True, text=True, env=environ)
    if done.returncode:
        pytest.skip(f"the older SDKs cannot be installed here: {done.stderr[-300:]}")
    return python


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_does_what_it_says(example: Path, providers: Mapping[str, str]) -> None:
    """Each example ends without an error, and prints what it is there to show."""
    run(example, sys.executable, providers)


@pytest.mark.parametrize("example", WITH_SDK, ids=lambda path: path.name)
def test_an_example_with_the_older_sdks(example: Path, older_sdks: Path, providers: Mapping[str, str]) -> None:
    """The SDKs on httpx are wrapped as those on httpx2 are, without any package but theirs."""
    run(example, str(older_sdks), {**providers, "PYTHONPATH": str(ROOT / "src")})


@pytest.mark.parametrize("example", WITH_SDK, ids=lambda path: path.name)
def test_an_example_with_an_sdk_is_short(example: Path) -> None:
    """What an application needs is about ten lines; the rest says what the example is for."""
    code = example.read_text(encoding="utf-8").split('"""\n', 1)[1]
    statements = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from", ")"))]
    assert len(statements) <= 13


def run(example: Path, python: str, environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [python, str(example)], capture_output=True, text=True, timeout=60, check=False, env=dict(environ)
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[example.name] in done.stdout
    assert not done.stderr
