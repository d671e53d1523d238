"""Which files there are, and what documents are called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from holdfast.rag.documents import FoundFile, Ignored, content_hash, document_id_for, walk
from holdfast.rag.loaders import Problem
from holdfast.rag.types import Mime

if TYPE_CHECKING:
    from pathlib import Path


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text", encoding="utf-8")


def uris(*paths: Path, uri_prefix: str = "") -> list[str]:
    return [item.uri for item in walk(paths, uri_prefix=uri_prefix) if isinstance(item, FoundFile)]


def problems(*paths: Path) -> list[Problem]:
    return [item for item in walk(paths) if isinstance(item, Problem)]


def test_an_id_is_short_and_stable() -> None:
    """The id of a source is the same in every run and on every machine."""
    assert document_id_for("docs/a.md") == "doc_5231f8a11b65145a1b0727cb"
    assert document_id_for("docs/a.md") != document_id_for("docs/b.md")
    assert len(document_id_for("\udcff")) == 28


def test_a_hash_changes_with_everything_that_is_stored() -> None:
    """Text, title, uri, mime and metadata all count, and so does a value's type; the order of the metadata does not."""

    def of(text: str = "t", title: str = "T", uri: str = "u", mime: Mime = Mime.PLAIN, **metadata: str | float) -> str:
        return content_hash(text=text, title=title, uri=uri, mime=mime, metadata=metadata)

    hashes = [
        of(),
        of(text="x"),
        of(title="x"),
        of(uri="x"),
        of(mime=Mime.MARKDOWN),
        of(a="1"),
        of(a=1),
        of(a=True),
        of(b="1"),
    ]
    assert len(set(hashes)) == len(hashes)
    assert of(a="1", b="2") == of(b="2", a="1")


def test_a_hash_changes_with_the_chunker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of the chunker makes every document count as changed."""
    before = content_hash(text="t", title="", uri="", mime=Mime.PLAIN, metadata={})
    monkeypatch.setattr("holdfast.rag.identity.CHUNKER_VERSION", "other")
    assert content_hash(text="t", title="", uri="", mime=Mime.PLAIN, metadata={}) != before


def test_a_folder_is_searched_in_sorted_order(tmp_path: Path) -> None:
    """Files come sorted by path, shown below the folder's own name."""
    root = tmp_path / "docs"
    make(root, "b.md", "a.txt", "sub/c.md", "sub/deeper/d.html", "z.pdf")
    assert uris(root) == ["docs/a.txt", "docs/b.md", "docs/sub/c.md", "docs/sub/deeper/d.html", "docs/z.pdf"]


def test_a_found_file_says_where_it_is(tmp_path: Path) -> None:
    """The identity is the resolved path, whatever path led there."""
    make(tmp_path / "docs", "a.md")
    (found,) = walk([tmp_path / "docs" / ".." / "docs"])
    assert found == FoundFile(
        path=(tmp_path / "docs/a.md").resolve(),
        identity=str((tmp_path / "docs/a.md").resolve()),
        uri="docs/a.md",
        size=4,
    )


def test_a_prefix_takes_the_place_of_the_folder(tmp_path: Path) -> None:
    """With a prefix, uris can be the addresses under which the documents are published."""
    make(tmp_path, "sub/a.md")
    assert uris(tmp_path, uri_prefix="https://x.org/help/") == ["https://x.org/help/sub/a.md"]


def test_hidden_files_and_folders_are_skipped_unless_named(tmp_path: Path) -> None:
    """Version control, caches and drafts with a dot are not documents; a named one is taken."""
    root = tmp_path / "docs"
    make(root, ".git/x.md", ".hidden.md", ".github/y.md", "a.md")
    assert uris(root) == ["docs/a.md"]
    assert uris(root / ".github") == [".github/y.md"]
    assert uris(root / ".hidden.md") == ["docs/.hidden.md"]


def test_other_formats_in_a_folder_are_counted(tmp_path: Path) -> None:
    """What no loader reads is not silently lost: the walk ends with the number of such files by ending."""
    make(tmp_path, "a.md", "b.png", "c.PNG", "d.docx", "Makefile")
    assert list(walk([tmp_path]))[-1] == Ignored({"": 1, ".docx": 1, ".png": 2})


def test_a_named_file_of_another_format_is_a_problem(tmp_path: Path) -> None:
    """Who names a file wants it ingested, so it is said that it cannot be."""
    make(tmp_path, "b.docx")
    (problem,) = problems(tmp_path / "b.docx")
    assert problem.uri == str(tmp_path / "b.docx")
    assert ".md" in problem.reason


def test_a_missing_path_is_a_problem_and_the_rest_is_found(tmp_path: Path) -> None:
    """One wrong path does not stop the others."""
    make(tmp_path, "a.md")
    found = list(walk([tmp_path / "nowhere", tmp_path / "a.md", "a\0b"]))
    assert isinstance(found[0], Problem)
    assert "no such file" in found[0].reason
    assert isinstance(found[1], FoundFile)
    assert isinstance(found[2], Problem)


def test_a_file_comes_once(tmp_path: Path) -> None:
    """However many named paths and links lead to a file, it is found once."""
    make(tmp_path, "sub/a.md")
    (tmp_path / "link.md").symlink_to(tmp_path / "sub/a.md")
    (tmp_path / "sub/again").symlink_to(tmp_path / "sub", target_is_directory=True)
    assert len(uris(tmp_path, tmp_path / "sub", tmp_path / "sub/a.md")) == 1


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link cannot pull in what lies elsewhere; it is reported. A broken one is reported, too."""
    make(tmp_path, "outside/secret.md", "docs/a.md")
    (tmp_path / "docs/out").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tmp_path / "docs/broken.md").symlink_to(tmp_path / "nowhere.md")
    (tmp_path / "docs/loop.md").symlink_to(tmp_path / "docs/loop.md")
    assert uris(tmp_path / "docs") == ["docs/a.md"]
    assert [problem.uri for problem in problems(tmp_path / "docs")] == ["docs/broken.md", "docs/loop.md", "docs/out"]


def test_what_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed, a file without permission and a pipe are reported, each by itself."""
    make(tmp_path / "docs", "a.md", "locked/b.md", "mine.md")
    os.mkfifo(tmp_path / "docs/pipe.md")
    listing = type(tmp_path).iterdir

    def iterdir(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    monkeypatch.setattr(os, "access", lambda path, mode: "mine" not in str(path))
    assert uris(tmp_path / "docs") == ["docs/a.md"]
    found = problems(tmp_path / "docs")
    assert [problem.uri for problem in found] == ["docs/locked", "docs/mine.md", "docs/pipe.md"]
    assert "Permission denied" in found[0].reason


def test_a_deep_tree_is_no_trouble(tmp_path: Path) -> None:
    """Folders may be nested as deep as the file system allows."""
    deep = tmp_path.joinpath(*["d"] * 600)
    deep.mkdir(parents=True)
    make(deep, "a.md")
    assert len(uris(tmp_path)) == 1


def test_names_that_are_not_text_can_be_shown(tmp_path: Path) -> None:
    """A file name with bytes that are not UTF-8 gets a uri that can be stored."""
    name = os.fsdecode(b"caf\xe9.md")
    try:
        (tmp_path / name).write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system refuses such names")
    (uri,) = uris(tmp_path)
    assert uri.endswith("caf\ufffd.md")
