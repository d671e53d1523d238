"""Where sentences end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rag.segmenter import MAX_SENTENCE, sentences

# In each line a bar stands where one sentence ends and the next begins.
CASES = """
Mr. Smith went home.| He slept.
Dr. Jones and Prof. Lee agree.| They published.
Sen. Warren and Gov. Brown met.| They talked.
Contact Mrs. O'Brien at ext. 204.
Use a cache, e.g. Redis, for this.| It helps.
E.g. this one is fine.| That one is not.
The limit (i.e. The Cap) holds.
It costs approx. 5 EUR.| Pay now.
Smith vs. Jones was decided.| The court agreed.
See No. 5 for details.| Then stop.
It is item no. 7.| Take it.
No.| That is wrong.
Is it so?| No.| It is not.
Answer: no.| Ask again.
See Fig. 3.| It shows the flow.
For details see Sec. 4.2.| For prices see Tab. 3.
Read pp. 10-12.| Then vol. 2.
Sect. 4 of Art. IV applies.| See ch. IX.
He moved to the U.S. in 1990.| She stayed.
He lives in the U.S.| The law is old.
The U.S. Government paid.| We saw.
The U.N. Security Council met.
Customers in the E.U. should read this.| Others need not.
The D.C. area is big.| He likes it.
She was born in Washington, D.C., in 1950.
She was born in Washington, D.C.| She grew up there.
He has a Ph.D. in physics.| She has two.
He got his Ph.D.| The thesis was long.
It starts at 5 p.m.| The door opens then.
It starts at 5 p.m. on Monday.
At 9 a.m. Monday we open.
Is it 5 p.m.?| Yes.
It took 20 min.| The bus left.
Approx. 20 min. later it stopped.
The parcel weighs max. 30 kg incl. packaging.
Jan. 5 is a holiday.| Feb. 6 is not.
We met in Jan.| It was cold.
The event is on Sept. 3rd.| Doors open at 7 a.m. sharp.
Open Mon. to Fri.| We close on Sat. and Sun.
Delivery takes 3-5 working days (Mon.-Fri.).| Express is faster.
He works at Acme Inc.| The firm is old.
Acme Inc. is old.| It sells.
He runs Smith & Co.| The firm is old.
The CEO, J.P. Morgan Jr., resigned.
He is John Jr.| The father is Sr.
J. K. Rowling wrote it.| It sold.
W. E. B. Du Bois spoke.
Plan B.| Then we left.
So do I.| The end.
Smith et al. (2020) show it.| We follow.
See Smith et al.| The result holds.
Bring pens, paper, etc.| We start at nine.
Bring pens, paper, etc. to class.
Dogs, cats, etc., are allowed.
St. Louis is big.| Go there.
Our office is on Main St.| We open at 9.
Pi is 3.14 exactly.| No more.
The cost is $5.50.| Pay it.
Orders over $50.00 ship free.| Smaller ones do not!| OK?
Rated 4.5/5.| Buy it.
It rose in 2020.| The next year it fell.
It has 5.| 10 more came.
1. First thing.
2.1. Second thing follows.| Then more.
a. The letter item.
Version 1.2.3 is out.| Upgrade today.
Upgrade to v2.0.| It is faster.
Use Node.js.| It is fast.
The .NET runtime starts.| It runs.
Set timeout=1.5 in config.yaml.| Restart the service afterwards.
Call main().| It returns 0.
Use C++.| Or use C#.
Press Ctrl+C.| Press Esc.| Done.
Visit https://example.com/a.b?c=d.| Then log in.
Mail us at a.b@example.com.| We reply.
See RFC 9110 §4.2.| It says so.
Wait... what happened?
Wait...| The door opened.
He paused… and went on.
Dots at end ....| The next.
She asked "Why?" and left.
She said "Stop!"| He ran.
"Stop!" she said.
"How?" asked Tom.| "Like this."
“It works.”| “Good.”
It was 'great'.| We loved it.
He said it.| "Then," she said, "we go."
(This is an aside.)| The text goes on.
It works (see p. 5).| Good.
Really?!| Yes.
Yahoo! is a name.
I like it.| iPhone users do too.
Great!| 🎉 Next one.
Note the end.[1]| The next begins.
Note the end.[^2]| Another begins.
**Bold ends.**| The next begins.
*Em.*| _Other._
One.|  Two spaces.
你好。|世界很大。|谢谢。
¿Qué tal?| ¡Bien!| Gracias.
M. Dupont est là.| Il attend.
Das ist z. B. ein Test.| Gut.
Der Preis beträgt ca. 5 EUR inkl. MwSt.| Der Versand ist gratis.
""".strip().splitlines()


@pytest.mark.parametrize("case", CASES)
def test_a_hard_case_is_cut_where_a_reader_would(case: str) -> None:
    """Full stops that end nothing do not end a sentence, and the others do."""
    text = case.replace("|", "")
    wanted = [part.strip() for part in case.split("|")]
    assert [text[start:end] for start, end in sentences(text, 0, len(text))] == wanted


def test_there_are_enough_hard_cases() -> None:
    """The rules are held to at least sixty cases."""
    assert len(CASES) >= 60


def test_only_the_range_is_looked_at() -> None:
    """What lies outside of the range neither appears nor matters."""
    text = "Zero. One. Two. Three."
    assert [text[start:end] for start, end in sentences(text, 6, 15)] == ["One.", "Two."]


def test_line_ends_are_spaces() -> None:
    """A sentence may go over line ends."""
    text = "One\ntwo.\nThree."
    assert [text[start:end] for start, end in sentences(text, 0, len(text))] == ["One\ntwo.", "Three."]


def test_a_very_long_sentence_is_cut_at_a_comma() -> None:
    """What has no full stop for long is cut after a comma, so that every quote is short."""
    text = "some words in a row, " * 100
    found = [text[start:end] for start, end in sentences(text, 0, len(text))]
    assert all(len(sentence) <= MAX_SENTENCE for sentence in found)
    assert all(sentence.endswith(",") for sentence in found)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*"aZ1.!?… \n'\"()[]*_", "。", "\u0301", "🎉", "e.g", "Mr", "U.S", "The "])).map("".join)
)
def test_sentences_are_disjoint_trimmed_and_lose_nothing(text: str) -> None:
    """Whatever the text: ranges in order, no white space around them, and nothing but white space between them."""
    at = 0
    for start, end in sentences(text, 0, len(text)):
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "." * 1_000_000,
        ". " * 300_000,
        '."' * 300_000,
        "A. " * 200_000,
        "x" * 1_000_000,
        " " * 1_000_000,
        ".'''''" * 100_000,
    ],
    ids=["dots", "spaced dots", "quotes", "initials", "one word", "blank", "closing quotes"],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    """A megabyte of anything is done in seconds."""
    began = time.process_time()
    for _ in sentences(text, 0, len(text)):
        pass
    assert time.process_time() - began < 20
