"""Documents as chunks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import ConfigError
from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.types import Chunk, Document, Mime


def document(text: str, mime: Mime = Mime.MARKDOWN, document_id: str = "doc_1") -> Document:
    return Document(id=document_id, text=text, title="T", uri="u", mime=mime, content_hash="h")


def prose(words: int, word: str = "word") -> str:
    """Sentences of five words."""
    return " ".join(f"{word.capitalize()} {word} {word} {word} {word}{n}." for n in range(words // 5))


def check(source: Document, chunks: list[Chunk]) -> None:
    """What holds for the chunks of any document."""
    at = 0
    for number, one in enumerate(chunks):
        assert one.ordinal == number
        assert one.document_id == source.id
        assert one.text == source.text[one.start : one.end]
        assert one.text.strip()
        assert at <= one.start < one.end
        assert not source.text[at : one.start].strip()
        at = one.end
        inside = one.start
        for span in one.sentences:
            assert inside <= span.start < span.end <= one.end
            inside = span.end
    assert not source.text[at:].strip()
    assert len({one.id for one in chunks}) == len(chunks)


def test_a_small_document_is_one_chunk() -> None:
    """What fits into one chunk is not cut."""
    source = document("# Title\n\nOne sentence. Another.\n")
    (only,) = chunk(source)
    assert only.text == "# Title\n\nOne sentence. Another."
    assert only.heading == "Title"
    assert [source.text[span.start : span.end] for span in only.sentences] == ["One sentence.", "Another."]


def test_sections_are_not_mixed() -> None:
    """Two sections of some size are two chunks, each with its path of headings."""
    source = document(f"# Guide\n\n{prose(60)}\n\n## First\n\n{prose(60)}\n\n## Second *one*\n\n{prose(60)}\n")
    chunks = chunk(source)
    check(source, chunks)
    assert [one.heading for one in chunks] == ["Guide", "Guide › First", "Guide › Second one"]


def test_small_siblings_are_joined_under_their_parent() -> None:
    """Short sections of the same rank share a chunk, whose path is their parent's."""
    source = document(f"# FAQ\n\n{prose(60)}\n\n## A?\n\nYes.\n\n## B?\n\nNo.\n\n# Other\n\nShort.\n")
    chunks = chunk(source)
    check(source, chunks)
    assert [one.heading for one in chunks] == ["FAQ", "FAQ", "Other"]
    assert "## A?" in chunks[1].text
    assert "## B?" in chunks[1].text


def test_small_sections_of_other_parents_are_not_joined() -> None:
    """Cousins do not share a chunk, however short they are."""
    source = document("# A\n\nOne.\n\n## A1\n\nTwo.\n\n# B\n\nThree.\n\n## B1\n\nFour.\n")
    assert [one.heading for one in chunk(source)] == ["A", "A › A1", "B", "B › B1"]


def test_a_heading_is_never_left_behind() -> None:
    """A heading with nothing under it goes with the next one; at the end, with what stands before it."""
    source = document(f"# Top\n\n## Sub\n\n{prose(60)}\n\n## Last\n")
    chunks = chunk(source)
    check(source, chunks)
    assert len(chunks) == 1
    assert chunks[0].heading == "Top › Sub"


def test_headings_alone_are_a_chunk() -> None:
    """A document that has only headings can still be found."""
    (only,) = chunk(document("# One\n\n## Two\n"))
    assert only.text == "# One\n\n## Two"
    assert only.sentences == ()


def test_a_heading_stays_with_its_text_when_a_section_is_cut() -> None:
    """No cut falls right after a heading or a line that announces something."""
    paragraphs = "\n\n".join(prose(100) for _ in range(6))
    source = document(f"# A\n\n{paragraphs}\n\nThe list:\n\n- {prose(40)}\n- {prose(40)}\n")
    chunks = chunk(source)
    check(source, chunks)
    assert not any(one.text.endswith((":", "# A")) for one in chunks)


def test_sizes_are_near_the_target_and_never_above_the_maximum() -> None:
    """Long prose gives chunks of about the target size, the last one included."""
    source = document("\n\n".join(prose(80) for _ in range(40)))
    sizes = [len(one.text) for one in chunk(source)]
    assert max(sizes) <= 1200
    assert min(sizes) >= 400
    assert 550 <= sum(sizes) / len(sizes) <= 950


def test_list_items_are_not_cut() -> None:
    """A long list is cut between its items."""
    items = [f"- {prose(30, f'item{n}x')}" for n in range(30)]
    source = document("# List\n\n" + "\n".join(items))
    chunks = chunk(source)
    check(source, chunks)
    assert len(chunks) > 3
    assert all(any(item in one.text for one in chunks) for item in items)


def test_table_rows_are_not_cut() -> None:
    """A long table is cut between its rows, and its head stays with the first of them."""
    rows = [f"| row {n} | {prose(10)} |" for n in range(60)]
    source = document("| a | b |\n| - | - |\n" + "\n".join(rows))
    chunks = chunk(source)
    check(source, chunks)
    assert chunks[0].text.startswith("| a | b |\n| - | - |\n| row 0 |")
    assert all(any(row in one.text for one in chunks) for row in rows)


def test_code_is_cut_only_when_it_must() -> None:
    """A code block below the maximum is whole; a longer one is cut between lines."""
    code = "```python\n" + "value = compute(value)\n" * 40 + "```"
    source = document(f"# A\n\n{prose(100)}\n\n{code}\n\n{prose(100)}\n")
    chunks = chunk(source)
    check(source, chunks)
    assert any(code in one.text for one in chunks)
    source = document("```\n" + "value = compute(value)\n" * 200 + "```\n")
    chunks = chunk(source)
    check(source, chunks)
    assert all(line in {"```", "value = compute(value)"} for one in chunks for line in one.text.split("\n"))


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    """Each chunk of a paragraph begins and ends with a sentence."""
    source = document(prose(1000))
    chunks = chunk(source)
    check(source, chunks)
    assert all(one.text.startswith("Word") and one.text.endswith(".") for one in chunks)
    assert all(len(one.sentences) > 1 for one in chunks)


def test_text_without_spaces_is_cut_all_the_same() -> None:
    """A single word of many thousand characters obeys the maximum, and no accent is torn from its letter."""
    source = document("e\u0301" * 5_000, Mime.PLAIN)
    chunks = chunk(source)
    check(source, chunks)
    assert all(len(one.text) <= 1200 for one in chunks)
    assert all(one.text[0] == "e" for one in chunks)


def test_indented_code_keeps_its_indentation() -> None:
    """A chunk that begins with code begins with the blanks that make it code."""
    source = document("    first = 1\n    second = 2\n")
    (only,) = chunk(source)
    assert only.text == "    first = 1\n    second = 2"


def test_lines_of_unusual_white_space_are_no_text() -> None:
    """A line that Markdown takes for text but nobody sees is not part of a chunk."""
    source = document("\u3000\nText.\n\n\u3000\n")
    (only,) = chunk(source)
    assert only.text == "Text."
    assert chunk(document("\u3000\n\u00a0\n")) == []


def test_equal_passages_have_different_ids() -> None:
    """The same text twice in a document is two chunks with two ids."""
    section = f"## Same\n\n{prose(60)}\n\n"
    first, second = chunk(document(section * 2))
    assert first.text == second.text
    assert first.id != second.id
    assert first.id.startswith("chk_")
    assert len(first.id) == 28


def test_ids_depend_on_the_document() -> None:
    """The same text in two documents is two chunks."""
    (first,), (second,) = chunk(document("Text.")), chunk(document("Text.", document_id="doc_2"))
    assert first.id != second.id


def test_edits_elsewhere_leave_ids_alone() -> None:
    """A changed, added or removed section changes no id of the others."""
    sections = [f"## Section {n}\n\n{prose(60 + n, f'w{n}')}\n\n" for n in range(8)]
    before = {one.id for one in chunk(document("".join(sections)))}
    edited = [*sections[:3], "## New\n\n" + prose(70, "new") + "\n\n", sections[3].replace("w3", "x3"), *sections[5:]]
    after = {one.id for one in chunk(document("".join(edited)))}
    assert len(before & after) == 6


def test_options_that_cannot_be_met_are_refused() -> None:
    """The field, the value and the rule are named."""
    for wrong in (
        {"target_chars": 49},
        {"max_chars": 700},
        {"min_chars": 751},
        {"min_chars": -1},
        {"max_chars": 20_001},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            ChunkOptions(**wrong)


def test_smaller_options_give_smaller_chunks() -> None:
    """The sizes are the caller's."""
    options = ChunkOptions(target_chars=100, max_chars=150, min_chars=20)
    source = document("\n\n".join(prose(20) for _ in range(20)))
    chunks = chunk(source, options)
    check(source, chunks)
    assert max(len(one.text) for one in chunks) <= 150


PARTS = st.sampled_from(
    [
        "# A\n",
        "## B\n",
        "- item\n",
        "  - nested\n",
        "> quote\n",
        "1. one\n",
        "| a | b |\n",
        "|---|---|\n",
        "```\n",
        "~~~\n",
        "\n",
        "\n\n",
        "    code\n",
        "A sentence. ",
        "Mr. X said: ",
        "word " * 40,
        "x" * 130,
        "<div>\n",
        "</div>\n",
        "[r]: /u\n",
        "***\n",
        "===\n",
        "---\n",
        "é́",
        "🎉\u200d🎉",
        "\t",
        "\r",
        "\x0b",
        "\u2028",
        "\u3000",
        "\x00",
        "- [ ] task\n",
        "+\n",
        ">\n",
    ]
)
SMALL = ChunkOptions(target_chars=60, max_chars=100, min_chars=20)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.lists(PARTS, max_size=40).map("".join), st.text()), st.sampled_from(Mime))
def test_chunks_cover_any_text_exactly(text: str, mime: Mime) -> None:
    """Whatever the text: exact, ordered, disjoint, complete, none larger than the maximum."""
    source = document(text, mime)
    chunks = chunk(source, SMALL)
    check(source, chunks)
    assert all(len(one.text) <= SMALL.max_chars for one in chunks)
    assert chunk(source, SMALL) == chunks


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(60, 120), min_size=2, max_size=6, unique=True), st.data())
def test_an_edit_in_one_section_is_felt_nowhere_else(sizes: list[int], data: st.DataObject) -> None:
    """Ids of all chunks of the other sections stay."""
    sections = [f"## S{size}\n\n{prose(size, f'w{size}')}\n\n" for size in sizes]
    which = data.draw(st.integers(0, len(sections) - 1))
    edited = [*sections]
    edited[which] = f"## S\n\n{prose(data.draw(st.integers(60, 120)), 'edited')}\n\n"
    before, after = chunk(document("".join(sections))), chunk(document("".join(edited)))
    unchanged = {one.id for one in before if f"w{sizes[which]}" not in one.text.lower()}
    assert unchanged <= {one.id for one in after}


@pytest.mark.parametrize(
    "text",
    [
        "word " * 200_000,
        "x" * 1_000_000,
        " " * 1_000_000 + "a",
        ">" * 100_000,
        "[" * 100_000,
        "- " * 100_000,
        "- a\n" * 20_000,
        "# a\n" * 20_000,
        "\n".join("  " * depth + "- a" for depth in range(500)),
        "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "|a\n" * 100,
        "```\na\n" * 10_000,
        "e.g. " * 100_000,
    ],
    ids=[
        "line",
        "word",
        "indent",
        "quotes",
        "brackets",
        "nest",
        "list",
        "headings",
        "deep",
        "table",
        "fences",
        "abbreviations",
    ],
)
@pytest.mark.parametrize("mime", list(Mime))
def test_hostile_text_takes_linear_time(text: str, mime: Mime) -> None:
    """A document that was made to be slow is done in seconds, and nothing of it is lost."""
    source = document(text, mime)
    began = time.process_time()
    chunks = chunk(source)
    assert time.process_time() - began < 30
    check(source, chunks)


def test_a_long_document_is_parsed_in_pieces() -> None:
    """Beyond the number of lines that are parsed at once, structure is still seen, and lists are still told apart."""
    text = "".join(f"## S{n}\n\nText of {n}.\n\n```\n# no heading\n```\n\n- item\n\n" for n in range(3_000))
    source = document(text)
    chunks = chunk(source)
    check(source, chunks)
    assert sum(one.text.count("## S") for one in chunks) == 3_000
    assert not any("no heading" in one.heading for one in chunks)
