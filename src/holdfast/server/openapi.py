"""What the OpenAPI document says beyond what FastAPI finds by itself: bodies that are read by hand, and problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from holdfast.server.problems import PROBLEM_MEDIA_TYPE, ProblemBody
from holdfast.server.request_bodies import FeedbackRequest, IngestRequest, QueryRequest, RetryRequest, SearchRequest
from holdfast.server.wire import AnswerBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from pydantic import BaseModel

__all__ = ["document_api", "ingest_body", "json_body", "problems"]

_REF = "#/components/schemas/{model}"
_BY_HAND: tuple[type[BaseModel], ...] = (QueryRequest, SearchRequest, IngestRequest, FeedbackRequest, RetryRequest)
_EVERYWHERE = (400, 421, 431, 500)
"""A bad or wrong host name, too large headers and an accident can happen at every address."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of a route, for ``responses=``."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": _REF.format(model=ProblemBody.__name__)}}},
        }
        for status in sorted({*statuses, *_EVERYWHERE})
    }


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A JSON body, for ``openapi_extra=``."""
    return _body({"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}})


def ingest_body(model: type[BaseModel]) -> dict[str, Any]:
    """Documents as JSON, or as uploaded files, for ``openapi_extra=``."""
    form = {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "collection": {"type": "string"},
        },
        "additionalProperties": False,
    }
    return _body(
        {
            "application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}},
            "multipart/form-data": {"schema": form},
        }
    )


def document_api(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The function that makes the application's OpenAPI document, once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _, definitions = models_json_schema(
                [
                    *((model, "validation") for model in _BY_HAND),
                    (AnswerBody, "serialization"),
                    (ProblemBody, "serialization"),
                ],
                ref_template=_REF,
            )
            known = schema.setdefault("components", {}).setdefault("schemas", {})
            for name, definition in definitions["$defs"].items():
                known.setdefault(name, definition)
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}
