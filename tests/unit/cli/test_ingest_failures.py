"""``holdfast ingest`` with failures: listed, tried again, thrown away, and the first of them as the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

from holdfast.cli.app import run

if TYPE_CHECKING:
    from pathlib import Path


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``holdfast ingest`` on a real store without an embedder, in a folder with a good and a broken file."""
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOLDFAST_EMBEDDER", "none")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "good.md").write_text("# Good\n\nA text.\n")
    (tmp_path / "docs" / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(["ingest", *arguments])
        return Done(code, *capsys.readouterr())

    return command


def test_failures_are_listed_retried_and_discarded(ingest: Command, tmp_path: Path) -> None:
    """A broken file stays in the list until it is mended or thrown away; the ids lead from one command to the next."""
    assert ingest("docs").code == 0
    listed = ingest("--failures")
    assert (listed.code, "1 failures" in listed.out, "broken.pdf" in listed.out) == (0, True, True)
    assert "--retry" in listed.err
    (letter,) = json.loads(ingest("--failures", "--json").out)["failures"]
    assert (letter["kind"], letter["tries"], letter["retryable"]) == ("unreadable", 1, True)
    assert ingest("--retry", letter["id"]).code == 1
    assert json.loads(ingest("--failures", "--json").out)["failures"][0]["tries"] == 2
    (tmp_path / "docs" / "broken.pdf").unlink()
    discarded = ingest("--discard", letter["id"])
    assert (discarded.code, discarded.out) == (0, "1 of 1 thrown away.\n")
    assert "0 failures" in ingest("--failures").out
    again = ingest("--discard", letter["id"])
    assert (again.code, "--failures" in again.err) == (2, True)
    assert ingest("--retry", letter["id"]).code == 2


def test_fail_fast_ends_with_the_place_and_the_reason(ingest: Command) -> None:
    """The first failure is the end: exit code 1, the document, the stage and the reason."""
    done = ingest("--fail-fast", "docs")
    assert (done.code, done.out) == (1, "")
    assert "'read' of docs/broken.pdf" in done.err
    assert "The PDF is damaged" in done.err


def test_embedding_anew_needs_an_embedder(ingest: Command) -> None:
    """Where the search by meaning is switched off there is nothing to embed with."""
    ingest("docs")
    done = ingest("--reembed")
    assert (done.code, "embedder" in done.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--retry", "--reembed"),
        ("--failures", "docs"),
        ("--reembed", "docs"),
        ("--discard",),
        ("--sample", "--retry"),
        ("--retry", "dl-unknown"),
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_2(ingest: Command, arguments: tuple[str, ...]) -> None:
    """Options that contradict each other, and ids that are not there, are a mistake in the command."""
    done = ingest(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("holdfast: ")


def test_a_store_that_is_locked_is_told_in_its_words(ingest: Command, tmp_path: Path) -> None:
    """A run whose store is another program's database ends with 1 and a sentence on what to do."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "holdfast.sqlite3").write_text("not a database at all" * 100)
    done = ingest("docs")
    assert (done.code, done.out) == (1, "")
    assert "holdfast.sqlite3" in done.err
