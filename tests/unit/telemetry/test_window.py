"""The sliding count agrees with remembering everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.telemetry.window import WindowCount

NS = 1_000_000_000


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=40), st.integers(1, 10))
def test_count_is_that_of_the_last_seconds(steps: list[tuple[int, int]], size: int) -> None:
    """At any time the count is what happened within the last seconds, to a second's precision."""
    window, seen, now = WindowCount(size), [], 5
    for passed, count in steps:
        now += passed
        window.add(now * NS, count)
        seen.append((now, count))
        assert window.total(now * NS) == sum(count for at, count in seen if now - size < at <= now)


def test_old_counts_fade() -> None:
    """A window that is only looked at forgets by itself."""
    window = WindowCount(60)
    window.add(10 * NS, 3)
    assert window.total(69 * NS) == 3
    assert window.total(70 * NS) == 0


def test_time_that_goes_back_is_now() -> None:
    """What comes late from another thread counts as just now, and nothing is lost."""
    window = WindowCount(5)
    window.add(10 * NS)
    window.add(9 * NS)
    assert window.total(10 * NS) == 2
