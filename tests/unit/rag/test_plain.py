"""From a quoted piece of Markdown to plain text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rag.plain import header_of, plain_text, quoted_text, row_text
from holdfast.rag.types import Mime, Span

TABLE = """Intro.

| Service | Time | Price |
|:---|---|--:|
| *Standard* | 3-5 days | £3.95 |
| Express | 1 day | |

End.
"""


@pytest.mark.parametrize(
    ("fragment", "wanted"),
    [
        ("plain words", "plain words"),
        ("**Bold** and *em* and ~~gone~~ `code`", "Bold and em and gone code"),
        ("See [the docs](https://a.b/c) now.", "See the docs now."),
        ("See [the `docs`][ref]<!-- ignore --> now.", "See the docs now."),
        ("An array[0][1] in `a[b][c]`", "An array0 in a[b][c]"),
        ("![A chart](c.png) shows it", "A chart shows it"),
        ("Press <kbd>ctrl</kbd>-<kbd>C</kbd>.<br>Then wait", "Press ctrl-C. Then wait"),
        ("one\n  two\nthree", "one two three"),
        ("- item with *style*", "item with style"),
        ("3. third", "third"),
        ("- [x] done", "done"),
        ("> quoted\n> text", "quoted text"),
        ("## A heading { #anchor }", "A heading"),
        ("## A heading ##", "A heading"),
        ("#", ""),
        ("Written in C # and { .x }", "Written in C # and { .x }"),
        ("AT&amp;T &lt;b&gt; 2 \\* 3", "AT&T <b> 2 * 3"),
        ("snake_case and 2 * 3 * 4", "snake_case and 2 * 3 * 4"),
        ("A claim.[^1]", "A claim."),
        ("[^1]: The note.", "The note."),
        ("| a | *b* |", "a; b"),
        ("```python\nx = *a\n\ny = 1\n```", "x = *a\n\ny = 1"),
        ("```\nno end", "no end"),
        ("<https://example.com>", "https://example.com"),
        ("", ""),
    ],
)
def test_markup_becomes_text(fragment: str, wanted: str) -> None:
    """Marks are dropped and what they mark is kept."""
    assert plain_text(fragment) == wanted


def test_plain_text_is_not_read_as_markdown() -> None:
    """Of plain text only the white space is changed."""
    assert plain_text("a *b*\n  <c>", Mime.PLAIN) == "a *b* <c>"


def test_a_row_is_told_with_the_names_of_its_columns() -> None:
    """A row that is quoted alone says what its cells mean; an empty cell is left out."""
    start = TABLE.index("| *Standard*")
    span = Span(start, TABLE.index("\n", start))
    assert header_of(TABLE, span) == ("Service", "Time", "Price")
    assert quoted_text(TABLE, span) == "Service: Standard; Time: 3-5 days; Price: £3.95"
    start = TABLE.index("| Express")
    assert quoted_text(TABLE, Span(start, TABLE.index("\n", start))) == "Service: Express; Time: 1 day"


def test_a_row_whose_head_is_not_there_gives_its_cells() -> None:
    """In a chunk that begins in the middle of a table there are no names to tell."""
    rows = TABLE[TABLE.index("| *Standard*") :]
    assert header_of(rows, Span(0, rows.index("\n"))) == ()
    assert quoted_text(rows, Span(0, rows.index("\n"))) == "Standard; 3-5 days; £3.95"


def test_text_with_a_bar_is_not_taken_for_a_row() -> None:
    """A sentence that only has a bar in it stays a sentence."""
    text = "Use `a | b` here.\n"
    assert quoted_text(text, Span(0, len(text) - 1)) == "Use a | b here."


def test_columns_without_a_name_give_their_cell_alone() -> None:
    """Empty names and cells beyond the head have no label; bars that are escaped are text."""
    assert row_text("| a\\|b | c | d |", ["", "Name:"]) == "a|b; Name: c; d"


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.sampled_from("ab *_`[]()<>!&|\\~#-\n:;{}.1\ue000é"), max_size=80), st.sampled_from(Mime))
def test_any_fragment_has_a_plain_text(fragment: str, mime: Mime) -> None:
    """Nothing raises, and a fragment without code is one line."""
    text = plain_text(fragment, mime)
    assert "\n" not in text or "```" in fragment or "~~~" in fragment
    quoted_text(fragment, Span(0, len(fragment)), mime)


@pytest.mark.parametrize("unit", ["*a ", "[", "](", "`", "_a", "<a ", "&a", "![", "|", " ", "\\", "**a", "> ", "#"])
def test_hostile_fragments_are_bounded(unit: str) -> None:
    """A fragment as long as a chunk takes no time to speak of, and a longer one is not parsed."""
    began = time.process_time()
    plain_text(unit * (1_200 // len(unit)))
    plain_text("a" + unit * 100_000)
    assert time.process_time() - began < 20
