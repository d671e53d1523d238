"""The course of a run in buckets of five seconds."""

from __future__ import annotations

import pytest

from holdfast.lab.runs.course import Course


def test_a_question_belongs_to_when_it_was_asked() -> None:
    """However late its answer comes; calls and repetitions belong to when they began."""
    course = Course(20, settle=30)
    course.ended(1, 12, useful=True, degraded=True)
    course.ended(4.9, 0.5, useful=True, degraded=False)
    course.ended(5, 1, useful=False, degraded=True)
    course.called(9.9)
    course.called(10)
    course.retried(10)
    first, second, third, fourth = course.finish()
    assert (first.offered, first.useful, first.degraded, first.errors) == (2, 2, 1, 0)
    assert first.p95 == pytest.approx(12, rel=0.01)
    assert (second.at, second.offered, second.errors, second.attempts) == (5, 1, 1, 1)
    assert (third.attempts, third.retries, third.offered, third.p95) == (1, 1, 0, 0)
    assert (fourth.at, fourth.tier) == (15, "full")


def test_a_bucket_has_the_lowest_tier_within_it() -> None:
    """A fall counts at once, a rise from the next bucket on; the seconds in each tier add up to the run."""
    course = Course(20, settle=30)
    course.tier(6, "minimal")
    course.tier(8, "degraded")
    course.tier(16, "full")
    assert [each.tier for each in course.finish()] == ["full", "minimal", "degraded", "degraded"]
    assert dict(course.seconds_in_tier) == {"full": 10, "minimal": 2, "degraded": 8}


def test_a_bucket_names_the_breakers_that_were_open_within_it() -> None:
    """From the bucket of its opening to that of its closing."""
    course = Course(25, settle=30)
    course.breaker(6, "store", opened=True)
    course.breaker(7, "cache", opened=True)
    course.breaker(8, "cache", opened=False)
    course.breaker(16, "store", opened=False)
    assert [each.open_breakers for each in course.finish()] == [(), ("cache", "store"), ("store",), ("store",), ()]


def test_what_is_after_the_end_is_in_no_bucket() -> None:
    """The run is over when the last question was asked; a tier does not last longer than that."""
    course = Course(10, settle=30)
    course.called(10)
    course.ended(11, 1, useful=True, degraded=False)
    course.tier(12, "offline")
    assert [(each.offered, each.attempts, each.tier) for each in course.finish()] == [(0, 0, "full")] * 2
    assert dict(course.seconds_in_tier) == {"full": 10}


def test_buckets_are_folded_on_the_way() -> None:
    """Only those to which something may still be added are open: the memory of a long run does not grow with them."""
    course = Course(1_000, settle=20)
    for second in range(1_000):
        course.ended(float(second), 0.1, useful=True, degraded=False)
        assert len(course._open) <= 6
    assert [each.offered for each in course.finish()] == [5] * 200
