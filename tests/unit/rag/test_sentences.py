"""What may be quoted of a text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rag.sentences import MAX_CODE, MAX_ITEM, sentence_spans
from holdfast.rag.types import Mime


def quotes(text: str, mime: Mime = Mime.MARKDOWN) -> list[str]:
    return [text[span.start : span.end] for span in sentence_spans(text, mime)]


def test_paragraphs_give_sentences() -> None:
    """A paragraph is quoted by sentences, also over its line ends."""
    assert quotes("One thing\nis here. Another\nis there.\n") == ["One thing\nis here.", "Another\nis there."]


def test_headings_rules_and_definitions_are_not_quoted() -> None:
    """What says nothing by itself is no quote."""
    text = "# Title\n\nSub\n---\n\nText.\n\n***\n\n[ref]: https://example.com\n"
    assert quotes(text) == ["Text."]


def test_a_list_item_is_one_quote_without_its_marker() -> None:
    """Each item is one span, nested ones are their own, and markers and check boxes are left out."""
    text = "- One. And more.\n- Two\n  1. Nested\n- [x] Done\n"
    assert quotes(text) == ["One. And more.", "Two", "Nested", "Done"]


def test_a_long_list_item_is_quoted_by_sentences() -> None:
    """An item that is longer than a quote should be is cut."""
    text = "- " + "A sentence of some length. " * (MAX_ITEM // 20)
    found = quotes(text)
    assert len(found) > 5
    assert set(found) == {"A sentence of some length."}


def test_table_rows_are_quotes_and_their_head_is_not() -> None:
    """A row is one span; the names of the columns and the dashes are none."""
    text = "| Service | Price |\n| --- | --- |\n| Standard | £3.95 |\n| Express | £7.95 |\n"
    assert quotes(text) == ["| Standard | £3.95 |", "| Express | £7.95 |"]


def test_a_code_block_is_one_quote_with_its_fences() -> None:
    """Code is quoted as a whole, and its content is not taken for Markdown."""
    text = "Run:\n\n```sh\n# not a heading\npip install holdfast\n```\n\nDone.\n"
    assert quotes(text) == ["Run:", "```sh\n# not a heading\npip install holdfast\n```", "Done."]


def test_a_long_code_block_is_quoted_in_part() -> None:
    """Of a long code block the whole lines that fit are quoted."""
    text = "```\n" + "one line of code\n" * 200 + "```\n"
    (quote,) = quotes(text)
    assert len(quote) <= MAX_CODE
    assert quote.endswith("one line of code")


def test_code_that_is_only_an_include_is_not_quoted() -> None:
    """A block that a site generator fills in says nothing here."""
    assert quotes("```rust\n{{#include ../main.rs}}\n```\n") == []


def test_block_quotes_are_quoted_by_sentences() -> None:
    """The text of a block quote is text; its marker at the start is left out."""
    assert quotes("> First one.\n> Second one.\n") == ["First one.", "Second one."]


@pytest.mark.parametrize(
    "text",
    [
        "See [the docs. Really](https://a.b/c. D) now.",
        "Run `a. B` first.",
        'Use <abbr title="One. Two">OT</abbr> here.',
        "See [the. Docs][ref. X] now.",
        "It is <!-- no. Really. --> one sentence.",
        "Go to <https://example.com/a.> then stop.",
    ],
)
def test_full_stops_inside_markup_end_nothing(text: str) -> None:
    """Links, code, tags and comments are looked at as a whole."""
    assert quotes(text) == [text]


def test_code_can_begin_a_sentence() -> None:
    """A sentence that begins with code in lower case is a new sentence."""
    assert quotes("Install it first. `pip` is needed.") == ["Install it first.", "`pip` is needed."]


def test_directives_of_site_generators_are_not_quoted() -> None:
    """Fences of admonitions, includes and imports are left out, and the text inside is kept."""
    text = (
        "/// note | Attention\n\nKeep this.\n\n///\n\n:::tip\nAnd this.\n:::\n\n{* a.py hl[1] *}\n\n"
        "> [!WARNING]\n> Mind the gap.\n\nimport Tabs from '@theme/Tabs';\n\nimport taxes from abroad are high.\n"
    )
    assert quotes(text) == ["Keep this.", "And this.", "Mind the gap.", "import taxes from abroad are high."]


def test_text_in_html_is_quoted_without_tags_around_it() -> None:
    """An HTML block gives the sentences of its text; one without text gives none."""
    assert quotes('<div class="x.y">\nFirst. Second.\n</div>\n') == ["First.", "Second."]
    assert quotes('<img src="a.png" alt="A. B">\n') == []


def test_hard_line_breaks_end_a_quote() -> None:
    """Two spaces at a line's end are a break that the author wanted."""
    assert quotes("Street 5  \nLondon\\\nEngland\n") == ["Street 5", "London", "England"]


def test_plain_text_is_unwrapped() -> None:
    """A line end that is there for the page's width ends nothing."""
    text = (
        "The warranty lasts for two years from the day on\nwhich you bought the device. "
        "It covers all parts of\nthe device."
    )
    assert quotes(text, Mime.PLAIN) == [
        "The warranty lasts for two years from the day on\nwhich you bought the device.",
        "It covers all parts of\nthe device.",
    ]


def test_short_lines_of_plain_text_stand_for_themselves() -> None:
    """Lists, addresses and headings in plain text are quoted line by line."""
    text = "Opening hours\nMonday: 9 to 5\nTuesday: 9 to 8\n\n- Apples\n- Pears and other fruit\n\n=====\n"
    assert quotes(text, Mime.PLAIN) == [
        "Opening hours",
        "Monday: 9 to 5",
        "Tuesday: 9 to 8",
        "- Apples",
        "- Pears and other fruit",
    ]


MARKDOWN = st.lists(
    st.sampled_from(
        [
            "# ",
            "- ",
            "> ",
            "1. ",
            "| ",
            "|",
            "---",
            "```",
            "\n",
            "\n\n",
            "    ",
            "`",
            "[",
            "](",
            ")",
            "<b>",
            "a",
            "Word. ",
            "\t",
            "é",
            "🎉",
            "\u200d",
            "\r",
            "\x0b",
            "\u2028",
            "[a]: b",
            "***",
            "\\",
            "<!--",
            "-->",
            "/// x",
            "e.g. ",
            ":",
            "=",
            "  \n",
        ]
    ),
    max_size=60,
).map("".join)


@settings(deadline=None, max_examples=200)
@given(st.one_of(MARKDOWN, st.text()), st.sampled_from(Mime))
def test_spans_are_ordered_disjoint_and_say_something(text: str, mime: Mime) -> None:
    """Whatever the text: spans in order that do not overlap, each with a letter or a digit."""
    at = 0
    for span in sentence_spans(text, mime):
        assert at <= span.start < span.end <= len(text)
        assert any(character.isalnum() for character in text[span.start : span.end])
        at = span.end


@pytest.mark.parametrize(
    "text",
    [
        "`" * 100_000,
        "` " * 100_000,
        "<!-- " * 100_000,
        "<a " * 100_000,
        " " * 500_000 + "a",
        "a  \n" * 50_000,
        "[](" * 100_000,
    ],
    ids=["ticks", "spaced ticks", "comments", "tags", "indent", "breaks", "links"],
)
def test_hostile_markup_takes_linear_time(text: str) -> None:
    """Markup that never ends does not make the look for it quadratic."""
    began = time.process_time()
    sentence_spans(text, Mime.MARKDOWN)
    assert time.process_time() - began < 20
