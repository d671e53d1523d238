"""Tries every mutant that has no result that holds: a thread for each job, which hands mutants to its processes."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.mutation import layout
from benchmarks.mutation.mutants import Program
from benchmarks.mutation.pool import Tester
from benchmarks.mutation.results import Result, Results, Status
from benchmarks.mutation.verdict import holds, stands_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.mutation.coverage_map import CoverageMap, Reach
    from benchmarks.mutation.pool import Mode

__all__ = ["Run", "prepare", "program_of"]

_MORE_SECONDS = 20.0
"""A line of a driver is run by most tests, and what runs at import by all. The nearest are asked, until they take so
long; a mutant that only a distant test would notice is then listed as a survivor."""


@dataclass(frozen=True, slots=True)
class _Job:
    source: str
    program: Program
    number: int


def prepare(known: CoverageMap, sources: Sequence[str], jobs: int, say: Callable[[str], None]) -> None:
    """Record what changed, and find the tests that fail where mutants are tried although nothing is changed."""
    stale = known.stale(sources)
    if not stale:
        known.save()
        return
    say(f"recording which lines {len(stale)} test files run")
    known.record(stale)
    say("trying their tests without a mutant")
    files = deque(stale)
    lock = threading.Lock()

    def work() -> None:
        testers: dict[Mode, Tester] = {"warm": Tester("warm", ()), "cold": Tester("cold", known.modules)}
        try:
            while True:
                with lock:
                    if not files:
                        return
                    file = files.popleft()
                _baseline(known, file, testers, lock)
        finally:
            for tester in testers.values():
                tester.close()

    _in_threads(work, jobs)
    known.save()


def _baseline(known: CoverageMap, file: str, testers: dict[Mode, Tester], lock: threading.Lock) -> None:
    """Each test alone in a warm child, then all of them in a cold one."""
    failed: set[str] = set()
    seconds: dict[str, float] = {}
    tests = known.tests([file])
    for test in tests:
        answer = testers["warm"].ask([(test, 60.0)])
        if answer["status"] != "survived":
            failed.add(test)
        seconds[test] = answer["ran"]
    answer = testers["cold"].ask([(test, 60.0) for test in tests], go_on=True)
    if answer["status"] != "survived":
        failed.update(tests)
    failed.update(answer["failed"])
    with lock:
        known.took(seconds)
        known.without(failed)


@dataclass(eq=False)
class Run:
    """One run over some files.

    Args:
        known: what each test covers; prepared.
        results: where results are kept.
        jobs: how many mutants are tried at once.
        told: is called after each mutant with its result.
    """

    known: CoverageMap
    results: Results
    jobs: int
    told: Callable[[Result], None]
    _stale: set[str] = field(default_factory=set)  # files that changed since the run began
    _queue: deque[_Job] = field(default_factory=deque)
    _killers: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, source: str, program: Program) -> int:
        """Queue the mutants of a file that have no result that holds; how many."""
        before = len(self._queue)
        for number, mutant in enumerate(program.mutants):
            result = self.results.get(source, mutant.key)
            if not holds(result, program, self.known, self.known.reach(source, mutant)):
                self._queue.append(_Job(source, program, number))
            elif result is not None and result.by:
                self._killers.setdefault((source, mutant.key.function), Counter())[result.by] += 1
        return len(self._queue) - before

    def work(self, until: float | None) -> set[str]:
        """Try all that is queued, until a time of the monotonic clock; which files are not all tried, or changed."""

        def one() -> None:
            testers: dict[Mode, Tester] = {}
            try:
                while True:
                    with self._lock:
                        if not self._queue:
                            return
                        if until is not None and time.monotonic() >= until:
                            return
                        job = self._queue.popleft()
                    self._try(job, testers)
            finally:
                for tester in testers.values():
                    tester.close()

        if self._queue:
            _in_threads(one, self.jobs)
        return self._stale | {job.source for job in self._queue}

    def _try(self, job: _Job, testers: dict[Mode, Tester]) -> None:
        mutant = job.program.mutants[job.number]
        begun = time.monotonic()
        with self._lock:
            reach = self.known.reach(job.source, mutant)
            killers = self._killers.setdefault((job.source, mutant.key.function), Counter())
            first = [test for test, _ in killers.most_common(8)]
        status: Status | None = None
        by = ""
        if not reach.tests and not mutant.at_import:
            status = "uncovered"
        elif not mutant.at_import:
            status, by = self._ask("warm", job, self._nearest(job, _ordered(reach.tests, first), first), testers)
        if status is None or (reach.more and status in {"survived", "uncovered"}):
            for tests in self._cold_parts(job, reach):
                status, by = self._ask("cold", job, _ordered(tests, first), testers)
                if status != "survived":
                    break
        if status is None:
            return
        with self._lock:
            if by:
                killers[by] += 1
            stands = stands_on(self.known, reach, by)
            seconds = round(time.monotonic() - begun, 3)
            result = Result(job.source, job.program.digest, mutant.key, status, by, stands, seconds)
            self.results.add(result)
            self.told(result)

    def _ask(
        self, mode: Mode, job: _Job, tests: Sequence[str], testers: dict[Mode, Tester]
    ) -> tuple[Status | None, str]:
        """What becomes of it; None when it cannot be tried this way."""
        if mode not in testers:
            testers[mode] = Tester(mode, self.known.modules)
        limits = [(test, self.known.limit(test)) for test in tests]
        answer = testers[mode].ask(limits, source=job.source, digest=job.program.digest, number=job.number)
        if answer["status"] == "stale":
            self._stale.add(job.source)
        if answer["status"] in {"stale", "unfit"}:
            return None, ""
        return answer["status"], answer["by"] if answer["status"] != "survived" else ""

    def _cold_parts(self, job: _Job, reach: Reach) -> list[list[str]]:
        """The tests in two parts: those of the file that knows most of the module, which mostly do, and the others."""
        if job.source in self._stale:
            return []
        tests: dict[str, list[str]] = {}
        for test in dict.fromkeys([*reach.tests, *reach.more]):
            tests.setdefault(test.partition("::")[0], []).append(test)
        known = {file: self.known.nearness(job.source, file) for file in tests}
        files = sorted(tests, key=lambda file: ([-each for each in known[file]], file))
        nearest = [test for file in files[:1] for test in tests[file]]
        others: list[str] = []
        left = _MORE_SECONDS
        for file in files[1:]:
            takes = sum(map(self.known.seconds, tests[file]))
            if takes <= left or not others:
                left -= takes
                others += tests[file]
        return [sorted(part, key=lambda test: (self.known.seconds(test), test)) for part in (nearest, others) if part]

    def _nearest(self, job: _Job, tests: Sequence[str], first: Sequence[str]) -> list[str]:
        """The tests to ask, where many run the line: those that noticed others, then those of the nearest files."""
        files = sorted({test.partition("::")[0] for test in tests}, key=lambda file: self._rank(job.source, file))
        near = {file: place for place, file in enumerate(files)}
        chosen, seconds = list(tests[: len(first)]), 0.0
        for test in sorted(
            tests[len(first) :], key=lambda test: (near[test.partition("::")[0]] > 1, self.known.seconds(test))
        ):
            if seconds > _MORE_SECONDS:
                break
            seconds += self.known.seconds(test)
            chosen.append(test)
        return chosen

    def _rank(self, source: str, file: str) -> tuple[int, str]:
        return -self.known.breadth(source, file), file


def _ordered(tests: Sequence[str], first: Sequence[str]) -> list[str]:
    """What noticed other mutants of the function before the others, which keep their order."""
    there = set(tests)
    early = [test for test in first if test in there]
    return [*early, *(test for test in tests if test not in set(early))]


def _in_threads(work: Callable[[], None], jobs: int) -> None:
    """Run ``work`` in so many threads; the first error of one is raised."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def program_of(source: str) -> Program:
    """A file of the core with its mutants."""
    path = layout.CORE / source
    return Program(path.read_text(encoding="utf-8"), str(path))
