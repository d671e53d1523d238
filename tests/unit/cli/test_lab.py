"""``holdfast lab``: what is listed, played, compared, written and refused."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from holdfast.cli import main
from holdfast.lab.runs.outcome import Outcome
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


def test_the_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Every scenario and every configuration stands there, and no argument at all shows the help."""
    assert main(["lab", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in (*shipped_names(), "holdfast", "nothing"))
    assert main(["lab"]) == 0
    assert "compare" in capsys.readouterr().out


def test_a_run_is_shown_and_written(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to stdout, the outcomes to JSON, the page to HTML; the trace is that of the seed."""
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    assert main(["lab", "run", small, "--seed", "3", "--json", str(out), "--html", str(page)]) == 0
    told = capsys.readouterr()
    (outcome,) = [Outcome.from_json(each) for each in json.loads(out.read_text())["outcomes"]]
    assert (outcome.scenario, outcome.configuration, outcome.seed, outcome.rate) == ("small", "holdfast", 3, None)
    assert "user-facing errors" in told.out
    assert f"trace {outcome.trace}: small, holdfast, seed 3" in told.err
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_configurations_seeds_and_rates_multiply(tmp_path: Path) -> None:
    """Each configuration is played with each seed at each rate, for as long as was asked for."""
    (tmp_path / "varied.toml").write_text(VARIED)
    out = tmp_path / "out.json"
    command = ["lab", "compare", str(tmp_path / "varied.toml"), "--config", "holdfast", "--config", "nothing"]
    options = ["--seeds", "2", "--seed", "5", "--rates", "0.1", "--seconds", "1", "--jobs", "1", "--json", str(out)]
    assert main([*command, *options]) == 0
    outcomes = [Outcome.from_json(each) for each in json.loads(out.read_text())["outcomes"]]
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
        (["compare", "suite", "--config", "holdfast"], "--config: is needed at least twice"),
        (["compare", "suite"], "--config: is needed at least twice"),
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
    assert main(["lab", "run", small, "--seconds", "1", "--json", str(tmp_path)]) == 2
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
