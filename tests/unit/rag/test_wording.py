"""What users read when something is missing."""

from __future__ import annotations

import pytest

from holdfast.rag.types import Reason
from holdfast.rag.wording import empty_store_answer, notice, offline_answer


def test_nothing_missing_needs_no_notice() -> None:
    """A full answer carries no notice."""
    assert notice(()) == ""


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(5, "less than a minute"), (60, "1 minute"), (7_300, "2 hours"), (86_400, "1 day"), (300_000, "3 days")],
)
def test_an_old_answer_says_how_old_it_is(seconds: float, age: str) -> None:
    """The notice of a stale answer carries its age in words."""
    assert f"an earlier answer, {age} old" in notice((Reason.VECTOR_STORE_UNAVAILABLE,), age_seconds=seconds)


def test_each_missing_part_is_named_once() -> None:
    """Two reasons make two sentences, in the order in which they came."""
    text = notice((Reason.EMBEDDER_UNAVAILABLE, Reason.ANSWERER_UNAVAILABLE))
    assert text.index("by its words only") < text.index("could not be written")


def test_the_offline_answer_says_when_and_whom() -> None:
    """The last answer says when to try again and, where one is set, whom to contact."""
    assert "in about 15 seconds" in offline_answer(retry_after=15.0, contact="")
    assert "please contact help@shop.example" in offline_answer(retry_after=0.1, contact="help@shop.example")


def test_an_empty_collection_is_named() -> None:
    """The answer from an empty store names the collection that was asked."""
    assert "“handbook”" in empty_store_answer("handbook")
