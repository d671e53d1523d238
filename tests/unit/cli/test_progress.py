"""Progress: a bar on a terminal, a line now and then elsewhere, and nothing on stdout ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.progress import counting, steps

if TYPE_CHECKING:
    import pytest


def become_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the stderr that is captured a terminal; in the test itself, because capsys makes a new one for it."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere a line comes at most every ten seconds, without colour and without names of files."""
    now = 0.0
    with counting("Ingesting", unit="files", speed=lambda: "38 chunks/s", now=lambda: now) as report:
        for done in range(1, 26):
            now += 1.0
            report("ingest", done, 2500, "secret-name.md")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Ingesting: 10 of 2,500 files 38 chunks/s\nIngesting: 20 of 2,500 files 38 chunks/s\n"


def test_other_stages_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the stage that is asked for is shown."""
    now = 0.0
    with counting("Ingesting", unit="files", only="ingest", now=lambda: now) as report:
        now = 100.0
        report("scan", 1, 2, "")
    assert capsys.readouterr().err == ""


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets a bar with count, speed and file; the file's name is shown as it is and cannot steer it."""
    become_a_terminal(monkeypatch)
    with counting("Ingesting", unit="files", speed=lambda: "38 chunks/s") as report:
        report("ingest", 3, 10, "[red]a\x1b]0;x\x07.md")
    out, err = capsys.readouterr()
    assert out == ""
    for piece in ("Ingesting", "3/10", "38 chunks/s", "[red]a"):
        assert piece in err
    assert "\x1b]0;" not in err


def test_long_names_are_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a long path the end is shown."""
    become_a_terminal(monkeypatch)
    with counting("Ingesting", unit="files") as report:
        report("ingest", 1, 10, "folder/" * 20 + "name.md")
    assert "…" in capsys.readouterr().err


def test_steps_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere each step is told once."""
    with steps() as report:
        for done in range(5):
            report("Downloading", done, 5)
        report("Building", 0, None)
    assert capsys.readouterr() == ("", "Downloading ...\nBuilding ...\n")


def test_steps_as_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets the step and the bytes."""
    become_a_terminal(monkeypatch)
    with steps() as report:
        report("Downloading", 45_000_000, 90_000_000)
    err = capsys.readouterr().err
    assert "Downloading" in err
    assert "45.0/90.0 MB" in err
