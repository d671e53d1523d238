"""``holdfast lab``: what is listed, played, compared, written and refused."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.cli import main
from holdfast.lab.configurations import peers
from holdfast.lab.failures.registry import failures
from holdfast.lab.report.traces import trace_of
from holdfast.lab.runs.outcome import Outcome
from holdfast.lab.runs.play import play
from holdfast.lab.scenarios.loader import shipped_names

if TYPE_CHECKING:
    from pathlib import Path

SMALL = (
    'about = "Small."\nseconds = 3\n[traffic]\nrate = 3\n[[faults]]\ncomponents = ["store"]\nkind = "down"\nbegin = 1\n'
)
VARIED = SMALL.replace("begin = 1", 'rate = "injected"').replace("seconds", "rates = [0.0, 0.5]\nseconds")


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A scenario in a file."""
    (tmp_path / "small.toml").write_text(SMALL)
    return str(tmp_path / "small.toml")


def played(out: Path) -> list[Outcome]:
    """The outcomes that were written."""
    return [Outcome.from_json(each) for each in json.loads(out.read_text())["outcomes"]]


def test_the_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Every scenario, configuration and failure stands there, and no argument at all shows the help."""
    assert main(["lab", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in (*shipped_names(), "holdfast", "nothing", *failures()))
    assert main(["lab"]) == 0
    assert "compare" in capsys.readouterr().out


def test_a_run_is_shown_and_written(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to stdout, the outcomes to JSON, the page to HTML; the trace is that of the seed."""
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    assert main(["lab", "run", small, "--alone", "--seed", "3", "--json", str(out), "--html", str(page)]) == 0
    told = capsys.readouterr()
    (outcome,) = played(out)
    assert (outcome.scenario, outcome.configuration, outcome.seed, outcome.rate) == ("small", "holdfast", 3, None)
    assert "user-facing errors" in told.out
    assert f"trace {outcome.trace}: small, holdfast, seed 3" in told.err
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert outcome.trace in page.read_text()


def test_a_run_is_measured_by_what_stands_beside_it(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plain program and the service without local answers are played on the same faults, which is said."""
    out = tmp_path / "out.json"
    assert main(["lab", "run", small, "--jobs", "1", "--json", str(out)]) == 0
    told = capsys.readouterr()
    outcomes = played(out)
    assert [each.configuration for each in outcomes] == ["holdfast", "no-local-fallbacks", "nothing"]
    assert "Besides, on the same faults: no-local-fallbacks and nothing; --alone leaves that out." in told.err
    assert "errors saved" in told.out
    assert f"trace {trace_of(outcomes)}: all 3 runs together" in told.err
    assert json.loads(out.read_text())["summary"]["trace"] == trace_of(outcomes)
    assert main(["lab", "run", small, "--jobs", "1", "--config", "nothing,no-local-fallbacks"]) == 0
    assert "Besides" not in capsys.readouterr().err


def test_a_run_that_is_played_twice(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its traces are compared: equal ones are told, and other ones are a failure of the command."""
    command = ["lab", "run", small, "--seconds", "1", "--alone", "--jobs", "1", "--verify"]
    assert main(command) == 0
    assert "Played twice, small, holdfast, seed 7 had the same trace: " in capsys.readouterr().err
    others = (f"{number:032x}" for number in range(9))
    monkeypatch.setattr(
        "holdfast.lab.runs.workers.play", lambda run, progress: replace(play(run, progress), trace=next(others))
    )
    assert main(command) == 1
    assert f"had the traces {0:032x} and {1:032x}: a defect." in " ".join(capsys.readouterr().err.split())


def test_scenarios_are_compared_in_one_report(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several scenarios and patterns of configurations make one report, in which recovery stands for each of them."""
    (tmp_path / "other.toml").write_text(SMALL.replace("seconds = 3", "seconds = 25\nslo = 0.5") + "end = 2\n")
    out = tmp_path / "out.json"
    command = ["lab", "compare", small, str(tmp_path / "other.toml"), "--config", "nothing,no-*,nothing"]
    assert main([*command, "--jobs", "1", "--json", str(out)]) == 0
    assert [(each.scenario, each.configuration) for each in played(out)][:2] == [
        ("small", "nothing"),
        ("small", "no-local-fallbacks"),
    ]
    told = " ".join(capsys.readouterr().out.split())
    assert "other nothing 1 " in told.partition("Repair and recovery")[2]
    assert "recovery below 30 s, the longest" in told


def test_faults_are_played_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that plays its faults apart is as many runs as it has faults and components, in one table."""
    (tmp_path / "apart.toml").write_text(
        "seconds = 1\napart = true\n[traffic]\nrate = 3\n"
        '[[faults]]\ncomponents = ["store", "cache"]\nkind = "garbage"\nways = ["empty", "truncated"]\n'
    )
    out = tmp_path / "out.json"
    assert main(["lab", "run", str(tmp_path / "apart.toml"), "--alone", "--jobs", "1", "--json", str(out)]) == 0
    names = [f"{each} garbage {way}" for each in ("store", "cache") for way in ("empty", "truncated")]
    assert [each.scenario for each in played(out)] == [f"apart/{name}" for name in names]
    told = capsys.readouterr().out
    assert all(name in told for name in names)


def test_configurations_seeds_and_rates_multiply(tmp_path: Path) -> None:
    """Each configuration is played with each seed at each rate, for as long as was asked for."""
    (tmp_path / "varied.toml").write_text(VARIED)
    out = tmp_path / "out.json"
    command = ["lab", "compare", str(tmp_path / "varied.toml"), "--config", "holdfast", "--config", "nothing"]
    options = ["--seeds", "2", "--seed", "5", "--rates", "0.1", "--seconds", "1", "--jobs", "1", "--json", str(out)]
    assert main([*command, *options]) == 0
    outcomes = played(out)
    assert [(each.configuration, each.seed, each.rate, each.seconds) for each in outcomes] == [
        (config, seed, 0.1, 1) for config in ("holdfast", "nothing") for seed in (5, 6)
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "siute"], "There is no scenario 'siute'"),
        (["run", "none/there.toml"], "none/there.toml cannot be read"),
        (["run", "store-down", "--config", "nobody"], "There is no configuration 'nobody'"),
        (["run", "store-down", "--rates", "0.1"], "--rates: is given, and store-down has no fault"),
        (["run", "suite", "--rates", "0.1,much"], "'much' is no share"),
        (["run", "suite", "--rates", "2"], "'2' is no share"),
        (["run", "suite", "--seconds", "0"], "seconds=0.0"),
        (["run", "suite", "--json", "/nowhere/x.json"], "--json: there is no folder /nowhere"),
        (["run", "suite", "--html", "/nowhere/x.html"], "--html: there is no folder /nowhere"),
        (["run", "suite", "--jobs", "0"], "--jobs"),
        (["run", "suite", "--config", "with-*"], "No configuration fits 'with-*'"),
        (["compare", "suite", "--config", "holdfast, holdfast"], "--config: has to name at least two"),
        (["compare", "suite"], "--config: has to name at least two"),
        (["failures", "retry-strom"], "There is no failure 'retry-strom'. There are retry-storm, "),
        (["failures", "--html", "/nowhere/x.html"], "--html: there is no folder /nowhere"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_played(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 2, and the sentence names what is wrong."""
    assert main(["lab", *arguments]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_wrong_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the field, the value and the rule."""
    (tmp_path / "bad.toml").write_text(SMALL.replace("rate = 3", "rate = -3"))
    assert main(["lab", "run", str(tmp_path / "bad.toml")]) == 2
    assert "bad.toml: traffic.rate=-3: must be above 0" in " ".join(capsys.readouterr().err.split())


def test_a_file_that_cannot_be_written_is_said(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result is printed all the same."""
    assert main(["lab", "run", small, "--alone", "--seconds", "1", "--json", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert "user-facing errors" in told.out
    assert "--json: " in told.err


def test_ctrl_c_ends_it(small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with 130 and without a traceback."""

    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("holdfast.lab.runs.workers.play_all", interrupted)
    assert main(["lab", "run", small]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_pattern_leaves_out_what_cannot_be_played(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that is missing is told: a pattern goes on without it, and a name is refused."""
    monkeypatch.setattr(peers, "_PEERS", ("no-such-library",))
    command = ["lab", "run", small, "--seconds", "1", "--alone", "--jobs", "1", "--config"]
    assert main([*command, "tenacity*,nothing"]) == 0
    assert "Left out: The configuration tenacity-pybreaker needs no-such-library" in capsys.readouterr().err
    assert main([*command, "tenacity-pybreaker"]) == 1
    assert "pip install no-such-library" in " ".join(capsys.readouterr().err.split())


def test_what_a_comparison_lacks_is_said(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A part is worth what is lost without it, and what is saved is saved of the plain program's errors."""
    command = ["lab", "compare", small, "--seconds", "1", "--jobs", "1", "--config"]
    told = {}
    for names in ("holdfast,nothing", "nothing,without-retry", "holdfast,without-retry"):
        assert main([*command, names]) == 0
        told[names] = [line for line in capsys.readouterr().err.splitlines() if "told only where" in line]
    assert [len(lines) for lines in told.values()] == [0, 1, 1]
    assert "where holdfast is played" in told["nothing,without-retry"][0]
    assert "where nothing is played" in told["holdfast,without-retry"][0]


def test_failures_are_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of both sides go to stdout, with the log where asked for; everything else to the files and stderr."""
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    assert main(["lab", "failures", "auth-retry", "--log", "--json", str(out), "--html", str(page)]) == 0
    told = capsys.readouterr()
    assert "7.20 s 0.050 s until the user is told" in " ".join(told.out.split())
    assert '"kind": "auth"' in told.out
    broken, fixed = json.loads(out.read_text())
    assert (broken["figures"]["calls"]["value"], fixed["figures"]["calls"]["value"]) == (4, 1)
    assert f"trace {broken['trace']}: auth-retry, broken, seed 7" in told.err
    assert fixed["trace"] in page.read_text()
    assert page.read_text().startswith("<!DOCTYPE html>")
