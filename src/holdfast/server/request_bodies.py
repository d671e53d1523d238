"""The bodies of requests, as the contract has them. Fields may be added, never renamed."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from holdfast.rag.names import is_plain_name
from holdfast.rag.query import COLLECTION_MAX_CHARS, MAX_FILTERS, MAX_TOP_K, QUESTION_MAX_CHARS, Query
from holdfast.rag.records.feedback import COMMENT_MAX_CHARS
from holdfast.rag.records.limits import CONVERSATION_ID_PATTERN, REQUEST_ID_PATTERN
from holdfast.rag.types import Scalar

__all__ = [
    "ID_MAX_CHARS",
    "MAX_DOCUMENTS",
    "MAX_ERRORS",
    "CollectionName",
    "DocumentIn",
    "ErrorBudget",
    "FeedbackRequest",
    "IngestRequest",
    "QueryRequest",
    "RetryRequest",
    "SearchRequest",
]

ID_MAX_CHARS = 200
TITLE_MAX_CHARS = 300
URI_MAX_CHARS = 2_000
METADATA_MAX_KEYS = 32
METADATA_KEY_MAX_CHARS = 100
METADATA_VALUE_MAX_CHARS = 1_000
MAX_DOCUMENTS = 1_000
MAX_ERRORS = 20
"""A body that is wrong a thousand times needs no thousand sentences, nor the work of finding a thousand errors."""

_INT64 = 2**63


def _scalar(value: object, _handler: object) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):  # noqa: PLR0124 - not a number
        return value
    if isinstance(value, str) and len(value) <= METADATA_VALUE_MAX_CHARS:
        return value
    raise PydanticCustomError(
        "scalar",
        "must be a text of at most {limit} characters, a number of at most 64 bits, true or false",
        {"limit": METADATA_VALUE_MAX_CHARS},
    )


def _checked_label(value: str) -> str:
    """A name that goes into logs, addresses and headers: one line that reads as it is written, and not only spaces.

    Raises:
        PydanticCustomError: it is not.
    """
    if not value.strip() or not is_plain_name(value):
        raise PydanticCustomError(
            "label", "must be on one line, without control characters and without characters that turn the direction"
        )
    return value


def _at_most(limit: int) -> BeforeValidator:
    """Refuse a collection that is too long before a look at any of its entries; each would cost an error of its own."""

    def bounded(value: object) -> object:
        if isinstance(value, list | dict) and len(value) > limit:
            raise PydanticCustomError(
                "too_many", "has {given} entries; at most {limit} are read", {"given": len(value), "limit": limit}
            )
        return value

    return BeforeValidator(bounded)


@dataclass(slots=True)
class ErrorBudget:
    """How many errors are still worth finding in a body. Give each body one of its own as the validation's context."""

    left: int = MAX_ERRORS + 1


def _while_worth_it(value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    """Leave the entries that come after too many errors unchecked; the body is refused anyway."""
    budget = info.context
    if not isinstance(budget, ErrorBudget):
        return check(value)
    if budget.left <= 0:
        return value
    try:
        return check(value)
    except ValidationError as error:
        budget.left -= error.error_count()
        raise


_Scalar = Annotated[Scalar, WrapValidator(_scalar)]
_Label = AfterValidator(_checked_label)
_Key = Annotated[str, Field(min_length=1, max_length=METADATA_KEY_MAX_CHARS), _Label]
Metadata = Annotated[dict[_Key, _Scalar], Field(max_length=METADATA_MAX_KEYS), _at_most(METADATA_MAX_KEYS)]
CollectionName = Annotated[str, Field(min_length=1, max_length=COLLECTION_MAX_CHARS), _Label]


class _Request(BaseModel):
    # strict: "5" is a text, not a number; forbid: a misspelled field is told, not ignored
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_a_flood(cls, value: object) -> object:
        """One error for very many unknown fields, instead of one for each."""
        if isinstance(value, dict) and len(value) > MAX_ERRORS:
            unknown = len(value.keys() - cls.model_fields.keys())
            if unknown > MAX_ERRORS:
                raise PydanticCustomError(
                    "unknown_fields",
                    "has {unknown} fields that are unknown here: the fields are {known}",
                    {"unknown": unknown, "known": ", ".join(sorted(cls.model_fields))},
                )
        return value


class _Question(_Request):
    question: str = Field(
        description="What to answer, without control characters other than tab and line ends.",
        examples=["How long do refunds take?"],
        json_schema_extra={"minLength": 1, "maxLength": QUESTION_MAX_CHARS},  # Query checks it, with a better sentence
    )
    collection: CollectionName | None = Field(
        None, description="Which collection to ask; the service's own by default."
    )
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = Field(None, description="How many passages to rest on.")
    filters: Annotated[dict[_Key, _Scalar], Field(max_length=MAX_FILTERS), _at_most(MAX_FILTERS)] = Field(
        default_factory=dict, description="Only documents whose metadata have these values."
    )


class QueryRequest(_Question):
    """A question."""

    conversation_id: Annotated[str, Field(pattern=CONVERSATION_ID_PATTERN)] | None = Field(
        None, description="The conversation it belongs to: letters, digits and any of the characters _ . : -"
    )
    stream: bool = Field(default=False, description="Answer with server-sent events: `delta` ..., `answer`, `done`.")
    deadline_seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] | None = Field(
        None, description="The time allowed for the whole request; the service's own by default."
    )
    priority: int = Field(5, ge=0, le=9, description="0 to 9; higher is more important.")

    def query(self, *, collection: str, request_id: str) -> Query:
        """The question for the engine; ``collection`` is taken where the request names none."""
        return Query(
            question=self.question,
            collection=self.collection or collection,
            top_k=self.top_k,
            filters=self.filters,
            conversation_id=self.conversation_id,
            deadline_seconds=self.deadline_seconds,
            priority=self.priority,
            request_id=request_id,
        )


class SearchRequest(_Question):
    """A search."""

    def query(self, *, collection: str, request_id: str) -> Query:
        """The question for the engine; ``collection`` is taken where the request names none."""
        return Query(
            question=self.question,
            collection=self.collection or collection,
            top_k=self.top_k,
            filters=self.filters,
            request_id=request_id,
        )


class DocumentIn(_Request):
    """A document handed in as text."""

    id: Annotated[str, Field(min_length=1, max_length=ID_MAX_CHARS), _Label] | None = Field(
        None,
        description="Sending another text under the same id replaces the document. Made from uri or text by default.",
    )
    title: Annotated[str, Field(min_length=1, max_length=TITLE_MAX_CHARS), _Label] | None = None
    text: str = Field(min_length=1)
    uri: Annotated[str, Field(min_length=1, max_length=URI_MAX_CHARS), _Label] | None = None
    mime: str = Field(
        "text/markdown", max_length=100, description="How to read the text; plain text reads well as Markdown."
    )
    metadata: Metadata = Field(default_factory=dict)


class IngestRequest(_Request):
    """Documents to ingest."""

    documents: Annotated[
        list[Annotated[DocumentIn, WrapValidator(_while_worth_it)]],
        Field(min_length=1, max_length=MAX_DOCUMENTS),
        _at_most(MAX_DOCUMENTS),
    ]
    collection: CollectionName | None = None


class FeedbackRequest(_Request):
    """What somebody thinks of an answer."""

    request_id: str = Field(pattern=REQUEST_ID_PATTERN, description="The answer's `request_id`.")
    useful: bool = Field(description="Whether it helped.")
    comment: str = Field("", max_length=COMMENT_MAX_CHARS, description="In their own words.")


class RetryRequest(BaseModel):
    """Which dead letters to try again."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(
        None, min_length=1, max_length=1_000, description="Which; all of the collection by default."
    )
    collection: CollectionName | None = Field(None, description="The service's own by default.")
