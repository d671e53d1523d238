"""The moving average that never hides a peak."""

from __future__ import annotations

from math import exp

import pytest

from holdfast.llm.routing.latency import PeakEwma
from holdfast.testing.clock import FakeClock


def test_a_peak_is_believed_at_once() -> None:
    """One slow answer sets the average to its own time."""
    ewma = PeakEwma(FakeClock())
    ewma.observe(0.5)
    ewma.observe(8.0)
    assert ewma.seconds == 8.0


def test_quick_answers_bring_it_down_by_and_by() -> None:
    """After one decay time, a quick answer counts for 63% of the average."""
    clock = FakeClock()
    ewma = PeakEwma(clock, decay=10)
    ewma.observe(8.0)
    clock.advance(10)
    ewma.observe(1.0)
    assert ewma.seconds == pytest.approx(8 * exp(-1) + 1 * (1 - exp(-1)))


def test_an_old_peak_fades_without_any_answer() -> None:
    """A target that nobody asks is forgiven with time, so that it is asked again."""
    clock = FakeClock()
    ewma = PeakEwma(clock, decay=10)
    ewma.observe(8.0)
    clock.advance(100)
    assert ewma.seconds == pytest.approx(8 * exp(-10))


def test_before_the_first_answer_it_is_nothing() -> None:
    """An unknown target looks quick: it has to be tried to be known."""
    assert PeakEwma(FakeClock()).seconds == 0.0
