"""Answers and passages as text and as JSON. The JSON has the fields of the HTTP API."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.rag.types import Answer, Hit, SearchResult

__all__ = ["answer_json", "answer_note", "citation_lines", "hit_lines", "search_json"]

_SNIPPET_CHARS = 240


def answer_json(answer: Answer) -> dict[str, object]:
    """The answer as ``POST /v1/query`` gives it."""
    fields = asdict(answer)
    return {"answer": fields.pop("text"), **fields, "quality": answer.quality}


def search_json(result: SearchResult) -> dict[str, object]:
    """The passages as ``POST /v1/search`` gives them."""
    return {
        "hits": [_hit_json(hit) for hit in result.hits],
        "tier": result.tier,
        "degraded": result.degraded,
        "reasons": list(result.reasons),
        "request_id": result.request_id,
        "timings_ms": dict(result.timings_ms),
    }


def _hit_json(hit: Hit) -> dict[str, object]:
    chunk = hit.stored.chunk
    return {
        "document_id": chunk.document_id,
        "chunk_id": chunk.id,
        "title": hit.stored.title,
        "heading": chunk.heading,
        "uri": hit.stored.uri,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "score": hit.score,
    }


def citation_lines(answer: Answer) -> list[str]:
    """What the answer rests on, numbered as it numbers it, below an empty line."""
    lines = [""] if answer.citations else []
    for number, citation in enumerate(answer.citations, start=1):
        lines.append(f"[{number}] {_place(citation.title, citation.heading, citation.uri)}")
    return lines


def answer_note(answer: Answer) -> str:
    """One line on where the answer came from, how good it is, and what it cost."""
    parts = [f"source {answer.source}", f"tier {answer.tier}", f"confidence {answer.confidence:.2f}"]
    if answer.model is not None:
        parts.append(f"model {answer.model}")
    if answer.usage.total_tokens:
        parts.append(f"{answer.usage.prompt_tokens:,} + {answer.usage.completion_tokens:,} tokens")
    if answer.cost_usd:
        parts.append(f"${answer.cost_usd:.6f}")
    if answer.age_seconds:
        parts.append(f"{answer.age_seconds:.0f} s old")
    if "total" in answer.timings_ms:
        parts.append(f"{answer.timings_ms['total']:.0f} ms")
    return " · ".join(parts)


def hit_lines(number: int, hit: Hit) -> list[str]:
    """A passage: its place, and how it begins."""
    chunk = hit.stored.chunk
    text = " ".join(chunk.text.split())
    snippet = text if len(text) <= _SNIPPET_CHARS else text[: _SNIPPET_CHARS - 1].rstrip() + "…"
    return [f"[{number}] {hit.score:.3f}  {_place(hit.stored.title, chunk.heading, hit.stored.uri)}", f"    {snippet}"]


def _place(title: str, heading: str, uri: str) -> str:
    # On one line, whatever a document calls itself: a line feed would forge an entry of the list.
    title, heading, uri = (" ".join(text.split()) for text in (title, heading, uri))
    if heading and not heading.startswith(title):  # the first heading of a document is often its title
        heading = f"{title} › {heading}"
    name = heading or title
    return f"{name} ({uri})" if name and name != uri else uri
