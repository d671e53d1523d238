"""``holdfast keys``, on real records."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from holdfast.cli import main
from holdfast.rag.records.keys import digest_of
from holdfast.rag.records.sqlite import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``holdfast keys ...`` in an empty folder; gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["keys", *arguments])
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


def listed(keys: Run) -> list[dict[str, object]]:
    code, out, _ = keys("list", "--json")
    assert code == 0
    found: list[dict[str, object]] = json.loads(out)["keys"]
    return found


def test_a_key_is_shown_once(keys: Run, tmp_path: Path) -> None:
    """The key is the only line on stdout, the advice is on stderr, and the list has how it begins and nothing more."""
    code, out, err = keys("create", "website")
    secret = out.strip()
    assert code == 0
    assert re.fullmatch(r"hf_[A-Za-z0-9_-]{43}\n", out)
    assert "only time" in err
    assert secret not in err
    for shown in (keys("list")[1], keys("list", "--json")[1]):
        assert "website" in shown
        assert secret[:11] in shown
        assert secret not in shown
        assert digest_of(secret) not in shown
    assert secret.encode() not in (tmp_path / "data" / FILE_NAME).read_bytes()


def test_the_list_says_what_works(keys: Run) -> None:
    """The list has each key's state, when it was made, when it was used last and when it ends."""
    keys("create", "Büro", "--expires", "30")
    keys("create", "old")
    assert keys("revoke", "old")[0] == 0
    code, out, _ = keys("list")
    assert code == 0
    first, second = (line for line in out.splitlines() if "hf_" in line)
    assert re.search(r"Büro +hf_\S{8}… +works +\d{4}-\d\d-\d\d \d\d:\d\d +never +\d{4}-\d\d-\d\d \d\d:\d\d", first)
    assert re.search(r"old +hf_\S{8}… +revoked .* never +never", second)
    one, other = listed(keys)
    assert (one["state"], other["state"]) == ("works", "revoked")
    assert one["expires_at"] == pytest.approx(float(str(one["created_at"])) + 30 * 86_400)


def test_an_empty_list_says_what_to_do(keys: Run) -> None:
    """Without keys the list names the command that makes one; as JSON it is empty."""
    code, out, err = keys("list")
    assert (code, out) == (0, "")
    assert "holdfast keys create NAME" in err
    assert listed(keys) == []


def test_a_key_is_revoked_by_name_or_beginning(keys: Run) -> None:
    """A key is named or begun; the name is free again; with --delete it is gone from the list."""
    keys("create", "a")
    prefix = keys("create", "b")[1][:11]
    assert keys("revoke", "a")[1].startswith("a (hf_")
    assert "is revoked" in keys("revoke", f"{prefix}…")[1]
    assert [key["state"] for key in listed(keys)] == ["revoked", "revoked"]
    assert keys("create", "a")[0] == 0
    assert "is deleted" in keys("revoke", prefix, "--delete")[1]
    assert [(key["name"], key["state"]) for key in listed(keys)] == [("a", "revoked"), ("a", "works")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "used"), "is the name of a key already"),
        (("create", "hf_x"), "must not begin with hf_"),
        (("create", " "), "1 to 100 printable characters"),
        (("create", "x", "--expires", "0"), "--expires"),
        (("revoke", "nobody"), "There is no key 'nobody'"),
        (("create",), "name"),
        (("destroy",), "destroy"),
    ],
)
def test_what_is_wrong_is_told(keys: Run, arguments: tuple[str, ...], sentence: str) -> None:
    """What is wrong is one sentence on stderr, and the exit code is 2."""
    keys("create", "used")
    code, out, err = keys(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


def test_broken_records_are_told(keys: Run, tmp_path: Path) -> None:
    """Records that are damaged are told with what to do, and the exit code is 1."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE_NAME).write_bytes(b"damaged " * 1_000)
    code, _, err = keys("list")
    assert code == 1
    assert "restore the file from a backup" in err


def test_without_a_command_there_is_help(keys: Run) -> None:
    """``holdfast keys`` alone shows its commands."""
    code, out, _ = keys()
    assert code == 0
    for command in ("create", "list", "revoke"):
        assert command in out
