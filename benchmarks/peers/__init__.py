"""The environment of the libraries that Holdfast is compared with; ``benchmarks/peers/setup`` makes it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

__all__ = ["ROOT", "VERSIONS_OF", "enter", "machine", "versions"]

ROOT = Path(__file__).parents[2]
_PYTHON = ROOT / "build" / "peers" / "bin" / "python"
_INSIDE = "HOLDFAST_BENCHMARK_PEERS"

VERSIONS_OF = (
    "aiobreaker",
    "aiolimiter",
    "aioresilience",
    "backoff",
    "circuitbreaker",
    "hyx",
    "interlock-cb",
    "purgatory-circuitbreaker",
    "pybreaker",
    "pyresilience",
    "redress",
    "stamina",
    "tenacity",
)
"""The distributions that the benchmarks use."""


def enter(module: str) -> None:
    """Go on in the environment of the peers, with this checkout's Holdfast: the process is replaced.

    Args:
        module: what runs, as in ``python -m module``.
    """
    if os.environ.get(_INSIDE):
        return
    if not _PYTHON.exists():
        raise SystemExit("The libraries to compare with are not installed. Run: benchmarks/peers/setup")
    environment = {**os.environ, _INSIDE: "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    os.execve(_PYTHON, [str(_PYTHON), "-m", module, *sys.argv[1:]], environment)


def versions() -> dict[str, str]:
    """The version of each peer that is installed here."""
    return {name: importlib.metadata.version(name) for name in VERSIONS_OF}


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model,
        "cpus": os.cpu_count(),
    }
