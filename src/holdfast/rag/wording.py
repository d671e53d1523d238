"""The sentences that users read when something is missing. One place, so that they stay one voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["broken_off", "empty_store_answer", "late_answer", "notice", "offline_answer"]

_MISSING = {
    Reason.EMBEDDER_UNAVAILABLE: (
        "This answer was found by its words only, because the search by meaning is not available right now."
    ),
    Reason.VECTORS_MISSING: "This answer was found by its words only, because the documents have no vectors yet.",
    Reason.LLM_UNAVAILABLE: "No model could write an answer right now; this is what the documents say, word for word.",
    Reason.PRIMARY_MODEL_UNAVAILABLE: "Another model than usual wrote this answer.",
    Reason.ANSWERER_UNAVAILABLE: "The answer could not be written right now; these are the passages that fit best.",
    Reason.ANSWER_INTERRUPTED: "The connection to the model was lost while it wrote: this answer is not whole.",
    Reason.ANSWER_CUT: "This answer reached the longest that is allowed, and may lack its end.",
    Reason.RERANKER_UNAVAILABLE: "The passages are in their usual order: what ranks them finer is not available.",
    Reason.CITATIONS_REMOVED: (
        "The model referred to a passage that does not exist, or does not say so; the reference was removed."
    ),
    Reason.LINKS_REMOVED: "The model wrote an address that stands in no document; it was removed.",
    Reason.CITATIONS_MISSING: "The model named no passage that this answer rests on: check it before you rely on it.",
    Reason.MEMORY_UNAVAILABLE: "What was said before may not be remembered: the memory is not available right now.",
    Reason.VECTOR_STORE_UNAVAILABLE: "The documents could not be searched fully right now.",
    Reason.DEADLINE_EXCEEDED: "The time allowed for this question was used up.",
}


def notice(reasons: Sequence[Reason], *, age_seconds: float | None = None, frequent: bool = False) -> str:
    """What the user should know about this answer, or an empty string.

    Args:
        reasons: what was missing.
        age_seconds: how old an earlier answer is that is given again.
        frequent: whether the answer comes from the list of frequent questions.
    """
    if age_seconds is not None:
        return f"{_why(reasons)}; this is an earlier answer, {_age(age_seconds)} old."
    if frequent:
        return f"{_why(reasons)}; this is the answer to a frequent question that is like yours."
    return " ".join(_MISSING[reason] for reason in reasons if reason in _MISSING)


def _why(reasons: Sequence[Reason]) -> str:
    if Reason.STORE_EMPTY in reasons:
        return "There are no documents to search yet"
    if Reason.VECTOR_STORE_UNAVAILABLE in reasons:
        return "The documents cannot be searched right now"
    if Reason.DEADLINE_EXCEEDED in reasons:
        return "The time allowed for this question was used up"
    return "No new answer can be written right now"


def broken_off() -> str:
    """What ends an answer that broke off while it was given out."""
    return "(The answer breaks off here.)"


def offline_answer(*, retry_after: float, contact: str) -> str:
    """The answer when there is nothing else to say."""
    reach = f" If it is urgent, please contact {contact}." if contact else ""
    return (
        "Sorry, I cannot look this up right now: the knowledge base is not available. "
        f"Please try again in about {max(1, round(retry_after))} seconds.{reach}"
    )


def late_answer() -> str:
    """The answer when the time allowed for the question was too short to look anything up."""
    return "Sorry, the time allowed for this question was used up before it could be answered. Please allow more time."


def empty_store_answer(collection: str) -> str:
    """The answer when nothing has been ingested."""
    return f"There is nothing to search yet: no documents have been ingested into the collection “{collection}”."


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
