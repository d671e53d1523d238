"""The processes that try mutants, as seen from the one that hands them out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from benchmarks.mutation import layout
from benchmarks.mutation.session import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Mode", "Tester"]

Mode: TypeAlias = Literal["warm", "cold"]


class Tester:
    """A process that forks a child for each mutant; see ``server``. For one thread at a time."""

    def __init__(self, mode: Mode, modules: Sequence[str]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="holdfast-mutation-"))  # the process removes it when it ends
        known = folder / "modules.json"
        known.write_text(json.dumps(list(modules)), encoding="utf-8")
        temporary = folder / "pytest"
        temporary.mkdir()
        variables = {
            **os.environ,
            **environment(str(layout.STORE)),
            "PYTEST_DEBUG_TEMPROOT": str(temporary),
        }
        self._log = layout.STORE / f"{mode}-{folder.name}.log"
        with self._log.open("w", encoding="utf-8") as log:
            self._process = self._started(mode, known, variables, log)
        self._answer()

    @staticmethod
    def _started(mode: Mode, known: Path, variables: dict[str, str], log: IO[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mutation.server", mode, str(known)],
            cwd=layout.ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # an interrupt from the keyboard is for the one that hands out
        )

    def ask(self, tests: Sequence[tuple[str, float]], **task: Any) -> dict[str, Any]:  # noqa: ANN401
        """Try ``tests``, each with its time limit, with the mutant that ``source``, ``digest`` and ``number`` name."""
        self._pipe(self._process.stdin).write(json.dumps({"tests": tests, **task}) + "\n")
        self._pipe(self._process.stdin).flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()
        if not self._log.stat().st_size:
            self._log.unlink()

    def _answer(self) -> dict[str, Any]:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"a process that tries mutants ended; see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise RuntimeError("a process without pipes")
        return pipe
