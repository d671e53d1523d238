"""JSONL: one document a line."""

from __future__ import annotations

import json

import pytest

from holdfast.rag.documents import document_id_for
from holdfast.rag.loaders import Loaded, jsonl, load
from holdfast.rag.types import Mime


def read(*lines: object, metadata: dict[str, str | int | float | bool] | None = None) -> Loaded:
    raw = b"\n".join(
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    )
    return load(raw, name="faq.jsonl", uri="docs/faq.jsonl", collection="c", metadata=metadata or {})


def reason(line: object) -> str:
    loaded = read(line)
    assert not loaded.documents
    (problem,) = loaded.problems
    assert problem.uri == "docs/faq.jsonl#L1"
    assert problem.reason.startswith("Line 1: ")
    return problem.reason


def test_a_line_is_a_document() -> None:
    """All of its fields are used."""
    line = {
        "text": "# Hi\nText.",
        "id": "faq-1",
        "title": "One",
        "uri": "https://x.org/1",
        "mime": "text/markdown",
        "metadata": {"n": 1},
    }
    (document,) = read(line).documents
    assert (document.id, document.title, document.uri) == ("faq-1", "One", "https://x.org/1")
    assert (document.text, document.mime, document.metadata) == ("# Hi\nText.", Mime.MARKDOWN, {"n": 1})
    assert document.collection == "c"


def test_only_the_text_is_needed() -> None:
    """Without more, a document is named after its file and line, and is plain text."""
    first, second = read({"text": "a"}, "", {"text": "b"}).documents
    assert (first.title, second.title) == ("faq, line 1", "faq, line 3")
    assert (first.uri, second.uri) == ("docs/faq.jsonl#L1", "docs/faq.jsonl#L3")
    assert first.id != second.id
    assert first.mime is Mime.PLAIN


def test_markdown_and_html_are_read_as_such() -> None:
    """The title then comes from the text, and front matter becomes metadata."""
    first, second = read(
        {"text": "---\nlang: en\n---\n# Head\n", "mime": "text/markdown; charset=utf-8"},
        {"text": "<title>T</title><p>A <b>page</b>", "mime": "text/html"},
    ).documents
    assert (first.title, first.text, first.metadata) == ("Head", "# Head\n", {"lang": "en"})
    assert (second.title, second.text) == ("T", "A **page**")


def test_the_id_comes_from_the_uri_when_there_is_one() -> None:
    """The same uri twice gives two ids, so that no document replaces another."""
    first, second, third = read(
        {"text": "a", "uri": "u"}, {"text": "b", "uri": "u"}, {"text": "c", "uri": "v"}
    ).documents
    assert first.id == document_id_for("u")
    assert len({first.id, second.id, third.id}) == 3


def test_a_line_keeps_its_id_when_others_come_and_go() -> None:
    """Without id and uri the file and the text decide; the same text twice gives two ids, in their order."""
    a, b, again = read({"text": "a"}, {"text": "b"}, {"text": "a"}).documents
    assert len({a.id, b.id, again.id}) == 3
    new, *rest = read({"text": "new"}, {"text": "b"}, {"text": "a"}, {"text": "a"}).documents
    assert [document.id for document in rest] == [b.id, a.id, again.id]
    assert new.id not in {a.id, b.id, again.id}
    (elsewhere,) = load(b'{"text": "a"}', name="x.jsonl", uri="x.jsonl").documents
    assert elsewhere.id != a.id


def test_numbers_are_good_ids() -> None:
    """A database's numbers are taken as text."""
    assert [document.id for document in read({"text": "a", "id": 17}, {"text": "b", "id": "x y"}).documents] == [
        "17",
        "x y",
    ]


def test_an_id_that_is_used_twice_is_a_problem() -> None:
    """The second document would replace the first; it is said where that stands."""
    loaded = read({"text": "a", "id": 1}, {"text": "b", "id": "1"})
    assert [document.text for document in loaded.documents] == ["a"]
    assert "used on line 1" in loaded.problems[0].reason


def test_bad_lines_are_problems_and_good_ones_are_kept() -> None:
    """Each problem has its line's number."""
    loaded = read({"text": "a"}, "{not json", b'{"text": "\xff"}', {"text": "b"}, "[]")
    assert [document.text for document in loaded.documents] == ["a", "b"]
    assert [problem.uri.rpartition("#")[2] for problem in loaded.problems] == ["L2", "L3", "L5"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("nope", "not valid JSON"),
        ('"text"', "not a JSON object"),
        ("{}", "no text"),
        ({"text": "  "}, "no text"),
        ({"text": 5}, '"text" must be text'),
        ({"text": "a", "title": ["x"]}, '"title" must be text'),
        ({"text": "a", "id": ""}, '"id" must be'),
        ({"text": "a", "id": True}, '"id" must be'),
        ({"text": "a", "id": " x"}, '"id" must be'),
        ({"text": "a", "id": "x\ny"}, '"id" must be'),
        ({"text": "a", "id": "x" * 201}, '"id" must be'),
        ({"text": "a", "mime": "image/png"}, "cannot be read here"),
        ({"text": "a", "metadata": []}, "must be an object"),
        ({"text": "a", "metadata": {"k": [1]}}, "'k' must be text"),
        ('{"text": "a", "metadata": {"k": 1e999}}', "'k' must be text"),
        ('{"text": "a", "metadata": {"k": NaN}}', "number"),
        ('{"text": "a", "x": 1' + "0" * 5000 + "}", "number"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 50 + "1" + "}" * 50, "nested"),
        (b'{"text": "caf\xe9"}', "byte 0xE9 at position 13"),
        ({"text": "a\0b"}, "binary"),
        ({"text": "<nav>x</nav>", "mime": "text/html"}, "no text"),
    ],
)
def test_the_reason_says_what_is_wrong(line: object, part: str) -> None:
    """One sentence for each way to be wrong."""
    assert part in reason(line)


def test_brackets_in_text_are_not_nesting() -> None:
    """Only the brackets of JSON itself count."""
    assert read({"text": '[[{"' * 100 + "\\"}).documents[0].text == '[[{"' * 100 + "\\"


def test_null_is_the_same_as_nothing() -> None:
    """Exports write null for what is not there."""
    line = {"text": "a", "id": None, "title": None, "uri": None, "mime": None, "metadata": {"k": None}}
    assert read(line).documents[0].metadata == {}
    assert read({"text": "a", "metadata": None}).documents


def test_other_keys_become_metadata() -> None:
    """Scalars of a dataset are kept for filters; its lists and objects are passed over; the caller's values win."""
    loaded = read(
        {"text": "a", "source": "wiki", "n": 1, "tags": ["x"], "metadata": {"n": 2}}, metadata={"source": "mine"}
    )
    assert loaded.documents[0].metadata == {"source": "mine", "n": 2}


def test_lone_surrogates_are_replaced() -> None:
    """An escape that is half a character cannot be stored."""
    document = read('{"text": "a\\ud800b", "title": "\\udfff"}').documents[0]
    assert document.text == "a\ufffdb"
    assert document.title == "?"


def test_a_line_that_is_too_long_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are kept."""
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 100)
    loaded = read({"text": "x" * 200}, {"text": "b"})
    assert len(loaded.documents) == 1
    assert "limit for a line" in loaded.problems[0].reason


def test_many_bad_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another format does not give a million problems."""
    monkeypatch.setattr(jsonl, "MAX_PROBLEMS", 3)
    loaded = read(*["bad"] * 10)
    assert len(loaded.problems) == 4
    assert loaded.problems[-1].reason.startswith("7 more lines")


def test_marks_and_windows_line_ends_are_fine() -> None:
    """Files from other systems are read."""
    raw = '{"text": "é"}\r\n{"text": "b"}\r\n'
    for encoding in ("utf-8-sig", "utf-16"):
        loaded = load(raw.encode(encoding), name="a.ndjson", uri="u")
        assert [document.text for document in loaded.documents] == ["é", "b"]


def test_a_file_without_lines_is_a_problem() -> None:
    """White space is no document."""
    (problem,) = load(b"\n \n", name="a.jsonl", uri="u").problems
    assert "no documents" in problem.reason
