"""Many runs on several processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.runs.play import Run, play, runs_of
from holdfast.lab.runs.workers import WorkerError, _usual, _work, play_all, usable_processors
from holdfast.lab.scenarios.loader import shipped

if TYPE_CHECKING:
    from holdfast.lab.world.options import WorldOptions


@dataclass(frozen=True)
class Broken:
    """A configuration that cannot be played."""

    name: str = "broken"
    way: str = "defect"

    def options(self, options: WorldOptions, /) -> WorldOptions:
        if self.way == "death":
            os._exit(9)
        if self.way == "setting":
            raise ConfigError("field", 1, "must be 2")
        raise ZeroDivisionError("a defect")


def short(seconds: float = 3.0) -> list[Run]:
    suite = shipped("suite")
    quick = replace(suite, seconds=seconds, traffic=replace(suite.traffic, rate=8))
    return runs_of(quick, [configuration_of("holdfast")], rates=[0.0, 0.2])


def test_runs_are_every_configuration_with_every_seed_at_every_rate() -> None:
    """By default with the scenario's own seed, at its own rates; a scenario without rates is played once."""
    known = [configuration_of("holdfast"), configuration_of("nothing")]
    runs = runs_of(shipped("suite"), known, seeds=[1, 2], rates=[0.1])
    assert [(run.configuration.name, run.seed, run.rate) for run in runs] == [
        ("holdfast", 1, 0.1), ("holdfast", 2, 0.1), ("nothing", 1, 0.1), ("nothing", 2, 0.1),
    ]  # fmt: skip
    assert [(run.seed, run.rate) for run in runs_of(shipped("suite"), known[:1])][:2] == [(7, 0.0), (7, 0.02)]
    assert [run.rate for run in runs_of(shipped("store-down"), known[:1])] == [None]
    assert runs[0].title == "suite, holdfast, seed 1, 0.1 failing"


def test_processes_do_not_change_what_happens() -> None:
    """One seed gives one trace and one outcome, in this process, again in this process, and in two others."""
    runs = short()
    told: list[tuple[str, float]] = []
    apart = play_all(runs, jobs=2, progress=lambda run, seconds: told.append((run.title, seconds)))
    here = play_all(runs, jobs=1)
    assert apart == here
    assert play(runs[1]) == here[1]
    assert {each.rate for each in apart} == {0.0, 0.2}
    assert apart[0].trace != apart[1].trace
    assert play(replace(runs[1], seed=8)).trace != here[1].trace
    assert set(told) == {(run.title, 3.0) for run in runs}


@pytest.mark.parametrize(
    ("way", "error", "told"),
    [
        ("defect", WorkerError, "ZeroDivisionError: a defect"),
        ("setting", ConfigError, "field=1: must be 2"),
        ("death", WorkerError, r"died \(exit code 9\)"),
    ],
)
def test_what_goes_wrong_in_a_process_is_told(way: str, error: type[Exception], told: str) -> None:
    """A defect with its traceback, a wrong setting as such, and a death with its exit code; no process is left."""
    runs = [replace(run, configuration=Broken(way=way)) for run in short()]
    with pytest.raises(error, match=told):
        play_all(runs, jobs=2)


def test_ctrl_c_ends_all_processes() -> None:
    """Interrupted while two processes play, it ends, and they with it."""

    def interrupt(_run: Run, _seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        play_all(short(10_000), jobs=2, progress=interrupt)
    assert multiprocessing.active_children() == []


def test_a_worker_does_not_outlive_who_started_it() -> None:
    """When nobody hears its progress any more it ends, in the middle of its run."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_work, args=(theirs,), daemon=True)
    worker.start()
    theirs.close()
    ours.send(short(10_000)[0])
    assert ours.recv()[0] == "progress"
    ours.close()
    worker.join(60)
    assert worker.exitcode == 1


def test_jobs_are_checked() -> None:
    """At least one; by default as many as there are processors."""
    with pytest.raises(ConfigError, match="jobs"):
        play_all(short(), jobs=0)
    assert usable_processors() >= 1
    assert play_all([]) == []


@pytest.mark.parametrize(
    ("runs", "processors", "processes"),
    [(5, 2, 5), (6, 2, 6), (7, 2, 2), (8, 4, 8), (9, 4, 4), (5, 1, 1), (3, 16, 3), (40, 16, 16)],
)
def test_few_runs_share_the_processors(runs: int, processors: int, processes: int) -> None:
    """Few runs are played all at once, so that no processor is idle at the end; many, one on each processor."""
    assert min(runs, _usual(runs, processors)) == processes


def test_a_world_does_not_outlive_its_run() -> None:
    """Its parts know each other; between two runs they are looked for, so that a hundred runs take no more than one."""
    import gc

    from holdfast.lab.world.world import World

    play_all(short(1.0), jobs=1)
    assert not [each for each in gc.get_objects() if isinstance(each, World)]
