"""Markdown files and their front matter."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rag.loaders import load
from holdfast.rag.loaders.frontmatter import MAX_VALUE, split_front_matter
from holdfast.rag.types import Document, Mime


def one(raw: str, name: str = "a.md") -> Document:
    (document,) = load(raw.encode(), name=name, uri=name).documents
    return document


def test_the_source_is_kept() -> None:
    """The text is what the author wrote, so that spans point into it."""
    raw = "# Title\n\nSome *text* with [a link](b).\n\n| a | b |\n|---|---|\n"
    document = one(raw)
    assert document.text == raw
    assert document.mime is Mime.MARKDOWN


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("# First\n\n# Second\n", "First"),
        ("## Sub\n\n# Main *thing* { #main }\n", "Main thing"),
        ("Setext\n======\n", "Setext"),
        ("```\n# not this\n```\n\n## This\n", "This"),
        ("> # quoted\n\ntext\n", "guide"),
        ("no heading\n", "guide"),
        ("---\ntitle: From above\n---\n\n# Head\n", "From above"),
        ('---\ntitle: "Quoted: yes" # comment\n---\n\n# Head\n', "Quoted: yes"),
        ("---\nname: x\n---\n\n# Head\n", "Head"),
        ("#\n\ntext\n", "guide"),
    ],
)
def test_the_title_is_found(raw: str, title: str) -> None:
    """From the front matter, else the first heading of the highest rank, else the file's name."""
    assert one(raw, "help/guide.md").title == title


def test_front_matter_becomes_metadata() -> None:
    """Scalars are kept with their type; lists, nested keys and empty values are passed over; none of it is text."""
    raw = (
        "---\ntitle: T\n# a comment\ncount: 12\nprice: 3.95\ndraft: no\nlive: true\nday: 2024-01-02\nzip: 01234\n"
        "url: https://x.org/#a\n"
        "note: 'it''s'  # why\nescaped: \"a\\\"b\\n\"\n"
        "tags: [a, b]\nlist:\n  - a\n- b\nnested:\n  deep: 1\nempty:\nnull_: ~\n"
        "block: |\n  lines\n---\n\nText.\n"
    )
    metadata, text = split_front_matter(raw)
    assert text == "Text.\n"
    assert metadata == {
        "title": "T",
        "count": 12,
        "price": 3.95,
        "draft": False,
        "live": True,
        "day": "2024-01-02",
        "zip": "01234",
        "url": "https://x.org/#a",
        "note": "it's",
        "escaped": 'a"b\n',
    }
    assert one(raw).metadata == {key: value for key, value in metadata.items() if key != "title"}


@pytest.mark.parametrize(
    "raw",
    [
        "---\ntitle: never closed\n\ntext\n",
        "---\nThis is prose after a rule.\n---\n",
        "--- \ntitle: [\n?? what\n---\ntext\n",
        "----\na: b\n----\n",
        "---",
        "text\n---\ntitle: not at the top\n---\n",
        "---\n" + "a: b\n" * 500 + "---\n",
    ],
)
def test_what_is_not_front_matter_stays_in_the_text(raw: str) -> None:
    """Nothing is lost to a block that only looks like front matter."""
    assert split_front_matter(raw) == ({}, raw)


def test_odd_values_are_read_as_text_or_passed_over() -> None:
    """Values that YAML would read as something else than a scalar, broken quotes and prose are left out."""
    raw = f"---\nlong: {'x' * (MAX_VALUE + 1)}\nanchor: &a\nopen: 'x\nfold: >\n"
    raw += "huge: 1.5e999\nbig: 99999999999999999999\nend: ok\n...\n"
    assert split_front_matter(raw) == ({"huge": "1.5e999", "big": "99999999999999999999", "end": "ok"}, "")


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.sampled_from("ab:-#'\"\\ \n\t[]{}~1.e|>"), max_size=80))
def test_any_front_matter_is_read(inner: str) -> None:
    """Nothing raises; what is after the block is kept as it is."""
    metadata, text = split_front_matter(f"---\n{inner}\n---\nafter")
    assert text.endswith("after")
    assert all(isinstance(value, str | int | float | bool) for value in metadata.values())


@pytest.mark.parametrize(
    "line", ["a" * 500_000, "a: " + " " * 500_000 + "b", " " * 500_000, "a: '" + "''" * 200_000, "- " * 200_000]
)
def test_hostile_front_matter_takes_linear_time(line: str) -> None:
    """A line of half a megabyte is read in no time."""
    began = time.process_time()
    split_front_matter(f"---\n{line}\n---\ntext")
    assert time.process_time() - began < 10
