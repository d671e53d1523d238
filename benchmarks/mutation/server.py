"""A process that tries mutants: it has done what takes long once, and forks a child for each.

Usage::

    python -m benchmarks.mutation.server warm|cold MODULES.json

A *warm* one has all tests collected, and its children change functions in place; a *cold* one has only third parties
imported, and its children import the core with the changed module in it. Tasks come as lines of JSON on the standard
input, answers go as lines to the standard output; it ends with its input.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.mutation import layout
from benchmarks.mutation.mutants import Program
from benchmarks.mutation.session import Quick, arguments
from benchmarks.mutation.swap import Functions, Unfit, living, swap

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import CodeType

__all__ = ["Server"]

_MEMORY = 3 << 30  # bytes of address space that a child may use more than this process
_SURVIVED, _KILLED, _UNFIT = 0, 1, 9


class Server:
    """A pytest plugin that serves instead of running the tests."""

    def __init__(self, tasks: Any, answers: Any, *, warm: bool, modules: Sequence[str]) -> None:  # noqa: ANN401
        self._tasks = tasks
        self._answers = answers
        self._warm = warm
        self._modules = modules
        self._programs: dict[str, tuple[str, Program]] = {}
        self._loaded: dict[str, str] = {}
        self._functions: Functions = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool | None:
        """A cold one serves before anything is collected."""
        if self._warm:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in self._modules:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        if "holdfast" in sys.modules:
            raise RuntimeError("a cold process must not have imported what it tries mutants of")
        self._serve(session)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """A warm one serves when all is collected."""
        if self._warm:
            for source in layout.sources():
                self._loaded[source] = (layout.CORE / source).read_text(encoding="utf-8")
                importlib.import_module(layout.module_of(source))  # or a test imports it later, unchanged
            self._functions = living()
            self._serve(session)
        return True

    def _serve(self, session: pytest.Session) -> None:
        gc.collect()
        gc.freeze()
        self._answers.write(json.dumps({"ready": True}) + "\n")
        self._answers.flush()
        for line in self._tasks:
            task = json.loads(line)
            begun = time.monotonic()
            answer = self._try(session, task)
            answer["seconds"] = round(time.monotonic() - begun, 4)
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()

    def _try(self, session: pytest.Session, task: dict[str, Any]) -> dict[str, Any]:
        source, number = task.get("source"), task.get("number")
        if source is not None:
            program = self._program(source)
            if program.digest != task["digest"] or (self._warm and self._programs[source][0] != self._loaded[source]):
                return {"status": "stale"}
        heard, told = os.pipe()
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(heard)
            code = 70
            try:
                code = self._child(session, task, source, number, told)
            finally:
                os._exit(code)
        os.close(told)
        status = os.waitpid(child, 0)[1]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what its tests started
        os.set_blocking(heard, False)
        text = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(heard, 65536):
                text += part
        os.close(heard)
        shutil.rmtree(os.environ["PYTEST_DEBUG_TEMPROOT"], ignore_errors=True)
        Path(os.environ["PYTEST_DEBUG_TEMPROOT"]).mkdir(parents=True, exist_ok=True)
        return _answer(status, text.decode(), [test for test, _ in task["tests"]], time.monotonic() - begun)

    def _child(
        self, session: pytest.Session, task: dict[str, Any], source: str | None, number: int | None, told: int
    ) -> int:
        os.setpgid(0, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends a child whose time is over
        signal.setitimer(signal.ITIMER_REAL, 60)
        sys.dont_write_bytecode = True
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if source is not None and number is not None:
            program = self._program(source)
            try:
                changed = program.changed(number)
                if self._warm:
                    swap(program.original(), changed, self._functions)
                else:
                    sys.meta_path.insert(0, _Changed(layout.module_of(source), program.path, changed))
            except Unfit:
                return _UNFIT
            except (SyntaxError, ValueError):  # `return` outside of a function and the like: no program
                return _KILLED
        if not self._warm:
            session.perform_collect(sorted({test.partition("::")[0] for test, _ in task["tests"]}))
            if session.testsfailed:
                return _KILLED
        return _run(session, task, told)

    def _program(self, source: str) -> Program:
        path = layout.CORE / source
        text = path.read_text(encoding="utf-8")
        if source not in self._programs or self._programs[source][0] != text:
            self._programs[source] = (text, Program(text, str(path)))
        return self._programs[source][1]


class _Changed(importlib.abc.MetaPathFinder):
    """Finds one module, and gives it the changed code."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        self._name = name
        self._path = path
        self._code = code

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """The module's, None for any other."""
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, self._path, self._code))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self._code


class _Watcher:
    """Tells of each failure at once, and ends the process at the first unless it is to go on."""

    def __init__(self, told: int, *, go_on: bool) -> None:
        self.number = 0
        self._told = told
        self._go_on = go_on

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, None]:
        outcome = yield
        if outcome.get_result().failed:
            os.write(self._told, b"!%d\n" % self.number)
            if not self._go_on:
                os._exit(_KILLED)


def _run(session: pytest.Session, task: dict[str, Any], told: int) -> int:
    watcher = _Watcher(told, go_on=task.get("go_on", False))
    session.config.pluginmanager.register(watcher)
    items = {item.nodeid: item for item in session.items}
    for number, (test, limit) in enumerate(task["tests"]):
        item = items.get(test)
        if item is None:
            continue
        watcher.number = number
        os.write(told, b"%d\n" % number)
        signal.setitimer(signal.ITIMER_REAL, limit)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return _SURVIVED


def _answer(status: int, text: str, tests: list[str], seconds: float) -> dict[str, Any]:
    """What became of a child, from how it ended and what it told."""
    lines = text.split()
    failed = [tests[int(line[1:])] for line in lines if line.startswith("!")]
    last = tests[int(lines[-1].lstrip("!"))] if lines else ""
    answer: dict[str, Any] = {"failed": failed, "by": last, "ran": seconds}
    if os.WIFSIGNALED(status):
        return answer | {"status": "timeout" if os.WTERMSIG(status) == signal.SIGALRM else "killed"}
    words = {_SURVIVED: "survived", _KILLED: "killed", _UNFIT: "unfit"}
    if os.WEXITSTATUS(status) not in words:
        # the mutant broke what runs the tests; or the runner is broken, which its log tells
        return answer | {"status": "killed", "odd": os.WEXITSTATUS(status)}
    return answer | {"status": words[os.WEXITSTATUS(status)]}


def main(mode: str, modules: str) -> None:
    """Serve until the input ends."""
    tasks = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    files = layout.test_files() if mode == "warm" else []
    known = json.loads(Path(modules).read_text(encoding="utf-8")) if mode == "cold" else []
    server = Server(tasks, answers, warm=mode == "warm", modules=known)
    try:
        pytest.main([*arguments(), *files], plugins=[Quick(), server])
    finally:
        shutil.rmtree(Path(modules).parent, ignore_errors=True)  # also when the other side was killed


if __name__ == "__main__":
    main(*sys.argv[1:])
