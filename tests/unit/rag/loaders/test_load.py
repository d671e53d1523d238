"""The one entry of all loaders."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rag.documents import document_id_for
from holdfast.rag.loaders import Loaded, is_supported, load, supported_suffixes
from holdfast.rag.types import Document, Mime


def one(raw: bytes | str, name: str = "a.txt", mime: str = "", title: str = "") -> Document:
    data = raw.encode() if isinstance(raw, str) else raw
    loaded = load(data, name=name, uri=f"docs/{name}", mime=mime, title=title)
    assert not loaded.problems
    (document,) = loaded.documents
    return document


def reason(raw: bytes | str, name: str = "a.txt", mime: str = "", max_bytes: int = 1_000_000) -> str:
    data = raw.encode() if isinstance(raw, str) else raw
    loaded = load(data, name=name, uri=f"docs/{name}", mime=mime, max_bytes=max_bytes)
    assert not loaded.documents
    (problem,) = loaded.problems
    assert problem.uri == f"docs/{name}"
    return problem.reason


def test_a_text_file_is_a_document() -> None:
    """Its id comes from its uri, its title from its name, and its text is as it was written."""
    document = one("Hello.\n", "notes.v2.txt")
    assert document.id == document_id_for("docs/notes.v2.txt")
    assert document.title == "notes.v2"
    assert document.text == "Hello.\n"
    assert document.mime is Mime.PLAIN
    assert document.uri == "docs/notes.v2.txt"
    assert document.collection == "default"


def test_what_the_caller_says_wins() -> None:
    """Id, title, collection and metadata of the caller come before those of the content."""
    raw = b"---\ntitle: Inner\ncolour: red\nsize: 3\n---\n# Head\n"
    loaded = load(
        raw, name="a.md", uri="u", document_id="mine", title="Outer", collection="c", metadata={"colour": "blue"}
    )
    (document,) = loaded.documents
    assert (document.id, document.title, document.collection) == ("mine", "Outer", "c")
    assert document.metadata == {"colour": "blue", "size": 3}


def test_the_hash_tells_whether_anything_changed() -> None:
    """Equal input has equal hashes; another text, title or metadata has another one."""
    assert one("a").content_hash == one("a").content_hash
    assert one("a").content_hash != one("b").content_hash
    assert one("a").content_hash != one("a", title="T").content_hash


@pytest.mark.parametrize(
    ("name", "mime", "wanted"),
    [
        ("a.md", "", Mime.MARKDOWN),
        ("A.MD", "", Mime.MARKDOWN),
        ("a.markdown", "text/plain", Mime.MARKDOWN),
        ("a.mdx", "application/octet-stream", Mime.MARKDOWN),
        ("a.txt", "text/markdown; charset=utf-8", Mime.MARKDOWN),
        ("upload", "text/markdown", Mime.MARKDOWN),
        ("upload", "TEXT/PLAIN", Mime.PLAIN),
        ("a.rst", "", Mime.PLAIN),
        ("a.md", "application/x-unknown", Mime.MARKDOWN),
        ("folder.html/a.txt", "", Mime.PLAIN),
        ("folder.html\\a.txt", "", Mime.PLAIN),
    ],
)
def test_the_format_is_told_by_media_type_and_name(name: str, mime: str, wanted: Mime) -> None:
    """The media type decides, unless it is one that clients send for want of a better one."""
    assert is_supported(name, mime)
    assert one("text", name, mime=mime).mime is wanted


def test_unknown_formats_are_a_problem() -> None:
    """The sentence lists what could be read."""
    assert not is_supported("a.docx")
    for suffix in supported_suffixes():
        assert suffix in reason("x", "a.docx")
        assert is_supported(f"a{suffix}")


def test_empty_files_are_a_problem() -> None:
    """A file without bytes, and one without anything but white space."""
    assert "empty" in reason("")
    assert "no text" in reason(" \n\t\u3000")
    assert "no text" in reason("---\ntitle: T\n---\n", "a.md")


def test_files_that_are_too_large_are_a_problem() -> None:
    """The sentence has both sizes."""
    assert reason(b"x" * 2_000_000, max_bytes=1_000_000) == (
        "It has 1.9 MiB, and the limit is 1.0 MiB. Split it into smaller files."
    )


def test_wrong_utf8_is_a_problem_with_its_place() -> None:
    """The byte, its position and its line are named."""
    assert reason(b"ab\ncaf\xe9 x") == (
        "It is not valid UTF-8: byte 0xE9 at position 6 (line 2) does not fit. Save it as UTF-8 and ingest it again."
    )


@pytest.mark.parametrize(
    "raw", [b"\x89PNG\r\n\x1a\n\0\0", b"text with\0 NUL", b"\x01\x02\x03\x04", "h\0i".encode("utf-16-le")]
)
def test_binary_data_is_a_problem(raw: bytes) -> None:
    """An image with a text file's name is not ingested as text."""
    assert "binary" in reason(raw)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_honoured(encoding: str) -> None:
    """UTF-8 with and without a mark and UTF-16 with one give the same text."""
    assert one("Größe: 5 €\n".encode(encoding)).text == "Größe: 5 €\n"


def test_damaged_utf16_is_a_problem() -> None:
    """A file that ends in the middle of a character says so."""
    assert "UTF-16" in reason(b"\xff\xfeh\x00i")


def test_the_charset_of_the_media_type_is_honoured() -> None:
    """A declared charset is used when it is one for documents and fits; else the file must be UTF-8."""
    assert one("café".encode("latin-1"), mime="text/plain; charset=ISO-8859-1").text == "café"
    assert one("“x”".encode("cp1252"), mime='text/plain; charset="latin1"').text == "“x”"
    assert one("日本".encode("shift_jis"), mime="text/plain;charset=shift_jis").text == "日本"
    assert one("日本", mime="text/plain; charset=shift_jis; x=y").text
    for label in ("rot13", "nope", "unicode_escape", "\0", "idna"):
        assert one("é", mime=f"text/plain; charset={label}").text == "é"


def test_a_declared_charset_that_does_not_fit_is_not_used() -> None:
    """Then the file must be UTF-8, and is reported when it is not."""
    assert "not valid UTF-8" in reason(b"\xff\xff", mime="text/plain; charset=gb18030")


def test_line_ends_and_control_characters_are_evened_out() -> None:
    """There is one line end, and what shows nothing is removed."""
    raw = "a\r\nb\rc\x0cd\x85e\u2028f\tg" + "x" * 200 + "\x1b\x7f"
    assert one(raw).text == "a\nb\nc\nd\ne\nf\tg" + "x" * 200


def test_titles_are_one_line_of_bounded_length() -> None:
    """White space is evened out and the rest is cut."""
    assert one("x", title=" a\n b ").title == "a b"
    assert len(one("x", title="long " * 200).title) <= 300


def test_what_no_store_can_hold_is_replaced() -> None:
    """Lone surrogates, from file names or JSON escapes, do not reach the store."""
    loaded = load(b"text", name="a.txt", uri="caf\udce9", metadata={"k\ud800": "v\ud800"}, title="t\ud800")
    (document,) = loaded.documents
    assert (document.uri, document.title, document.metadata) == ("caf?", "t?", {"k?": "v?"})


NAMES = st.sampled_from([f"a{suffix}" for suffix in supported_suffixes()])
STARTS = st.sampled_from(
    [
        b"",
        b"%PDF-1.4\n",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"<html>",
        b"---\n",
        b'{"text": "',
        b"{",
        b"[",
        b"<!--",
        b"\0",
    ]
)


@settings(deadline=None, max_examples=300)
@given(
    STARTS,
    st.binary(max_size=200),
    NAMES,
    st.sampled_from(["", "text/html; charset=utf-7", "application/pdf", "x/y;;="]),
)
def test_no_bytes_make_a_loader_raise(start: bytes, rest: bytes, name: str, mime: str) -> None:
    """Whatever the bytes: documents with text, or problems with a reason, and never neither."""
    sound(load(start + rest, name=name, uri="u", mime=mime))


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=300), NAMES)
def test_no_text_makes_a_loader_raise(text: str, name: str) -> None:
    """The same for bytes that are text."""
    sound(load(text.encode("utf-8", "surrogatepass"), name=name, uri="u"))


def sound(loaded: Loaded) -> None:
    assert loaded.documents or loaded.problems
    for document in loaded.documents:
        assert document.text.strip()
        assert document.title
        assert "\r" not in document.text
        assert "\0" not in document.text
        assert not document.text.startswith("\ufeff")
        document.text.encode("utf-8")
    for problem in loaded.problems:
        assert len(problem.reason) > 10
        assert problem.reason.endswith(".")
