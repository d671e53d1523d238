"""Plays many runs on several processors. A run is the same whichever process plays it, and so is its trace."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import traceback
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from holdfast.core._options import whole
from holdfast.errors import ConfigError, HoldfastError
from holdfast.lab.runs.play import play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.process import BaseProcess

    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.runs.play import Run

__all__ = ["WorkerError", "play_all", "usable_processors"]


_MOST_TOGETHER = 8
"""Runs that are played at once, however few processors there are; each takes some 200 MB."""
_ROUNDS = 3
"""From so many runs for each processor on, what is lost at the end is little."""


class WorkerError(HoldfastError):
    """A run ended in a worker process with an error that is no setting's fault, or the process died."""


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def play_all(
    runs: Sequence[Run],
    *,
    jobs: int | None = None,
    progress: Callable[[Run, float], object] | None = None,
) -> list[Outcome]:
    """Play ``runs``; the outcomes, in their order.

    With more than one job each run is played in a process that was started anew (``spawn``), so a program that calls
    this needs the usual ``if __name__ == "__main__"``. Leaving it in any way, Ctrl-C included, ends those processes.

    Args:
        runs: what to play. The longest ones had better come last: they are begun first.
        jobs: processes at once, 1 or more; 1: in this process; None: one for each processor, and no more than runs. A
            few more where the runs are few: five on two processors share them from the beginning, instead of one
            being played alone at the end.
        progress: is told, for a run, how many virtual seconds of it have been played.

    Raises:
        ConfigError: an option, a scenario or a configuration is wrong.
        WorkerError: a run failed, or its process died; says how.
    """
    wanted = _usual(len(runs), usable_processors()) if jobs is None else whole("jobs", jobs, least=1)
    count = min(wanted, len(runs))
    if count <= 1:
        return [_played_and_left(run, _of(run, progress)) for run in runs]
    crew = [_Worker() for _ in range(count)]
    try:
        return _played(crew, runs, progress)
    finally:
        for worker in crew:
            worker.end()


def _usual(runs: int, processors: int) -> int:
    """How many processes play so many runs."""
    together = processors > 1 and runs <= min(_MOST_TOGETHER, _ROUNDS * processors)
    return runs if together else processors


def _played_and_left(run: Run, progress: Callable[[float], object] | None) -> Outcome:
    """Play a run, and let go of its world: its parts know each other, and during the next run nobody looks for that."""
    outcome = play(run, progress)
    gc.collect()
    return outcome


def _of(run: Run, progress: Callable[[Run, float], object] | None) -> Callable[[float], object] | None:
    return None if progress is None else lambda seconds: progress(run, seconds)


def _played(
    crew: Sequence[_Worker], runs: Sequence[Run], progress: Callable[[Run, float], object] | None
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    waiting = list(range(len(runs)))  # taken from its end: runs at high rates are the slowest
    busy: dict[Any, _Worker] = {}
    for worker in crew:
        worker.give(place := waiting.pop(), runs[place])
        busy[worker.pipe] = worker
    while len(outcomes) < len(runs):
        for pipe in wait(list(busy)):
            worker = busy[pipe]
            run = runs[worker.place]
            kind, content = worker.heard(run)
            if kind == "progress":
                if progress is not None:
                    progress(run, content)
            elif kind == "refused":
                raise ConfigError(*content)
            elif kind == "failed":
                raise WorkerError(content)
            else:
                outcomes[worker.place] = content
                if waiting:
                    worker.give(place := waiting.pop(), runs[place])
                else:
                    del busy[pipe]
    return [outcomes[place] for place in range(len(runs))]


class _Worker:
    """A process that plays one run after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.place = -1
        self._process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, place: int, run: Run) -> None:
        """Have it play a run."""
        self.place = place
        self.pipe.send(run)

    def heard(self, run: Run) -> tuple[str, Any]:
        """What it says."""
        try:
            said: tuple[str, Any] = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise WorkerError(
                f"The process that played {run.title} died (exit code {self._process.exitcode}). "
                "Was there enough memory? `--jobs 1` plays one run at a time, without another process."
            ) from None
        return said

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self.pipe.close()


def _work(pipe: Connection) -> None:
    """What a worker does until nobody wants anything any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one ends us

    def tell(kind: str, content: object) -> None:
        try:
            pipe.send((kind, content))
        except OSError:
            os._exit(1)  # the first one is dead: nobody wants the rest of the run

    while True:
        try:
            run: Run = pipe.recv()
        except EOFError:
            return
        try:
            outcome = _played_and_left(run, lambda seconds: tell("progress", seconds))
        except ConfigError as error:
            tell("refused", (error.field, error.value, error.rule))
        except BaseException as error:  # noqa: BLE001 - the other process raises it
            detail = "".join(traceback.format_exception(error))
            tell("failed", f"{run.title} failed: {type(error).__name__}: {error}\n{detail}")
        else:
            tell("outcome", outcome)
