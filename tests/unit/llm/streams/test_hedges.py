"""How many questions may be asked twice at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.llm.streams.hedges import HedgeAllowance


def test_hedges_are_the_share_of_questions_that_was_allowed() -> None:
    """Of 1,000 slow questions at 5%, 51 are hedged: 50, and the one that was saved at the start."""
    allowance = HedgeAllowance(5)
    made = 0
    for _ in range(1000):
        allowance.asked()
        made += allowance.take()
    assert made == 51


@given(st.lists(st.booleans(), max_size=400), st.floats(1, 100))
def test_hedges_never_exceed_their_share(slow: list[bool], percent: float) -> None:
    """Whatever the order of slow and quick questions, hedges stay below the share plus the first one."""
    allowance = HedgeAllowance(percent)
    made = 0
    for asked, each in enumerate(slow, start=1):
        allowance.asked()
        made += each and allowance.take()
        assert made <= asked * percent / 100 + 1 + 1e-6


def test_a_quiet_time_saves_up_ten_hedges_at_most() -> None:
    """After 10,000 quick questions only ten hedges are made in a row."""
    allowance = HedgeAllowance(10)
    for _ in range(10_000):
        allowance.asked()
    assert sum(allowance.take() for _ in range(100)) == 10
