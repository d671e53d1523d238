"""HTML pages as Markdown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rag.loaders import html as html_module
from holdfast.rag.loaders import load
from holdfast.rag.loaders.markup import MAX_DEPTH, tidy
from holdfast.rag.types import Document, Mime


def one(raw: str | bytes) -> Document:
    data = raw.encode() if isinstance(raw, str) else raw
    loaded = load(data, name="page.html", uri="page.html")
    assert not loaded.problems
    (document,) = loaded.documents
    return document


def reason(raw: str | bytes) -> str:
    data = raw.encode() if isinstance(raw, str) else raw
    (problem,) = load(data, name="page.html", uri="page.html").problems
    return problem.reason


PAGE = """<!DOCTYPE html><html><head><title>Returns &amp; refunds | Shop</title>
<style>p { color: red }</style><script>if (a < b) document.write("<p>no</p>")</script></head>
<body><nav><a href="/">Home</a></nav><header>Shop banner</header>
<main><article><header><h1>Returns</h1></header>
<p>You have <b>30 days</b> to return <i>any</i> item. See <a href="https://x.org/terms">the terms</a>
or <a href="#top">above</a>.</p>
<ul><li>One</li><li>Two<ul><li>Nested</li></ul></li></ul><ol start="3"><li>Three</li><li>Four</li></ol>
<table><thead><tr><th>Service</th><th>Price</th></tr></thead><tbody><tr><td>Standard</td><td>£3.95</td></tr></tbody></table>
<pre><code class="language-python">def f(a):
    return a &lt; 1
</code></pre>
<blockquote><p>Quoted.</p></blockquote><dl><dt>Term</dt><dd>What it is.</dd></dl>
<p><img src="chart.png" alt="A chart"><img src="line.png"><img src="data:image/png;base64,AA" alt="Inline"></p>
</article></main><aside>Adverts</aside><form><button>Go</button></form><footer>Imprint</footer></body></html>"""


def test_a_page_becomes_markdown() -> None:
    """Structure is kept as Markdown, and what is not content is gone."""
    document = one(PAGE)
    assert document.mime is Mime.MARKDOWN
    assert document.title == "Returns & refunds | Shop"
    assert document.text == (
        "# Returns\n\n"
        "You have **30 days** to return *any* item. See [the terms](https://x.org/terms)\nor above.\n\n"
        "- One\n- Two\n  - Nested\n\n"
        "3. Three\n4. Four\n\n"
        "| Service | Price |\n| --- | --- |\n| Standard | £3.95 |\n\n"
        "```python\ndef f(a):\n    return a < 1\n```\n\n"
        "> Quoted.\n\n"
        "**Term**: What it is.\n\n"
        "![A chart](chart.png)Inline"
    )


def test_end_tags_that_html_lets_one_leave_out_are_not_needed() -> None:
    """Items, cells and paragraphs end where the next one begins."""
    text = one("<p>A<p>B<ul><li>1<li>2<ul><li>3</ul><li>4</ul><table><tr><th>x<th>y<tr><td>1<td>2</table>").text
    assert text == "A\n\nB\n\n- 1\n- 2\n  - 3\n- 4\n\n| x | y |\n| --- | --- |\n| 1 | 2 |"


def test_text_that_looks_like_markdown_is_escaped() -> None:
    """Asterisks, tags and bars that are text stay text."""
    text = one("<p>2 * 3 &lt;b&gt; `x` snake_case</p><table><tr><th>a|b</table>").text
    assert text.startswith("2 \\* 3 \\<b> \\`x\\` snake\\_case")
    assert "| a\\|b |" in text


def test_the_title_is_the_first_heading_when_there_is_no_title() -> None:
    """Then the file's name."""
    assert one("<h1>The <i>head</i></h1>x").title == "The head"
    assert one("<p>x</p>").title == "page"


@pytest.mark.parametrize(
    "raw",
    [
        b'<meta charset="iso-8859-1"><p>caf\xe9</p>',
        b"<meta http-equiv=Content-Type content='text/html; charset=windows-1252'><p>caf\xe9</p>",
        b'<?xml version="1.0" encoding="ISO-8859-1"?><html><p>caf\xe9</p></html>',
        "\ufeff<meta charset=iso-8859-1><p>café</p>".encode(),
        "<meta charset=utf-16><p>café</p>".encode(),
        "<meta charset=nonsense><p>café</p>".encode(),
        "<p>café</p>".encode(),
    ],
)
def test_the_declared_charset_is_honoured(raw: bytes) -> None:
    """A byte order mark, then what the page declares, then UTF-8."""
    assert one(raw).text == "café"


def test_a_wrong_encoding_is_a_problem() -> None:
    """Without a declaration the page must be UTF-8."""
    assert "byte 0xE9" in reason(b"<p>caf\xe9</p>")


def test_a_page_without_text_is_a_problem() -> None:
    """A page that only scripts would fill says so."""
    assert "no text" in reason("<body><nav>Home</nav><div id=app></div><script>run()</script></body>")


def test_a_page_that_is_too_long_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take gigabytes to parse is refused."""
    monkeypatch.setattr(html_module, "MAX_MARKUP", 100)
    assert "Split it" in reason("<p>" + "word " * 50)


def test_a_text_that_is_no_html_is_kept() -> None:
    """No warning of the parser gets out for text that looks like an address, a file name or XML."""
    assert one("https://example.com").text == "https://example.com"
    assert one("page.html").text == "page.html"
    assert one('<?xml version="1.0"?><doc><p>Text</p></doc>').text == "Text"
    assert one("a < b and <3 you <!").text == "a < b and <3 you \\<!"


def test_tags_are_balanced_and_not_too_deep() -> None:
    """The parser gets no more than a bounded depth, whatever the page has."""
    tidied = tidy("<div>" * 500 + "text" + "</div>" * 500 + "<b><i>x</b></i></p>").markup
    assert tidied.count("<div>") == tidied.count("</div>") == MAX_DEPTH
    assert tidied.endswith("<b><i>x</i></b>")


def test_tags_that_never_end_are_text() -> None:
    """Half a tag at the end, a comment without an end and a stray bracket are shown, not lost."""
    assert tidy("a <b c='d").markup == "a &lt;b c='d"
    assert tidy("a <!-- b").markup == "a &lt;!-- b"
    assert tidy("1 < 2 <a href='x>y'>z</a>").markup == '1 &lt; 2 <a href="x&gt;y">z</a>'


def test_only_attributes_that_are_used_are_kept() -> None:
    """Events, styles and images inside of the page do not get through."""
    source = f'<a href="x" onclick="y" style="z">a</a><img src="data:{"A" * 5000}" alt=b>'
    assert tidy(source).markup == '<a href="x">a</a><img alt="b"/>'


MARKUP = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<div",
            ">",
            "<",
            "/",
            "<b>",
            "</b>",
            "<ul>",
            "<li>",
            "</ul>",
            "<table>",
            "<tr>",
            "<td>",
            "<thead>",
            "<th>",
            "<pre>",
            "</pre>",
            "<code>",
            "<ol start='x'>",
            "<a href=",
            "'",
            '"',
            "&lt;",
            "&#",
            "&amp",
            "<!--",
            "-->",
            "<!",
            "<?",
            "<title>",
            "</title>",
            "<script>",
            "</script>",
            "word ",
            " ",
            "\n",
            "<br>",
            "<img alt='x' src=",
            "<h1>",
            "</h1>",
            "é",
            "*",
            "|",
            "<nav>",
            "<header>",
            "<article>",
            "<svg>",
            "<template>",
            "<dl>",
            "<dt>",
            "<dd>",
            "<blockquote>",
            "<math>",
            "<textarea>",
            "]]>",
            "\x00",
        ]
    ),
    max_size=40,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(MARKUP)
def test_any_markup_is_read(source: str) -> None:
    """Whatever the markup: a document with text, or a problem."""
    loaded = load(source.encode(), name="page.html", uri="u")
    assert loaded.documents or loaded.problems


@pytest.mark.parametrize(
    "source",
    [
        "<a " * 50_000,
        '<a b="' * 50_000,
        "<!--" * 50_000,
        "</a " * 50_000,
        "<div>" * 50_000,
        "<p>a " * 20_000,
        "<ol>" + "<li>a " * 20_000,
        "<table><thead>" + "<tr><td>a<th>b" * 5_000,
        "<pre>" + " " * 500_000 + "a",
        "<p>" + " " * 500_000 + "a",
        "<a " + "href = " * 50_000 + ">x",
        "&#" * 50_000,
    ],
    ids=[
        "tags",
        "quotes",
        "comments",
        "ends",
        "depth",
        "p",
        "ol",
        "thead",
        "pre",
        "spaces",
        "attributes",
        "references",
    ],
)
def test_hostile_markup_takes_linear_time(source: str) -> None:
    """What takes the parser alone minutes takes seconds."""
    began = time.process_time()
    load(source.encode(), name="page.html", uri="u")
    assert time.process_time() - began < 20
