"""What goes back over the wire of conversations and feedback. Fields may be added, never renamed."""

from typing import Self

from pydantic import BaseModel, Field

from holdfast.rag.records.base import Conversation, ConversationBrief, ConversationPage
from holdfast.rag.records.feedback import Feedback

__all__ = ["ConversationBody", "ConversationListBody", "FeedbackBody"]


class TurnBody(BaseModel):
    """One question of a conversation, and its answer."""

    number: int = Field(description="Its place in the conversation: 0, 1, ...")
    request_id: str
    question: str
    standalone: str = Field(description="The question as it was searched, where it was rewritten; else empty.")
    answer: str
    asked_at: float = Field(description="Unix seconds.")
    source: str
    tier: str


class ConversationBody(BaseModel):
    """A conversation, or its last turns."""

    id: str
    turn_count: int = Field(description="How many turns it has.")
    turns: list[TurnBody]
    summary: str = Field(description="What its first turns said, in short; empty where nobody summarised them.")
    summarised: int = Field(description="How many turns the summary covers.")
    created_at: float = Field(description="Unix seconds.")
    updated_at: float = Field(description="Unix seconds.")

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        """The body for a conversation."""
        turns = [
            TurnBody(
                number=number,
                request_id=one.request_id,
                question=one.question,
                standalone=one.standalone,
                answer=one.answer,
                asked_at=one.asked_at,
                source=one.source,
                tier=one.tier,
            )
            for number, one in enumerate(conversation.turns, start=conversation.first)
        ]
        return cls(
            id=conversation.id,
            turn_count=conversation.first + len(turns),
            turns=turns,
            summary=conversation.summary,
            summarised=conversation.summarised,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
        )


class ConversationBriefBody(BaseModel):
    """A conversation without its turns."""

    id: str
    turn_count: int
    first_question: str = Field(description="How it began.")
    created_at: float = Field(description="Unix seconds.")
    updated_at: float = Field(description="Unix seconds.")

    @classmethod
    def of(cls, brief: ConversationBrief) -> Self:
        """The body for a conversation in a list."""
        return cls(
            id=brief.id,
            turn_count=brief.turns,
            first_question=brief.first_question,
            created_at=brief.created_at,
            updated_at=brief.updated_at,
        )


class ConversationListBody(BaseModel):
    """Conversations, the one with the latest turn first."""

    conversations: list[ConversationBriefBody]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")

    @classmethod
    def of(cls, page: ConversationPage) -> Self:
        """The body for a page."""
        return cls(
            conversations=[ConversationBriefBody.of(one) for one in page.conversations], next_cursor=page.next_cursor
        )


class FeedbackBody(BaseModel):
    """What somebody thinks of an answer, as it is kept."""

    request_id: str
    useful: bool
    comment: str
    given_at: float = Field(description="Unix seconds.")

    @classmethod
    def of(cls, feedback: Feedback) -> Self:
        """The body for feedback."""
        return cls(
            request_id=feedback.request_id,
            useful=feedback.useful,
            comment=feedback.comment,
            given_at=feedback.given_at,
        )
