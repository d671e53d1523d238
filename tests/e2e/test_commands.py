"""The command as a real process: streams, exit codes, signals, and a world that is not as it should be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
SECONDS = 60.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A fresh home, and a search by words, so that no model is needed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return ours | {
        "HOME": str(tmp_path / "home"),
        "HOLDFAST_DATA_DIR": str(tmp_path / "data"),
        "HOLDFAST_EMBEDDER": "none",
        "COLUMNS": "100",
    }


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with two good documents and three that cannot be used."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nYou can return a lamp within 30 days. The parcel label is free.\n")
    (folder / "shipping.txt").write_text("Shipping to the islands takes eight working days and costs seven euros.\n")
    (folder / "empty.md").write_text("")
    (folder / "binary.md").write_bytes(bytes(range(256)) * 20)
    (folder / "broken.jsonl").write_text("{not json\n")
    return folder


def holdfast(
    environ: dict[str, str], *arguments: str, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    command = [*prefix, HOLDFAST, *arguments]
    folder = Path(environ["HOLDFAST_DATA_DIR"]).parent
    return subprocess.run(
        command, env=environ, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def bound_by_permissions() -> tuple[str, ...]:
    """What to put before a command so that file permissions bind it, even when the tests run as root."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    assert setpriv, "the tests run as root and there is no setpriv (package util-linux) to give rights up"
    return (setpriv, "--bounding-set=-dac_override,-dac_read_search")


# -- the ordinary way ------------------------------------------------------------------------------------------------


def test_help_without_a_terminal_is_plain(environ: dict[str, str]) -> None:
    """Into a pipe the help comes without a single escape sequence."""
    done = holdfast(environ, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout


def test_ingest_and_search(environ: dict[str, str], documents: Path) -> None:
    """Documents go in, bad ones are listed, a second run changes nothing, and a question finds its passage."""
    done = holdfast(environ, "ingest", str(documents))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 documents: 2 new, 0 changed, 0 as they were.")
    for name in ("empty.md", "binary.md", "broken.jsonl"):
        assert f"documents/{name}" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr

    report = json.loads(holdfast(environ, "ingest", str(documents), "--json").stdout)
    assert (report["added"], report["changed"], report["unchanged"], len(report["skipped"])) == (0, 0, 2, 3)

    (documents / "returns.md").write_text("# Returns\n\nYou can return a lamp within 60 days.\n")
    report = json.loads(holdfast(environ, "ingest", str(documents), "--json").stdout)
    assert (report["added"], report["changed"], report["unchanged"]) == (0, 1, 1)

    answer = json.loads(holdfast(environ, "ask", "What is the airspeed of a swallow?", "--json").stdout)
    assert answer["citations"] == []

    hits = json.loads(holdfast(environ, "search", "shipping to the islands", "--json").stdout)["hits"]
    assert hits[0]["uri"] == "documents/shipping.txt"


def test_sample(environ: dict[str, str]) -> None:
    """The sample is loaded by one command, and answers a question with a citation."""
    assert holdfast(environ, "ingest", "--sample").returncode == 0
    done = holdfast(environ, "ask", "How many days do I have to return an item?")
    assert done.returncode == 0, done.stderr
    assert " days" in done.stdout
    assert "\n[1] " in done.stdout
    assert "(help-centre/" in done.stdout


def test_output_that_nobody_reads(environ: dict[str, str], documents: Path) -> None:
    """A reader that goes away early ends the command quietly."""
    holdfast(environ, "ingest", str(documents))
    with subprocess.Popen(
        [HOLDFAST, "search", "lamp"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(SECONDS) in {0, 1}
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


# -- the world is not as it should be --------------------------------------------------------------------------------


def test_wrong_settings(environ: dict[str, str], tmp_path: Path) -> None:
    """Everything that is wrong with the settings is told before anything is done."""
    (tmp_path / "holdfast.toml").write_text("prot = 1\n")
    done = holdfast(environ | {"HOLDFAST_TOPK": "3", "MAX_WORKERS": "many"}, "ingest", "--sample")
    assert (done.returncode, done.stdout) == (2, "")
    for piece in ("'port' (holdfast.toml, line 1)", "HOLDFAST_TOP_K", "max_workers='many'"):
        assert piece in done.stderr
    assert not (tmp_path / "data").exists()


def test_unreadable_settings_file(environ: dict[str, str], tmp_path: Path) -> None:
    """A settings file without permission is told by name."""
    file = tmp_path / "mine.toml"
    file.write_text("port = 1")
    file.chmod(0)
    done = holdfast(environ | {"HOLDFAST_CONFIG": str(file)}, "ask", "why?", prefix=bound_by_permissions())
    assert done.returncode == 2
    assert done.stderr == f"holdfast: {file}: the settings file cannot be read: Permission denied (settings file)\n"


def test_folders_without_permission(environ: dict[str, str], documents: Path) -> None:
    """A file and a folder that may not be read are listed, the rest is ingested; a named one is bad input."""
    (documents / "returns.md").chmod(0)
    closed = documents / "closed"
    closed.mkdir(0)
    done = holdfast(environ, "ingest", str(documents), prefix=bound_by_permissions())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 documents: 1 new")
    assert "documents/returns.md: " in done.stderr
    assert "documents/closed: " in done.stderr
    done = holdfast(environ, "ingest", str(closed), prefix=bound_by_permissions())
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not readable" in done.stderr


def test_nothing_could_be_used(environ: dict[str, str], documents: Path) -> None:
    """When every file was bad the exit code is 1."""
    done = holdfast(environ, "ingest", str(documents / "empty.md"), str(documents / "binary.md"))
    assert done.returncode == 1
    assert "Skipped: 2" in done.stderr


def test_store_folder_without_permission(environ: dict[str, str], documents: Path, tmp_path: Path) -> None:
    """A folder for the store that cannot be written is one sentence that names it."""
    (tmp_path / "data").mkdir(mode=0o500)
    done = holdfast(environ, "ingest", str(documents), prefix=bound_by_permissions())
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "data") in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use(environ: dict[str, str]) -> None:
    """A port that is taken is one sentence that names it and the setting, before anything slow is done."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = holdfast(environ, "serve", "--port", str(port))
    assert done.returncode == 2, done.stderr
    assert str(port) in done.stderr
    assert "HOLDFAST_PORT" in done.stderr
    assert "Traceback" not in done.stderr


# -- stopped in the middle -------------------------------------------------------------------------------------------

MANY = 600


def stored(store: Path) -> int:
    """How many documents the store holds; 0 while there is none."""
    try:
        with closing(sqlite3.connect(f"file:{next(store.glob('*.sqlite3'))}?mode=ro", uri=True)) as database:
            (count,) = database.execute("SELECT count(*) FROM documents").fetchone()
            return int(count)
    except (StopIteration, sqlite3.OperationalError):
        return 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_ingest_stopped_in_the_middle(environ: dict[str, str], tmp_path: Path, stop: signal.Signals) -> None:
    """However it is stopped, what was stored stays, and the same command completes it: nothing lost, nothing double."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:04}.md").write_text(
            f"# Article {number}\n\nThe code of article {number} is X{number:04}X.\n"
        )
    process = subprocess.Popen([HOLDFAST, "ingest", str(folder)], env=environ, stdout=-1, stderr=-1, text=True)
    give_up = time.monotonic() + SECONDS
    while stored(tmp_path / "data") < 10:
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < give_up
    process.send_signal(stop)
    out, err = process.communicate(timeout=SECONDS)
    before = stored(tmp_path / "data")
    assert 10 <= before < MANY
    assert out == ""
    if stop is signal.SIGINT:
        assert process.returncode == 130
        assert "documents were stored in this run, and stay" in err
        assert "The same command goes on" in err
        assert "Traceback" not in err
    report = json.loads(holdfast(environ, "ingest", str(folder), "--json").stdout)
    assert (report["added"], report["unchanged"], report["changed"]) == (MANY - before, before, 0)
    assert stored(tmp_path / "data") == MANY


def test_serve_stops_on_sigterm(environ: dict[str, str], documents: Path) -> None:
    """The service says its address, answers, and ends with 0 when it is told to stop."""
    holdfast(environ, "ingest", str(documents))
    with subprocess.Popen(
        [HOLDFAST, "serve", "--port", "0"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = next(line["address"] for line in map(json.loads, process.stderr) if "address" in line)
        assert address.startswith("http://127.0.0.1:")
        process.terminate()
        process.stderr.read()
        assert process.wait(SECONDS) == 0
