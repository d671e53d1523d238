"""How long a target usually takes, and when it has gone silent."""

from __future__ import annotations

from holdfast.core.clock import NS_PER_SECOND as S
from holdfast.llm.routing.pace import Pace
from holdfast.testing.clock import FakeClock


def pace_of(clock: FakeClock, seconds: float = 1.5, *, streamed: bool = False) -> Pace:
    """A target of which twenty answers are known that all took so long: it is late after twice that."""
    pace = Pace(clock)
    for _ in range(20):
        pace.took(round(seconds * S), streamed=streamed)
    return pace


class TestLate:
    def test_nothing_is_late_before_twenty_answers_are_known(self) -> None:
        """Nineteen latencies say nothing."""
        pace = Pace(FakeClock())
        for _ in range(19):
            pace.took(S, streamed=True)
        assert pace.late_ns(streamed=True) is None
        assert not pace.silent(streamed=True)
        pace.took(S, streamed=True)
        assert pace.late_ns(streamed=True) == 2 * S

    def test_it_is_twice_the_95th_percentile(self) -> None:
        """Of latencies of 1 to 100 s the 95th is 95 s, so that an answer is late after 190 s."""
        pace = Pace(FakeClock())
        for seconds in range(1, 101):
            pace.took(seconds * S, streamed=False)
        assert pace.late_ns(streamed=False) == 190 * S

    def test_streamed_and_whole_answers_are_told_apart(self) -> None:
        """A first token comes sooner than a whole answer."""
        clock = FakeClock()
        pace = pace_of(clock, 0.5, streamed=True)
        assert pace.late_ns(streamed=False) is None
        assert pace.late_ns(streamed=True) == S

    def test_an_answer_is_not_late_within_a_quarter_of_a_second(self) -> None:
        """However quick a target is."""
        assert pace_of(FakeClock(), 0.01).late_ns(streamed=False) == S // 4

    def test_the_latest_two_hundred_count(self) -> None:
        """A target that has become quick is measured by what it is now."""
        pace = pace_of(FakeClock(), 10.0)
        for _ in range(200):
            pace.took(S, streamed=False)
        assert pace.late_ns(streamed=False) == 2 * S

    def test_a_call_that_was_given_up_late_was_slow(self) -> None:
        """It counts as an answer that took so long; one that was given up sooner says nothing."""
        pace = pace_of(FakeClock(), 1.5)
        for _ in range(5):
            pace.waited(3 * S - 1, streamed=False)
        assert pace.late_ns(streamed=False) == 3 * S
        for _ in range(5):
            pace.waited(3 * S, streamed=False)
        assert pace.late_ns(streamed=False) == 6 * S


class TestSilence:
    def test_three_late_calls_and_nobody_heard_of_it(self) -> None:
        """Then it is silent, and not a moment before."""
        clock = FakeClock()
        pace = pace_of(clock)
        for _ in range(3):
            pace.begin(streamed=False)
        clock.advance(3.0 - 1e-6)
        assert not pace.silent(streamed=False)
        clock.advance(1e-6)
        assert pace.silent(streamed=False)

    def test_two_late_calls_are_no_silence(self) -> None:
        """Two calls may hang by chance."""
        clock = FakeClock()
        pace = pace_of(clock)
        for _ in range(2):
            pace.begin(streamed=False)
        clock.advance(60.0)
        pace.begin(streamed=False)
        assert not pace.silent(streamed=False)

    def test_whoever_began_later_and_is_heard_ends_it(self) -> None:
        """One word to a call that began after them shows that the target is there."""
        clock = FakeClock()
        pace = pace_of(clock)
        for _ in range(4):
            pace.begin(streamed=False)
        clock.advance(1.0)
        last = pace.begin(streamed=False)
        clock.advance(4.0)
        assert pace.silent(streamed=False)
        pace.heard(last)
        assert not pace.silent(streamed=False)

    def test_a_late_word_to_one_that_began_before_does_not_end_it(self) -> None:
        """An answer under way when the target stopped may still come; it tells nothing of the time since."""
        clock = FakeClock()
        pace = pace_of(clock)
        before = pace.begin(streamed=False)
        clock.advance(0.1)
        for _ in range(3):
            pace.begin(streamed=False)
        clock.advance(3.0)
        pace.heard(before)
        assert pace.silent(streamed=False)

    def test_calls_that_were_given_up_late_are_remembered(self) -> None:
        """Nobody heard of them: that nobody waits any more makes the target no better."""
        clock = FakeClock()
        pace = pace_of(clock)
        calls = [pace.begin(streamed=False) for _ in range(3)]
        clock.advance(3.0)
        for call in calls:
            pace.gave_up(call)
        assert pace.silent(streamed=False)
        clock.advance(1.0)
        pace.heard(pace.begin(streamed=False))
        assert not pace.silent(streamed=False)

    def test_calls_that_were_given_up_soon_say_nothing(self) -> None:
        """Their callers went; nobody knows how long they would have taken."""
        clock = FakeClock()
        pace = pace_of(clock)
        calls = [pace.begin(streamed=False) for _ in range(3)]
        clock.advance(2.9)
        for call in calls:
            pace.gave_up(call)
        clock.advance(10.0)
        assert not pace.silent(streamed=False)

    def test_what_was_heard_before_is_not_given_up(self) -> None:
        """A call that fails after its first word is no unheard one."""
        clock = FakeClock()
        pace = pace_of(clock)
        for _ in range(3):
            call = pace.begin(streamed=False)
            pace.heard(call)
            clock.advance(5.0)
            pace.gave_up(call)
        assert not pace.silent(streamed=False)

    def test_a_quiet_time_is_no_silence(self) -> None:
        """Nobody heard of it for an hour because nobody asked: calls that have just begun are not late."""
        clock = FakeClock()
        pace = pace_of(clock)
        clock.advance(3600.0)
        for _ in range(10):
            pace.begin(streamed=False)
        assert not pace.silent(streamed=False)
